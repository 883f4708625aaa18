"""What sessions leave that vetoes are judged on: results and what explains them, fills, orders.

Read from the loop's chain, frame by frame, and never from what a session says of itself: positions
are those of the journalled books, prices those of the recorded quotes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from instgov_dagster.adapters.account import OrderStatus
from instgov_dagster.adapters.journal import Frame, unbundle
from instgov_dagster.loop.live.frames import CYCLE_KIND, FILLS_KIND, SESSION_KIND
from instgov_dagster.vocabulary.audit import OrderSide

_BPS = 1e4

#: One row a day and strategy, fractions of NAV: what was booked, what positions times returns
#: explain, what the model said trading would cost; and the orders, with those the broker refused.
ACCOUNT_SCHEMA = pl.Schema(
    {
        "date": pl.Date(),
        "strategy_id": pl.String(),
        "realised": pl.Float64(),
        "explained": pl.Float64(),
        "costs": pl.Float64(),
        "orders": pl.Float64(),
        "errors": pl.Float64(),
    }
)

#: One row a fill; ``side`` is 1 or -1, ``half_spread`` in units of price.
FILL_SCHEMA = pl.Schema(
    {
        "date": pl.Date(),
        "symbol": pl.String(),
        "side": pl.Float64(),
        "price": pl.Float64(),
        "mid": pl.Float64(),
        "half_spread": pl.Float64(),
        "cost_bps": pl.Float64(),
        "modelled_bps": pl.Float64(),
        "is_aggressive": pl.Boolean(),
    }
)

#: One row a passive order whose markout the session lived to see; ``markout_bps`` a gain positive,
#: null where the order was not filled.
PASSIVE_SCHEMA = pl.Schema(
    {
        "date": pl.Date(),
        "symbol": pl.String(),
        "is_filled": pl.Boolean(),
        "markout_bps": pl.Float64(),
    }
)

Quantities = dict[tuple[str, str], float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """The three tables of the days asked for."""

    accounts: pl.DataFrame
    fills: pl.DataFrame
    passive: pl.DataFrame


@dataclass(slots=True)
class _Sent:
    # One order as it was planned.
    symbol: str
    sign: float
    day: date
    at: datetime
    is_passive: bool
    half_spread: float
    modelled_bps: float
    shares: tuple[tuple[str, float], ...]
    fill_price: float | None = None
    filled_at: datetime | None = None


@dataclass(slots=True)
class _Tally:
    # What a strategy did since the last session that ended, USD and numbers of orders.
    explained: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    orders: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)


def _add(sums: dict[str, float], name: str, value: float) -> None:
    sums[name] = sums.get(name, 0.0) + value


class EvidenceFold:
    """Follows the loop's chain in order and keeps what its sessions leave behind.

    Parameters
    ----------
    known
        Frames up to this sequence were read before: they are followed for what is held when they
        end, and leave no rows. 0 reads from the first frame.
    markout
        How long after a passive fill its worth is looked at.
    """

    def __init__(self, *, known: int, markout: timedelta) -> None:
        self._known = known
        self._markout = markout
        self._held: Quantities = {}
        self._marks: dict[str, float] = {}
        self._last_cycle: Frame | None = None
        self._at: datetime | None = None
        self._nav = 0.0
        self._sent: dict[str, _Sent] = {}
        self._mids: list[tuple[datetime, dict[str, float]]] = []
        self._tally = _Tally()
        # Of the session at work; what broke off counts in the next one that ends.
        self._open_fills: list[tuple[Any, ...]] = []
        self._open_passive: list[tuple[Any, ...]] = []
        self._accounts: list[tuple[Any, ...]] = []
        self._fills: list[tuple[Any, ...]] = []
        self._passive: list[tuple[Any, ...]] = []

    def follow(self, frame: Frame) -> None:
        """Take one frame of the loop's chain."""
        is_known = frame.sequence <= self._known
        if frame.kind == CYCLE_KIND:
            self._follow_cycle(frame, is_known=is_known)
        elif frame.kind == FILLS_KIND:
            self._follow_outcomes(frame, is_known=is_known)
        elif frame.kind == SESSION_KIND:
            self._follow_session(frame, is_known=is_known)

    def evidence(self) -> Evidence:
        """Give the tables of what was followed so far."""
        return Evidence(
            accounts=_frame(self._accounts, ACCOUNT_SCHEMA).group_by(
                "date", "strategy_id", maintain_order=True
            ).agg(pl.exclude("date", "strategy_id").sum()).sort("date", "strategy_id"),
            fills=_frame(self._fills, FILL_SCHEMA),
            passive=_frame(self._passive, PASSIVE_SCHEMA),
        )  # fmt: skip

    def _follow_cycle(self, frame: Frame, *, is_known: bool) -> None:
        before, self._last_cycle = self._last_cycle, frame
        if is_known:
            self._held = _quantities(frame.meta["book"])
            return
        if before is not None and not self._marks:
            self._marks = _marks(unbundle(before.table())["quotes"].to_pydict())
        tables = unbundle(frame.table())
        quotes = tables["quotes"].to_pydict()
        marks = _marks(quotes)
        for (strategy, symbol), quantity in self._held.items():
            move = marks.get(symbol, 0.0) - self._marks.get(symbol, marks.get(symbol, 0.0))
            _add(self._tally.explained, strategy, quantity * move)
        self._marks, self._held = marks, _quantities(frame.meta["book"])
        self._at = datetime.fromisoformat(frame.meta["timestamp"])
        self._nav = float(frame.meta["nav_usd"])
        self._mids.append((self._at, _mids(quotes)))
        self._plan(frame, tables["orders"].to_pylist(), quotes)

    def _plan(
        self, frame: Frame, orders: list[dict[str, Any]], quotes: Mapping[str, list[Any]]
    ) -> None:
        halves = {
            symbol: 0.5 * (ask - bid)
            for symbol, bid, ask in zip(quotes["symbol"], quotes["bid"], quotes["ask"], strict=True)
        }
        for row in orders:
            sign = float(OrderSide(row["side"]).sign)
            mid = row["decision_mid"]
            self._sent[row["client_order_id"]] = _Sent(
                symbol=row["symbol"],
                sign=sign,
                day=_day(frame),
                at=self._at or frame.ts,
                is_passive=sign * (float(row["limit_price"]) - mid) <= 0.0,
                half_spread=halves[row["symbol"]],
                modelled_bps=row["total_cost_bps"],
                shares=tuple(
                    (name, part) for name, part in frame.meta["shares"][row["client_order_id"]]
                ),
            )

    def _follow_outcomes(self, frame: Frame, *, is_known: bool) -> None:
        told = frame.meta.get("book")  # absent where nothing was held before the first session
        book = _quantities(told) if told else self._held
        if is_known:
            self._held = book
            return
        tables = unbundle(frame.table())
        fills = tables["fills"].to_pylist()
        # What rested meets the quotes of the cycle to come: until its marks the old book is held.
        if not any(self._at is not None and fill["filled_at"] > self._at for fill in fills):
            self._held = book
        for row in tables["orders"].to_pylist():
            self._count_order(row)
        for fill in fills:
            self._count_fill(fill)

    def _count_order(self, row: Mapping[str, Any]) -> None:
        sent, status = self._sent.get(row["client_order_id"]), OrderStatus(row["status"])
        if sent is None or not status.is_final:
            return
        for strategy, part in sent.shares:
            _add(self._tally.orders, strategy, part)
            if status in (OrderStatus.REJECTED, OrderStatus.NEVER_SENT):
                _add(self._tally.errors, strategy, part)

    def _count_fill(self, fill: Mapping[str, Any]) -> None:
        sent = self._sent.get(fill["client_order_id"])
        if sent is None:
            return  # planned on a day that was read before
        price, mid = float(fill["price"]), float(fill["mid_price"])
        notional = abs(price * float(fill["quantity"]))
        self._open_fills.append(
            (
                sent.day,
                sent.symbol,
                sent.sign,
                price,
                mid,
                sent.half_spread,
                float(fill["cost_usd"]) / notional * _BPS if notional else 0.0,
                sent.modelled_bps,
                bool(fill["is_aggressive"]),
            )
        )
        sent.fill_price = price if sent.fill_price is None else sent.fill_price
        sent.filled_at = fill["filled_at"] if sent.filled_at is None else sent.filled_at
        for strategy, part in sent.shares:
            _add(self._tally.costs, strategy, part * notional * sent.modelled_bps / _BPS)

    def _follow_session(self, frame: Frame, *, is_known: bool) -> None:
        if frame.meta["event"] != "ended":
            if self._mids:  # the session before broke off: its orders are seen to its last quote
                self._close_orders()
            return
        self._held = _quantities(frame.meta["book"])
        if is_known or self._nav <= 0.0:
            return
        day, nav, sums = _day(frame), self._nav, self._tally
        for row in frame.meta["results"]:
            name = row["strategy_id"]
            self._accounts.append(
                (
                    day,
                    name,
                    row["pnl"],
                    sums.explained.get(name, 0.0) / nav,
                    sums.costs.get(name, 0.0) / nav,
                    sums.orders.get(name, 0.0),
                    sums.errors.get(name, 0.0),
                )
            )
        self._tally = _Tally()
        self._close_orders()
        self._fills += self._open_fills
        self._passive += self._open_passive
        self._open_fills, self._open_passive = [], []

    def _close_orders(self) -> None:
        # A markout needs a quote that much later: orders sent too late in the session say nothing.
        last = self._mids[-1][0] if self._mids else None
        for sent in self._sent.values():
            since = sent.filled_at or sent.at
            if not sent.is_passive or last is None or since + self._markout > last:
                continue
            if sent.fill_price is None:
                self._open_passive.append((sent.day, sent.symbol, False, None))
                continue
            later = next(mids for at, mids in self._mids if at >= since + self._markout)
            if sent.symbol in later:
                gain = sent.sign * (later[sent.symbol] / sent.fill_price - 1.0) * _BPS
                self._open_passive.append((sent.day, sent.symbol, True, gain))
        self._sent, self._mids = {}, []


def gather_evidence(
    read: Callable[[], Iterable[Frame]], *, after: date | None, before: date, markout: timedelta
) -> Evidence:
    """Fold the loop's chain into the evidence of the sessions that ended between two days.

    Parameters
    ----------
    read
        Gives the frames of the loop's chain from the first one; asked twice.
    after, before
        Sessions of days strictly between them; ``after`` None begins with the first.
    markout
        How long after a passive fill its worth is looked at.
    """
    ended = (frame.sequence for frame in read() if after is not None and _ended_by(frame, after))
    fold = EvidenceFold(known=max(ended, default=0), markout=markout)
    for frame in read():
        if "asof" in frame.meta and _day(frame) < before:
            fold.follow(frame)
    return fold.evidence()


def _ended_by(frame: Frame, day: date) -> bool:
    is_end = frame.kind == SESSION_KIND and frame.meta["event"] == "ended"
    return is_end and _day(frame) <= day


def _day(frame: Frame) -> date:
    return date.fromisoformat(frame.meta["asof"])


def _frame(rows: list[tuple[Any, ...]], schema: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


def _quantities(book: Mapping[str, Any]) -> Quantities:
    return {(name, symbol): float(quantity) for name, symbol, quantity in book["holdings"]}


def _marks(quotes: Mapping[str, list[Any]]) -> dict[str, float]:
    told = zip(quotes["symbol"], quotes["mark"], strict=True)
    return {symbol: mark for symbol, mark in told if mark == mark}  # noqa: PLR0124  # NaN


def _mids(quotes: Mapping[str, list[Any]]) -> dict[str, float]:
    told = zip(quotes["symbol"], quotes["bid"], quotes["ask"], quotes["is_valid"], strict=True)
    return {symbol: 0.5 * (bid + ask) for symbol, bid, ask, is_valid in told if is_valid}
