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
from instgov_dagster.loop.live.recovery import last_book, last_told, last_trail, last_values
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
    told: Told,
    desk: Desk,
    write: Write,
    snapshot: Snapshot,
    *,
    may_cancel: bool,
) -> HandedOver:
    """Settle with the broker what the last leader left, each answer in a frame, then compare.

    The answers belong to the session that broke off: they go on from its state and its day.

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
    book = last_book(platform) or fresh_book(platform.policy.nav_usd)
    fold = _fold_of_last(platform, told, book, snapshot)
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
    told.follow(platform)
    book = fold.book if fold else book
    found = reconcile(told, book, read_account(platform.home.paper_account))
    require_agreement(found)
    return HandedOver(book=book, recovered=len(recovered.outcomes), invariants=found)


def _fold_of_last(
    platform: Platform, told: Told, book: Book, snapshot: Snapshot
) -> SessionFold | None:
    # The session that decided last, as its frames left it; None where none ever did.
    if told.session is None or told.day is None:
        return None
    flows, values = last_told(platform, "flows") or {}, last_values(platform)
    return SessionFold(
        snapshot,
        platform.policy,
        session_id=told.session,
        book=book,
        state=last_trail(platform, told.day).restore(snapshot),
        ledger=SessionLedger(snapshot, opening=values, flows=flows),
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
