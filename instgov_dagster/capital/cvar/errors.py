"""How sure a CVaR is, and the factor that takes a book in breach back to its limit."""

import math

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.cvar.tail import value_at_risk


def cvar_standard_error(
    losses: NDArray[np.float64], *, confidence_level: float, overlap_sessions: int
) -> float:
    """Estimate the standard error of `cvar` from its influence function.

    The influence of a scenario is max(L - VaR, 0) / (1 - alpha) less its mean. Scenarios that
    overlap by ``overlap_sessions`` are not independent, so the variance of the mean takes their
    autocovariances with Bartlett weights (Newey and West 1987).

    Parameters
    ----------
    losses
        Shape ``(n_scenarios,)``, in time order, a loss positive.
    confidence_level
        Tail level alpha in (0, 1).
    overlap_sessions
        The horizon of each scenario in sessions; 1 where they do not overlap.

    Raises
    ------
    ValueError
        As `cvar`, or if ``overlap_sessions`` is below 1.
    """
    if overlap_sessions < 1:
        raise ValueError(f"overlap_sessions must be >= 1, was {overlap_sessions}")
    edge = value_at_risk(losses, confidence_level=confidence_level)
    influence = np.maximum(losses - edge, 0.0) / (1.0 - confidence_level)
    influence = influence - influence.mean()
    n = losses.size
    variance = float(influence @ influence) / n
    for lag in range(1, min(overlap_sessions, n)):
        covariance = float(influence[lag:] @ influence[:-lag]) / n
        variance += 2.0 * (1.0 - lag / overlap_sessions) * covariance
    return math.sqrt(max(variance, 0.0) / n)


def breach_scale(value: float, limit: float) -> float:
    """Return the factor that brings a book's CVaR to its limit: min(1, limit / CVaR).

    CVaR is positively homogeneous, so the factor is exact. Where CVaR is not positive the book is
    left alone: scaling a book whose tail gains would raise its CVaR.

    Parameters
    ----------
    value
        The CVaR of the book, a fraction of net asset value.
    limit
        What it may be, positive.

    Raises
    ------
    ValueError
        If a number is not finite or the limit is not positive.
    """
    if not math.isfinite(value):
        raise ValueError(f"value must be finite, was {value!r}")
    if not (math.isfinite(limit) and limit > 0.0):
        raise ValueError(f"limit must be a finite number > 0, was {limit!r}")
    return 1.0 if value <= limit else limit / value
