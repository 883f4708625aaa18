import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.capital.book import measure_book, scale_book
from instgov_dagster.capital.cvar import cvar
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.worlds import returns_of, scenarios_of, small_config

pytestmark = pytest.mark.roadmap("5.5", "TEST.5")


def crash(loss: float, n: int = 60) -> np.ndarray:
    """One symbol that loses `loss` in three of sixty scenarios, the whole 95 % tail."""
    returns = np.zeros((n, 1))
    returns[:3] = -loss
    return returns


def test_the_gate_is_the_largest_measure() -> None:
    config = small_config()
    risk = measure_book(np.array([0.5]), scenarios_of(crash(0.08), config), config=config)
    assert risk.current == pytest.approx(0.04)
    assert risk.stressed == pytest.approx(0.10)
    assert risk.gate == risk.stressed
    assert risk.n_scenarios == 60
    assert risk.reason_codes == (
        ReasonCode.STRESS_SET_MISSING,
        ReasonCode.PORTFOLIO_CVAR_BREACH,
    )


def test_a_tail_that_gains_is_not_multiplied() -> None:
    config = small_config()
    risk = measure_book(
        np.array([1.0]), scenarios_of(np.full((60, 1), 0.01), config), config=config
    )
    assert risk.current == pytest.approx(-0.01)
    assert risk.stressed == 0.0
    assert ReasonCode.CVAR_WITHIN_LIMITS in risk.reason_codes


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_book_that_is_not_finite_is_measured_as_not_finite(bad: float) -> None:
    config = small_config()
    scenarios = scenarios_of(crash(0.1), config)
    assert not measure_book(np.array([bad]), scenarios, config=config).is_finite
    broken = crash(0.1)
    broken[59, 0] = bad
    risk = measure_book(np.array([0.1]), scenarios_of(broken, config), config=config)
    assert not risk.is_finite
    assert risk.reason_codes == (ReasonCode.RISK_NOT_FINITE,)


def test_a_breach_scales_every_position_to_the_limit_by_one_factor() -> None:
    config = small_config()
    scenarios = scenarios_of(crash(0.08), config)
    scaled = scale_book(np.array([0.6]), scenarios, config=config)
    # Stressed CVaR 2.5 * 0.048 = 0.12, so the factor is one half.
    assert scaled.scale == pytest.approx(0.5)
    assert scaled.weights == pytest.approx([0.3])
    assert scaled.reason_codes == (ReasonCode.CVAR_BREACH_SCALED,)
    assert measure_book(scaled.weights, scenarios, config=config).gate == pytest.approx(0.06)


@given(st.integers(0, 500), st.floats(0.1, 4.0))
def test_scaling_never_raises_a_weight_nor_the_risk_nor_turns_a_sign(
    seed: int, size: float
) -> None:
    config = small_config()
    scenarios = scenarios_of(returns_of(80, 4, seed), config)
    weights = size * np.random.default_rng(seed).uniform(-0.3, 1.0, 4)
    before = measure_book(weights, scenarios, config=config)
    after = scale_book(weights, scenarios, config=config)
    assert (np.abs(after.weights) <= np.abs(weights)).all()
    assert (after.weights * weights >= 0.0).all()
    again = measure_book(after.weights, scenarios, config=config)
    assert max(again.gate, 0.0) <= max(before.gate, 0.0) + 1e-12
    assert again.gate <= config.portfolio_limit + 1e-12


@pytest.mark.roadmap("5.1")
@pytest.mark.parametrize("fields", [{"scale_on_breach": False}, {"min_scale_factor": 0.51}])
def test_a_breach_that_may_not_be_scaled_away_halts(fields: dict[str, float]) -> None:
    config = small_config(**fields)
    with pytest.raises(DataRejected) as refused:
        scale_book(np.array([0.6]), scenarios_of(crash(0.08), config), config=config)
    assert refused.value.reason_code is ReasonCode.CVAR_SCALE_REFUSED
    assert refused.value.reason_code.severity == "HALT"


def test_a_book_within_its_limit_is_returned_as_it_is() -> None:
    config = small_config()
    weights = np.array([0.1])
    scaled = scale_book(weights, scenarios_of(crash(0.08), config), config=config)
    assert scaled.scale == 1.0
    assert scaled.weights is weights


def test_a_book_that_cannot_be_measured_is_not_scaled() -> None:
    config = small_config()
    with pytest.raises(DataRejected) as refused:
        scale_book(np.array([math.nan]), scenarios_of(crash(0.1), config), config=config)
    assert refused.value.reason_code is ReasonCode.RISK_NOT_FINITE


def test_the_measures_are_the_exact_cvar_of_the_books_losses() -> None:
    config = small_config()
    returns = returns_of(77, 3)
    weights = np.array([0.2, 0.0, 0.3])
    risk = measure_book(weights, scenarios_of(returns, config), config=config)
    assert risk.current == pytest.approx(cvar(-returns @ weights, confidence_level=0.95), abs=1e-15)
    assert risk.standard_error > 0.0


def test_a_book_is_finite_only_where_every_number_of_it_is() -> None:
    config = small_config()
    risk = measure_book(np.array([0.1]), scenarios_of(crash(0.08), config), config=config)
    assert risk.is_finite
    blind = tuple((name, math.nan if i else value) for i, (name, value) in enumerate(risk.measures))
    assert not replace(risk, gate=math.nan).is_finite
    assert not replace(risk, measures=blind).is_finite


def test_one_bad_weight_or_one_bad_matrix_of_several_is_enough() -> None:
    config = small_config()
    good = scenarios_of(returns_of(60, 2), config)
    assert not measure_book(np.array([0.1, math.nan]), good, config=config).is_finite
    broken = good.current.returns.copy()
    broken[3, 1] = math.inf
    stressed = replace(good.measures[1], returns=broken, multiplier=1.0)
    mixed = replace(good, measures=(good.current, stressed))
    assert not measure_book(np.array([0.1, 0.0]), mixed, config=config).is_finite
    first = replace(good.current, returns=broken)
    whole = replace(good.measures[1], returns=returns_of(60, 2, seed=9), multiplier=1.0)
    mixed = replace(good, measures=(first, whole))
    assert not measure_book(np.array([0.1, 0.0]), mixed, config=config).is_finite


def test_each_measure_is_taken_on_scenarios_of_its_own() -> None:
    config, weights = small_config(), np.array([0.3, 0.2])
    base = scenarios_of(returns_of(60, 2), config)
    worse = replace(base.measures[1], returns=2.0 * returns_of(60, 2, seed=9), multiplier=1.0)
    risk = measure_book(weights, replace(base, measures=(base.current, worse)), config=config)
    wanted = [
        cvar(-m @ weights, confidence_level=0.95) for m in (base.current.returns, worse.returns)
    ]
    assert [value for _, value in risk.measures] == pytest.approx(wanted, abs=1e-15)
    assert wanted[0] != pytest.approx(wanted[1], rel=0.1)


def test_a_book_exactly_at_its_limit_is_within_it_and_a_scale_exactly_allowed_is_taken() -> None:
    config = small_config(portfolio_limit=0.3125, min_scale_factor=0.5)
    scenarios = scenarios_of(crash(0.125), config)
    at = measure_book(np.array([1.0]), scenarios, config=config)
    assert at.gate == 0.3125
    assert ReasonCode.CVAR_WITHIN_LIMITS in at.reason_codes
    assert scale_book(np.array([2.0]), scenarios, config=config).scale == 0.5
