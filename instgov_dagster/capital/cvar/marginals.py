"""What each position means for the CVaR of a book: derivative, Euler share, finite difference."""

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.cvar.tail import (
    cvar,
    cvar_rows,
    tail_mass,
    tail_weights,
)

# Books judged at once: a few hundred rows of scenarios stay in the processor's cache.
_BLOCK = 256
# Where copying the columns of what is held is dearer than reading all: from a twelfth on where a
# matrix lies by scenario, from a third on where it lies by symbol (500 and 3,000 symbols, 1,260 and
# 5,000 scenarios).
_FEW_OF_ROWS = 12
_FEW_OF_COLUMNS = 3


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
    losses: NDArray[np.float64]
    few = _FEW_OF_COLUMNS if scenarios.flags.f_contiguous else _FEW_OF_ROWS
    if held.size * few >= weights.size:
        losses = -(scenarios @ weights)
        if np.isfinite(losses).all():
            return losses
    losses = -(scenarios[:, held] @ weights[held])  # what is not held has no say, not even NaN
    return losses


def marginal_cvar(
    scenarios: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    confidence_level: float,
    probabilities: NDArray[np.float64] | None = None,
    losses: NDArray[np.float64] | None = None,
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
    probabilities
        Shape ``(n_scenarios,)``; equally likely where ``None``.
    losses
        What `book_losses` gives for the two, where it is known already.

    Returns
    -------
    Shape ``(n_symbols,)``, CVaR per unit of weight.

    Notes
    -----
    Tasche (1999): E[L_i | the book is in its tail].
    """
    if losses is None:
        losses = book_losses(scenarios, weights)
    share = tail_weights(losses, confidence_level=confidence_level, probabilities=probabilities)
    touched = np.flatnonzero(share)
    gradient: NDArray[np.float64] = -(share[touched] @ scenarios[touched])
    return gradient


def rising_cvar(
    scenarios: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    confidence_level: float,
    tie_tolerance: float,
    losses: NDArray[np.float64] | None = None,
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
    losses
        What `book_losses` gives for the two, where it is known already.

    Returns
    -------
    Shape ``(n_symbols,)``, CVaR per unit of weight; never below `marginal_cvar`.
    """
    if losses is None:
        losses = book_losses(scenarios, weights)
    _, rising = _slopes(scenarios, losses, confidence_level, tie_tolerance)
    return rising


def marginal_and_rising_cvar(
    scenarios: NDArray[np.float64],
    losses: NDArray[np.float64],
    *,
    confidence_level: float,
    tie_tolerance: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give `marginal_cvar` and `rising_cvar` of one book, reading its tail once.

    Parameters
    ----------
    losses
        What `book_losses` gives, shape ``(n_scenarios,)``; the others as in `rising_cvar`.
    """
    return _slopes(scenarios, losses, confidence_level, tie_tolerance)


def _slopes(
    scenarios: NDArray[np.float64],
    losses: NDArray[np.float64],
    confidence_level: float,
    tie_tolerance: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # The derivative of CVaR and that from the right. Both share the scenarios above the edge; of
    # those on it the first counts them as `tail_weights` does, the second the worst for each.
    mass, _, _ = tail_mass(losses.size, confidence_level)
    share = tail_weights(losses, confidence_level=confidence_level)
    edge = float(losses[share > 0.0].min())
    is_sure = losses > edge + tie_tolerance
    sure, tied = np.flatnonzero(is_sure), np.flatnonzero(np.abs(losses - edge) <= tie_tolerance)
    own, sum_of_sure = scenarios[tied], scenarios[sure].sum(axis=0)
    left = np.clip(mass - sure.size - np.arange(tied.size), 0.0, 1.0)
    worst_first = np.sort(-own, axis=0)[::-1]
    marginal: NDArray[np.float64] = -(sum_of_sure / mass + share[tied] @ own)
    rising: NDArray[np.float64] = (left @ worst_first - sum_of_sure) / mass
    return marginal, rising


def cvar_contributions(
    scenarios: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    confidence_level: float,
    probabilities: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Split the book's CVaR over its positions by Euler's rule; the parts sum to it.

    Parameters and errors as `marginal_cvar`; the result has shape ``(n_symbols,)`` and is a
    fraction of net asset value.
    """
    slope = marginal_cvar(
        scenarios, weights, confidence_level=confidence_level, probabilities=probabilities
    )
    return weights * slope


def delta_cvar(
    scenarios: NDArray[np.float64],
    weights: NDArray[np.float64],
    change: NDArray[np.float64],
    *,
    confidence_level: float,
    probabilities: NDArray[np.float64] | None = None,
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
    probabilities
        Shape ``(n_scenarios,)``; equally likely where ``None``.

    Raises
    ------
    ValueError
        If shapes disagree or a number is not finite.
    """
    after, without = (
        cvar(
            book_losses(scenarios, book),
            confidence_level=confidence_level,
            probabilities=probabilities,
        )
        for book in (weights, weights - change)
    )
    return after - without


def delta_cvars(
    scenarios: NDArray[np.float64],
    losses: NDArray[np.float64],
    columns: NDArray[np.intp],
    changes: NDArray[np.float64],
    *,
    confidence_level: float,
) -> NDArray[np.float64]:
    """Measure many changes of one symbol each, every one last in on the same book.

    Entry k is CVaR(losses) - CVaR(losses without change k); a change that moves no scenario has
    a delta of exactly 0.

    Parameters
    ----------
    scenarios
        Shape ``(n_scenarios, n_symbols)``, fractions of price.
    losses
        Of the book with every change done, shape ``(n_scenarios,)``.
    columns, changes
        Shape ``(n_changes,)``: the symbol of each change and the weight it added.
    confidence_level
        Tail level alpha in (0, 1).

    Raises
    ------
    ValueError
        If shapes disagree or a number is not finite.
    """
    if losses.shape != (scenarios.shape[0],) or columns.shape != changes.shape:
        raise ValueError(
            f"losses must have shape ({scenarios.shape[0]},), was {losses.shape}; columns and "
            f"changes must have one shape, were {columns.shape} and {changes.shape}"
        )
    whole = cvar(losses, confidence_level=confidence_level)
    deltas = np.empty(changes.size)
    for start in range(0, changes.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        without = losses + scenarios.T[columns[part]] * changes[part, None]
        deltas[part] = whole - cvar_rows(without, confidence_level=confidence_level)
    return deltas
