"""The live quotes of a session: a thread asks, a cycle reads what was last seen and never waits."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.adapters.markets.live.alpaca.quotes import SeenQuotes
from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.vocabulary.reasons import ReasonCode

Floats = NDArray[np.float64]


class QuoteSource(Protocol):
    """Whoever gives the latest quotes."""

    def latest(self) -> SeenQuotes:
        """Ask once for all symbols."""
        ...


class QuoteFeed:
    """What was last seen of every symbol, asked for beside the cycles; enter it to begin.

    A symbol nobody quotes stays without a quote, and a quote that is not renewed grows old: both
    make it `QUOTE_INVALID` in a cycle. The range of the day is that of the quotes seen, from the
    last close on.

    Parameters
    ----------
    last_closes
        By symbol; a symbol without one has no range before its first quote.
    period_seconds
        Between the beginnings of two rounds of asking.
    """

    def __init__(
        self,
        source: QuoteSource,
        symbols: Sequence[str],
        *,
        last_closes: Mapping[str, float],
        start: datetime,
        period_seconds: float,
    ) -> None:
        self._source = source
        self._symbols = tuple(symbols)
        self._place = {symbol: n for n, symbol in enumerate(self._symbols)}
        self._start = start
        self._period = period_seconds
        n = len(self._symbols)
        self._bid = np.full(n, np.nan)
        self._ask = np.full(n, np.nan)
        self._seen = np.full(n, np.datetime64("NaT"), dtype="datetime64[us]")
        closes = [last_closes.get(symbol, np.nan) for symbol in self._symbols]
        self._low = np.array(closes, dtype=np.float64)
        self._high = self._low.copy()
        self._refused: Mapping[str, ReasonCode] = {}
        self._lock = Lock()
        self._ending = Event()
        self._thread = Thread(target=self._go_on, name="quotes", daemon=True)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols quoted, in the order of every array."""
        return self._symbols

    @property
    def bar_low(self) -> Floats:
        """The least mid seen so far, ``(n,)``; before the first the last close."""
        with self._lock:
            return self._low.copy()

    @property
    def bar_high(self) -> Floats:
        """The greatest mid seen so far, ``(n,)``; before the first the last close."""
        with self._lock:
            return self._high.copy()

    @property
    def replayed(self) -> tuple[str, ...]:
        """No symbol's quotes come from a file."""
        return ()

    @property
    def refused(self) -> Mapping[str, ReasonCode]:
        """Why the last round brought no quote of a symbol that was asked for."""
        with self._lock:
            return dict(self._refused)

    def instant(self, cycle: int) -> datetime:
        """Give the instant of a cycle, UTC."""
        return self._start + timedelta(seconds=cycle * self._period)

    def quotes_at(self, cycle: int) -> Quotes:  # noqa: ARG002  # the market's own time is the only one
        """Give what was last seen; the quotes say when, and whoever reads them judges their age."""
        with self._lock:
            return Quotes(
                symbols=self._symbols, bid=self._bid, ask=self._ask, observed_at=self._seen
            )

    def ask_once(self) -> None:
        """Ask for all quotes once and remember what came; a refusal leaves what was known."""
        seen = self._source.latest()
        with self._lock:
            self._refused = seen.refused
            for symbol, quote in seen.quotes.items():
                n = self._place[symbol]
                self._bid[n], self._ask[n] = quote.bid, quote.ask
                self._seen[n] = np.datetime64(quote.observed_at.replace(tzinfo=None), "us")
                self._widen(n, quote.bid, quote.ask)

    def _widen(self, n: int, bid: float, ask: float) -> None:
        if 0 < bid <= ask < np.inf:  # NaN compares false
            mid = (bid + ask) / 2.0
            self._low[n] = np.fmin(self._low[n], mid)
            self._high[n] = np.fmax(self._high[n], mid)

    def __enter__(self) -> Self:
        self.ask_once()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()  # a question under way is answered to nobody: the next leader waits

    def _go_on(self) -> None:
        # A round that fails in a way nobody foresaw ends the thread: the quotes grow old, and old
        # quotes are not traded on.
        while not self._ending.wait(self._period):
            self.ask_once()
