"""The night's own decision, by the very same `decide`: bids, allocations, verdicts, plan."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl

from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.result import AuctionResult
from instgov_dagster.governance.decisions import decisions_to_frame
from instgov_dagster.governance.state.rows import state_from_frame
from instgov_dagster.loop.cycle import (
    CycleDecision,
    CycleState,
    decide,
    hold_auction,
    opening_state,
)
from instgov_dagster.loop.decision.book import Book
from instgov_dagster.loop.decision.rows import allocations_frame
from instgov_dagster.loop.decision.snapshot import (
    SNAPSHOT_TABLES,
    Snapshot,
    snapshot_from_tables,
    with_health,
)
from instgov_dagster.loop.steps.context import NightContext, Tables
from instgov_dagster.loop.steps.rows import book_of
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode

_HALF = 0.5e-4  # half of one basis point, in fractions


def night_quotes(snapshot: Snapshot, instant: datetime) -> Quotes:
    """Quote every symbol at its last known close, half a modelled spread to either side."""
    mid, reach = snapshot.last_close, np.abs(snapshot.last_close) * snapshot.spread_bps * _HALF
    seen = np.full(mid.size, np.datetime64(instant.replace(tzinfo=None), "us"))
    return Quotes(symbols=snapshot.symbols, bid=mid - reach, ask=mid + reach, observed_at=seen)


def night_snapshot(tables: Tables, context: NightContext) -> Snapshot:
    """Give what the night knows, from its tables."""
    return snapshot_from_tables(
        _told(tables), snapshot_id=context.cycle_id, asof=context.asof, policy=context.policy
    )


def with_other_health(snapshot: Snapshot, tables: Tables) -> Snapshot:
    """Give what the night would know, were ``model_decay_metrics`` alone these."""
    return with_health(snapshot, _told(tables))


def _told(tables: Tables) -> dict[str, pl.DataFrame]:
    return {name: tables[name] for name in SNAPSHOT_TABLES}


def decide_night(tables: Tables, context: NightContext) -> CycleDecision:
    """Decide the night's cycle from its tables; the same tables give the same decision."""
    snapshot = night_snapshot(tables, context)
    decision, _ = decide(
        snapshot, *_beside(snapshot, tables, context), context.policy, solver=HotSolver()
    )
    return decision


def compete_night(snapshot: Snapshot, tables: Tables, context: NightContext) -> AuctionResult:
    """Hold the auction of `decide_night` alone, on a snapshot of the night."""
    return hold_auction(
        snapshot, *_beside(snapshot, tables, context), context.policy, solver=HotSolver()
    )


def _beside(
    snapshot: Snapshot, tables: Tables, context: NightContext
) -> tuple[Quotes, Book, CycleState]:
    return (
        night_quotes(snapshot, context.known_at),
        book_of(tables),
        _state(snapshot, context, state_from_frame(tables["system_state"])),
    )


def _state(snapshot: Snapshot, context: NightContext, system: SystemState) -> CycleState:
    return replace(
        opening_state(snapshot),
        cycle_id=context.cycle_id,
        timestamp=context.known_at,
        system=system,
    )


def assemble(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Lay out every bid of the night with its penalised value (roadmap 4.1)."""
    decision = decide_night(tables, context)
    bids = decision.found.bids.table.to_frame()
    return bids.with_columns(
        pl.lit(context.cycle_id).alias("cycle_id"), decision.auction.bids["mu_hat"]
    )


def allocate(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Lay out what the auction gave every bid (roadmap 4.2, DB.4)."""
    return allocations_frame(decide_night(tables, context))


def judge_risk(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Lay out every gate of the book and of each order (roadmap 5.4)."""
    decision = decide_night(tables, context)
    _require_same(tables, "capital_allocations", allocations_frame(decision))
    verdicts = decision.found.verdict.to_frame()
    return verdicts.with_columns(pl.lit(context.cycle_id).alias("cycle_id"))


def plan_execution(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Lay out the orders the night would send, each with its impact (roadmap 0.9, 8.4)."""
    decision = decide_night(tables, context)
    _require_same(tables, "capital_allocations", allocations_frame(decision))
    return decision.found.plan.to_frame().with_columns(pl.lit(context.cycle_id).alias("cycle_id"))


def decide_symbols(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Lay out one decision a symbol (roadmap 9.1, DB.5)."""
    decision = decide_night(tables, context)
    _require_same(tables, "capital_allocations", allocations_frame(decision))
    return decisions_to_frame(decision.decisions)


def _require_same(tables: Tables, name: str, again: pl.DataFrame) -> None:
    # The stored table is what an earlier step stamped: a decision that differs stands on nothing.
    stored = tables[name].select(again.columns).cast(again.schema)
    if not stored.equals(again):
        raise SystemHalt(
            ReasonCode.PHASE_ORDER_VIOLATED, f"{name} differs from the night's own decision"
        )
