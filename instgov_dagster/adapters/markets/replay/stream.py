"""The quote stream of a replayed day: real minutes where the file has them, the walk elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.adapters.markets.quote_stream import BridgedQuotes, SessionSpan
from instgov_dagster.adapters.markets.replay.minute_quotes import MINUTE, Minutes
from instgov_dagster.bars.calendars import xnys_close, xnys_open
from instgov_dagster.bars.quotes import Quotes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReplayedQuotes:
    """Real quotes on the virtual clock, beside the walk of the symbols that have none.

    Attributes
    ----------
    walked
        The walk through the day's bars, at the pace of the clock.
    minutes
        The minutes of each replayed symbol by its place in every array, in the bars' prices.
    bar_low, bar_high
        ``(n,)``: of a replayed symbol the least bid and the greatest ask of the session.
    """

    walked: BridgedQuotes
    minutes: Mapping[int, Minutes]
    bar_low: NDArray[np.float64]
    bar_high: NDArray[np.float64]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols quoted, in the order of every array."""
        return self.walked.symbols

    @property
    def replayed(self) -> tuple[str, ...]:
        """The symbols whose quotes are real."""
        return tuple(self.symbols[place] for place in sorted(self.minutes))

    def instant(self, cycle: int) -> datetime:
        """Give the virtual instant of a cycle, UTC."""
        return self.walked.instant(cycle)

    def quotes_at(self, cycle: int) -> Quotes:
        """Give the quotes of one cycle; they tell nothing of later ones.

        Notes
        -----
        The file samples the book once a minute. A sample is known when its minute is over, and
        the feed vouches for it until the next one is due: so long it is as old as now. Where the
        next one does not come it ages from then on, and the loop's own rule refuses it.
        """
        base = self.walked.quotes_at(cycle)
        now = np.datetime64(self.instant(cycle).replace(tzinfo=None), "us")
        bid, ask, seen = base.bid.copy(), base.ask.copy(), base.observed_at.copy()
        for place, rows in self.minutes.items():
            row = int(np.searchsorted(rows.known_at, now, side="right")) - 1
            if row < 0:
                bid[place], ask[place], seen[place] = np.nan, np.nan, np.datetime64("NaT")
                continue
            bid[place], ask[place] = rows.bid[row], rows.ask[row]
            seen[place] = min(now, rows.known_at[row] + MINUTE)
        return Quotes(symbols=self.symbols, bid=bid, ask=ask, observed_at=seen)


def at_the_clocks_pace(span: SessionSpan) -> SessionSpan:
    """Let a day's bars be walked as long as the exchange trades: real minutes cannot be hurried."""
    length = (xnys_close(span.day) - xnys_open(span.day)).total_seconds()
    return replace(span, day_cycles=max(round(length / span.period_seconds), 4))


def replayed_stream(
    walked: BridgedQuotes, minutes: Mapping[str, Minutes], day_bars: pl.DataFrame
) -> ReplayedQuotes:
    """Put real minutes in the place of the walk, in the prices of the day's bars.

    Parameters
    ----------
    minutes
        By symbol; each was quoted at least once.
    day_bars
        At most one bar a symbol.

    Notes
    -----
    Vendor bars are often adjusted for what came later (a split, dividends), quotes never are. One
    factor a symbol and day brings them into the bars' prices: the bar's open over the first mid
    price that may be traded on. It is known when that quote is, keeps every spread in basis points
    and every return, and makes the first quote the open of the day's bar, as for a walked symbol.
    Without a bar nothing says in which prices the folder is, and no quote is valid.
    """
    opens = dict(day_bars.select("symbol", pl.col("open").cast(pl.Float64)).iter_rows())
    low, high = walked.bar_low.copy(), walked.bar_high.copy()
    scaled = {}
    for symbol, rows in minutes.items():
        place = walked.symbols.index(symbol)
        factor = _factor(opens.get(symbol), rows, walked.span.instant(0))
        scaled[place] = _times(rows, factor)
        low[place], high[place] = _range(scaled[place])
    return ReplayedQuotes(walked=walked, minutes=scaled, bar_low=low, bar_high=high)


def _factor(bar_open: float | None, rows: Minutes, opened: datetime) -> float:
    with np.errstate(invalid="ignore"):
        is_good = np.isfinite(rows.ask) & (rows.bid > 0) & (rows.bid <= rows.ask)
    start = np.datetime64(opened.replace(tzinfo=None), "us")
    # The one that stands at the open, if it does, else the first that comes.
    is_latest = np.append(rows.known_at[1:] > start, [True])  # a mask
    usable = is_good & is_latest & (rows.known_at + MINUTE >= start)
    if bar_open is None or not bar_open > 0 or not usable.any():
        return float("nan")
    first = int(np.flatnonzero(usable)[0])
    return float(bar_open / (rows.bid[first] + (rows.ask[first] - rows.bid[first]) / 2.0))


def _times(rows: Minutes, factor: float) -> Minutes:
    return Minutes(
        known_at=rows.known_at,
        bid=rows.bid * factor,
        ask=rows.ask * factor,
        low=rows.low * factor,
        high=rows.high * factor,
    )


def _range(rows: Minutes) -> tuple[float, float]:
    # Zero is a side that is not there, not a price.
    sides = np.concatenate([rows.low, rows.high, rows.bid, rows.ask])
    real = sides[np.isfinite(sides) & (sides > 0)]
    return (float(real.min()), float(real.max())) if real.size else (np.nan, np.nan)
