from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from instgov_dagster.adapters.config import load_policy, load_universe
from instgov_dagster.adapters.markets.simulated import SimulatedMarket
from instgov_dagster.bars.calendars import history_window, knowledge_instant, stress_window
from instgov_dagster.bars.classify import found_classes
from instgov_dagster.bars.ingestion import stage_known_at
from instgov_dagster.beliefs.evaluation.trials import TRIALS_SCHEMA
from instgov_dagster.beliefs.models.garch_fit import SIGMA_FIT_SCHEMA
from instgov_dagster.governance.lifecycle import LIFECYCLE_SCHEMA
from instgov_dagster.governance.state import fold_state
from instgov_dagster.governance.state.rows import state_to_frame
from instgov_dagster.loop.decision.book import book_to_frame, fresh_book
from instgov_dagster.loop.folding.attribution import STRATEGY_RETURNS
from instgov_dagster.loop.night import NightResult, night
from instgov_dagster.loop.platform import DEFAULT_SEED
from instgov_dagster.loop.steps.context import NightContext
from instgov_dagster.loop.steps.coverage import FORECAST_SCHEMA
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster_tests.loop.homes import CONFIG, inputs_of_no_past

LAST = date(2026, 11, 20)
DAYS, DATES = 400, 60


def sampled() -> list[date]:
    """Sixty different days of the four hundred before the last, any day of the week."""
    back = np.random.default_rng(20261120).choice(DAYS, size=DATES, replace=False)
    return sorted(LAST - timedelta(days=int(days)) for days in back)


def run_default_night(asof: date) -> NightResult:
    """Fold one night of the packaged universe and rules on the default seed, in memory."""
    policy, universe = load_policy(CONFIG), load_universe(CONFIG)
    market = SimulatedMarket(universe, seed=DEFAULT_SEED)
    start, end = history_window(asof, policy.history)
    names = tuple(entry.symbol for entry in universe.symbols)
    fetched = market.fetch(names, start, end, asof)
    context = NightContext(
        asof=asof,
        known_at=knowledge_instant(asof, policy.history),
        market=Market.SIMULATED,
        universe=universe,
        policy=policy,
        entitled=frozenset(),
    )
    staged = stage_known_at(fetched.frame, policy.history)
    known = staged.filter(pl.col("known_at") <= context.known_at)
    known = known.with_columns(is_restated=pl.lit(value=False))
    first = pl.Series([fetched.first_dates[symbol] for symbol in names])
    classes = found_classes(universe).sort("symbol")
    firsts = pl.DataFrame({"symbol": names, "first_seen": first})
    before, _ = stress_window(asof, policy.history)
    earlier = stage_known_at(market.fetch(names, before, start, asof).frame, policy.history)
    earlier = earlier.with_columns(is_restated=pl.lit(value=False))
    inputs = {
        **inputs_of_no_past(),
        "bars": known,
        "stress_bars": earlier,
        "past_risk_forecasts": pl.DataFrame(schema={**FORECAST_SCHEMA, "asof": pl.Date()}),
        "symbol_classes": classes.join(firsts, on="symbol"),
        "previous_lifecycle": pl.DataFrame(schema=LIFECYCLE_SCHEMA),
        "previous_sigma_fits": pl.DataFrame(schema=SIGMA_FIT_SCHEMA),
        "previous_model_trials": pl.DataFrame(schema=TRIALS_SCHEMA),
        "strategy_returns": pl.DataFrame(schema=STRATEGY_RETURNS),
        "portfolio": book_to_frame(fresh_book(policy.nav_usd)),
        "system_state": state_to_frame(fold_state(())),
    }
    return night(inputs, context)


@pytest.mark.nightly
@pytest.mark.parametrize("asof", sampled(), ids=str)
def test_the_default_world_may_trade_or_reduce_on_any_day(asof: date) -> None:
    result = run_default_night(asof)
    assert result.halted_at is None
    assert fold_state(result.causes).name in ("RUNNING", "REDUCE_ONLY")


def test_the_default_world_may_trade_today() -> None:
    result = run_default_night(LAST)
    assert fold_state(result.causes).name == "RUNNING"
    decided = result.tables["governance_decisions"]
    assert decided.filter(pl.col("decision") == "EXECUTE").height > 0
    assert result.tables["execution_plan"]["notional_usd"].sum() > 0.0
