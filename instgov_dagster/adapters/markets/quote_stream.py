"""Quotes on the virtual clock: from the open of the day's bar to its close, never ahead of it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.adapters.markets.simulation.quote_defects import (
    NO_DEFECTS,
    QuoteDefect,
    QuoteDefects,
    draw_defects,
)
from instgov_dagster.bars.calendars import xnys_close, xnys_open
from instgov_dagster.bars.quotes import DayPath, Quotes, day_path
from instgov_dagster.vocabulary.checks import check_bounds, number
from instgov_dagster.vocabulary.errors import InputError

_BPS = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpan:
    """A session on the virtual clock: whose day it is, which of its cycles, how far apart.

    Cycle 0 of a day stands at the open of the New York exchange on ``day`` or on the next day it
    trades, whatever the session. A session leads ``cycles`` of them from ``first_cycle`` on, so
    that one may go on where another ended. The day's whole bar is walked in ``day_cycles`` of
    them, so that a session short enough to wait for sees the market move; later prices stand.
    """

    day: date
    cycles: int = number(ge=1)
    period_seconds: float = number(1.0, gt=0)
    seed: int = number(ge=0)
    first_cycle: int = number(0, ge=0)
    day_cycles: int = number(600, ge=4)

    def __post_init__(self) -> None:
        check_bounds(self)

    def numbers(self) -> range:
        """Give the numbers of the session's cycles, counted from the open of the day."""
        return range(self.first_cycle, self.first_cycle + self.cycles)

    def instant(self, cycle: int) -> datetime:
        """Give the virtual instant of a cycle of the day, UTC; cycle 0 stands at the open."""
        if cycle < 0:
            raise ValueError(f"cycle must be >= 0, was {cycle}")
        return xnys_open(self.day) + timedelta(seconds=cycle * self.period_seconds)


class QuoteStream(Protocol):
    """The quotes of one day, cycle by cycle, counted from its open."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols quoted, in the order of every array."""
        ...

    @property
    def replayed(self) -> tuple[str, ...]:
        """The symbols whose quotes are real ones, seen on that day; the others are simulated."""
        ...

    @property
    def bar_low(self) -> NDArray[np.float64]:
        """The least price of the day's bar, ``(n,)``; the last close where there is none."""
        ...

    @property
    def bar_high(self) -> NDArray[np.float64]:
        """The greatest price of the day's bar, ``(n,)``; the last close where there is none."""
        ...

    def instant(self, cycle: int) -> datetime:
        """Give the virtual instant of a cycle, UTC."""
        ...

    def quotes_at(self, cycle: int) -> Quotes:
        """Give the quotes of one cycle; they tell nothing of later ones."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgedQuotes:
    """The quote stream of the markets `simulated` and `files`.

    Attributes
    ----------
    path, day_seconds
        The mid prices of the day, NaN for a symbol without bar and without last close; and how
        long the exchange trades on it.
    half_spreads
        Fractions of the price, ``(n_symbols,)``; NaN where unknown, which makes no valid quote.
    """

    symbols: tuple[str, ...]
    span: SessionSpan
    bar_low: NDArray[np.float64]
    bar_high: NDArray[np.float64]
    path: DayPath
    day_seconds: int
    half_spreads: NDArray[np.float64]
    defects: QuoteDefects
    replayed: tuple[str, ...] = ()

    def instant(self, cycle: int) -> datetime:
        """Give the virtual instant of a cycle, UTC."""
        return self.span.instant(cycle)

    def quotes_at(self, cycle: int) -> Quotes:
        """Give the quotes of one cycle; they tell nothing of later ones."""
        now = np.datetime64(self.span.instant(cycle).replace(tzinfo=None), "us")
        mid = self.path.at(cycle / self.span.day_cycles * self.day_seconds)
        reach = np.abs(mid) * self.half_spreads
        bid, ask = mid - reach, mid + reach
        seen: NDArray[np.datetime64] = np.full(mid.size, now)
        kinds = draw_defects(
            self.defects,
            seed=self.span.seed,
            day=self.span.day,
            cycle=cycle,
            n_symbols=mid.size,
        )
        if kinds.any():
            bid, ask, seen = _spoil(kinds, bid, ask, seen, self.defects)
        return Quotes(symbols=self.symbols, bid=bid, ask=ask, observed_at=seen)


def bridged_stream(
    symbols: Sequence[str],
    day_bars: pl.DataFrame,
    span: SessionSpan,
    *,
    last_closes: Mapping[str, float],
    half_spread_bps: Mapping[str, float],
    defects: QuoteDefects = NO_DEFECTS,
) -> BridgedQuotes:
    """Open the quotes of one session.

    Parameters
    ----------
    day_bars
        At most one bar a symbol: the day's own, which the night before did not know.
    last_closes
        The last close the night knew of each symbol: where there is no bar, the price stands.
    half_spread_bps
        Half the spread of each symbol.

    Raises
    ------
    InputError
        If the day's bars hold a symbol twice.
    """
    names = tuple(symbols)
    if day_bars["symbol"].is_duplicated().any():
        raise InputError("the day's bars must hold each symbol once, was twice")
    last = np.array([last_closes.get(name, np.nan) for name in names], dtype=np.float64)
    spreads = np.array([half_spread_bps.get(name, np.nan) for name in names], dtype=np.float64)
    bars = _bar_matrix(names, day_bars)
    is_held = np.isfinite(bars).all(axis=0)
    bars = np.where(is_held, bars, last)
    low, high = bars.min(axis=0), bars.max(axis=0)
    length = xnys_close(span.day) - xnys_open(span.day)
    path = day_path(
        bars[0],
        high,
        low,
        bars[3],
        day_seconds=int(length.total_seconds()),
        keys=np.array([_key(span, name) for name in names], dtype=np.uint64),
    )
    return BridgedQuotes(
        symbols=names,
        span=span,
        bar_low=low,
        bar_high=high,
        path=path,
        day_seconds=int(length.total_seconds()),
        half_spreads=np.where(spreads >= 0, spreads, np.nan) / _BPS,
        defects=defects,
    )


def _bar_matrix(names: tuple[str, ...], day_bars: pl.DataFrame) -> NDArray[np.float64]:
    # Open, high, low, close by symbol, shape (4, n); a column of NaN where there is no bar.
    prices = ("open", "high", "low", "close")
    place = {name: n for n, name in enumerate(day_bars["symbol"].to_list())}
    held = day_bars.select(prices).cast(pl.Float64).fill_null(np.nan).to_numpy().T
    matrix = np.full((len(prices), len(names)), np.nan)
    at = np.array([place.get(name, -1) for name in names], dtype=np.intp)
    matrix[:, at >= 0] = held[:, at[at >= 0]]
    return matrix


def _key(span: SessionSpan, symbol: str) -> int:
    text = f"path|{span.seed}|{span.day.isoformat()}|{symbol}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _spoil(
    kinds: NDArray[np.int8],
    bid: NDArray[np.float64],
    ask: NDArray[np.float64],
    seen: NDArray[np.datetime64],
    defects: QuoteDefects,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.datetime64]]:
    number_of = {kind: place + 1 for place, kind in enumerate(QuoteDefect)}
    crossed = kinds == number_of[QuoteDefect.CROSSED]
    bid, ask = np.where(crossed, ask * (1.0 + 1.0 / _BPS), bid), np.where(crossed, bid, ask)
    bid = np.where(kinds == number_of[QuoteDefect.ONE_SIDED], 0.0, bid)
    middle = bid + (ask - bid) / 2.0
    locked = kinds == number_of[QuoteDefect.LOCKED]
    bid, ask = np.where(locked, middle, bid), np.where(locked, middle, ask)
    missing = kinds == number_of[QuoteDefect.MISSING]
    late = np.timedelta64(round(defects.stale_seconds * 1e6), "us")
    seen = np.where(kinds == number_of[QuoteDefect.STALE], seen - late, seen)
    return np.where(missing, np.nan, bid), np.where(missing, np.nan, ask), seen
