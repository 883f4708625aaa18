"""What a new leader does before it leads: settle leftovers by the broker's word, then compare."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from instgov_dagster.adapters.paper.store import read_account
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.loop.decision.book import Book, fresh_book
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.folding.fold import SessionFold, plain_shares
from instgov_dagster.loop.folding.ledger import SessionLedger
from instgov_dagster.loop.live.frames import FILLS_KIND, fills_tables
from instgov_dagster.loop.live.leading.memory import Memory
from instgov_dagster.loop.live.settling.answers import Routed
from instgov_dagster.loop.live.settling.invariants import Invariant, reconcile, require_agreement
from instgov_dagster.loop.live.settling.leftovers import unplanned_halt
from instgov_dagster.loop.live.settling.told import Told
from instgov_dagster.loop.platform import Platform

#: Writes one frame of the loop's chain.
Write = Callable[[str, pa.Table, Mapping[str, Any]], object]


class Desk(Protocol):
    """What settling needs of the router."""

    def recover(self, told: Told, *, may_cancel: bool) -> Routed:
        """Settle what an earlier leader left over."""
        ...

    def adopt(
        self, told: Told, book: Book, *, strategies: Sequence[str], symbols: Collection[str]
    ) -> Routed:
        """Take over what the broker did for orders that no frame planned."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """What a new leader stands on: the book, what it recovered, and the four comparisons."""

    book: Book
    recovered: int
    invariants: tuple[Invariant, ...]


def hand_over(
    platform: Platform,
    memory: Memory,
    desk: Desk,
    write: Write,
    snapshot: Snapshot,
    *,
    catch_up: Callable[[], object],
    may_cancel: bool,
) -> HandedOver:
    """Settle with the broker what the last leader left, each answer in a frame, then compare.

    The answers belong to the session that broke off: they go on from its state and its day.

    Parameters
    ----------
    memory
        What the loop's chain says.
    catch_up
        Lets the memory take what was written here.
    may_cancel
        Whether what rests may be withdrawn in the state the system is in.

    Raises
    ------
    SystemHalt
        ``RECONCILIATION_UNRESOLVED`` where broker and journal differ, or the broker did what no
        frame planned: that is journalled and held in the book first, for it is what is held.
    """
    told = memory.told
    book = memory.book or fresh_book(platform.policy.nav_usd)
    fold = _fold_of_last(platform, memory, book, snapshot)
    recovered = desk.recover(told, may_cancel=may_cancel)
    _take(recovered, fold, {"recovered": True}, told, write)
    adopted = desk.adopt(
        told,
        fold.book if fold else book,
        strategies=[view.strategy_id for view in snapshot.strategies],
        symbols=snapshot.symbols if fold else (),
    )
    _take(adopted, fold, {"unplanned": True}, told, write)
    if adopted.outcomes:
        raise unplanned_halt(adopted.outcomes)
    catch_up()
    book = fold.book if fold else book
    word = platform.account_word(told.asof)
    found = reconcile(told, book, read_account(platform.home.paper_account), word)
    require_agreement(found)
    return HandedOver(book=book, recovered=len(recovered.outcomes), invariants=found)


def _fold_of_last(
    platform: Platform, memory: Memory, book: Book, snapshot: Snapshot
) -> SessionFold | None:
    # The session that decided last, as its frames left it; None where none ever did.
    if memory.told.session is None or memory.latest is None:
        return None
    return SessionFold(
        snapshot,
        platform.policy,
        session_id=memory.told.session,
        book=book,
        state=memory.latest.restore(snapshot),
        ledger=SessionLedger(snapshot, opening=memory.values, flows=memory.flows),
        solver=HotSolver(),
    )


def _take(
    routed: Routed,
    fold: SessionFold | None,
    facts: Mapping[str, Any],
    told: Told,
    write: Write,
) -> None:
    if not routed.outcomes and not routed.ledger:
        return
    meta: dict[str, Any] = {"session": "", **facts, "shares": plain_shares(routed.shares)}
    if fold is not None and told.day is not None:
        meta |= {**fold.settle(routed.changes), "asof": told.day.isoformat()}
    write(FILLS_KIND, fills_tables(routed.outcomes, routed.ledger), meta)
