"""The last day of a walk decided again as a home decides it: the whole night, a session's fold."""

from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.governance.decisions import decisions_to_frame
from instgov_dagster.loop.cycle import CycleDecision, opening_state
from instgov_dagster.loop.decision.book import book_from_frame
from instgov_dagster.loop.decision.rows import allocations_frame
from instgov_dagster.loop.decision.snapshot import LIVE_TABLES, snapshot_from_tables
from instgov_dagster.loop.folding.fold import CycleInputs, SessionFold
from instgov_dagster.loop.folding.ledger import SessionLedger
from instgov_dagster.loop.night import night
from instgov_dagster.loop.proving.survival.day import DayRun
from instgov_dagster.loop.proving.survival.keeping.memory import fresh_memory
from instgov_dagster.loop.proving.survival.knowing.world import World
from instgov_dagster.loop.proving.survival.left import Day
from instgov_dagster.loop.steps.context import Tables

#: What a walk makes of a night with its own hands, and a home's night with its steps.
COMPARED: Final = (
    "data_quality",
    "price_history",
    "history_coverage",
    "data_governance",
    "regime_beliefs",
    "sigma_fits",
    "model_forecasts",
    "model_decay_metrics",
    "cvar_coverage",
    "strategy_lifecycle_log",
    "stress_scenarios",
    "market_impact",
    "veto_findings",
    "vetoes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """What deciding the last day again found.

    Attributes
    ----------
    tables
        The night's tables that differ.
    decisions, allocations, orders
        Whether a session's first cycle decided the same, row by row and bit by bit.
    """

    day: date
    tables: tuple[str, ...]
    decisions: bool
    allocations: bool
    orders: bool

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return self.difference == 0

    @property
    def difference(self) -> int:
        """How many tables and answers differ."""
        same = (self.decisions, self.allocations, self.orders)
        return len(self.tables) + sum(not answer for answer in same)


def check_parity(world: World, day: Day) -> Parity | None:
    """Decide a walk's day again through `night` and a session's fold, on the same inputs.

    Parameters
    ----------
    day
        A day of the governed walk; one on which no session was held has nothing to compare.
    """
    known, walked = day.known, day.decision
    if known is None or walked is None:
        return None
    tables = night({**known.tables, **day.inputs}, known.context).tables
    differing = tuple(name for name in COMPARED if not _same(tables[name], day.tables.get(name)))
    again = _first_cycle(world, day, tables, walked)
    return Parity(
        day=day.date,
        tables=differing,
        decisions=decisions_to_frame(again.decisions).equals(decisions_to_frame(walked.decisions)),
        allocations=allocations_frame(again).equals(allocations_frame(walked)),
        orders=again.orders == walked.orders,
    )


def _same(one: pl.DataFrame, other: pl.DataFrame | None) -> bool:
    if other is None or set(one.columns) != set(other.columns):
        return False
    return one.equals(other.select(one.columns).cast(one.schema))


def _first_cycle(world: World, day: Day, tables: Tables, walked: CycleDecision) -> CycleDecision:
    # As a session opens what is published: the models restored from the bytes that were sealed.
    snapshot = snapshot_from_tables(
        {name: tables[name] for name in LIVE_TABLES},
        snapshot_id=walked.snapshot_id,
        asof=day.date,
        policy=world.policy,
    )
    run = DayRun(world, fresh_memory(world.policy.nav_usd))
    quotes, instant = run.first_quotes(snapshot, world.history.day_bars(day.date))
    fold = SessionFold(
        snapshot,
        world.policy,
        session_id=f"survival-{day.date.isoformat()}",
        book=book_from_frame(day.inputs["portfolio"]),
        state=opening_state(snapshot),
        ledger=SessionLedger(snapshot, opening={}, flows={}),
        solver=HotSolver(),
    )
    turn = fold.cycle(
        CycleInputs(
            number=0,
            timestamp=instant,
            quotes=quotes,
            system=walked.told.system,
            is_late=False,
            is_stale=False,
        )
    )
    return turn.decision
