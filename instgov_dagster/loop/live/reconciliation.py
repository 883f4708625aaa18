"""The account as the journal's own fills tell it, held against the book that was written beside."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from instgov_dagster.adapters.account import BrokerState
from instgov_dagster.adapters.journal import (
    Frame,
    read_anchors,
    read_frames,
    unbundle,
    verify_chain,
)
from instgov_dagster.loop.book import Book, book_from_dict
from instgov_dagster.loop.live.frames import FILLS_KIND
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster.vocabulary.reasons import ReasonCode


@dataclass(slots=True, kw_only=True)
class Account:
    """Cash and units folded from every fill of the loop's chain, and what one day traded.

    Attributes
    ----------
    cash_usd
        None before the first session began.
    traded
        Units traded of each symbol on the day, either way.
    traded_usd
        The same in dollars.
    """

    cash_usd: Decimal | None = None
    positions: dict[str, Decimal] = field(default_factory=dict)
    traded: dict[str, Decimal] = field(default_factory=dict)
    traded_usd: dict[str, float] = field(default_factory=dict)

    def broker_state(self, asof: date, book: Book) -> BrokerState:
        """Give the paper broker what it stands on: the account, and the day's volume so far."""
        return BrokerState(
            cash_usd=book.cash_usd if self.cash_usd is None else self.cash_usd,
            positions=tuple(sorted(self.positions.items())),
            traded=tuple((symbol, asof, q) for symbol, q in sorted(self.traded.items())),
        )


def fold_account(platform: Platform, asof: date) -> Account:
    """Fold every fill the loop's chain holds, from the cash of the first session on.

    Raises
    ------
    BrokenFrame
        If the chain does not verify.
    """
    account = Account()
    for frame in read_frames(platform.home.journal_dir, Chain.LOOP.value, key=platform.key):
        if account.cash_usd is None and frame.meta.get("event") == "started":
            account.cash_usd = book_from_dict(frame.meta["book"]).cash_usd
        if frame.kind == FILLS_KIND:
            _fold(account, frame, is_today=frame.meta["asof"] == asof.isoformat())
    account.positions = {symbol: q for symbol, q in account.positions.items() if q}
    return account


def _fold(account: Account, frame: Frame, *, is_today: bool) -> None:
    fills: list[dict[str, Any]] = unbundle(frame.table())["fills"].to_pylist()
    for fill in fills:
        symbol, quantity = fill["symbol"], fill["quantity"]
        signed = quantity if fill["side"] == "BUY" else -quantity
        account.positions[symbol] = account.positions.get(symbol, Decimal(0)) + signed
        if is_today:
            account.traded[symbol] = account.traded.get(symbol, Decimal(0)) + quantity
            dollars = float(quantity * fill["price"])
            account.traded_usd[symbol] = account.traded_usd.get(symbol, 0.0) + dollars
    for entry in unbundle(frame.table())["cash_ledger"].to_pylist():
        if entry["entry"] != "OPENING" and account.cash_usd is not None:
            account.cash_usd += entry["amount_usd"]


def require_reconciled(account: Account, book: Book) -> None:
    """Hold the book against the account to the last digit; strategies' parts must add up.

    Raises
    ------
    SystemHalt
        ``RECONCILIATION_UNRESOLVED`` naming what differs.
    """
    ours: dict[str, Decimal] = {}
    for row in book.holdings:
        ours[row.symbol] = ours.get(row.symbol, Decimal(0)) + row.quantity
    mine = {symbol: quantity for symbol, quantity in ours.items() if quantity}
    different = sorted(
        s for s in {*mine, *account.positions} if mine.get(s) != account.positions.get(s)
    )
    short = sorted({row.symbol for row in book.holdings if row.quantity < 0})
    is_other_cash = account.cash_usd is not None and account.cash_usd != book.cash_usd
    if different or short or is_other_cash:
        raise SystemHalt(
            ReasonCode.RECONCILIATION_UNRESOLVED,
            f"positions {different}, short {short}, cash {book.cash_usd} of {account.cash_usd}",
        )


def require_sound_chains(platform: Platform) -> None:
    """Walk all three chains and hold them against their anchors.

    Raises
    ------
    SystemHalt
        ``CHAIN_BROKEN`` naming the first frame that does not hold.
    """
    for chain in Chain:
        anchors = read_anchors(platform.home.anchors, chain.value)
        report = verify_chain(
            platform.home.journal_dir, chain.value, key=platform.key, anchors=anchors
        )
        if not report.ok:
            raise SystemHalt(ReasonCode.CHAIN_BROKEN, f"{report.first_bad}: {report.reason}")
