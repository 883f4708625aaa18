"""The account as the loop's own frames tell it: orders, fills, cash, and what they leave open."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

from instgov_dagster.adapters.account import OrderStatus
from instgov_dagster.adapters.journal import Frame, Position, read_frames, unbundle
from instgov_dagster.loop.decision.book import Shares, book_from_dict
from instgov_dagster.loop.live.frames import CYCLE_KIND, FILLS_KIND, PLANNED
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.audit import Fill, Order, OrderSide
from instgov_dagster.vocabulary.governance import Chain

_ORDERS = "orders"
_OPENING = "OPENING"
OrderTerms = tuple[str, str, Decimal, Decimal]
FillTerms = tuple[str, int, str, str, Decimal, Decimal, Decimal]
EntryTerms = tuple[str, str, Decimal, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """An order a frame planned and whose end no frame tells.

    Attributes
    ----------
    shares
        The strategies it belongs to; empty where the frame does not say.
    is_resting
        Whether the broker was heard to have taken it.
    n_fills
        How many of its fills are journalled.
    """

    order: Order
    shares: Shares
    is_resting: bool = False
    n_fills: int = 0


@dataclass(slots=True, kw_only=True)
class Told:
    """Everything the loop's chain says of the account.

    Attributes
    ----------
    opening_cash_usd, cash_usd
        What the first session began with, and that after every movement since; None before it.
    traded, traded_usd
        Units and dollars traded of each symbol on one day, either way.
    orders
        By client order id: the status last told, and the terms it was planned on.
    entries
        By sequence: the broker's movements of cash.
    leftovers
        By client order id, in the order in which they were planned.
    session, day
        The session that decided last, and its day; None where none did.
    at
        How far the chain was read.
    """

    asof: date
    opening_cash_usd: Decimal | None = None
    cash_usd: Decimal | None = None
    positions: dict[str, Decimal] = field(default_factory=dict)
    traded: dict[str, Decimal] = field(default_factory=dict)
    traded_usd: dict[str, float] = field(default_factory=dict)
    orders: dict[str, tuple[str, OrderTerms]] = field(default_factory=dict)
    fills: set[FillTerms] = field(default_factory=set)
    entries: dict[int, EntryTerms] = field(default_factory=dict)
    leftovers: dict[str, Leftover] = field(default_factory=dict)
    session: str | None = None
    day: date | None = None
    at: Position = field(default_factory=lambda: Position.start(Chain.LOOP.value))

    @property
    def last_entry(self) -> int:
        """Sequence of the last movement of cash told, -1 where none was."""
        return max(self.entries, default=-1)

    def follow(self, platform: Platform) -> None:
        """Read what the chain holds beyond where it was last read to.

        Raises
        ------
        BrokenFrame
            If the chain does not verify.
        """
        directory, key = platform.home.journal_dir, platform.key
        for frame in read_frames(directory, Chain.LOOP.value, key=key, start=self.at):
            self.take(frame)

    def take(self, frame: Frame) -> None:
        """Take the chain's next frame, which somebody verified."""
        self.at = Position.after(frame)
        if self.cash_usd is None and frame.meta.get("event") == "started":
            self._open(frame.meta)
        if frame.kind == CYCLE_KIND:
            self._plan(frame)
        elif frame.kind == FILLS_KIND:
            self.answer(unbundle(frame.table()), frame.meta)

    def answer(self, tables: Mapping[str, pa.Table], meta: Mapping[str, Any]) -> None:
        """Take in one frame of answers: outcomes, fills, movements of cash."""
        is_today = meta["asof"] == self.asof.isoformat()
        for row in tables["fills"].to_pylist():
            self._fill(row, is_today=is_today)
        for row in tables["cash_ledger"].to_pylist():
            self._move(row)
        for row in tables[_ORDERS].to_pylist():
            self._end(row, meta)

    def _open(self, meta: Mapping[str, Any]) -> None:
        # Movements told before the first session began belong to what came before its book.
        self.opening_cash_usd = self.cash_usd = book_from_dict(meta["book"]).cash_usd

    def _plan(self, frame: Frame) -> None:
        self.session = frame.meta["session"]
        self.day = date.fromisoformat(frame.meta["asof"])
        shares = frame.meta.get("shares")
        if shares == {}:
            return  # no order stands in the frame: its tables need not be unpacked
        rows = frame.table().column(_ORDERS).combine_chunks().flatten().to_pylist()
        for row in rows:
            name = row["client_order_id"]
            self.orders[name] = (PLANNED, _terms(row))
            self.leftovers[name] = Leftover(
                order=_order(row), shares=_shares((shares or {}).get(name, []))
            )

    def _fill(self, row: Mapping[str, Any], *, is_today: bool) -> None:
        symbol, quantity = row["symbol"], row["quantity"]
        signed = OrderSide(row["side"]).sign * quantity
        held = self.positions.get(symbol, Decimal(0)) + signed
        if held:
            self.positions[symbol] = held
        else:
            self.positions.pop(symbol, None)
        if is_today:
            self.traded[symbol] = self.traded.get(symbol, Decimal(0)) + quantity
            dollars = float(quantity * row["price"])
            self.traded_usd[symbol] = self.traded_usd.get(symbol, 0.0) + dollars
        names = ("client_order_id", "sequence", "symbol", "side", "quantity", "price", "cost_usd")
        one, two, three, four, five, six, seven = (row[name] for name in names)
        self.fills.add((one, two, three, four, five, six, seven))

    def _move(self, row: Mapping[str, Any]) -> None:
        name = row["client_order_id"] or ""
        self.entries[row["sequence"]] = (
            row["entry"], name, row["amount_usd"], row["balance_usd"],
        )  # fmt: skip
        if row["entry"] != _OPENING and self.cash_usd is not None:
            self.cash_usd += row["amount_usd"]

    def _end(self, row: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        name, status = row["client_order_id"], OrderStatus(row["status"])
        self.orders[name] = (status.value, _terms(row))
        earlier = self.leftovers.pop(name, None)
        if status.is_final:
            return
        self.leftovers[name] = Leftover(
            order=_order(row),
            shares=earlier.shares if earlier else _shares(meta["shares"][name]),
            is_resting=True,
            n_fills=sum(fill[0] == name for fill in self.fills),
        )


def fold_account(platform: Platform, asof: date) -> Told:
    """Fold everything the loop's chain says of the account, from its first frame on.

    Parameters
    ----------
    asof
        The day whose traded volume is counted.

    Raises
    ------
    BrokenFrame
        If the chain does not verify.
    """
    told = Told(asof=asof)
    told.follow(platform)
    return told


def fill_terms(fill: Fill) -> FillTerms:
    """Give what a fill is compared by."""
    return (
        fill.client_order_id, fill.sequence, fill.symbol, fill.side.value, fill.quantity,
        fill.price, fill.cost_usd,
    )  # fmt: skip


def order_terms(order: Order) -> OrderTerms:
    """Give what an order is compared by."""
    return (order.symbol, order.side.value, order.quantity, order.limit_price)


def _terms(row: Mapping[str, Any]) -> OrderTerms:
    return (row["symbol"], row["side"], row["quantity"], row["limit_price"])


def _order(row: Mapping[str, Any]) -> Order:
    return Order(
        client_order_id=row["client_order_id"],
        cycle_id=row["cycle_id"],
        symbol=row["symbol"],
        side=OrderSide(row["side"]),
        quantity=row["quantity"],
        limit_price=row["limit_price"],
        decision_sequence=row["decision_sequence"],
    )


def _shares(pairs: list[list[Any]]) -> Shares:
    return tuple((str(name), float(part)) for name, part in pairs)
