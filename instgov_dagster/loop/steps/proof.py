"""The proof of the night's auction: its certificate as a row, and the reference's own answer."""

import polars as pl

from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.reference import (
    EngineComparison,
    ReferenceSolver,
    compare_with_reference,
)
from instgov_dagster.capital.auction.result import certificate_frame
from instgov_dagster.loop.cycle import compose_auction
from instgov_dagster.loop.steps.context import NightContext, Tables
from instgov_dagster.loop.steps.decision import decide_night, night_snapshot


def certify_night(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Lay out the night's auction with its certificate, so that anyone can prove it again."""
    decision, snapshot = decide_night(tables, context), night_snapshot(tables, context)
    instance, _ = compose_auction(snapshot, decision.found.bids, decision.told, context.policy)
    row = certificate_frame(instance, decision.auction, scenario_symbols=snapshot.scenarios.symbols)
    return row.with_columns(pl.lit(context.cycle_id).alias("cycle_id"))


def compare_night(tables: Tables, context: NightContext) -> EngineComparison:
    """Solve the night's own auction by the hot engine, cold, and by the full program."""
    decision = decide_night(tables, context)
    instance, _ = compose_auction(
        night_snapshot(tables, context), decision.found.bids, decision.told, context.policy
    )
    return compare_with_reference(instance, HotSolver(), reference=ReferenceSolver())
