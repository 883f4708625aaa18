"""The two tests a model faces: loss against the zero forecast, and interval coverage."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_EPOCH = np.datetime64("1990-01-01", "D")  # a Monday before any bar; it only fixes the phase


def diebold_mariano(differences: Floats, *, horizon: int) -> Floats:
    """Compare two forecasts by the mean of their loss differences.

    Parameters
    ----------
    differences
        Shape ``(n, N)``, loss of the model less loss of the benchmark, in time order; ``n`` must
        exceed twice the horizon.
    horizon
        Sessions each loss looks ahead, so neighbours share ``horizon - 1`` of them.

    Returns
    -------
    Shape ``(N,)``, to be read as Student-t with ``n - 1`` degrees of freedom; positive where the
    model is worse. Differences that do not vary give an infinite statistic of their sign, or 0.

    Raises
    ------
    ValueError
        If there are too few differences for the horizon.

    Notes
    -----
    Diebold and Mariano (1995), Journal of Business and Economic Statistics 13, with the
    small-sample factor of Harvey, Leybourne and Newbold (1997), International Journal of
    Forecasting 13. The long-run variance sums the autocovariances below the horizon with equal
    weights; where that is not positive, with Bartlett weights, which always is.
    """
    n = differences.shape[0]
    if n <= 2 * horizon:
        raise ValueError(f"differences must number more than {2 * horizon}, were {n}")
    mean = differences.mean(axis=0)
    centred = differences - mean
    variance = (centred * centred).sum(axis=0) / n
    equal, bartlett = variance.copy(), variance.copy()
    for lag in range(1, horizon):
        covariance = (centred[lag:] * centred[:-lag]).sum(axis=0) / n
        equal += 2.0 * covariance
        bartlett += 2.0 * (1.0 - lag / horizon) * covariance
    long_run = np.where(equal > 0, equal, np.maximum(bartlett, 0.0))
    small_sample = np.sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    has_scatter = long_run > 0
    error = np.sqrt(np.where(has_scatter, long_run, 1.0) / n)
    certain = np.where(mean == 0, 0.0, np.copysign(np.inf, mean))
    return np.where(has_scatter, small_sample * mean / error, certain)


def is_worse_than_benchmark(differences: Floats, *, horizon: int, significance: float) -> Bools:
    """Reject, one-sided, that the model's expected loss is no larger than the benchmark's.

    Parameters
    ----------
    differences
        Shape ``(n, N)``, see :func:`diebold_mariano`; a column holding a NaN is rejected.
    horizon, significance
        Overlap of the losses, and the size of the test.
    """
    from scipy.special import stdtrit  # scipy is heavy at import

    complete = np.isfinite(differences).all(axis=0)
    statistic = diebold_mariano(np.where(complete, differences, 0.0), horizon=horizon)
    critical = float(stdtrit(differences.shape[0] - 1, 1.0 - significance))
    return ~complete | (statistic > critical)


def kupiec_p_value(misses: NDArray[np.int64], trials: int, *, expected: float) -> Floats:
    """Test whether a share of misses is the one that was promised.

    Parameters
    ----------
    misses
        Shape ``(N,)``, outcomes outside the interval.
    trials
        Outcomes judged.
    expected
        The promised share of misses, in (0, 1).

    Returns
    -------
    Shape ``(N,)``, two-sided: an interval that is never missed is wrong as well.

    Notes
    -----
    Kupiec (1995), Journal of Derivatives 3: twice the log likelihood ratio is chi-square with
    one degree of freedom.
    """
    from scipy.special import erfc, xlogy  # scipy is heavy at import

    hits = trials - misses
    share = misses / trials
    promised = xlogy(misses, expected) + xlogy(hits, 1.0 - expected)
    found = xlogy(misses, share) + xlogy(hits, 1.0 - share)
    ratio = np.maximum(2.0 * (found - promised), 0.0)
    return np.asarray(erfc(np.sqrt(ratio / 2.0)))


def validation_sessions(dates: NDArray[np.datetime64], *, every: int) -> NDArray[np.intp]:
    """Choose the sessions on which models are validated.

    Parameters
    ----------
    dates
        Shape ``(T,)``, sessions in order.
    every
        Weekdays in a validation period.

    Returns
    -------
    Indices of the first session in each period. Periods are counted in weekdays from a fixed
    day, so the schedule does not move when the window held moves; the first period held may be
    incomplete and is left out.
    """
    periods = np.busday_count(_EPOCH, dates.astype("datetime64[D]")) // every
    return np.flatnonzero(np.diff(periods) > 0) + 1
