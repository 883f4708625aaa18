import math

import numpy as np
import pytest

from instgov_dagster.capital.cvar import cvar
from instgov_dagster.capital.scenarios import HeldPrices, ScenarioMeasure, scenario_returns
from instgov_dagster.capital.scenarios.build import current_measure
from instgov_dagster.capital.scenarios.returns import horizon_returns
from instgov_dagster.capital.scenarios.stress import stressed_measure, worst_window
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster_tests.capital.scenarios.prices import calm_and_crash, days, walk
from instgov_dagster_tests.capital.worlds import small_config

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")
STOCK, FX, OIL = AssetClass.STOCKS, AssetClass.FX, AssetClass.COMMODITIES
CONFIG = small_config(stress_sessions=60)
WINDOW = 200
NAMES = ("A", "B", "C")


def current_of(
    prices: np.ndarray, dates: np.ndarray, kinds: tuple[AssetClass, ...]
) -> ScenarioMeasure:
    returns, rows = scenario_returns(prices, kinds, config=CONFIG)
    return current_measure(dates[rows], returns, config=CONFIG)


def stress(
    prices: np.ndarray,
    kinds: tuple[AssetClass, ...] = (STOCK,) * 3,
    config: CVaRConfig = CONFIG,
) -> ScenarioMeasure | None:
    """Stress the last two hundred sessions on everything that is held."""
    dates = days(prices.shape[0])
    current = current_of(prices[-WINDOW:], dates[-WINDOW:], kinds)
    names = tuple("ABCDEF"[: prices.shape[1]])
    return stressed_measure(
        HeldPrices(dates=dates, prices=prices), names, kinds, current, config=config
    )


def test_the_worst_window_is_the_one_with_the_largest_cvar() -> None:
    # Windows of forty: the tail of each is its two worst; the last one holds both large losses.
    losses = np.zeros(50)
    losses[[3, 48, 49]] = [0.5, 0.4, 0.2]
    config = small_config(stress_sessions=40)
    assert worst_window(losses, config=config) == 10
    losses[3] = 0.7
    assert worst_window(losses, config=config) == 0


def test_of_equal_windows_the_first_is_pinned() -> None:
    assert worst_window(np.zeros(60), config=small_config(stress_sessions=40)) == 0


def test_no_window_of_the_universe_is_worse_than_the_one_pinned() -> None:
    prices = calm_and_crash(500, slice(150, 190))
    found = stress(prices)
    assert found is not None
    returns = horizon_returns(prices, sessions=5, config=CONFIG)
    universe = -returns.mean(axis=1)
    values = [cvar(universe[i : i + 60], confidence_level=0.95) for i in range(436)]
    pinned = cvar(-found.returns.mean(axis=1), confidence_level=0.95)
    assert pinned == pytest.approx(max(values), abs=1e-15)
    start = int(np.argmax(values))
    assert np.array_equal(found.returns, returns[start : start + 60])
    assert found.end_dates.tolist() == days(500)[start + 5 : start + 65].tolist()
    assert found.name is RiskMeasure.STRESSED
    assert (found.multiplier, found.proxies, found.reason_codes) == (1.0, (), ())


def test_the_worst_window_may_lie_within_the_current_one() -> None:
    prices = calm_and_crash(500, slice(400, 440))
    found = stress(prices)
    assert found is not None
    assert found.end_dates[0] >= days(500)[305]


@pytest.mark.parametrize(("earlier", "has_set"), [(44, False), (45, True)])
def test_history_that_is_hardly_longer_than_the_window_has_no_stress_set(
    earlier: int, *, has_set: bool
) -> None:
    # So many sessions before the window; five of them only begin a scenario, and the window's own
    # first scenario ends five sessions in: forty scenarios end before it from 40 sessions on.
    prices = walk(WINDOW + earlier - 5, 3)
    assert (stress(prices) is not None) is has_set


def test_fewer_sessions_than_a_stressed_year_are_no_stress_set() -> None:
    config = small_config(stress_sessions=400)
    assert stress(walk(WINDOW + 150, 3), config=config) is None
    assert stress(walk(WINDOW + 205, 3), config=config) is not None
    dates = days(4)
    current = current_of(walk(WINDOW, 3), days(WINDOW), (STOCK,) * 3)
    short = HeldPrices(dates=dates, prices=walk(4, 3))
    assert stressed_measure(short, NAMES, (STOCK,) * 3, current, config=CONFIG) is None


def test_the_set_knows_nothing_of_what_is_held_after_the_night() -> None:
    prices = calm_and_crash(500, slice(150, 190))
    found, again = stress(prices[:480]), stress(prices[:480].copy())
    assert found is not None
    assert again is not None
    assert np.array_equal(found.returns, again.returns)


def test_a_symbol_without_history_is_its_class_by_beta() -> None:
    prices = calm_and_crash(500, slice(100, 140), n_symbols=4)
    twice = horizon_returns(prices[:, :1], sessions=1, config=CONFIG)[:, 0]
    prices[1:, 3] = 100 * np.cumprod(1 + 2.0 * twice)  # of the class of A alone, beta about 2
    kinds = (STOCK, FX, FX, STOCK)
    whole = prices.copy()
    prices[:250, 3] = math.nan
    found = stress(prices, kinds)
    assert found is not None
    assert found.proxies == ("D",)
    factor = found.returns[:, 0]
    own = horizon_returns(prices[-WINDOW:], sessions=5, config=CONFIG)
    slope = np.polyfit(own[:, 0], own[:, 3], 1)[0]
    assert slope == pytest.approx(2.0, abs=0.1)
    assert found.returns[:, 3] == pytest.approx(slope * factor, rel=1e-9)
    truth = stress(whole, kinds)
    assert truth is not None
    assert found.returns[:, 3].min() == pytest.approx(truth.returns[:, 3].min(), rel=0.1)


def test_a_proxy_is_never_milder_than_its_class() -> None:
    prices = calm_and_crash(500, slice(100, 140), n_symbols=3)
    prices[:250, 2] = math.nan  # a walk of its own: beta about 0
    found = stress(prices)
    assert found is not None
    assert found.returns[:, 2] == pytest.approx(found.returns[:, :2].mean(axis=1))


def test_a_class_without_history_is_the_whole_universe_by_beta() -> None:
    prices = calm_and_crash(500, slice(100, 140), n_symbols=3)
    prices[:250, 2] = math.nan
    found = stress(prices, (STOCK, FX, AssetClass.CRYPTO))
    assert found is not None
    assert found.proxies == ("C",)
    assert found.returns[:, 2] == pytest.approx(found.returns[:, :2].mean(axis=1))


def test_a_class_that_does_not_move_today_lends_its_past_at_the_least_beta() -> None:
    prices = calm_and_crash(500, slice(100, 140), n_symbols=3)
    prices[250:, :2] = prices[250, :2]
    prices[:250, 2] = math.nan
    found = stress(prices)
    assert found is not None
    assert found.returns[:, 2] == pytest.approx(found.returns[:, :2].mean(axis=1))


def test_a_symbol_with_one_hole_in_the_window_is_a_proxy_throughout() -> None:
    prices = calm_and_crash(500, slice(100, 140), n_symbols=3)
    prices[120, 1] = math.nan
    found = stress(prices)
    assert found is not None
    assert found.proxies == ("B",)


def test_where_everything_has_a_hole_the_mean_of_what_is_known_stands_for_all() -> None:
    prices = calm_and_crash(500, slice(100, 140), n_symbols=3)
    for i in range(3):
        prices[115 + 2 * i, i] = math.nan
    found = stress(prices)
    assert found is not None
    assert found.proxies == NAMES
    assert np.isfinite(found.returns).all()
    assert (found.returns[:, 0] < 0).mean() > 0.5


def test_a_row_of_too_few_symbols_is_no_part_of_any_window() -> None:
    prices = calm_and_crash(500, slice(50, 90), n_symbols=3)
    prices[:100, 1:] = math.nan  # one of three symbols lived through the crash
    found = stress(prices)
    assert found is not None
    assert found.end_dates[0] >= days(500)[100]
    alone = stress(prices, config=small_config(stress_sessions=60, stress_min_share=0.3))
    assert alone is not None
    assert alone.end_dates[0] < days(500)[100]
    assert alone.proxies == ("B", "C")


def test_an_impossible_loss_of_the_past_is_no_history() -> None:
    prices = calm_and_crash(500, slice(100, 140), n_symbols=3)
    prices[120, 1] = -50.0
    stock, oil = stress(prices), stress(prices, (STOCK, OIL, STOCK))
    assert stock is not None
    assert oil is not None
    assert stock.proxies == ("B",)
    assert oil.proxies == ()
    assert oil.returns[:, 1].min() < -1.0


def test_a_proxy_loses_at_most_everything_but_in_commodities() -> None:
    prices = calm_and_crash(500, slice(100, 140), n_symbols=3)
    prices[120:124, :2] *= 0.2
    prices[:250, 2] = math.nan
    steep = small_config(stress_sessions=60, proxy_min_beta=5.0)
    for kind, floor in ((STOCK, -1.0), (OIL, None)):
        found = stress(prices, (kind, kind, kind), steep)
        assert found is not None
        lowest = float(found.returns[:, 2].min())
        assert lowest == floor if floor is not None else lowest < -1.0


def test_columns_of_other_symbols_are_refused() -> None:
    current = current_of(walk(WINDOW, 3), days(WINDOW), (STOCK,) * 3)
    held = HeldPrices(dates=days(300), prices=walk(300, 2))
    with pytest.raises(ValueError, match="3 columns"):
        stressed_measure(held, NAMES, (STOCK,) * 3, current, config=CONFIG)
