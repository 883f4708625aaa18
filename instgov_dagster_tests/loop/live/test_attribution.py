from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from instgov_dagster.capital.scenarios import ScenarioSet
from instgov_dagster.governance.lifecycle import unit_returns
from instgov_dagster.loop.live.attribution import StrategyResult, attribute, returns_frame
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster_tests.capital.worlds import returns_of, scenarios_of

pytestmark = pytest.mark.roadmap("10.3")
NAV = 1_000_000.0
HORIZONS = 252 / 5
RETURNS = returns_of(1200, 3, seed=7)


def annual(weights: list[float], returns: NDArray[np.float64] = RETURNS) -> float:
    return float(np.std(returns @ np.array(weights), ddof=1) * np.sqrt(HORIZONS))


def result(weights: list[float], **fields: Any) -> StrategyResult:
    defaults: dict[str, Any] = {
        "nav_usd": NAV,
        "flows": {},
        "opening": {},
        "scenarios": scenarios_of(RETURNS, CVaRConfig()),
        "places": np.arange(3),
        "horizons_per_year": HORIZONS,
    }
    (found,) = attribute(["one"], np.array([weights]), **{**defaults, **fields})
    return found


def test_a_book_held_is_charged_to_its_closing_gross_at_its_own_volatility() -> None:
    found = result([0.02, 0.0, 0.0], opening={"one": 19_000.0})
    assert found.gross == pytest.approx(0.02)
    assert found.pnl == pytest.approx(0.001)
    assert found.value_usd == pytest.approx(20_000.0)
    assert found.volatility_annual == pytest.approx(annual([1.0, 0.0, 0.0]))


def test_the_loss_of_the_day_a_strategy_is_sold_out_is_charged_to_what_it_opened_with() -> None:
    # 20 000 USD of holdings sold for 18 000: a tenth of the capital at work.
    found = result([0.0, 0.0, 0.0], opening={"one": 20_000.0}, flows={"one": 18_000.0})
    assert found.pnl == pytest.approx(-0.002)
    assert found.gross == pytest.approx(0.02)
    assert found.volatility_annual == pytest.approx(annual([1 / 3, 1 / 3, 1 / 3]))
    pnl, gross, volatility = (
        np.array([x]) for x in (found.pnl, found.gross, found.volatility_annual)
    )
    returns, is_deployed = unit_returns(
        pnl, gross, volatility, target=found.volatility_annual, least_gross=1e-6
    )
    assert is_deployed.tolist() == [True]
    assert returns == pytest.approx([-0.1])


def test_dust_left_of_a_sale_does_not_make_a_small_loss_total() -> None:
    # 5 USD remain of 20 000; 200 USD were lost: one percent, not forty times the dust.
    found = result([5e-6, 0.0, 0.0], opening={"one": 20_000.0}, flows={"one": 19_795.0})
    assert found.pnl / found.gross == pytest.approx(-0.01)
    dust = 5e-6 / 0.02
    mixed = dust * annual([1.0, 0.0, 0.0]) + (1.0 - dust) * annual([1 / 3] * 3)
    assert found.volatility_annual == pytest.approx(mixed)


def test_a_position_opened_and_closed_inside_the_session_is_charged_to_its_peak() -> None:
    found = result([0.0, 0.0, 0.0], flows={"one": -300.0}, peak_gross={"one": 0.015})
    assert found.gross == pytest.approx(0.015)
    assert found.pnl / found.gross == pytest.approx(-0.02)
    assert found.volatility_annual > 0.0


def test_volatility_is_positive_wherever_gross_is_charged() -> None:
    # The first symbol never moves: a book of it alone takes the equally weighted deviation.
    still = RETURNS * np.array([0.0, 1.0, 1.0])
    found = result([0.02, 0.0, 0.0], scenarios=scenarios_of(still, CVaRConfig()))
    assert found.volatility_annual == pytest.approx(annual([1 / 3] * 3, still))
    # Two symbols that cancel: no equally weighted deviation either, then the largest one.
    mirrored = np.column_stack([RETURNS[:, 0] * 0.0, RETURNS[:, 1], -RETURNS[:, 1]])
    found = result([0.02, 0.0, 0.0], scenarios=scenarios_of(mirrored, CVaRConfig()))
    assert found.volatility_annual == pytest.approx(annual([0.0, 1.0, 0.0]))


def test_a_strategy_that_held_nothing_deployed_nothing() -> None:
    found = result([0.0, 0.0, 0.0])
    assert (found.pnl, found.gross, found.volatility_annual) == (0.0, 0.0, 0.0)


def test_an_empty_set_of_scenarios_gives_no_volatility() -> None:
    empty = ScenarioSet(
        symbols=(), measures=scenarios_of(RETURNS[:, :0], CVaRConfig(), ()).measures
    )
    found = result([0.0, 0.0, 0.0], scenarios=empty, places=np.array([], dtype=np.intp))
    assert found.volatility_annual == 0.0


def ended(day: str, pnl: float, gross: float, volatility: float) -> dict[str, Any]:
    row = {"strategy_id": "one", "pnl": pnl, "gross": gross, "volatility_annual": volatility}
    return {"asof": day, "results": [row]}


def test_sessions_of_a_day_add_up_on_the_largest_gross_and_the_last_volatility_at_work() -> None:
    days = [
        ended("2025-03-12", 0.001, 0.02, 0.15),
        ended("2025-03-12", -0.004, 0.03, 0.2),
        ended("2025-03-12", 0.0, 0.0, 0.0),
        ended("2025-03-13", 0.0, 0.0, 0.0),
    ]
    found = returns_frame(days).drop("date", "strategy_id")
    assert found.rows() == [(pytest.approx(-0.003), 0.03, 0.2), (0.0, 0.0, 0.0)]


def test_no_session_is_an_empty_table_of_the_same_columns() -> None:
    found = returns_frame([])
    assert found.height == 0
    assert found.schema["date"] == pl.Date
