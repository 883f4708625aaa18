"""What a new leader does before it leads: settle leftovers by the broker's word, then compare."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from instgov_dagster.adapters.paper.store import read_account
from instgov_dagster.loop.book import Book, apply_changes
from instgov_dagster.loop.live.settling.answers import Routed
from instgov_dagster.loop.live.settling.invariants import Invariant, reconcile, require_agreement
from instgov_dagster.loop.live.settling.leftovers import unplanned_halt
from instgov_dagster.loop.live.settling.told import Told
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.snapshot import Snapshot

#: Writes one frame of answers: what was answered, the book after it, the frame's own facts.
Write = Callable[[Routed, Book, Mapping[str, Any]], None]


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
    told: Told,
    desk: Desk,
    book: Book,
    *,
    snapshot: Snapshot,
    may_cancel: bool,
    write: Write,
) -> HandedOver:
    """Settle with the broker what the last leader left, each answer in a frame, then compare.

    Parameters
    ----------
    told
        What the loop's chain says; it follows the frames that are written here.
    may_cancel
        Whether what rests may be withdrawn in the state the system is in.

    Raises
    ------
    SystemHalt
        ``RECONCILIATION_UNRESOLVED`` where broker and journal differ, or the broker did what no
        frame planned: that is journalled and held in the book first, for it is what is held.
    """
    recovered = desk.recover(told, may_cancel=may_cancel)
    book = _taken(recovered, book, told.origin | {"recovered": True}, write)
    strategies = [view.strategy_id for view in snapshot.strategies]
    adopted = desk.adopt(told, book, strategies=strategies, symbols=snapshot.symbols)
    book = _taken(adopted, book, {"session": "", "unplanned": True}, write)
    if adopted.outcomes:
        raise unplanned_halt(adopted.outcomes)
    told.follow(platform)
    found = reconcile(told, book, read_account(platform.home.paper_account))
    require_agreement(found)
    return HandedOver(book=book, recovered=len(recovered.outcomes), invariants=found)


def _taken(routed: Routed, book: Book, facts: Mapping[str, Any], write: Write) -> Book:
    if not routed.outcomes and not routed.ledger:
        return book
    after = apply_changes(book, routed.changes)
    write(routed, after, facts)
    return after
