"""The auction written out in full in cvxpy: the oracle of the hot engine, for nights and tests."""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.certificate import objective_value, trading_costs
from instgov_dagster.capital.auction.instance import (
    AuctionInstance,
    chord_grid,
    chord_nodes,
    impact_costs,
)
from instgov_dagster.capital.auction.solver import (
    AuctionSolution,
    AuctionSolver,
    empty_solution,
    unsolved,
)


class Engine(StrEnum):
    """Whose algorithm solves the reference: a simplex, or an interior point that shares nothing."""

    HIGHS = "HIGHS"
    CLARABEL = "CLARABEL"


# Measured on 112 bids, 56 symbols and 1255 scenarios: HiGHS's own scaling spreads the scenario
# rows and takes four times the pivots; presolve finds nothing and costs a third of the time.
_SIMPLEX: Final[MappingProxyType[str, Any]] = MappingProxyType(
    {"presolve": "off", "simplex_scale_strategy": 0}
)
# The tightest HiGHS takes: in the program's own units 1e-9 may hide a billionth of the objective.
_TIGHT: Final[MappingProxyType[str, Any]] = MappingProxyType(
    {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
)
# An interior point is asked for as much as it can give: its default of 1e-8 is seen in 1e-9.
_INTERIOR: Final[MappingProxyType[str, Any]] = MappingProxyType(
    {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}
)
_FOUND: Final = ("optimal", "optimal_inaccurate")


def _cvxpy() -> Any:
    # Imported on first use: half a second that only a reference should pay.
    import cvxpy

    return cvxpy


def _tail(net: Any, returns: NDArray[np.float64], confidence_level: float) -> tuple[Any, Any]:
    # CVaR = min over z of z + sum(max(L - z, 0)) / m (Rockafellar and Uryasev 2000), written out:
    # cvxpy 1.9's own cvar atom fails on the second solve when m is not a whole number.
    cp = _cvxpy()

    edge = cp.Variable()
    excess = cp.Variable(returns.shape[0], nonneg=True)
    row = -(returns @ net) - edge - excess <= 0.0
    return edge + cp.sum(excess) / ((1.0 - confidence_level) * returns.shape[0]), row


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Impact:
    # The cost of trading without the spread, as an expression, and the rows that define it.
    cost: Any
    rows: list[Any]


def _chords(instance: AuctionInstance, traded: Any) -> _Impact:
    # The chords of the hot engine, piece by piece.
    cp = _cvxpy()

    everything = np.arange(len(instance.symbols))
    widths = np.outer(instance.reach, np.diff(chord_grid(instance.policy)))
    costs = np.diff(chord_nodes(instance, everything), axis=1)
    filled = cp.Variable(widths.shape, bounds=[0.0, 1.0])
    row = traded == cp.sum(cp.multiply(widths, filled), axis=1)
    return _Impact(cost=cp.sum(cp.multiply(costs, filled)), rows=[row])


def _power(instance: AuctionInstance, traded: Any) -> _Impact:
    # The true power 3/2 that the chords stand for: a cone, not a line.
    cp = _cvxpy()

    before = instance.traded
    cost = cp.sum(cp.multiply(instance.impact, cp.power(before + traded, 1.5)))
    paid = float(instance.impact @ (before * np.sqrt(before)))
    return _Impact(cost=cost - paid, rows=[traded <= instance.reach])


class ReferenceSolver:
    """SPEC 5 written down as one program in cvxpy (`AuctionSolver`); slow, and plainly the text.

    Every solve builds its program and starts from nothing, so that an answer is a function of the
    instance alone. HiGHS's thread count is global to the process and never set.

    Parameters
    ----------
    engine
        Who solves the program.
    is_conic
        Whether impact is the power 3/2 itself and not its chords; this needs CLARABEL.

    Raises
    ------
    ValueError
        If a cone is asked of HiGHS.
    """

    def __init__(self, engine: Engine = Engine.HIGHS, *, is_conic: bool = False) -> None:
        if is_conic and engine is not Engine.CLARABEL:
            raise ValueError(f"a conic impact needs {Engine.CLARABEL}, was {engine}")
        self._engine = engine
        self._is_conic = is_conic

    def restart(self) -> None:
        """Change nothing: every solve starts from nothing."""

    def solve(self, instance: AuctionInstance) -> AuctionSolution:
        """Solve one instance; a solver's failure is an answer with ``is_solved`` false."""
        if not instance.bid_ids:
            return empty_solution(instance)
        cp = _cvxpy()

        n_bids, n_symbols = len(instance.bid_ids), len(instance.symbols)
        weights = cp.Variable(n_bids, nonneg=True)
        net = cp.Variable(n_symbols)
        bought, sold, forced = (cp.Variable(n_symbols, nonneg=True) for _ in range(3))
        traded = bought + sold - forced
        impact = (_power if self._is_conic else _chords)(instance, traded)
        groups = _groups(instance) @ weights <= instance.group_caps
        rows: list[Any] = [
            groups,
            weights <= instance.caps,
            net == _gather(instance) @ weights,
            net - instance.net_held == bought - sold,
            bought <= instance.buy_limits,
            sold - forced <= instance.sell_limits,
            *impact.rows,
        ]
        cost = instance.half_spread @ (bought + sold) + impact.cost
        cost = cost + instance.policy.forced_sale_penalty * cp.sum(forced)
        objective = cost - instance.values @ weights
        tail_rows = []
        for tail in instance.tails:
            risk, row = _tail(net, tail.returns, instance.confidence_level)
            tail_rows.append(row)
            rows += [row, risk <= tail.limit]
            objective = objective + tail.hurdle * risk
        message = self._run(cp.Problem(cp.Minimize(objective), rows), instance)
        duals = [row.dual_value for row in (*tail_rows, groups)]
        if message not in _FOUND or weights.value is None or any(d is None for d in duals):
            return unsolved(message)
        *shares, prices = (np.atleast_1d(np.asarray(dual, dtype=np.float64)) for dual in duals)
        return AuctionSolution(
            is_solved=True,
            weights=np.clip(np.asarray(weights.value, dtype=np.float64), 0.0, instance.caps),
            tail_weights=tuple(shares),
            group_prices=prices,
            lambda_star=self.best_ratio(instance),
            message=message,
        )

    def best_ratio(self, instance: AuctionInstance) -> float:
        """Return the most value a book of current CVaR one can have, NaN where it was not found.

        Costs are half the spread, from cash; caps play no part, because a ratio has no size, and
        a bid that may hold nothing offers nothing.
        """
        cp = _cvxpy()

        bound = instance.policy.ratio_gross_bound
        values = instance.values - instance.half_spread[instance.symbol_of]
        weights = cp.Variable(len(instance.bid_ids), nonneg=True)
        net = _gather(instance) @ weights
        returns = instance.scenarios.current.returns
        risk, row = _tail(net, returns, instance.confidence_level)
        rows = [
            weights <= np.where(instance.caps > 0.0, bound, 0.0),
            cp.sum(weights) <= bound,
            row,
            risk <= 1.0,
        ]
        problem = cp.Problem(cp.Maximize(values @ weights), rows)
        found = self._run(problem, instance) in _FOUND
        return max(float(problem.value), 0.0) if found else float("nan")

    def _run(self, problem: Any, instance: AuctionInstance) -> str:
        # The solver's word for what happened, one of `_FOUND` for an answer.
        cp = _cvxpy()

        limit = instance.policy.solver_iterations
        asked = {**_TIGHT, "warm_start": False, "simplex_iteration_limit": limit}
        # HiGHS gives up on one auction in some thousands as it is, and solves it in its own scale.
        attempts = (
            [{**_SIMPLEX, **asked}, asked] if self._engine is Engine.HIGHS else [dict(_INTERIOR)]
        )
        message = ""
        for options in attempts:
            try:
                problem.solve(solver=self._engine.value, **options)
                message = str(problem.status)
            except (cp.SolverError, ValueError, ArithmeticError) as error:
                message = f"{type(error).__name__}: {error}"
            if message in _FOUND:
                break
        return message


def _gather(instance: AuctionInstance) -> NDArray[np.float64]:
    out = np.zeros((len(instance.symbols), len(instance.bid_ids)))
    out[instance.symbol_of, np.arange(len(instance.bid_ids))] = 1.0
    return out


def _groups(instance: AuctionInstance) -> NDArray[np.float64]:
    return instance.membership.to_rows().astype(np.float64)


def true_objective(instance: AuctionInstance, weights: NDArray[np.float64]) -> float:
    """Evaluate the objective with the power 3/2 of the impact itself, not its chords.

    The chords lie above it, so it is never below `objective_value`.

    Parameters
    ----------
    weights
        Shape ``(n_bids,)``, within every limit.
    """
    net = instance.net(weights)
    change = net - instance.net_held
    forced = np.maximum(-change - instance.sell_limits, 0.0)
    rows = np.arange(net.size)
    paid = impact_costs(instance, (np.abs(change) - forced)[:, None], rows)[:, 0]
    true = instance.half_spread * np.abs(change) + paid
    true = true + instance.policy.forced_sale_penalty * forced
    saved = float(trading_costs(instance, net).sum() - true.sum())
    return objective_value(instance, weights) + saved


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineComparison:
    """One auction solved by an engine and by the reference, on the same perturbed values.

    ``objective`` and ``reference`` are fractions of net asset value, ``None`` where one was not
    solved; ``lambda_star`` and ``reference_lambda_star`` the best ratios on offer.
    """

    objective: float | None
    reference: float | None
    lambda_star: float
    reference_lambda_star: float
    message: str

    @property
    def difference(self) -> float | None:
        """How far the two objectives are apart; ``None`` where one is missing."""
        if self.objective is None or self.reference is None:
            return None
        return abs(self.objective - self.reference)


def compare_with_reference(
    instance: AuctionInstance, solver: AuctionSolver, *, reference: ReferenceSolver
) -> EngineComparison:
    """Solve one auction twice, by the engine and by the full program."""
    answers = [solver.solve(instance), reference.solve(instance)]
    values = [
        objective_value(instance, answer.weights) if answer.is_solved else None
        for answer in answers
    ]
    return EngineComparison(
        objective=values[0],
        reference=values[1],
        lambda_star=answers[0].lambda_star,
        reference_lambda_star=answers[1].lambda_star,
        message=f"{answers[0].message}; {answers[1].message}",
    )
