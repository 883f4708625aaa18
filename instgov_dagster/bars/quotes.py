"""Quotes as arrays, which of them may be traded on, and the path of a day inside its bar."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

# When each extreme is visited, as shares of the trading day: never in one leap from another anchor.
_FIRST_EXTREME: Final = (0.05, 0.45)
_SECOND_EXTREME: Final = (0.55, 0.95)
_LEAST_DAY_SECONDS: Final = 60
_HALF: Final = 0.5
# How far the walk strays from the straight line, as a share of the range it may move in.
_NOISE_SHARE: Final = 0.25
# Halvings of a stretch of the day: the last of 16 is shorter than a second of any trading day.
_LEVELS: Final = 16
# The streams of chance of one symbol: one a stretch of the day (0, 1, 2), and one for its anchors.
_ANCHOR_STREAM: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quotes:
    """The best bid and ask of each symbol and when they were seen.

    ``bid``, ``ask`` in the symbol's own currency and ``observed_at`` (us, UTC) have shape
    ``(N,)``; what is missing is NaN or NaT. ``is_open`` tells whose market trades, ``(N,)``; None
    where all do, or none is asked, as at night. The arrays are copied and frozen.
    """

    symbols: tuple[str, ...]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    observed_at: NDArray[np.datetime64]
    is_open: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        for name in ("bid", "ask", "observed_at", "is_open"):
            column = getattr(self, name)
            if column is None:
                continue
            if column.shape != (len(self.symbols),):
                raise ValueError(
                    f"Quotes.{name} must have shape ({len(self.symbols)},), was {column.shape}"
                )
            held = column.copy()
            held.flags.writeable = False
            object.__setattr__(self, name, held)

    def valid_mask(self, now: np.datetime64, max_age_seconds: float) -> NDArray[np.bool_]:
        """Tell which quotes may be traded on, shape ``(N,)``.

        Invalid are: bid above ask, one side or both missing, zero or not finite, older than
        ``max_age_seconds``, seen after ``now``, or of a market that is closed. Bid equal to ask is
        a normal, locked market.

        Notes
        -----
        A negative quote is invalid in every class. CL=F did trade at -37.63, but an order is
        sized by notional over price: below zero nothing can be sized, so nothing is sent.
        """
        with np.errstate(invalid="ignore"):
            is_priced = np.isfinite(self.bid) & np.isfinite(self.ask) & (self.bid > 0)
            is_ordered = self.bid <= self.ask
        moments = self.observed_at.astype("datetime64[us]")
        age = np.asarray(now, dtype="datetime64[us]") - moments
        limit = np.timedelta64(round(max_age_seconds * 1e6), "us")
        # NaT compares false.
        is_fresh = (age >= np.timedelta64(0, "us")) & (age <= limit)
        valid: NDArray[np.bool_] = is_priced & is_ordered & is_fresh
        return valid if self.is_open is None else valid & self.is_open

    def within(self, is_open: NDArray[np.bool_] | None) -> "Quotes":
        """Give the same quotes, told whose market trades; None changes nothing."""
        return self if is_open is None else replace(self, is_open=is_open)

    def mid(self) -> NDArray[np.float64]:
        """Give the middle of bid and ask, shape ``(N,)``; NaN where either is missing."""
        middle: NDArray[np.float64] = self.bid + (self.ask - self.bid) / 2.0
        return middle


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DayPath:
    """Each symbol's mid price over one trading day, told for any instant alone.

    Made by `day_path`. A stretch leads from one anchor to the next: open, one extreme, the other,
    close.

    Attributes
    ----------
    times
        Seconds since the open at which the anchors are passed, ``(4, N)``, never falling.
    values
        Prices of the anchors, ``(4, N)``; NaN where there is no bar.
    keys
        What the chance of each symbol is made of, ``(N,)``.
    """

    times: NDArray[np.int64]
    values: NDArray[np.float64]
    keys: NDArray[np.uint64]

    def at(self, seconds: float) -> NDArray[np.float64]:
        """Give the mid prices so many seconds after the open, ``(N,)``.

        Before the open stands the open, after the close the close.

        Notes
        -----
        A price depends on the anchors passed and on the next one, on nothing after it: until the
        first extreme the walk stays between it and the open, later between both extremes.
        """
        moment = float(np.clip(seconds, 0, self.times[-1].max(initial=0)))
        stretch = (moment >= self.times[1]).astype(np.intp) + (moment >= self.times[2])
        columns = np.arange(stretch.size)
        begin, end = self.times[stretch, columns], self.times[stretch + 1, columns]
        share = (moment - begin) / (end - begin)
        left, right = self.values[stretch, columns], self.values[stretch + 1, columns]
        low, high = np.minimum(left, right), np.maximum(left, right)
        low = np.where(stretch > 0, self.values[1:3].min(axis=0), low)
        high = np.where(stretch > 0, self.values[1:3].max(axis=0), high)
        price = left * (1.0 - share) + right * share
        price += _NOISE_SHARE * (high - low) * _bridge(self.keys, stretch, share)
        # What would leave the range is thrown back from its edge.
        price = np.where(price < low, 2.0 * low - price, price)
        price = np.where(price > high, 2.0 * high - price, price)
        inside: NDArray[np.float64] = np.clip(price, low, high)
        return inside


def day_path(
    open: NDArray[np.float64],  # noqa: A002  # the four words of a bar
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    *,
    day_seconds: int,
    keys: NDArray[np.uint64],
) -> DayPath:
    """Lay each symbol's path through its bar: open, low and high in either order, close.

    Parameters
    ----------
    open, high, low, close
        Shape ``(N,)``. A bar that is not finite gives NaN; one whose high or low does not contain
        its open and close is widened to contain them.
    day_seconds
        Length of the trading day, at least 60. The path is at the open at 0 and at the close from
        here on; both extremes are visited in between, each at a whole second.
    keys
        Shape ``(N,)``: the same key and bar give the same path, whatever the other symbols are.

    Raises
    ------
    ValueError
        If ``day_seconds`` is below 60 or the shapes differ.

    Notes
    -----
    Which extreme comes first, and when, is drawn without looking at the bar. An open that is the
    first extreme has been there already: its path sets out for the second one at once.
    """
    if day_seconds < _LEAST_DAY_SECONDS:
        raise ValueError(f"day_seconds must be >= {_LEAST_DAY_SECONDS}, was {day_seconds}")
    if open.ndim != 1 or not open.shape == high.shape == low.shape == close.shape == keys.shape:
        raise ValueError(
            "open, high, low, close and keys must have one shape (N,), was "
            f"{open.shape}, {high.shape}, {low.shape}, {close.shape}, {keys.shape}"
        )
    bar = np.stack([open, high, low, close])
    whole = np.where(np.isfinite(bar).all(axis=0), bar, np.nan)
    top, bottom = whole.max(axis=0), whole.min(axis=0)
    draws = _uniform(keys, _counter(_ANCHOR_STREAM, 0, np.arange(3)[:, None]))
    is_low_first = draws[0] < _HALF
    first = np.where(is_low_first, bottom, top)
    second = np.where(is_low_first, top, bottom)
    start, end = np.zeros(keys.shape), np.full(keys.shape, day_seconds)
    early = np.floor(day_seconds * _between(_FIRST_EXTREME, draws[1]))
    late = np.floor(day_seconds * _between(_SECOND_EXTREME, draws[2]))
    times = np.stack([start, np.where(first == whole[0], 0, early), late, end])
    return DayPath(
        times=times.astype(np.int64),
        values=np.stack([whole[0], first, second, whole[3]]),
        keys=keys.copy(),
    )


def _between(span: tuple[float, float], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    return span[0] + (span[1] - span[0]) * draws


def _bridge(
    keys: NDArray[np.uint64], stretch: NDArray[np.intp], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    # A Brownian bridge at one point of [0, 1] a symbol: Levy's and Ciesielski's sum of tents, in
    # which a level has one tent over the point, and that tent's height is a hash of where it
    # stands. So any point is told alone, in any order of asking, and no path is stored.
    levels = np.arange(_LEVELS)[:, None]
    scaled = share * np.exp2(levels)
    place = np.floor(scaled)
    tent = 1.0 - np.abs(2.0 * (scaled - place) - 1.0)
    draws = _uniform(keys, _counter(stretch, levels + 1, place.astype(np.int64)))
    # Uniform heights of unit variance, times the deviation of a middle given its ends.
    heights = np.sqrt(12.0) * (draws - _HALF) * np.exp2(-(levels + 2.0) / 2.0)
    # Added level by level: a sum over an axis may take another order where there is one symbol.
    total: NDArray[np.float64] = np.zeros(np.shape(share))
    for part in heights * tent:
        total += part
    return total


def _counter(
    stream: NDArray[np.intp] | int, level: NDArray[np.int64] | int, place: NDArray[np.int64]
) -> NDArray[np.uint64]:
    # No two draws of one symbol share a number.
    number = np.asarray(stream, dtype=np.int64) * 2**40 + np.asarray(level) * 2**32 + place
    counters: NDArray[np.uint64] = number.astype(np.uint64) + np.uint64(1)
    return counters


def _uniform(keys: NDArray[np.uint64], counters: NDArray[np.uint64]) -> NDArray[np.float64]:
    # SplitMix64 at a given place of its stream, in [0, 1): Steele, Lea and Flood (2014), OOPSLA.
    mixed = keys + counters * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    share: NDArray[np.float64] = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return share
