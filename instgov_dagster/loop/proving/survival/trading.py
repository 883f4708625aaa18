"""A session on paper: planned orders through the day's bar, what they cost, what came of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

import numpy as np
import polars as pl

from instgov_dagster.bars.calendars import xnys_close, xnys_open
from instgov_dagster.capital.execution.simulator import (
    QuotePath,
    SliceMarket,
    SliceOutcome,
    path_of_bar,
    simulate_plan,
)
from instgov_dagster.loop.cycle import CycleDecision
from instgov_dagster.loop.decision.book import Book, BookChange, Shares, apply_changes
from instgov_dagster.loop.decision.conditions import execution_regime
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.live.orders import shares_of
from instgov_dagster.vocabulary.audit import OrderSide
from instgov_dagster.vocabulary.capital import OrderStyle, PlannedOrder
from instgov_dagster.vocabulary.config import Policy

#: Quotes of a session's path: one every five minutes of a full day.
QUOTES: Final = 79
_BPS: Final = 1e4
_NOTHING: Final = Decimal(0)
Prices = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traded:
    """What a session's orders did.

    Attributes
    ----------
    changes
        Fills as changes of the book, in the plan's order.
    fills, passive
        Rows of `FILL_SCHEMA` and `PASSIVE_SCHEMA`, for the vetoes.
    explained
        By strategy, USD: what its fills gained from the mid they met to the close.
    costs
        By strategy, USD: what the model said they would cost.
    orders, errors
        By strategy: its share of the orders that ended, and of those refused.
    spent
        USD that the fills cost against their mids, impact included.
    turnover
        USD bought and sold.
    """

    changes: tuple[BookChange, ...]
    fills: list[tuple[Any, ...]]
    passive: list[tuple[Any, ...]]
    explained: Mapping[str, float]
    costs: Mapping[str, float]
    orders: Mapping[str, float]
    errors: Mapping[str, float]
    n_fills: int
    spent: float
    turnover: float


def bar_prices(bars: pl.DataFrame) -> dict[str, Prices]:
    """Give open, high, low and close of each symbol's bar, high and low widened to hold the rest.

    A bar with a price that is not finite or not positive is none that can be traded in.
    """
    out = {}
    rows = bars.select("symbol", "open", "high", "low", "close").iter_rows()
    for symbol, opened, high, low, close in rows:
        bar = (opened, high, low, close)
        if all(price is not None and np.isfinite(price) and price > 0.0 for price in bar):
            out[symbol] = (opened, max(bar), min(bar), close)
    return out


def trade_session(
    snapshot: Snapshot,
    decision: CycleDecision,
    book: Book,
    bars: Mapping[str, Prices],
    *,
    policy: Policy,
) -> Traded:
    """Execute a session's plan inside the day's bars.

    Parameters
    ----------
    book
        What is held once the strategies' transfers are done.
    bars
        The day's bars; a symbol without one is not traded.
    """
    orders = decision.orders
    if not orders:
        return _Ledger(snapshot, decision, {}, policy).close((), {})
    day = snapshot.asof
    seconds = (xnys_close(day) - xnys_open(day)).total_seconds()
    places = {symbol: n for n, symbol in enumerate(snapshot.symbols)}
    units = dict.fromkeys(snapshot.symbols, _NOTHING)
    for row in book.holdings:
        units[row.symbol] += row.quantity
    paths: dict[str, QuotePath] = {}
    markets: dict[str, SliceMarket] = {}
    for symbol in {order.symbol for order in orders} & set(bars):
        n = places[symbol]
        paths[symbol] = path_of_bar(
            bars[symbol],
            half_spread_bps=float(decision.valued.half_spread_bps[n]),
            session_seconds=seconds,
            n_quotes=QUOTES,
        )
        markets[symbol] = SliceMarket(
            adv_usd=float(snapshot.adv_usd[n]),
            volatility_annual=float(snapshot.volatility_annual[n]),
            regime=execution_regime(snapshot),
            held=units[symbol],
            traded=_NOTHING,
        )
    outcomes = simulate_plan(orders, paths, markets, policy=policy.impact)
    shares = {
        (o.symbol, o.side): shares_of(decision, book, o.symbol, OrderSide(o.side.value))
        for o in orders
    }
    affordable, refused = _affordable(outcomes, book)
    ledger = _Ledger(snapshot, decision, paths, policy)
    for outcome in outcomes:
        ledger.take(
            outcome,
            shares[(outcome.order.symbol, outcome.order.side)],
            is_refused=outcome.order.sequence in refused,
        )
    return ledger.close(
        [outcome for outcome in outcomes if outcome.order.sequence in affordable], shares
    )


def _affordable(
    outcomes: Sequence[SliceOutcome], book: Book
) -> tuple[frozenset[int], frozenset[int]]:
    # As they happened: a purchase that the cash of its moment does not pay for is refused.
    cash, done, refused = book.cash_usd, set(), set()
    in_time = sorted(outcomes, key=lambda o: (o.at_seconds or 0.0, o.order.sequence))
    for outcome in in_time:
        if outcome.price is None:
            continue
        if cash + outcome.cash_usd < 0:
            refused.add(outcome.order.sequence)
            continue
        cash += outcome.cash_usd
        done.add(outcome.order.sequence)
    return frozenset(done), frozenset(refused)


class _Ledger:
    # Rows for the vetoes and sums by strategy, as the journal's evidence would tell them.
    def __init__(
        self,
        snapshot: Snapshot,
        decision: CycleDecision,
        paths: Mapping[str, QuotePath],
        policy: Policy,
    ) -> None:
        self._day: date = snapshot.asof
        self._markout = 60.0 * policy.veto.markout_minutes
        self._decision, self._paths = decision, paths
        self._places = {symbol: n for n, symbol in enumerate(snapshot.symbols)}
        self._fills: list[tuple[Any, ...]] = []
        self._passive: list[tuple[Any, ...]] = []
        self._sums: dict[str, dict[str, float]] = {
            name: {} for name in ("explained", "costs", "orders", "errors")
        }
        self._spent = self._turnover = 0.0

    def take(self, outcome: SliceOutcome, shares: Shares, *, is_refused: bool) -> None:
        for name, part in shares:
            self._add("orders", name, part)
            if is_refused:
                self._add("errors", name, part)
        if is_refused:
            return
        order, is_passive = outcome.order, outcome.order.style is OrderStyle.PASSIVE_LIMIT
        if outcome.price is None or outcome.mid_price is None or outcome.at_seconds is None:
            if is_passive:
                self._passive.append((self._day, order.symbol, False, None))
            return
        self._fill(order, outcome, float(outcome.price), float(outcome.mid_price), shares)
        if is_passive:
            self._mark_out(order, float(outcome.price), outcome.at_seconds)

    def _fill(
        self, order: PlannedOrder, outcome: SliceOutcome, price: float, mid: float, shares: Shares
    ) -> None:
        quantity, cost = float(outcome.filled), float(outcome.cost_usd)
        sign, notional = float(order.side.sign), abs(price * quantity)
        n = self._places[order.symbol]
        half = float(self._decision.valued.half_spread_bps[n]) / _BPS
        modelled = order.impact.total_cost_bps
        self._fills.append(
            (
                self._day,
                order.symbol,
                sign,
                price,
                mid,
                half * float(self._decision.valued.marks[n]),
                cost / notional * _BPS if notional else 0.0,
                modelled,
                outcome.is_aggressive,
            )
        )
        path = self._paths[order.symbol]
        close = float((path.bid[-1] + path.ask[-1]) / 2.0)
        for name, part in shares:
            self._add("explained", name, part * sign * quantity * (close - mid))
            self._add("costs", name, part * notional * modelled / _BPS)
        self._spent += sign * quantity * (price - mid) + cost
        self._turnover += notional

    def _mark_out(self, order: PlannedOrder, price: float, at: float) -> None:
        # Too late in the session says nothing, as in a live one.
        path = self._paths[order.symbol]
        later = np.flatnonzero(path.seconds >= at + self._markout)
        if later.size:
            mid = float((path.bid[later[0]] + path.ask[later[0]]) / 2.0)
            gain = order.side.sign * (mid / price - 1.0) * _BPS
            self._passive.append((self._day, order.symbol, True, gain))

    def _add(self, kind: str, name: str, value: float) -> None:
        sums = self._sums[kind]
        sums[name] = sums.get(name, 0.0) + value

    def close(
        self, done: Sequence[SliceOutcome], shares: Mapping[tuple[str, Any], Shares]
    ) -> Traded:
        changes = tuple(
            BookChange(
                symbol=outcome.order.symbol,
                quantity=outcome.order.side.sign * outcome.filled,
                cash_usd=outcome.cash_usd,
                shares=shares[(outcome.order.symbol, outcome.order.side)],
            )
            for outcome in done
        )
        return Traded(
            changes=changes,
            fills=self._fills,
            passive=self._passive,
            n_fills=len(changes),
            spent=self._spent,
            turnover=self._turnover,
            **self._sums,
        )


def act_on_corporate_actions(
    book: Book,
    bars: pl.DataFrame,
    before: pl.DataFrame,
    *,
    split_tolerance: float,
) -> tuple[Book, tuple[BookChange, ...], dict[str, float]]:
    """Book the day's splits and dividends on what was held overnight.

    A recorded split multiplies the units where the close moved as it says. A dividend is what the
    vendor's own adjustment says was paid: cash on the units held; where the closes are adjusted
    already there is none, so nothing is counted twice.

    Parameters
    ----------
    bars, before
        The day's bars, and the last bar of each symbol before it.

    Returns
    -------
    The book, the changes in it, and by symbol the ratio of each split.
    """
    units: dict[str, Decimal] = {}
    owners: dict[str, dict[str, Decimal]] = {}
    for row in book.holdings:
        units[row.symbol] = units.get(row.symbol, _NOTHING) + row.quantity
        owners.setdefault(row.symbol, {})[row.strategy_id] = row.quantity
    held = bars.filter(pl.col("symbol").is_in(sorted(units)))
    pairs = held.select("symbol", "close", "adj_close", "split").join(
        before.select("symbol", "close", "adj_close"), on="symbol", suffix="_before"
    )
    changes, ratios = [], {}
    for symbol, close, adjusted, split, close0, adjusted0 in pairs.sort("symbol").iter_rows():
        ratio, income = corporate_action(
            (close0, adjusted0), (close, adjusted), split or 0.0, tolerance=split_tolerance
        )
        whole = units[symbol]
        if not whole or (ratio == 1.0 and income == 0.0):
            continue
        shares = tuple((name, float(part / whole)) for name, part in owners[symbol].items())
        more = (whole * (Decimal(repr(ratio)) - 1)).quantize(_QUANTUM)
        cash = ((whole + more) * Decimal(repr(income))).quantize(_QUANTUM)
        changes.append(BookChange(symbol=symbol, quantity=more, cash_usd=cash, shares=shares))
        if ratio != 1.0:
            ratios[symbol] = ratio
    return apply_changes(book, changes), tuple(changes), ratios


_QUANTUM: Final = Decimal("0.00000001")
# Less than half a basis point is a vendor's rounding, more than half the price is no dividend.
_LEAST_INCOME: Final = 5e-5
_MOST_INCOME: Final = 0.5


def corporate_action(
    before: tuple[float, float], after: tuple[float, float], split: float, *, tolerance: float
) -> tuple[float, float]:
    """Read one day's split ratio and dividend a (new) unit from closes and adjusted closes.

    Parameters
    ----------
    before, after
        Close and adjusted close of the session before and of the day.
    split
        The ratio the vendor recorded, 0 or 1 for none.
    tolerance
        Share by which the close may miss a recorded split.

    Returns
    -------
    The ratio units are multiplied by, and dollars a unit.
    """
    prices = (*before, *after)
    if not all(p is not None and np.isfinite(p) and p > 0.0 for p in prices):
        return 1.0, 0.0
    move, total = after[0] / before[0], after[1] / before[1]
    is_split = split > 0.0 and split != 1.0 and abs(move * split - 1.0) <= tolerance
    # A small split lies within any tolerance of no move: it must also explain more than nothing.
    is_split = is_split and abs(math.log(move * split)) < abs(math.log(move))
    ratio = split if is_split else 1.0
    paid = 1.0 - move * ratio / total
    if not _LEAST_INCOME < paid < _MOST_INCOME:
        return ratio, 0.0
    return ratio, before[0] / ratio * paid
