import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skfolio.measures import cvar as skfolio_cvar

from instgov_dagster.capital.cvar import (
    book_losses,
    breach_scale,
    cvar,
    cvar_contributions,
    cvar_standard_error,
    delta_cvar,
    marginal_cvar,
    tail_weights,
    value_at_risk,
)
from instgov_dagster_tests.capital.worlds import returns_of

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")

LOSSES = arrays(np.float64, st.integers(1, 80), elements=st.floats(-1.0, 1.0, width=32))
LEVELS = st.sampled_from([0.6, 0.9, 0.95, 0.975, 0.99])


def test_the_worst_of_ten_at_ninety_percent_is_the_cvar() -> None:
    losses = np.array([0.1, -0.2, 0.3, 0.0, 0.05, -0.1, 0.2, 0.15, -0.3, 0.25])
    assert cvar(losses, confidence_level=0.9) == pytest.approx(0.3, abs=1e-15)


def test_the_atom_at_the_edge_of_the_tail_is_split() -> None:
    # 30 losses at 95 %: m = 1.5, so the worst whole and half of the next: (3 + 0.5 * 2) / 1.5.
    losses = np.zeros(30)
    losses[3], losses[17] = 3.0, 2.0
    assert cvar(losses, confidence_level=0.95) == pytest.approx(4.0 / 1.5, abs=1e-12)
    share = tail_weights(losses, confidence_level=0.95)
    assert share[3] == pytest.approx(1 / 1.5)
    assert share[17] == pytest.approx(0.5 / 1.5)
    assert np.count_nonzero(share) == 2


def test_a_whole_tail_mass_is_not_lost_to_floating_point() -> None:
    # (1 - 0.95) * 1260 is 63.00000000000006: the tail is the worst 63, not 62 and a part.
    losses = np.arange(1260, dtype=np.float64)
    assert cvar(losses, confidence_level=0.95) == pytest.approx(1228.0, rel=1e-12)
    assert value_at_risk(losses, confidence_level=0.95) == 1197.0


def test_equal_losses_enter_the_tail_by_scenario_number() -> None:
    share = tail_weights(np.ones(40), confidence_level=0.95)
    assert np.flatnonzero(share).tolist() == [0, 1]


@given(LOSSES, LEVELS)
def test_cvar_equals_the_measure_of_skfolio(losses: NDArray[np.float64], level: float) -> None:
    wanted = skfolio_cvar(-losses, beta=level)
    assert cvar(losses, confidence_level=level) == pytest.approx(wanted, abs=1e-12)


@given(LOSSES, LEVELS)
def test_the_tail_weights_sum_to_one_and_price_the_cvar(
    losses: NDArray[np.float64], level: float
) -> None:
    share = tail_weights(losses, confidence_level=level)
    mass = (1 - level) * losses.size
    assert share.sum() == pytest.approx(1.0, abs=1e-12)
    assert share.max() <= max(1 / mass, 1 / losses.size) + 1e-12
    assert share @ losses == pytest.approx(cvar(losses, confidence_level=level), abs=1e-12)


@given(LOSSES, LEVELS, st.floats(0.0, 10.0), st.floats(-1.0, 1.0))
def test_cvar_scales_and_shifts_with_the_losses(
    losses: NDArray[np.float64], level: float, scale: float, shift: float
) -> None:
    plain = cvar(losses, confidence_level=level)
    moved = cvar(scale * losses + shift, confidence_level=level)
    assert moved == pytest.approx(scale * plain + shift, abs=1e-9)


@given(LOSSES, LEVELS)
def test_cvar_is_subadditive_and_above_mean_and_var(
    losses: NDArray[np.float64], level: float
) -> None:
    other = np.roll(losses, 1) * 0.7
    both = cvar(losses + other, confidence_level=level)
    apart = cvar(losses, confidence_level=level) + cvar(other, confidence_level=level)
    assert both <= apart + 1e-12
    assert cvar(losses, confidence_level=level) >= losses.mean() - 1e-12
    assert (
        cvar(losses, confidence_level=level)
        >= value_at_risk(losses, confidence_level=level) - 1e-12
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_has_no_cvar(bad: float) -> None:
    losses = np.array([0.1, bad, 0.2])
    with pytest.raises(ValueError, match="finite"):
        cvar(losses, confidence_level=0.95)
    with pytest.raises(ValueError, match="finite"):
        tail_weights(losses, confidence_level=0.95)


@pytest.mark.parametrize("losses", [np.zeros(0), np.zeros((2, 2))])
def test_losses_that_are_no_list_have_no_cvar(losses: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="losses"):
        cvar(losses, confidence_level=0.95)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95.0, math.nan])
def test_a_confidence_level_outside_zero_and_one_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="confidence_level"):
        cvar(np.zeros(10), confidence_level=level)


@pytest.mark.roadmap("5.3")
@given(st.integers(0, 1000), st.integers(1, 6))
def test_the_contributions_sum_to_the_cvar(seed: int, n_symbols: int) -> None:
    returns = returns_of(120, n_symbols, seed)
    weights = np.random.default_rng(seed).uniform(-0.2, 0.5, n_symbols)
    parts = cvar_contributions(returns, weights, confidence_level=0.95)
    whole = cvar(-returns @ weights, confidence_level=0.95)
    assert parts.sum() == pytest.approx(whole, abs=1e-12)


@pytest.mark.roadmap("5.3")
@given(st.integers(0, 1000), st.integers(0, 4), st.floats(0.001, 0.2))
def test_the_finite_change_lies_between_the_derivative_and_the_cvar_alone(
    seed: int, place: int, size: float
) -> None:
    returns = returns_of(150, 5, seed)
    base = np.random.default_rng(seed).uniform(0.0, 0.3, 5)
    change = np.zeros(5)
    change[place] = size
    finite = delta_cvar(returns, base + change, change, confidence_level=0.95)
    slope = marginal_cvar(returns, base, confidence_level=0.95)[place]
    alone = cvar(-returns[:, place], confidence_level=0.95)
    assert slope * size <= finite + 1e-12
    assert finite <= alone * size + 1e-12


def test_a_marginal_by_hand_is_the_symbols_loss_in_the_books_worst_scenario() -> None:
    returns = np.zeros((20, 2))
    returns[7] = [-0.4, 0.1]
    returns[9] = [0.0, -0.2]
    weights = np.array([0.5, 0.1])
    # Tail mass 1: the worst scenario of the book is number 7 with a loss of 0.19.
    assert cvar(book_losses(returns, weights), confidence_level=0.95) == pytest.approx(0.19)
    slopes = marginal_cvar(returns, weights, confidence_level=0.95)
    assert slopes == pytest.approx([0.4, -0.1])


def test_a_weight_that_is_not_finite_has_no_losses() -> None:
    with pytest.raises(ValueError, match="weights"):
        book_losses(np.zeros((3, 2)), np.array([0.1, math.nan]))
    with pytest.raises(ValueError, match="shape"):
        book_losses(np.zeros((3, 2)), np.zeros(3))


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
