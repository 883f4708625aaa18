"""The search of `arch` for a GJR-GARCH maximum, its derivatives taken without scipy's apparatus."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

if TYPE_CHECKING:
    from arch.univariate import GARCH

Floats = NDArray[np.float64]

#: The forward step of scipy's SLSQP where nobody names one.
STEP: Final = float(np.sqrt(np.finfo(np.float64).eps))


class Found(NamedTuple):
    """Where a search ended: parameters in `arch`'s order, and what they state."""

    params: Floats
    has_converged: bool
    log_likelihood: float
    last_volatility: float


def search_gjr(scaled: Floats) -> Found | None:
    """Search the maximum of the likelihood; None where the optimiser refuses the data.

    Parameters
    ----------
    scaled
        Shape ``(n,)``, finite returns of about unit deviation.

    Notes
    -----
    What `arch`'s ``ZeroMean(...).fit`` does with GARCH(1, 1, 1) and Student-t errors: its start,
    bounds and constraints, SLSQP with its defaults, forward differences with scipy's step, turned
    at a bound. Parameters and likelihood are bit for bit those of ``fit``; scipy's own differences
    ask six linear constraints one at a time and take nine tenths of its time to do so.
    """
    from scipy.optimize import minimize

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            problem = _Problem(scaled)
            found = minimize(
                problem.loss,
                problem.start,
                method="SLSQP",
                jac=problem.slope,
                bounds=problem.bounds,
                constraints={
                    "type": "ineq",
                    "fun": problem.constrain,
                    "jac": problem.constraint_slopes,
                },
            )
            params = np.asarray(found.x, dtype=np.float64)
            return Found(
                params,
                found.status == 0,
                -1.0 * float(found.fun),
                float(np.sqrt(problem.variances(params))[-1]),
            )
    except (ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None  # what the optimiser raises on hopeless data: no fit, and it is said


@cache
def _law() -> "Callable[[Floats], GARCH]":
    # `arch` is heavy at import: its law is taken up when the first fit is asked for.
    from arch.univariate import GARCH
    from arch.univariate.recursions import garch_recursion

    class Gjr(GARCH):
        """The law of `arch`; what its recursion reads of one series is laid out once."""

        def __init__(self, returns: Floats) -> None:
            super().__init__(p=1, o=1, q=1)
            self._squares, self._signs = np.abs(returns) ** 2.0, np.sign(returns)

        def compute_variance(
            self, parameters: Any, resids: Any, sigma2: Any, backcast: Any, var_bounds: Any
        ) -> Any:
            garch_recursion(
                parameters, self._squares, self._signs, sigma2, 1, 1, 1, resids.size, backcast,
                var_bounds,
            )  # fmt: skip
            return sigma2

    return Gjr


class _Steps(NamedTuple):
    # The points a step away from one, (p, p), a row a parameter; and how far each step went, (p,).
    moved: Floats
    taken: Floats


class _Problem:
    def __init__(self, scaled: Floats) -> None:
        from arch.univariate import StudentsT  # heavy at import

        self._returns = np.ascontiguousarray(scaled)
        self._law, self._errors = _law()(self._returns), StudentsT()
        self._squares = self._returns**2.0
        self._backcast = self._law.backcast(self._returns)
        self._variances = np.zeros(scaled.size)
        self._terms, self._tails = np.empty(scaled.size), np.empty(scaled.size)
        first = self._law.starting_values(self._returns)
        self._limits = self._law.variance_bounds(self._returns)
        self._n = first.size
        standard = self._returns / np.sqrt(self.variances(first))
        self.start = np.hstack([first, self._errors.starting_values(standard)])
        self.bounds = [*self._law.bounds(self._returns), *self._errors.bounds(standard)]
        self._low, self._high = np.array(self.bounds, dtype=np.float64).T
        self._rows, self._floors = self._linear()
        self._last: tuple[Floats, float] | None = None
        self._stepped: tuple[Floats, _Steps] | None = None

    def _linear(self) -> tuple[Floats, Floats]:
        law, errors = self._law.constraints(), self._errors.constraints()
        rows = np.zeros((len(law[1]) + len(errors[1]), self.start.size))
        rows[: len(law[1]), : self._n] = law[0]
        rows[len(law[1]) :, self._n :] = errors[0]
        return rows, np.concatenate([law[1], errors[1]])

    def variances(self, params: Floats) -> Floats:
        """Give the conditional variances, ``(n,)``, in an array that the next call overwrites."""
        law = self._law
        return law.compute_variance(
            params[: self._n], self._returns, self._variances, self._backcast, self._limits
        )

    def loss(self, params: Floats) -> float:
        """Give the negative log-likelihood: that of ``StudentsT``, term by term in its order."""
        variances, terms, tails = self.variances(params), self._terms, self._tails
        nu = params[self._n]
        level = gammaln((nu + 1) / 2) - gammaln(nu / 2) - np.log(np.pi * (nu - 2)) / 2
        np.log(variances, out=terms)
        terms *= 0.5
        np.subtract(level, terms, out=terms)
        np.multiply(variances, nu - 2, out=tails)
        np.divide(self._squares, tails, out=tails)
        tails += 1
        np.log(tails, out=tails)
        tails *= (nu + 1) / 2
        terms -= tails
        lost = -1.0 * float(terms.sum())
        self._last = params.copy(), lost
        return lost

    def slope(self, params: Floats) -> Floats:
        """Measure the slope of the loss by forward differences."""
        if ((params < self._low) | (params > self._high)).any():
            raise ValueError(f"parameters must lie within {self.bounds}, were {params.tolist()}")
        last = self._last
        is_known = last is not None and np.array_equal(last[0], params)
        here = last[1] if last is not None and is_known else self.loss(params)
        steps = self._steps(params)
        there = [self.loss(moved) for moved in steps.moved]
        self._last = params.copy(), here
        return (np.array(there) - here) / steps.taken

    def constrain(self, params: Floats) -> Floats:
        """Give what each constraint leaves, not below zero where it is kept."""
        # Of at most three terms each, added in the order of a dot product: the same bits.
        kept: Floats = (self._rows * params).sum(axis=1) - self._floors
        return kept

    def constraint_slopes(self, params: Floats) -> Floats:
        """Measure the constraints' slopes by the same differences, ``(m, p)``."""
        kept = np.clip(params, self._low, self._high)
        steps = self._steps(kept)
        there = (self._rows * steps.moved[:, None, :]).sum(axis=2) - self._floors
        return np.ascontiguousarray((there - self.constrain(kept)).T / steps.taken)

    def _steps(self, params: Floats) -> _Steps:
        # Loss and constraints are asked for the slopes at one place, one after the other.
        if self._stepped is None or not np.array_equal(self._stepped[0], params):
            turned = self._turned(params)
            moved = np.tile(params, (params.size, 1))
            np.fill_diagonal(moved, params + turned)
            self._stepped = params.copy(), _Steps(moved, (params + turned) - params)
        return self._stepped[1]

    def _turned(self, params: Floats) -> Floats:
        # Forward, backward where that leaves the bounds, to the further bound where neither fits.
        below, above = params - self._low, self._high - params
        is_out = (params + STEP < self._low) | (params + STEP > self._high)
        is_fitting = np.maximum(below, above) >= STEP
        further = np.where(above >= below, above, -below)
        return np.where(is_fitting, np.where(is_out, -STEP, STEP), further)
