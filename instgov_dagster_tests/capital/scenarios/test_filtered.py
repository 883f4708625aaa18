import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.capital.scenarios import scenario_returns
from instgov_dagster.capital.scenarios.build import current_measure
from instgov_dagster.capital.scenarios.filtered import conditional_sigmas, filtered_measure
from instgov_dagster.capital.scenarios.sets import ScenarioMeasure
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster_tests.capital.scenarios.prices import calm_and_crash, days, walk
from instgov_dagster_tests.capital.worlds import small_config

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")
STOCK = AssetClass.STOCKS
BRIEF = small_config(filter_warmup_sessions=20)


def filter_prices(
    prices: np.ndarray, config: CVaRConfig = BRIEF, kind: AssetClass = STOCK
) -> tuple[ScenarioMeasure, ScenarioMeasure]:
    kinds = (kind,) * prices.shape[1]
    returns, rows = scenario_returns(prices, kinds, config=config)
    current = current_measure(days(prices.shape[0])[rows], returns, config=config)
    sigmas = conditional_sigmas(prices, config=config)
    return current, filtered_measure(sigmas, kinds, current, rows, config=config)


def test_a_volatility_by_hand_is_a_mean_first_and_a_decaying_weight_after() -> None:
    # Returns of +1 %, -2 %, then +3 %: warmed up on two squares, then 0.94 of them.
    prices = np.cumprod([100.0, 1.01, 0.98, 1.03]).reshape(-1, 1)
    sigmas = conditional_sigmas(prices, config=small_config(filter_warmup_sessions=2))[:, 0]
    started = (0.01**2 + 0.02**2) / 2
    assert np.isnan(sigmas[:2]).all()
    assert sigmas[2] == pytest.approx(math.sqrt(started))
    assert sigmas[3] == pytest.approx(math.sqrt(0.94 * started + 0.06 * 0.03**2))


def test_a_volatility_knows_nothing_of_later_prices() -> None:
    prices = walk(120, 2)
    moved = prices.copy()
    moved[100:] *= 3.0
    before, after = (conditional_sigmas(p, config=BRIEF) for p in (prices, moved))
    assert np.array_equal(before[:100], after[:100], equal_nan=True)
    assert (after[100] > before[100]).all()


def test_a_young_symbol_warms_up_from_its_own_first_price() -> None:
    prices = walk(120, 2)
    prices[:50, 1] = math.nan
    sigmas = conditional_sigmas(prices, config=BRIEF)
    assert np.flatnonzero(np.isfinite(sigmas[:, 0]))[0] == 20
    assert np.flatnonzero(np.isfinite(sigmas[:, 1]))[0] == 70
    alone = conditional_sigmas(prices[50:, 1:], config=BRIEF)
    assert np.array_equal(sigmas[50:, 1], alone[:, 0], equal_nan=True)


def test_a_session_without_a_price_changes_no_volatility() -> None:
    prices = walk(120, 1)
    prices[90] = math.nan
    sigmas = conditional_sigmas(prices, config=BRIEF)[:, 0]
    assert sigmas[90] == sigmas[91] == sigmas[89]


def test_each_scenario_is_scaled_from_the_volatility_it_began_in_to_todays() -> None:
    prices = calm_and_crash(300, slice(220, 300), n_symbols=2)
    current, filtered = filter_prices(prices)
    sigmas = conditional_sigmas(prices, config=BRIEF)
    assert filtered.name is RiskMeasure.FILTERED
    assert filtered.multiplier == 1.0
    assert filtered.end_dates[0] == days(300)[25]
    for row in (0, 100, -1):
        end = int((filtered.end_dates[row] - days(1)[0]).astype(int))
        ratio = sigmas[-1] / sigmas[end - 5]
        of_day = current.returns[np.flatnonzero(current.end_dates == filtered.end_dates[row])[0]]
        assert filtered.returns[row] == pytest.approx(of_day * ratio, rel=1e-12)


def test_in_a_storm_the_calm_past_is_scaled_up_and_in_a_calm_the_storm_down() -> None:
    in_storm = filter_prices(calm_and_crash(300, slice(240, 300)))
    in_calm = filter_prices(calm_and_crash(300, slice(60, 120)))
    for (current, filtered), grows in ((in_storm, True), (in_calm, False)):
        spread = filtered.returns[:30].std(axis=0) / current.returns[20:50].std(axis=0)
        assert (spread > 1.5).all() if grows else (filtered.returns.min() > current.returns.min())


@given(st.integers(0, 200), st.floats(0.01, 100.0))
def test_the_unit_of_the_price_changes_no_scenario(seed: int, unit: float) -> None:
    prices = walk(90, 2, seed)
    _, plain = filter_prices(prices)
    _, scaled = filter_prices(prices * unit)
    assert scaled.returns == pytest.approx(plain.returns, rel=1e-9, abs=1e-12)


def test_a_symbol_that_never_moves_stays_where_it_is() -> None:
    prices = walk(120, 2)
    prices[:, 1] = 7.0
    current, filtered = filter_prices(prices)
    assert np.array_equal(filtered.returns[:, 1], np.zeros(filtered.returns.shape[0]))
    assert np.isfinite(filtered.returns).all()
    assert current.returns.shape[0] - filtered.returns.shape[0] == 20


def test_a_stale_stretch_does_not_make_a_scenario_explode() -> None:
    # Eighty sessions without a move take the volatility to nearly nothing before the next step.
    prices = walk(300, 1)
    prices[100:180] = prices[100]
    prices[180:] *= prices[100] / prices[180]
    _, filtered = filter_prices(prices)
    sigmas = conditional_sigmas(prices, config=BRIEF)
    then = sigmas[20:295]
    assert (sigmas[-1] / then).max() > 10.0
    most = sigmas[-1] / (0.1 * np.median(then))
    current = scenario_returns(prices, (STOCK,), config=BRIEF)[0]
    assert np.abs(filtered.returns).max() <= np.abs(current).max() * most * (1 + 1e-12)


@pytest.mark.parametrize(
    ("kind", "worst"), [(STOCK, -1.0), (AssetClass.COMMODITIES, None)], ids=["stock", "oil"]
)
def test_a_scaled_loss_is_at_most_everything_but_in_commodities(
    kind: AssetClass, worst: float | None
) -> None:
    prices = calm_and_crash(300, slice(290, 300), n_symbols=1, size=25.0, seed=8)
    prices = np.maximum(prices, 1.0)
    prices[100] *= 0.4
    _, filtered = filter_prices(prices, kind=kind)
    lowest = float(filtered.returns.min())
    assert lowest == worst if worst is not None else lowest < -1.0
