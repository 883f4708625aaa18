"""The four market observations the regime filter reads, session by session; no belief here."""

from bisect import bisect_right, insort_right
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.vocabulary.policy.beliefs import RegimePolicy

Floats = NDArray[np.float64]

# a column that scatters by less than a thousandth of a basis point a session is a constant
_CONSTANT_RETURN = 1e-7

SIGNAL_SCHEMA = pl.Schema(
    {
        "session": pl.Date,
        "spy_ma200_position": pl.Float64,
        "volatility_annual": pl.Float64,
        "volatility_percentile": pl.Float64,
        "vix_level": pl.Float64,
        "correlation_spike": pl.Float64,
        "vix_age_sessions": pl.Int64,
        "spy_age_sessions": pl.Int64,
    }
)


class Carried(NamedTuple):
    """A series carried over its gaps, and how many sessions old each value is."""

    values: Floats
    age_sessions: NDArray[np.int64]


def carry_forward(values: Floats, *, sessions: int) -> Carried:
    """Carry the last positive finite value over at most ``sessions`` missing ones.

    Parameters
    ----------
    values
        Shape ``(T,)``; NaN, infinite and non-positive entries count as missing.
    sessions
        The longest gap that is bridged; past it the value is NaN.

    Notes
    -----
    A series that has not begun is as old as the panel, plus one session.
    """
    n_sessions = values.shape[0]
    seen = np.where(np.isfinite(values) & (values > 0), np.arange(n_sessions), -1)
    last = np.maximum.accumulate(seen) if n_sessions else seen
    age = np.where(last >= 0, np.arange(n_sessions) - last, n_sessions + 1)
    carried = np.where(age <= sessions, values[np.maximum(last, 0)], np.nan)
    return Carried(carried, age.astype(np.int64))


def _rolling_mean(values: Floats, window: int) -> Floats:
    means = np.full(values.shape[0], np.nan)
    if values.shape[0] >= window:
        windows = np.lib.stride_tricks.sliding_window_view(values, window)
        means[window - 1 :] = windows.mean(axis=1)
    return means


def _rolling_volatility(spy: Floats, *, window: int, sessions_per_year: int) -> Floats:
    volatility = np.full(spy.shape[0], np.nan)
    if spy.shape[0] > window:
        returns = np.diff(np.log(spy))
        windows = np.lib.stride_tricks.sliding_window_view(returns, window)
        volatility[window:] = windows.std(axis=1, ddof=1) * np.sqrt(sessions_per_year)
    return volatility


def percentile_of_latest(values: Floats, *, min_history: int) -> Floats:
    """Rank each value within all values held up to it, as the share not above it.

    Parameters
    ----------
    values
        Shape ``(T,)``; NaN entries are no history and have no rank.
    min_history
        Values that must be held, the ranked one included; before that the rank is NaN.
    """
    held = np.isfinite(values)
    ordered: list[float] = []
    below = np.zeros(values.shape[0], dtype=np.int64)
    for place in np.flatnonzero(held).tolist():
        value = float(values[place])
        insort_right(ordered, value)
        below[place] = bisect_right(ordered, value)
    count = np.cumsum(held)
    has_rank = held & (count >= min_history)
    return np.where(has_rank, below / np.maximum(count, 1), np.nan)


def average_correlation(returns: Floats, *, window: int) -> Floats:
    """Average the pairwise correlations of the columns over each trailing window.

    Parameters
    ----------
    returns
        Shape ``(T, N)``; a column takes part in a window it fills with finite, varying values.
    window
        Sessions in a window.

    Returns
    -------
    Shape ``(T,)``; NaN where fewer than two columns take part.

    Notes
    -----
    The sum of all entries of a correlation matrix is the variance of the sum of the
    standardised columns, so no matrix is formed: ``(Var(sum z) - n) / (n (n - 1))``.
    """
    n_sessions = returns.shape[0]
    averages = np.full(n_sessions, np.nan)
    finite = np.isfinite(returns)
    filled = np.where(finite, returns, 0.0)
    zero = np.zeros((1, returns.shape[1]))
    observed = np.vstack([zero, np.cumsum(finite, axis=0)])
    sums = np.vstack([zero, np.cumsum(filled, axis=0)])
    squares = np.vstack([zero, np.cumsum(filled * filled, axis=0)])
    if n_sessions < window:
        return averages
    mean = (sums[window:] - sums[:-window]) / window
    scale = np.sqrt(np.maximum((squares[window:] - squares[:-window]) / window - mean**2, 0.0))
    takes_part = (observed[window:] - observed[:-window] == window) & (scale > _CONSTANT_RETURN)
    count = takes_part.sum(axis=1)
    weights = np.where(takes_part, 1.0 / np.maximum(scale, _CONSTANT_RETURN), 0.0)
    # (windows, window): the standardised columns of each window, added up
    windows = np.lib.stride_tricks.sliding_window_view(filled, window, axis=0)
    total = np.matmul(weights[:, None, :], windows)[:, 0, :]
    pairs = np.maximum(count * (count - 1), 1)
    averages[window - 1 :] = np.where(count >= 2, (total.var(axis=1) - count) / pairs, np.nan)
    return averages


def _simple_returns(prices: Floats) -> Floats:
    usable = np.where(np.isfinite(prices) & (prices > 0), prices, np.nan)
    returns = np.full(prices.shape, np.nan)
    returns[1:] = usable[1:] / usable[:-1] - 1.0
    return returns


def _require_aligned(dates: NDArray[np.datetime64], spy: Floats, vix: Floats, n: int) -> None:
    n_sessions = dates.shape[0]
    if n_sessions == 0:
        raise ValueError("dates must hold at least one session, was empty")
    if not bool(np.all(dates[1:] > dates[:-1])):
        raise ValueError("dates must increase strictly")
    for name, length in (("spy", spy.shape[0]), ("vix", vix.shape[0]), ("prices", n)):
        if length != n_sessions:
            raise ValueError(f"{name} must have {n_sessions} sessions, had {length}")


def market_signals(
    dates: NDArray[np.datetime64],
    spy: Floats,
    vix: Floats,
    prices: Floats,
    *,
    policy: RegimePolicy,
) -> pl.DataFrame:
    """Observe the market each session, from it and those before it only (roadmap 7.2).

    Parameters
    ----------
    dates, spy, vix
        Shape ``(T,)``, increasing sessions and their closes; NaN where a session has none.
    prices
        Shape ``(T, N)``, the STOCKS whose average correlation is watched.
    policy
        Windows and the longest gap that is bridged.

    Returns
    -------
    One row a session (``SIGNAL_SCHEMA``), null where a window is not filled; the percentile and
    ``volatility_annual`` are one observation in two units. ``spy_ma200_position`` = SPY / mean of
    200 closes - 1; ``correlation_spike`` = average correlation of 21 sessions less that of 252.

    Raises
    ------
    ValueError
        If the sessions are empty, out of order or not those of the series.
    """
    _require_aligned(dates, spy, vix, prices.shape[0])
    vix_carried, spy_carried = (
        carry_forward(closes, sessions=policy.input_carry_sessions) for closes in (vix, spy)
    )
    spy_mean = _rolling_mean(spy_carried.values, policy.ma_sessions)
    volatility = _rolling_volatility(
        spy_carried.values,
        window=policy.volatility_sessions,
        sessions_per_year=policy.sessions_per_year,
    )
    # a flat series has no log volatility
    volatility = np.where(volatility > 0, volatility, np.nan)
    percentile = percentile_of_latest(volatility, min_history=policy.volatility_history_sessions)
    recent, reference = (
        average_correlation(_simple_returns(prices), window=window)
        for window in (policy.correlation_sessions, policy.correlation_reference_sessions)
    )
    columns = {
        "session": dates.astype("datetime64[D]"),
        "spy_ma200_position": spy_carried.values / spy_mean - 1.0,
        "volatility_annual": np.where(np.isfinite(percentile), volatility, np.nan),
        "volatility_percentile": percentile,
        "vix_level": vix_carried.values,
        "correlation_spike": recent - reference,
        "vix_age_sessions": vix_carried.age_sessions,
        "spy_age_sessions": spy_carried.age_sessions,
    }
    return pl.DataFrame(columns).cast(SIGNAL_SCHEMA).fill_nan(None)
