import math

import numpy as np
import pytest

from instgov_dagster.capital.scenarios import base_prices, scenario_returns
from instgov_dagster.capital.scenarios.returns import floor_losses, horizon_returns
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.scenarios.prices import walk
from instgov_dagster_tests.capital.worlds import small_config

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")
STOCK, OIL = AssetClass.STOCKS, AssetClass.COMMODITIES


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


def test_a_week_of_more_than_plus_one_hundred_percent_is_kept() -> None:
    prices = np.full((60, 1), 40.0)
    prices[50:, 0] = 90.0
    returns, rows = scenario_returns(prices, (AssetClass.CRYPTO,), config=small_config())
    assert returns[rows.tolist().index(52), 0] == pytest.approx(1.25)


def test_losing_exactly_everything_is_possible_for_every_class() -> None:
    prices = np.full((60, 1), 40.0)
    prices[50, 0] = 0.0
    returns, _ = scenario_returns(prices, (STOCK,), config=small_config())
    assert returns.min() == -1.0


def test_exactly_the_least_number_of_scenarios_is_enough() -> None:
    config = small_config(min_scenarios=55)
    assert scenario_returns(walk(60), (STOCK, STOCK), config=config)[0].shape == (55, 2)
    with pytest.raises(DataRejected):
        scenario_returns(walk(59), (STOCK, STOCK), config=config)


def test_a_horizon_return_without_a_base_is_not_known() -> None:
    prices = np.array([[1.0, -1.0], [math.nan, -1.0], [2.0, -1.0]])
    returns = horizon_returns(prices, sessions=2, config=CVaRConfig())
    assert returns[0, 0] == 1.0
    assert np.isnan(returns[0, 1])
    assert np.isnan(horizon_returns(prices, sessions=1, config=CVaRConfig())).all()


def test_made_up_returns_lose_at_most_everything_but_in_commodities() -> None:
    made = np.array([[-1.5, -1.5, 3.0]])
    kinds = (STOCK, OIL, AssetClass.CRYPTO)
    assert floor_losses(made, kinds).tolist() == [[-1.0, -1.5, 3.0]]


def test_columns_and_classes_of_two_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="columns"):
        scenario_returns(walk(60), (STOCK,), config=small_config())
