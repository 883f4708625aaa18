"""The night's capital steps before any decision: lifecycle and the cost of trading."""

import math
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.calendars import expected_sessions, session_known_at
from instgov_dagster.bars.sizes import average_dollar_volume, last_prices
from instgov_dagster.capital.impact import estimate_market_impact
from instgov_dagster.governance.lifecycle import (
    StrategyRecord,
    evaluate_lifecycle,
    fresh_state,
    lifecycle_from_frame,
    lifecycle_to_frame,
)
from instgov_dagster.governance.state import cause_of
from instgov_dagster.governance.veto import vetoes_from_frame
from instgov_dagster.loop.folding.attribution import sum_returns
from instgov_dagster.loop.steps.context import NightContext, Tables
from instgov_dagster.loop.steps.stress import scenario_symbols
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import CoverageTest
from instgov_dagster.vocabulary.governance import Cause, StrategyLifecycleState, Veto
from instgov_dagster.vocabulary.policy.beliefs import StrategySpec
from instgov_dagster.vocabulary.reasons import ReasonCode


def advance_lifecycle(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Evaluate every strategy on what it did until yesterday (roadmap 10.3, 10.4).

    A strategy that left the configuration keeps its row: what has ended stays ended, and what
    has not decays without proof and has no part in the count of a mass drawdown.
    """
    policy, specs = context.policy, context.policy.models.strategies
    names = {spec.strategy_id for spec in specs}
    known = {s.strategy_id: s for s in lifecycle_from_frame(tables["previous_lifecycle"])}
    states = {
        name: known.get(name) or fresh_state(name, context.asof, policy.lifecycle)
        for name in (*known, *names)
    }
    start = min(state.start_date for state in states.values())
    sessions = expected_sessions(AssetClass.STOCKS, start, context.asof)
    records = [
        _record(tables, spec, states[spec.strategy_id].start_date, sessions, context)
        for spec in specs
    ]
    settled: list[StrategyLifecycleState] = []
    for is_configured in (True, False):
        report = evaluate_lifecycle(
            [state for name, state in states.items() if (name in names) is is_configured],
            records if is_configured else (),
            asof=context.asof,
            sessions=sessions,
            n_trials=tables["previous_model_trials"].height,
            hurdle=policy.auction.hurdle,
            policy=policy.lifecycle,
        )
        settled += report.states
    return lifecycle_to_frame(sorted(settled, key=lambda state: state.strategy_id))


def _record(
    tables: Tables,
    spec: StrategySpec,
    start: date,
    sessions: NDArray[np.datetime64],
    context: NightContext,
) -> StrategyRecord:
    health = tables["model_decay_metrics"].filter(pl.col("model_id") == spec.model_id)
    rows = tables["strategy_returns"].filter(
        (pl.col("strategy_id") == spec.strategy_id) & (pl.col("date") >= start)
    )
    days = roll_to_sessions(rows, sessions)
    return StrategyRecord(
        strategy_id=spec.strategy_id,
        is_model_healthy=bool(health["is_healthy"].any()),
        error_rate=_error_rate(tables["session_accounts"], spec.strategy_id, start),
        signal_stale_hours=_stale_hours(health, context.known_at),
        e_value=_e_value(tables["cvar_coverage"], spec.strategy_id, context),
        pnl=days["pnl"].to_numpy(),
        gross=days["gross"].to_numpy(),
        volatility_annual=days["volatility_annual"].to_numpy(),
        vetoes=_own_vetoes(tables["previous_vetoes"], spec.strategy_id),
    )


def _error_rate(accounts: pl.DataFrame, strategy_id: str, start: date) -> float:
    # Of the strategy's orders since its start, those the broker refused. Without any order nothing
    # was measured, and what is not measured must not pass: 1 refuses the promotion.
    mine = (pl.col("strategy_id") == strategy_id) & (pl.col("date") >= start)
    orders, errors = accounts.filter(mine).select("orders", "errors").sum().row(0)
    return min(float(errors) / float(orders), 1.0) if orders > 0.0 else 1.0


def _own_vetoes(previous: pl.DataFrame, strategy_id: str) -> tuple[Veto, ...]:
    # A veto on a symbol of every strategy accuses none of them: only those by name count.
    # Conditions are judged anew each night and are no accusation.
    own = vetoes_from_frame(previous.filter(pl.col("strategy_id") == strategy_id))
    return tuple(veto for veto in own if not veto.is_condition)


def _e_value(coverage: pl.DataFrame, strategy_id: str, context: NightContext) -> float:
    # Of the strategy's own forecasts. On too few outcomes it is no evidence: at its limit it
    # refuses the promotion it is asked for.
    mine = (pl.col("scope") == strategy_id) & (pl.col("test") == CoverageTest.E_PROCESS.value)
    found = coverage.filter(
        mine & (pl.col("outcomes") >= context.policy.cvar.coverage.min_outcomes)
    )["value"].to_list()
    return float(found[0]) if found else context.policy.lifecycle.promotion.harvesting_e_value


def _stale_hours(health: pl.DataFrame, known_at: datetime) -> float:
    # From the close of the newest session forecast from, to the instant the night stands at.
    # A model without any forecast has no age: not finite, so its record is not measurable.
    if health.is_empty():
        return math.inf
    session = health["date"].to_numpy().max(keepdims=True).astype("datetime64[D]")
    closed = session_known_at(AssetClass.STOCKS, session, close_delay_hours=0.0)[0]
    now = np.datetime64(known_at.astimezone(UTC).replace(tzinfo=None), "us")
    return float((now - closed) / np.timedelta64(1, "h"))


def roll_to_sessions(rows: pl.DataFrame, sessions: NDArray[np.datetime64]) -> pl.DataFrame:
    """Lay one strategy's results on the exchange's sessions, none of them lost.

    A day that is no session counts in the next one; days after the last session wait for theirs.
    A session in which the strategy did not trade earned nothing and deployed nothing.

    Parameters
    ----------
    rows
        Columns of `STRATEGY_RETURNS`, of one strategy, by ascending date.
    sessions
        Shape ``(n_sessions,)``, ascending dates.

    Returns
    -------
    Columns ``date``, ``pnl``, ``gross``, ``volatility_annual``, one row a session.
    """
    place = np.searchsorted(sessions, rows["date"].to_numpy().astype(sessions.dtype))
    is_due = place < sessions.size
    rows, place = rows.filter(pl.Series(is_due)) if not is_due.all() else rows, place[is_due]
    if (place[1:] == place[:-1]).any():
        rows = sum_returns(rows.with_columns(pl.Series("date", sessions[place]).cast(pl.Date)))
        place = np.unique(place)
    rolled = {name: np.zeros(sessions.size) for name in ("pnl", "gross", "volatility_annual")}
    for name, column in rolled.items():
        column[place] = rows[name].to_numpy()
    # What was measured while nothing was at work is no volatility.
    rolled["volatility_annual"][rolled["gross"] <= 0.0] = 0.0
    return pl.DataFrame({"date": sessions.astype("datetime64[D]"), **rolled})


def lifecycle_causes(frame: pl.DataFrame) -> tuple[Cause, ...]:
    """Name a breakdown of half or more of the strategies together as a cause to halt."""
    broken = frame.filter(
        pl.col("reason_codes").list.contains(ReasonCode.MASS_DRAWDOWN_REVIEW.value)
    )["strategy_id"].to_list()
    if not broken:
        return ()
    return (cause_of(ReasonCode.MASS_DRAWDOWN_REVIEW, f"broke down: {', '.join(broken)}"),)


def estimate_market(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Estimate volume, volatility, spread and impact, one row a scenario symbol (roadmap 0.9)."""
    history = tables["price_history"].filter(pl.col("symbol").is_in(scenario_symbols(tables)))
    return estimate_market_impact(
        history,
        adv=average_dollar_volume(history, context.policy.sizing),
        last_prices=last_prices(history),
        nav_usd=context.policy.nav_usd,
        reference_size=context.policy.auction.impact_reference_size,
        policy=context.policy.impact,
    )
