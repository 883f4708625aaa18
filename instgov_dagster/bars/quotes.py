"""Quotes as arrays, which of them may be traded on, and the path of a day inside its bar."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Open, two extremes and close: a day of fewer cycles cannot visit them all.
_ANCHORS: Final = 4
# How far the walk strays from the straight line, as a share of the bar's range.
_NOISE_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quotes:
    """The best bid and ask of each symbol and when they were seen.

    ``bid``, ``ask`` in the symbol's own currency and ``observed_at`` (us, UTC) have shape
    ``(N,)``; what is missing is NaN or NaT. The arrays are copied and frozen.
    """

    symbols: tuple[str, ...]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    observed_at: NDArray[np.datetime64]

    def __post_init__(self) -> None:
        for name in ("bid", "ask", "observed_at"):
            column = getattr(self, name)
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
        ``max_age_seconds``, or seen after ``now``. Bid equal to ask is a normal, locked market.

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
        return valid

    def mid(self) -> NDArray[np.float64]:
        """Give the middle of bid and ask, shape ``(N,)``; NaN where either is missing."""
        middle: NDArray[np.float64] = self.bid + (self.ask - self.bid) / 2.0
        return middle


def bridge_day(
    open: NDArray[np.float64],  # noqa: A002  # the four words of a bar
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    *,
    cycles: int,
    seed: int,
) -> NDArray[np.float64]:
    """Walk each symbol's mid price through its bar: open, low and high in either order, close.

    Parameters
    ----------
    open, high, low, close
        Shape ``(N,)``. A bar that is not finite gives NaN; one whose high or low does not contain
        its open and close is widened to contain them.
    cycles
        Points of the path, at least 1. The first is the open, the last (of two or more) the
        close; from four on, low and high are both visited.
    seed
        The same seed and bars give the same path.

    Returns
    -------
    NDArray[np.float64]
        Shape ``(cycles, N)``, every point inside the bar.

    Raises
    ------
    ValueError
        If ``cycles`` is below 1 or the shapes differ.
    """
    if cycles < 1:
        raise ValueError(f"cycles must be >= 1, was {cycles}")
    if open.ndim != 1 or not open.shape == high.shape == low.shape == close.shape:
        raise ValueError(
            "open, high, low and close must have one shape (N,), was "
            f"{open.shape}, {high.shape}, {low.shape}, {close.shape}"
        )
    bar = np.stack([open, high, low, close])
    whole = np.where(np.isfinite(bar).all(axis=0), bar, np.nan)
    top, bottom = whole.max(axis=0), whole.min(axis=0)
    if cycles == 1:
        return whole[:1].copy()
    generator = np.random.default_rng(seed)
    times, values = _anchors(whole, top, bottom, cycles, generator)
    path = _interpolate(times, values, cycles)
    path += _noise(times, cycles, generator) * (_NOISE_SHARE * (top - bottom))
    np.clip(path, bottom, top, out=path)
    _pin(path, times, values)
    return path


def _anchors(
    bar: NDArray[np.float64],
    top: NDArray[np.float64],
    bottom: NDArray[np.float64],
    cycles: int,
    generator: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    # When and where the path is pinned, both (anchors, N). Either extreme may come first.
    n = bar.shape[1]
    is_low_first = generator.random(n) < 0.5
    first = np.where(is_low_first, bottom, top)
    second = np.where(is_low_first, top, bottom)
    inner = min(cycles, _ANCHORS) - 2
    places = [np.zeros(n, dtype=np.int64)]
    if inner:
        # Each extreme falls into its own stretch of the inner cycles 1 ... cycles - 2.
        edges = 1 + np.arange(inner + 1) * (cycles - 2) // inner
        places += [
            edges[i] + np.floor(generator.random(n) * (edges[i + 1] - edges[i])).astype(np.int64)
            for i in range(inner)
        ]
    places.append(np.full(n, cycles - 1, dtype=np.int64))
    values = [bar[0], *(first, second)[:inner], bar[3]]
    return np.stack(places), np.stack(values)


def _interpolate(
    times: NDArray[np.int64], values: NDArray[np.float64], cycles: int
) -> NDArray[np.float64]:
    # Straight lines between the anchors.
    ticks = np.arange(cycles)[:, None]
    path = np.repeat(values[:1], cycles, axis=0)
    for i in range(times.shape[0] - 1):
        share = (ticks - times[i]) / (times[i + 1] - times[i])
        inside = (ticks > times[i]) & (ticks <= times[i + 1])
        path = np.where(inside, values[i] + share * (values[i + 1] - values[i]), path)
    return path


def _noise(
    times: NDArray[np.int64], cycles: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    # A random walk of unit variance over the day, tied to zero at every anchor.
    n = times.shape[1]
    walk = np.cumsum(generator.standard_normal((cycles, n)), axis=0) / np.sqrt(cycles)
    held = np.take_along_axis(walk, times, axis=0)
    tied: NDArray[np.float64] = walk - _interpolate(times, held, cycles)
    return tied


def _pin(path: NDArray[np.float64], times: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    # Rounding may not move an anchor: the day begins at its open and ends at its close.
    for time, value in zip(times, values, strict=True):
        np.put_along_axis(path, time[None, :], value[None, :], axis=0)
