"""Estimates with their standard errors, from dependent observations; no model is known here."""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
#: The distribution function stated for a standardised outcome.
Law: TypeAlias = Callable[[Floats], Floats]

# the standard deviation of Kolmogorov's law: sqrt(pi^2 / 12 - (pi / 2) ln(2)^2)
_KOLMOGOROV_DEVIATION = math.sqrt(math.pi**2 / 12.0 - 0.5 * math.pi * math.log(2.0) ** 2)

# every so manieth level is worked out at first
_STRIDE = 256
# a distribution function worked out in floating point may fall by so much where it should not
_LEVEL_ROUNDING = 1e-12


class Estimate(NamedTuple):
    """A number, its standard error, the statistic and p-value of its hypothesis, and n."""

    value: float
    standard_error: float
    statistic: float
    p_value: float
    n: int


def nothing(n: int) -> Estimate:
    """Give the estimate of too few observations: none."""
    return Estimate(math.nan, math.nan, math.nan, math.nan, n)


def two_sided(statistic: float) -> float:
    """Give the two-sided normal p-value."""
    return math.erfc(abs(statistic) / math.sqrt(2.0))


def one_sided(statistic: float) -> float:
    """Give the normal p-value of a statistic this large or larger."""
    return 0.5 * math.erfc(statistic / math.sqrt(2.0))


def lags_for(n: int, *, horizon: int) -> int:
    """Choose the lags of a long-run variance: those that overlap, and the rule for the rest.

    Notes
    -----
    ``floor(4 (n / 100)^(2/9))`` of Newey and West (1994), Review of Economic Studies 61, and at
    least the ``horizon - 1`` lags that overlapping outcomes share.
    """
    return max(horizon - 1, int(4.0 * (n / 100.0) ** (2.0 / 9.0)))


def newey_west_error(values: Floats, *, lags: int) -> float:
    """Estimate the standard error of the mean of dependent values.

    Parameters
    ----------
    values
        Shape ``(n,)``, in time order, finite.
    lags
        Autocovariances used, with Bartlett weights.

    Notes
    -----
    Newey and West (1987), Econometrica 55: never negative. Divided by ``n``, as they do.
    """
    n = values.shape[0]
    centred = values - values.mean()
    variance = float(centred @ centred) / n
    for lag in range(1, min(lags, n - 1) + 1):
        covariance = float(centred[lag:] @ centred[:-lag]) / n
        variance += 2.0 * (1.0 - lag / (lags + 1.0)) * covariance
    return math.sqrt(max(variance, 0.0) / n)


def mean_estimate(values: Floats, *, horizon: int, expected: float = 0.0) -> Estimate:
    """Estimate a mean from overlapping values and test it against what is expected.

    Parameters
    ----------
    values
        Shape ``(n,)``, in time order; values that are not finite are left out.
    """
    held = values[np.isfinite(values)]
    n = held.shape[0]
    if n < 2:
        return nothing(n)
    value = float(held.mean())
    error = newey_west_error(held, lags=lags_for(n, horizon=horizon))
    if error <= 0.0:
        return Estimate(value, error, math.nan, math.nan, n)
    statistic = (value - expected) / error
    return Estimate(value, error, statistic, two_sided(statistic), n)


def session_means(values: Floats, *, min_symbols: int) -> Floats:
    """Average each session over its symbols; NaN where too few are finite."""
    held = np.isfinite(values)
    count = held.sum(axis=1)
    total = np.where(held, values, 0.0).sum(axis=1)
    return np.where(count >= min_symbols, total / np.maximum(count, 1), np.nan)


def rank_correlations(x: Floats, y: Floats, *, min_symbols: int) -> Floats:
    """Correlate the ranks of two panels session by session (Spearman), shape ``(T,)``.

    Notes
    -----
    Ties share their mean rank. A session where either does not vary has no correlation: NaN.
    """
    both = np.isfinite(x) & np.isfinite(y)
    count = both.sum(axis=1, keepdims=True)
    middle = 0.5 * (count + 1.0)
    # what takes no part is ranked behind all that does, and then left out
    a, b = (
        np.where(both, _mean_ranks(np.where(both, side, np.inf)) - middle, 0.0) for side in (x, y)
    )
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    varies = (count[:, 0] >= min_symbols) & (scale > 0.0)
    return np.where(varies, (a * b).sum(axis=1) / np.where(varies, scale, 1.0), np.nan)


def _mean_ranks(values: Floats) -> Floats:
    # From 1 in each row; infinities stand behind all others, and who of them is first is no matter.
    places = np.arange(1.0, values.shape[1] + 1.0)
    order, ordered = np.argsort(values, axis=1), np.sort(values, axis=1)
    is_tied = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] < np.inf)
    ranks = np.broadcast_to(places, values.shape)
    if is_tied.any():
        edge = np.zeros((values.shape[0], 1), dtype=np.bool_)
        first = np.where(np.hstack([edge, is_tied]), 0.0, places)
        last = np.where(np.hstack([is_tied, edge]), np.inf, places)
        np.maximum.accumulate(first, axis=1, out=first)
        np.minimum.accumulate(last[:, ::-1], axis=1, out=last[:, ::-1])
        ranks = 0.5 * (first + last)
    out = np.empty(values.shape)
    np.put_along_axis(out, order, ranks, axis=1)
    return out


def out_of_sample_r2(losses: Floats, benchmark: Floats, *, horizon: int) -> Estimate:
    """Estimate the share of the benchmark's squared error that a forecast removes.

    Parameters
    ----------
    losses, benchmark
        Shape ``(n,)``, mean squared errors a session.

    Notes
    -----
    Campbell and Thompson (2008), Review of Financial Studies 21: ``1 - sum a / sum b``. The
    standard error is the delta method's, the mean of ``b - a - R2 b`` over the mean of ``b``.
    """
    held = np.isfinite(losses) & np.isfinite(benchmark)
    a, b = losses[held], benchmark[held]
    n = a.shape[0]
    if n < 2 or not float(b.mean()) > 0.0:
        return nothing(n)
    value = 1.0 - float(a.mean()) / float(b.mean())
    error = newey_west_error(b - a - value * b, lags=lags_for(n, horizon=horizon)) / float(b.mean())
    if error <= 0.0:
        return Estimate(value, error, math.nan, math.nan, n)
    return Estimate(value, error, value / error, two_sided(value / error), n)


def clark_west(losses: Floats, benchmark: Floats, spread: Floats, *, horizon: int) -> Estimate:
    """Test whether a forecast that nests the benchmark is better than it, one-sided.

    Parameters
    ----------
    losses, benchmark, spread
        Shape ``(n,)`` a session: mean squared errors, and mean squared difference of the two
        forecasts.

    Notes
    -----
    Clark and West (2007), Journal of Econometrics 138: under the null the larger model's error
    is inflated by the noise of its own forecast, ``spread``, which is given back.
    """
    estimate = mean_estimate(benchmark - (losses - spread), horizon=horizon)
    p_value = one_sided(estimate.statistic) if math.isfinite(estimate.statistic) else math.nan
    return estimate._replace(p_value=p_value)


def uniform_distance(values: Floats, law: Law, *, n: int) -> Estimate:
    """Measure how far probability integral transforms lie from uniform (Kolmogorov-Smirnov).

    Parameters
    ----------
    values
        Shape ``(m,)``, pooled over symbols; NaN is left out.
    law
        Gives the stated level in [0, 1] of each value, the larger the value the larger.
    n
        The number of independent observations they count as: sessions, not cells, because the
        symbols of one session move together. The p-value is then too large rather than small.

    Notes
    -----
    A level between two known ones lies between them, so of most values only the bounds of their
    distance are worked out: those that may hold the largest are left, and it is exact.
    """
    from scipy.special import kolmogorov  # scipy is heavy at import

    held = np.sort(values[~np.isnan(values)])
    m = held.shape[0]
    if m < 2 or n < 2:
        return nothing(n)
    steps = np.arange(m + 1) / m

    def distances(at: NDArray[np.intp]) -> tuple[Floats, float]:
        levels = law(held[at])
        return levels, float(max((steps[at + 1] - levels).max(), (levels - steps[at]).max()))

    ends = np.append(np.arange(0, m - 1, _STRIDE), m - 1)
    levels, distance = distances(ends)
    highest = np.maximum(steps[ends[1:]] - levels[:-1], levels[1:] - steps[ends[:-1] + 1])
    is_open = np.repeat(highest > distance - _LEVEL_ROUNDING, np.diff(ends))
    if is_open.any():
        distance = max(distance, distances(np.flatnonzero(is_open))[1])
    statistic = math.sqrt(n) * distance
    error = _KOLMOGOROV_DEVIATION / math.sqrt(n)
    return Estimate(distance, error, statistic, float(kolmogorov(statistic)), n)


def shares_below(values: Floats, law: Law, levels: Floats) -> Floats:
    """Measure the share of values whose stated level is at most each of some levels.

    Parameters
    ----------
    values, law
        As in :func:`uniform_distance`.
    levels
        Shape ``(k,)``, in [0, 1].

    Returns
    -------
    Shape ``(k,)``, found by halving among the values in order; NaN where there is no value.
    """
    held = np.sort(values[~np.isnan(values)])
    m = held.shape[0]
    if not m:
        return np.full(levels.shape, np.nan)
    low, high = np.zeros(levels.shape, dtype=np.intp), np.full(levels.shape, m, dtype=np.intp)
    while (low < high).any():
        middle = (low + high) // 2
        is_below = (low < high) & (law(held[np.minimum(middle, m - 1)]) <= levels)
        low, high = np.where(is_below, middle + 1, low), np.where(is_below, high, middle)
    return np.asarray(low / m)
