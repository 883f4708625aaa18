"""A session but for the world: recorded inputs folded into decisions, book and state.

The live session feeds it what it sees, the replay what the journal says was seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.capital.auction.solver import AuctionSolver
from instgov_dagster.loop.cycle import CycleDecision, CycleState, decide
from instgov_dagster.loop.decision.book import Book, BookChange, Shares, apply_changes, book_to_dict
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.folding.attribution import StrategyResult
from instgov_dagster.loop.folding.continuity import state_facts
from instgov_dagster.loop.folding.ledger import SessionLedger
from instgov_dagster.loop.live.frames import cycle_meta, cycle_tables
from instgov_dagster.loop.live.orders import plan_to_orders, transfer_changes
from instgov_dagster.vocabulary.audit import Order
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.governance import SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CycleInputs:
    """What one cycle is told by the world; ``number`` counts the session's cycles from 0."""

    number: int
    timestamp: datetime
    quotes: Quotes
    system: SystemState
    is_late: bool
    is_stale: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Turn:
    """One cycle done: its decision, the orders due now, whose they are, and its frame."""

    decision: CycleDecision
    orders: tuple[Order, ...]
    shares: Mapping[str, Shares]
    table: pa.Table
    facts: dict[str, Any]


class SessionFold:
    """Folds a session's inputs; two folds of the same inputs are equal bit by bit.

    Parameters
    ----------
    session_id
        Names the session's cycles.
    book, state
        Where the session starts from.
    ledger
        What the session keeps of its own trading.
    solver
        Started cold at the first cycle and at every ``cold_every_cycles``-th one.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        policy: Policy,
        *,
        session_id: str,
        book: Book,
        state: CycleState,
        ledger: SessionLedger,
        solver: AuctionSolver,
    ) -> None:
        self._snapshot = snapshot
        self._policy = policy
        self._ledger = ledger
        self._solver = solver
        self.session_id = session_id
        self.book = book
        self.state = state

    def cycle(self, inputs: CycleInputs) -> Turn:
        """Decide one cycle, pass what strategies pass to each other, and say what is due."""
        policy = self._policy
        told = replace(
            self.state,
            cycle_id=f"{self.session_id}-{inputs.number:06d}",
            timestamp=inputs.timestamp,
            system=inputs.system,
            is_late=inputs.is_late,
            is_stale=inputs.is_stale,
            is_cold=inputs.number % policy.loop.cold_every_cycles == 0,
        )
        decision, self.state = decide(
            self._snapshot, inputs.quotes, self.book, told, policy, solver=self._solver
        )
        passed = transfer_changes(decision)
        self.book = apply_changes(self.book.with_peak(decision.valued.nav_usd), passed)
        self._ledger.count_changes(passed)
        self._ledger.count_gross(decision.valued.weights)
        orders, shares = plan_to_orders(decision, self.book)
        reasons = {name: [ReasonCode.ORDER_SENT.value] for name in shares}
        facts = cycle_meta(
            decision,
            self.book,
            number=inputs.number,
            session=self.session_id,
            n_transfers=len(passed) // 2,
            shares=plain_shares(shares),
            **self.facts(),
        )
        table = cycle_tables(decision, orders, reasons)
        return Turn(decision=decision, orders=orders, shares=shares, table=table, facts=facts)

    def settle(self, changes: Sequence[BookChange]) -> dict[str, Any]:
        """Take what the broker executed into book, ledger and state; give the facts to write."""
        self.book = apply_changes(self.book, changes)
        traded = self.state.traded_usd + self._ledger.count_changes(changes)
        self.state = replace(self.state, traded_usd=traded)
        return {"session": self.session_id, "book": book_to_dict(self.book), **self.facts()}

    def results(self, last: CycleDecision) -> tuple[StrategyResult, ...]:
        """Attribute the session's result to its strategies at the last cycle's marks."""
        return self._ledger.results(self.book, last.valued, self._policy)

    def facts(self) -> dict[str, Any]:
        """Say what every frame of a session tells beside its own: flows, traded, state's hash."""
        return {
            "flows": dict(self._ledger.flows),
            **state_facts(self.state, self._snapshot.symbols),
        }


def plain_shares(shares: Mapping[str, Shares]) -> dict[str, list[list[Any]]]:
    """Write whose each order is as plain JSON values."""
    return {name: [list(pair) for pair in parts] for name, parts in shares.items()}
