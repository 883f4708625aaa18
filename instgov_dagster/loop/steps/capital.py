"""The night's capital steps before any decision: lifecycle and the cost of trading."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

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
from instgov_dagster.loop.steps.rows import Columns, RowsByName, last_rows
from instgov_dagster.loop.steps.stress import scenario_symbols
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import CoverageTest
from instgov_dagster.vocabulary.governance import Cause, StrategyLifecycleState, Veto
from instgov_dagster.vocabulary.policy.beliefs import StrategySpec
from instgov_dagster.vocabulary.reasons import ReasonCode

#: What `roll_to_sessions` lays out.
RESULTS: Final = ("pnl", "gross", "volatility_annual")


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
    brought = _Brought.of(tables)
    records = [
        _record(brought, spec, states[spec.strategy_id].start_date, sessions, context)
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


@dataclass(frozen=True, slots=True, eq=False)
class _Brought:
    # What the night holds of all strategies, read once.
    health: RowsByName
    returns: RowsByName
    accounts: RowsByName
    e_values: Mapping[str, tuple[float, int]]  # with the number of outcomes
    vetoes: tuple[Veto, ...]

    @classmethod
    def of(cls, tables: Tables) -> "_Brought":
        told = tables["cvar_coverage"][["test", "scope", "value", "outcomes"]].iter_rows()
        return cls(
            health=RowsByName(tables["model_decay_metrics"], "model_id", ("is_healthy",)),
            returns=RowsByName(tables["strategy_returns"], "strategy_id", RESULTS),
            accounts=RowsByName(tables["session_accounts"], "strategy_id", ("orders", "errors")),
            e_values={
                scope: (value, outcomes)
                for test, scope, value, outcomes in told
                if test == CoverageTest.E_PROCESS.value
            },
            vetoes=vetoes_from_frame(tables["previous_vetoes"]),
        )


def _record(
    brought: _Brought,
    spec: StrategySpec,
    start: date,
    sessions: NDArray[np.datetime64],
    context: NightContext,
) -> StrategyRecord:
    health, name = brought.health.of(spec.model_id), spec.strategy_id
    days = roll_to_sessions(brought.returns.of(name, since=start), sessions)
    return StrategyRecord(
        strategy_id=name,
        is_model_healthy=bool(health["is_healthy"].any()),
        error_rate=_error_rate(brought.accounts.of(name, since=start)),
        signal_stale_hours=_stale_hours(health["date"], context.known_at),
        e_value=_e_value(brought.e_values.get(name), context),
        pnl=days["pnl"],
        gross=days["gross"],
        volatility_annual=days["volatility_annual"],
        # A veto on a symbol of every strategy accuses none of them: only those by name count.
        # Conditions are judged anew each night and are no accusation.
        vetoes=tuple(v for v in brought.vetoes if v.strategy_id == name and not v.is_condition),
    )


def _error_rate(accounts: Columns) -> float:
    # Of the strategy's orders since its start, those the broker refused. Without any order nothing
    # was measured, and what is not measured must not pass: 1 refuses the promotion.
    orders, errors = (float(pl.Series(accounts[name]).sum()) for name in ("orders", "errors"))
    return min(errors / orders, 1.0) if orders > 0.0 else 1.0


def _e_value(found: tuple[float, int] | None, context: NightContext) -> float:
    # Of the strategy's own forecasts. On too few outcomes it is no evidence: at its limit it
    # refuses the promotion it is asked for.
    if found is None or found[1] < context.policy.cvar.coverage.min_outcomes:
        return context.policy.lifecycle.promotion.harvesting_e_value
    return float(found[0])


def _stale_hours(dates: NDArray[np.datetime64], known_at: datetime) -> float:
    # From the close of the newest session forecast from, to the instant the night stands at.
    # A model without any forecast has no age: not finite, so its record is not measurable.
    if not dates.size:
        return math.inf
    session = dates.max(keepdims=True).astype("datetime64[D]")
    closed = session_known_at(AssetClass.STOCKS, session, close_delay_hours=0.0)[0]
    now = np.datetime64(known_at.astimezone(UTC).replace(tzinfo=None), "us")
    return float((now - closed) / np.timedelta64(1, "h"))


def roll_to_sessions(rows: Columns, sessions: NDArray[np.datetime64]) -> Columns:
    """Lay one strategy's results on the exchange's sessions, none of them lost.

    A day that is no session counts in the next one; days after the last session wait for theirs.
    A session in which the strategy did not trade earned nothing and deployed nothing.

    Parameters
    ----------
    rows
        ``date``, ``pnl``, ``gross`` and ``volatility_annual`` as in `STRATEGY_RETURNS`, of one
        strategy, by ascending date.
    sessions
        Shape ``(n_sessions,)``, ascending dates.

    Returns
    -------
    ``pnl``, ``gross`` and ``volatility_annual``, each of shape ``(n_sessions,)``.
    """
    place = np.searchsorted(sessions, rows["date"].astype(sessions.dtype))
    is_due = place < sessions.size
    place, held = place[is_due], {name: rows[name][is_due] for name in RESULTS}
    if (place[1:] == place[:-1]).any():
        met = pl.DataFrame({"date": sessions[place], **held}).with_columns(strategy_id=pl.lit(""))
        summed = sum_returns(met)
        place, held = np.unique(place), {name: summed[name].to_numpy() for name in RESULTS}
    rolled = {name: np.zeros(sessions.size) for name in RESULTS}
    for name, column in rolled.items():
        column[place] = held[name]
    # What was measured while nothing was at work is no volatility.
    rolled["volatility_annual"][rolled["gross"] <= 0.0] = 0.0
    return rolled


def lifecycle_causes(frame: pl.DataFrame) -> tuple[Cause, ...]:
    """Name a breakdown of half or more of the strategies together as a cause to halt."""
    told = frame[["strategy_id", "reason_codes"]].iter_rows()
    broken = [name for name, codes in told if ReasonCode.MASS_DRAWDOWN_REVIEW.value in codes]
    if not broken:
        return ()
    return (cause_of(ReasonCode.MASS_DRAWDOWN_REVIEW, f"broke down: {', '.join(broken)}"),)


def estimate_market(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Estimate volume, volatility, spread and impact, one row a scenario symbol (roadmap 0.9)."""
    policy = context.policy
    impact, symbols = policy.impact, scenario_symbols(tables)
    # A change needs the close before it: one session more than there are changes.
    needed = max(policy.sizing.adv_sessions, impact.spread_sessions, impact.volatility_sessions + 1)
    recent = last_rows(tables["price_history"], symbols, needed)
    prices = last_prices(recent)
    if prices.height < recent["symbol"].n_unique():  # some symbol's last price lies further back
        prices = last_prices(tables["price_history"].filter(pl.col("symbol").is_in(symbols)))
    return estimate_market_impact(
        recent,
        adv=average_dollar_volume(recent, policy.sizing),
        last_prices=prices,
        nav_usd=policy.nav_usd,
        reference_size=policy.auction.impact_reference_size,
        policy=impact,
    )
