"""The exact tail of discrete scenarios, equally likely or weighted: CVaR, VaR, who is in it."""

import math

import numpy as np
from numpy.typing import NDArray

# (1 - 0.95) * 1260 is 63.00000000000006 in floating point: a tail mass this near to a whole number
# is that number, or an exact 63 of 1260 scenarios grows a sliver of the 64th.
_MASS_SLACK = 1e-9
# Probabilities are sums of their own: cumulated ones this near to the tail's edge are on it.
_PROBABILITY_SLACK = 1e-12


def _require_losses(losses: NDArray[np.float64]) -> None:
    if losses.ndim != 1 or losses.size == 0:
        raise ValueError(f"losses must be one-dimensional and not empty, was shape {losses.shape}")
    if not np.isfinite(losses).all():
        raise ValueError(f"losses must be finite, {int((~np.isfinite(losses)).sum())} were not")


def _require_level(confidence_level: float) -> None:
    if not 0.0 < confidence_level < 1.0:
        raise ValueError(f"confidence_level must be in (0, 1), was {confidence_level!r}")


def _require_probabilities(probabilities: NDArray[np.float64], n_scenarios: int) -> None:
    if probabilities.shape != (n_scenarios,):
        raise ValueError(
            f"probabilities must have shape ({n_scenarios},), was {probabilities.shape}"
        )
    total = float(probabilities.sum())
    if not (probabilities >= 0.0).all() or not abs(total - 1.0) <= _MASS_SLACK:
        raise ValueError(f"probabilities must be >= 0 and sum to 1, summed to {total!r}")


def tail_mass(n_scenarios: int, confidence_level: float) -> tuple[float, int, float]:
    """Give the tail's mass in scenarios, its whole part, and what is left for the next one.

    Parameters
    ----------
    n_scenarios
        How many equally likely scenarios there are.
    confidence_level
        Tail level alpha in (0, 1).

    Raises
    ------
    ValueError
        If alpha is not in (0, 1).
    """
    _require_level(confidence_level)
    mass = (1.0 - confidence_level) * n_scenarios
    if abs(mass - round(mass)) <= _MASS_SLACK and round(mass) > 0:
        mass = float(round(mass))
    whole = math.floor(mass)
    return mass, whole, mass - whole


def cvar(
    losses: NDArray[np.float64],
    *,
    confidence_level: float,
    probabilities: NDArray[np.float64] | None = None,
) -> float:
    """Average the worst ``1 - confidence_level`` share of the losses (roadmap 5.2).

    With tail mass m = (1 - alpha) S it is (the sum of the floor(m) largest losses + the fraction
    m - floor(m) of the next one) / m; with probabilities, the worst losses up to a probability of
    1 - alpha, the last of them in part.

    Parameters
    ----------
    losses
        Shape ``(n_scenarios,)``, fractions of net asset value, a loss positive.
    confidence_level
        Tail level alpha in (0, 1).
    probabilities
        Shape ``(n_scenarios,)``, not negative, summing to 1; equally likely where ``None``.

    Raises
    ------
    ValueError
        If ``losses`` is empty, not one-dimensional or not finite, alpha is not in (0, 1), or the
        probabilities are not such.

    Notes
    -----
    Rockafellar and Uryasev (2002), Journal of Banking & Finance 26: the atom at VaR is split. The
    mean of the worst ceil(m) losses understates it, by a fifth on short samples.
    """
    _require_losses(losses)
    if probabilities is not None:
        share = tail_weights(losses, confidence_level=confidence_level, probabilities=probabilities)
        return math.fsum((share * losses).tolist())
    mass, whole, fraction = tail_mass(losses.size, confidence_level)
    split = losses.size - whole
    ordered = np.partition(losses, split - 1)
    return _tail_mean(ordered, split, mass, fraction)


def _tail_mean(ordered: NDArray[np.float64], split: int, mass: float, fraction: float) -> float:
    # `ordered` is partitioned at split - 1. The sum is exactly rounded, so that it does not
    # depend on the order the partition left.
    return (math.fsum(ordered[split:].tolist()) + fraction * float(ordered[split - 1])) / mass


def cvar_rows(losses: NDArray[np.float64], *, confidence_level: float) -> NDArray[np.float64]:
    """Take the CVaR of many books at once, each bit-equal to `cvar` of its row.

    Parameters
    ----------
    losses
        Shape ``(n_books, n_scenarios)``, a loss positive.
    confidence_level
        Tail level alpha in (0, 1).

    Returns
    -------
    Shape ``(n_books,)``.

    Raises
    ------
    ValueError
        If ``losses`` is not two-dimensional, has no scenario or is not finite, or as `cvar`.
    """
    if losses.ndim != 2 or losses.shape[1] == 0:
        raise ValueError(f"losses must be (n_books, n_scenarios), was shape {losses.shape}")
    if not np.isfinite(losses).all():
        raise ValueError(f"losses must be finite, {int((~np.isfinite(losses)).sum())} were not")
    mass, whole, fraction = tail_mass(losses.shape[1], confidence_level)
    split = losses.shape[1] - whole
    ordered = np.partition(losses, split - 1, axis=1)
    return np.array([_tail_mean(row, split, mass, fraction) for row in ordered], dtype=np.float64)


def value_at_risk(
    losses: NDArray[np.float64],
    *,
    confidence_level: float,
    probabilities: NDArray[np.float64] | None = None,
) -> float:
    """Return the loss at the edge of the tail that `cvar` averages.

    Parameters and errors as `cvar`.
    """
    _require_losses(losses)
    if probabilities is not None:
        share = tail_weights(losses, confidence_level=confidence_level, probabilities=probabilities)
        return float(losses[share > 0.0].min())
    _, whole, fraction = tail_mass(losses.size, confidence_level)
    rank = losses.size - whole - (1 if fraction > 0.0 else 0)
    return float(np.partition(losses, rank)[rank])


def tail_weights(
    losses: NDArray[np.float64],
    *,
    confidence_level: float,
    probabilities: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Give each scenario its share of the tail; the shares sum to one.

    The dot product with the losses is `cvar`. Equal losses enter by scenario number, so the
    answer never depends on a sort's whim.

    Parameters and errors as `cvar`; the result has shape ``(n_scenarios,)``.
    """
    _require_losses(losses)
    if probabilities is not None:
        _require_level(confidence_level)
        _require_probabilities(probabilities, losses.size)
        order = np.argsort(-losses, kind="stable")
        weights = np.zeros(losses.size)
        weights[order] = _fill_tail(probabilities[order], 1.0 - confidence_level)
        return weights
    mass, whole, fraction = tail_mass(losses.size, confidence_level)
    least = losses.size - whole - (1 if fraction > 0.0 else 0)
    edge = np.partition(losses, least)[least]
    # Whatever is worse than the edge is in the tail whole; on it, the first scenarios fill it up.
    weights = np.where(losses > edge, 1.0, 0.0)
    tied = np.flatnonzero(losses == edge)
    left = mass - np.count_nonzero(weights)
    weights[tied] = np.clip(left - np.arange(tied.size), 0.0, 1.0)
    return weights / mass


def _fill_tail(worst_first: NDArray[np.float64], room: float) -> NDArray[np.float64]:
    # The probabilities that fill the tail from the worst loss on, the last one in part.
    before = np.concatenate([[0.0], np.cumsum(worst_first)[:-1]])
    left = room - before
    left[left <= _PROBABILITY_SLACK] = 0.0
    filled = np.minimum(worst_first, left)
    share: NDArray[np.float64] = filled / filled.sum()
    return share
