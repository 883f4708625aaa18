import math

import numpy as np
import polars as pl
import pytest

from instgov_dagster.capital.scenarios import (
    ScenarioMeasure,
    ScenarioSet,
    base_prices,
    build_scenarios,
    scenario_returns,
    scenarios_from_frame,
    scenarios_to_frame,
)
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.worlds import returns_of, scenarios_of, small_config

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")
STOCK, OIL = AssetClass.STOCKS, AssetClass.COMMODITIES


def walk(n: int, n_symbols: int = 2, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 100 * np.cumprod(1 + 0.01 * rng.standard_normal((n, n_symbols)), axis=0)


def test_a_scenario_is_the_change_over_five_sessions_on_its_base() -> None:
    prices = walk(60, 1)
    returns, rows = scenario_returns(prices, (STOCK,), config=small_config())
    assert returns.shape == (55, 1)
    assert rows[0] == 5
    assert returns[10, 0] == pytest.approx(prices[15, 0] / prices[10, 0] - 1.0, rel=1e-12)


def test_a_base_near_or_below_zero_is_floored_at_a_quarter_of_the_trailing_median() -> None:
    # Oil at 40, then -37.63, then 20: the week from the negative close is divided by 10, not -37.
    prices = np.full((60, 1), 40.0)
    prices[50, 0], prices[51:, 0] = -37.63, 20.0
    base = base_prices(prices, config=CVaRConfig())
    assert base[50, 0] == pytest.approx(10.0)
    returns, rows = scenario_returns(prices, (OIL,), config=small_config())
    at = rows.tolist()
    assert returns[at.index(50), 0] == pytest.approx((-37.63 - 40.0) / 40.0)
    assert returns[at.index(55), 0] == pytest.approx((20.0 + 37.63) / 10.0)


def test_the_floor_looks_back_and_never_forward() -> None:
    prices = np.full((60, 1), 1.0)
    prices[30:] = 1000.0
    assert base_prices(prices, config=CVaRConfig())[10, 0] == 1.0


def test_only_rows_known_for_every_symbol_are_scenarios() -> None:
    prices = walk(80)
    prices[:20, 1] = math.nan
    prices[60, 0] = math.nan
    _, rows = scenario_returns(prices, (STOCK, STOCK), config=small_config())
    assert rows.tolist() == [t for t in range(25, 80) if t not in (60, 65)]


def test_too_few_complete_rows_are_refused() -> None:
    with pytest.raises(DataRejected) as refused:
        scenario_returns(walk(900), (STOCK, STOCK), config=CVaRConfig())
    assert refused.value.reason_code is ReasonCode.TOO_FEW_SCENARIOS
    with pytest.raises(DataRejected) as refused:
        scenario_returns(walk(4), (STOCK, STOCK), config=CVaRConfig())
    assert refused.value.reason_code is ReasonCode.TOO_FEW_SCENARIOS


def test_losing_more_than_everything_is_possible_for_commodities_alone() -> None:
    prices = np.full((60, 1), 40.0)
    prices[50, 0] = -37.63
    scenario_returns(prices, (OIL,), config=small_config())
    with pytest.raises(DataRejected) as refused:
        scenario_returns(prices, (STOCK,), config=small_config())
    assert refused.value.reason_code is ReasonCode.SCENARIO_REFUSED


def test_a_base_that_is_never_positive_is_refused() -> None:
    with pytest.raises(DataRejected) as refused:
        scenario_returns(np.full((60, 1), -1.0), (OIL,), config=small_config())
    assert refused.value.reason_code is ReasonCode.SCENARIO_REFUSED


def test_without_a_stress_set_the_current_measure_is_multiplied_and_says_so() -> None:
    dates = np.datetime64("2020-01-01") + np.arange(60)
    found = build_scenarios(dates, ("A", "B"), (STOCK, STOCK), walk(60), config=small_config())
    assert [m.name for m in found.measures] == [RiskMeasure.CURRENT, RiskMeasure.STRESSED]
    assert found.measures[1].multiplier == 2.5
    assert found.measures[1].reason_codes == (ReasonCode.STRESS_SET_MISSING,)
    assert found.measures[1].returns is found.current.returns
    assert found.current.end_dates[0] == np.datetime64("2020-01-06")


def test_a_stored_set_is_read_back_bit_equal() -> None:
    config = small_config()
    found = scenarios_of(returns_of(50, 3), config)
    frame = scenarios_to_frame(found)
    assert frame.columns == ["measure", "scenario_date", "returns", "symbols_hash"]
    assert frame.height == 50
    again = scenarios_from_frame(
        frame.sample(fraction=1.0, shuffle=True, seed=1), found.symbols, config=config
    )
    assert np.array_equal(again.current.returns, found.current.returns)
    assert np.array_equal(again.current.end_dates, found.current.end_dates)
    assert again.measures[1].multiplier == 2.5


def test_a_stored_stress_set_stands_in_for_the_multiplier() -> None:
    config = small_config()
    base = scenarios_of(returns_of(50, 2), config)
    stressed = ScenarioMeasure(
        name=RiskMeasure.STRESSED,
        end_dates=base.current.end_dates,
        returns=2.0 * base.current.returns,
        multiplier=1.0,
        reason_codes=(),
    )
    held = ScenarioSet(symbols=base.symbols, measures=(base.current, stressed))
    again = scenarios_from_frame(scenarios_to_frame(held), base.symbols, config=config)
    assert np.array_equal(again.measures[1].returns, 2.0 * base.current.returns)
    assert again.measures[1].multiplier == 1.0
    with pytest.raises(DataRejected) as refused:
        scenarios_from_frame(
            scenarios_to_frame(held), base.symbols, config=small_config(min_stressed_scenarios=51)
        )
    assert refused.value.reason_code is ReasonCode.TOO_FEW_SCENARIOS


def test_rows_of_other_symbols_are_refused() -> None:
    config = small_config()
    frame = scenarios_to_frame(scenarios_of(returns_of(50, 2), config))
    with pytest.raises(DataRejected) as refused:
        scenarios_from_frame(frame, ("S001", "S000"), config=config)
    assert refused.value.reason_code is ReasonCode.SCENARIO_REFUSED


def test_a_stored_return_that_is_not_finite_is_refused() -> None:
    config = small_config()
    frame = scenarios_to_frame(scenarios_of(returns_of(50, 2), config))
    broken = frame.with_columns(pl.lit([0.1, math.nan]).alias("returns"))
    with pytest.raises(DataRejected) as refused:
        scenarios_from_frame(broken, ("S000", "S001"), config=config)
    assert refused.value.reason_code is ReasonCode.SCENARIO_REFUSED


def test_selecting_columns_keeps_their_order_and_the_shared_matrix() -> None:
    found = scenarios_of(returns_of(50, 3), small_config())
    cut = found.select(("S002", "S000"))
    assert np.array_equal(cut.current.returns, found.current.returns[:, [2, 0]])
    assert cut.measures[1].returns is cut.current.returns
    with pytest.raises(ValueError, match="S009"):
        found.select(("S009",))


def test_a_set_must_begin_with_the_current_measure() -> None:
    found = scenarios_of(returns_of(50, 3), small_config())
    with pytest.raises(ValueError, match="CURRENT"):
        ScenarioSet(symbols=found.symbols, measures=found.measures[1:])
