"""CVaR on equally likely scenarios, its marginals and its standard error; no limits live here."""

import math

import numpy as np
from numpy.typing import NDArray

# (1 - 0.95) * 1260 is 63.00000000000006 in floating point: a tail mass this near to a whole number
# is that number, or an exact 63 of 1260 scenarios grows a sliver of the 64th.
_MASS_SLACK = 1e-9


def _require_losses(losses: NDArray[np.float64]) -> None:
    if losses.ndim != 1 or losses.size == 0:
        raise ValueError(f"losses must be one-dimensional and not empty, was shape {losses.shape}")
    if not np.isfinite(losses).all():
        raise ValueError(f"losses must be finite, {int((~np.isfinite(losses)).sum())} were not")


def _tail_mass(n_scenarios: int, confidence_level: float) -> tuple[float, int, float]:
    # The tail's mass in scenarios, its whole part, and the fraction of the scenario at its edge.
    if not 0.0 < confidence_level < 1.0:
        raise ValueError(f"confidence_level must be in (0, 1), was {confidence_level!r}")
    mass = (1.0 - confidence_level) * n_scenarios
    if abs(mass - round(mass)) <= _MASS_SLACK and round(mass) > 0:
        mass = float(round(mass))
    whole = min(math.floor(mass), n_scenarios)
    return mass, whole, mass - whole


def cvar(losses: NDArray[np.float64], *, confidence_level: float) -> float:
    """Average the worst ``1 - confidence_level`` share of the losses (roadmap 5.2).

    With tail mass m = (1 - alpha) S it is (the sum of the floor(m) largest losses + the fraction
    m - floor(m) of the next one) / m.

    Parameters
    ----------
    losses
        Shape ``(n_scenarios,)``, fractions of net asset value, a loss positive.
    confidence_level
        Tail level alpha in (0, 1).

    Raises
    ------
    ValueError
        If ``losses`` is empty, not one-dimensional or not finite, or alpha is not in (0, 1).

    Notes
    -----
    Rockafellar and Uryasev (2002), Journal of Banking & Finance 26: the atom at VaR is split. The
    mean of the worst ceil(m) losses understates it, by a fifth on short samples.
    """
    _require_losses(losses)
    mass, whole, fraction = _tail_mass(losses.size, confidence_level)
    if whole >= losses.size:
        return float(losses.mean())
    split = losses.size - whole
    ordered = np.partition(losses, (split - 1, max(split - 1, 0)))
    edge = float(ordered[split - 1])
    return (math.fsum(ordered[split:].tolist()) + fraction * edge) / mass


def value_at_risk(losses: NDArray[np.float64], *, confidence_level: float) -> float:
    """Return the loss at the edge of the tail that `cvar` averages.

    Parameters
    ----------
    losses
        Shape ``(n_scenarios,)``, a loss positive.
    confidence_level
        Tail level alpha in (0, 1).

    Raises
    ------
    ValueError
        As `cvar`.
    """
    _require_losses(losses)
    _, whole, fraction = _tail_mass(losses.size, confidence_level)
    touched = min(whole + (1 if fraction > 0.0 else 0), losses.size)
    rank = losses.size - max(touched, 1)
    return float(np.partition(losses, rank)[rank])


def tail_weights(losses: NDArray[np.float64], *, confidence_level: float) -> NDArray[np.float64]:
    """Give each scenario its share of the tail; the shares sum to one.

    The dot product with the losses is `cvar`. Equal losses enter by scenario number, so the
    answer never depends on a sort's whim.

    Parameters
    ----------
    losses
        Shape ``(n_scenarios,)``, a loss positive.
    confidence_level
        Tail level alpha in (0, 1).

    Raises
    ------
    ValueError
        As `cvar`.
    """
    _require_losses(losses)
    mass, whole, fraction = _tail_mass(losses.size, confidence_level)
    weights = np.zeros(losses.size)
    if whole >= losses.size:
        weights[:] = 1.0 / losses.size
        return weights
    order = np.argsort(-losses, kind="stable")
    weights[order[:whole]] = 1.0 / mass
    weights[order[whole]] = fraction / mass
    return weights


def book_losses(
    scenarios: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn scenario returns into the losses of a book.

    Parameters
    ----------
    scenarios
        Shape ``(n_scenarios, n_symbols)``, fractions of price.
    weights
        Shape ``(n_symbols,)``, fractions of net asset value.

    Raises
    ------
    ValueError
        If the shapes disagree or a weight is not finite.
    """
    if scenarios.ndim != 2 or weights.shape != (scenarios.shape[1],):
        raise ValueError(
            f"weights must have shape ({scenarios.shape[-1]},), was {weights.shape} "
            f"for scenarios {scenarios.shape}"
        )
    if not np.isfinite(weights).all():
        raise ValueError("weights must be finite")
    held = np.flatnonzero(weights)
    losses: NDArray[np.float64] = -(scenarios[:, held] @ weights[held])
    return losses


def marginal_cvar(
    scenarios: NDArray[np.float64], weights: NDArray[np.float64], *, confidence_level: float
) -> NDArray[np.float64]:
    """Differentiate the book's CVaR by each weight: the symbol's mean loss in the book's tail.

    Parameters
    ----------
    scenarios
        Shape ``(n_scenarios, n_symbols)``, fractions of price.
    weights
        Shape ``(n_symbols,)``, fractions of net asset value.
    confidence_level
        Tail level alpha in (0, 1).

    Returns
    -------
    Shape ``(n_symbols,)``, CVaR per unit of weight.

    Notes
    -----
    Tasche (1999): E[L_i | the book is in its tail].
    """
    losses = book_losses(scenarios, weights)
    share = tail_weights(losses, confidence_level=confidence_level)
    touched = np.flatnonzero(share)
    gradient: NDArray[np.float64] = -(share[touched] @ scenarios[touched])
    return gradient


def rising_cvar(
    scenarios: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    confidence_level: float,
    tie_tolerance: float,
) -> NDArray[np.float64]:
    """Differentiate the book's CVaR by each weight from the right: the cost of the next unit.

    Where several scenarios stand at the edge of the tail, the ones worst for the symbol that
    grows enter it. On an empty book it is the symbol's own CVaR.

    Parameters
    ----------
    scenarios
        Shape ``(n_scenarios, n_symbols)``, fractions of price.
    weights
        Shape ``(n_symbols,)``, fractions of net asset value.
    confidence_level
        Tail level alpha in (0, 1).
    tie_tolerance
        Losses this near to the edge count as standing on it.

    Returns
    -------
    Shape ``(n_symbols,)``, CVaR per unit of weight; never below `marginal_cvar`.
    """
    losses = book_losses(scenarios, weights)
    mass, _, _ = _tail_mass(losses.size, confidence_level)
    edge = value_at_risk(losses, confidence_level=confidence_level)
    sure = np.flatnonzero(losses > edge + tie_tolerance)
    tied = np.flatnonzero(np.abs(losses - edge) <= tie_tolerance)
    left = mass - sure.size
    share = np.clip(left - np.arange(tied.size), 0.0, 1.0)
    worst_first = np.sort(-scenarios[tied], axis=0)[::-1]
    total: NDArray[np.float64] = share @ worst_first - scenarios[sure].sum(axis=0)
    return total / mass


def cvar_contributions(
    scenarios: NDArray[np.float64], weights: NDArray[np.float64], *, confidence_level: float
) -> NDArray[np.float64]:
    """Split the book's CVaR over its positions by Euler's rule; the parts sum to it.

    Parameters and errors as `marginal_cvar`; the result has shape ``(n_symbols,)`` and is a
    fraction of net asset value.
    """
    return weights * marginal_cvar(scenarios, weights, confidence_level=confidence_level)


def delta_cvar(
    scenarios: NDArray[np.float64],
    weights: NDArray[np.float64],
    change: NDArray[np.float64],
    *,
    confidence_level: float,
) -> float:
    """Measure what a change did to the CVaR of the book it led to (roadmap 5.3).

    It is CVaR(weights) - CVaR(weights - change): the change judged last in. This finite
    difference is what gates use; the derivative understates it.

    Parameters
    ----------
    scenarios
        Shape ``(n_scenarios, n_symbols)``, fractions of price.
    weights
        The book after the change, shape ``(n_symbols,)``.
    change
        What the change added, shape ``(n_symbols,)``.
    confidence_level
        Tail level alpha in (0, 1).

    Raises
    ------
    ValueError
        If shapes disagree or a number is not finite.
    """
    after = cvar(book_losses(scenarios, weights), confidence_level=confidence_level)
    without = book_losses(scenarios, weights - change)
    return after - cvar(without, confidence_level=confidence_level)


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
