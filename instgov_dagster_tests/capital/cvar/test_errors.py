import math

import numpy as np
import pytest

from instgov_dagster.capital.cvar import breach_scale, cvar, cvar_standard_error

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")


def test_the_standard_error_matches_the_spread_of_many_samples() -> None:
    rng = np.random.default_rng(5)
    samples = rng.standard_t(4, (400, 1000))
    values = [cvar(row, confidence_level=0.95) for row in samples]
    errors = [
        cvar_standard_error(row, confidence_level=0.95, overlap_sessions=1) for row in samples[:50]
    ]
    assert np.median(errors) == pytest.approx(np.std(values), rel=0.15)


def test_overlapping_scenarios_have_a_wider_error() -> None:
    rng = np.random.default_rng(6)
    daily = rng.standard_t(4, 1300)
    overlapping = np.convolve(daily, np.ones(5), "valid")
    alone = cvar_standard_error(overlapping, confidence_level=0.95, overlap_sessions=1)
    honest = cvar_standard_error(overlapping, confidence_level=0.95, overlap_sessions=5)
    assert honest > 1.5 * alone
    with pytest.raises(ValueError, match="overlap_sessions"):
        cvar_standard_error(daily, confidence_level=0.95, overlap_sessions=0)


@pytest.mark.roadmap("5.5")
@pytest.mark.parametrize(("value", "factor"), [(0.12, 0.5), (0.06, 1.0), (0.0, 1.0), (-0.002, 1.0)])
def test_the_breach_factor_is_limit_over_cvar_and_never_above_one(
    value: float, factor: float
) -> None:
    assert breach_scale(value, 0.06) == pytest.approx(factor)


@pytest.mark.parametrize(("value", "limit"), [(math.nan, 0.06), (0.1, math.nan), (0.1, 0.0)])
def test_a_breach_that_cannot_be_measured_has_no_factor(value: float, limit: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        breach_scale(value, limit)


def test_the_standard_error_by_hand_of_one_loss_in_ten() -> None:
    # Level 0.9 of ten losses: the tail is the 1, VaR is 1, so nothing exceeds it: influence 0.
    losses = np.zeros(10)
    losses[4] = 1.0
    assert cvar_standard_error(losses, confidence_level=0.9, overlap_sessions=1) == 0.0
    # Level 0.8: the tail is {1, 0.5}, VaR 0.5. Influence 0.5 / 0.2 = 2.5 once, mean 0.25:
    # the variance is (2.25^2 + 9 * 0.25^2) / 10 = 0.5625, its tenth 0.05625.
    losses[7] = 0.5
    error = cvar_standard_error(losses, confidence_level=0.8, overlap_sessions=1)
    assert error == pytest.approx(math.sqrt(0.05625))
    # Lag 1, Bartlett weight 1/2: of nine products two are 2.25 * -0.25 and seven 0.0625.
    covariance = (2 * 2.25 * -0.25 + 7 * 0.0625) / 10
    lagged = cvar_standard_error(losses, confidence_level=0.8, overlap_sessions=2)
    assert lagged == pytest.approx(math.sqrt((0.5625 + covariance) / 10))


def test_more_overlap_than_scenarios_is_still_an_error() -> None:
    losses = np.array([0.1, 0.3, 0.2])
    assert math.isfinite(cvar_standard_error(losses, confidence_level=0.5, overlap_sessions=9))


def test_a_limit_of_zero_or_below_is_no_limit() -> None:
    for limit in (0.0, -0.01, math.inf):
        with pytest.raises(ValueError, match="limit"):
            breach_scale(0.1, limit)
