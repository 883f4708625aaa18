"""The solver protocol and the explicit Rockafellar-Uryasev program behind it; nothing is judged."""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.instance import (
    AuctionInstance,
    Incidence,
    chord_grid,
    chord_nodes,
)

# Measured on 112 bids, 56 symbols and 1255 scenarios: HiGHS's own scaling spreads the scenario
# rows and takes four times the pivots; presolve finds nothing and costs a third of the time.
_ENGINE: Final[MappingProxyType[str, Any]] = MappingProxyType(
    {"presolve": "off", "simplex_scale_strategy": 0}
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AuctionSolution:
    """What a solver says; nothing here is believed before it is checked.

    ``weights`` has shape ``(n_bids,)``, ``tail_weights`` one array of shape ``(n_scenarios,)`` a
    tail, ``group_prices`` shape ``(n_groups,)``; they are empty where ``is_solved`` is false.
    ``lambda_star`` is the best ratio of value to CVaR on offer; ``message`` the solver's own word.
    """

    is_solved: bool
    weights: NDArray[np.float64]
    tail_weights: tuple[NDArray[np.float64], ...]
    group_prices: NDArray[np.float64]
    lambda_star: float
    message: str


class AuctionSolver(Protocol):
    """Anything that can solve an auction; it may keep state from one call to the next."""

    def solve(self, instance: AuctionInstance) -> AuctionSolution:
        """Solve one instance; a failure is an answer with ``is_solved`` false."""
        ...

    def restart(self) -> None:
        """Forget all retained state: the next solve starts cold.

        The same sequence of restarts and solves gives the same answers bit for bit.
        """
        ...


def unsolved(message: str) -> AuctionSolution:
    """Say that no answer was found, and why."""
    none = np.zeros(0)
    return AuctionSolution(
        is_solved=False,
        weights=none,
        tail_weights=(),
        group_prices=none,
        lambda_star=np.nan,
        message=message,
    )


def _cvxpy() -> Any:
    # Imported on first use: half a second that only an auction should pay.
    import cvxpy

    return cvxpy


class _Program:
    """One compiled auction for fixed bids, groups and scenarios; every number is a parameter."""

    def __init__(self, instance: AuctionInstance) -> None:
        cp = _cvxpy()

        self.key = instance
        n_bids, n_symbols = len(instance.bid_ids), len(instance.symbols)
        n_chords = instance.policy.impact_chords
        self.gather = _gather(instance)
        self.values = cp.Parameter(n_bids)
        self.caps = cp.Parameter(n_bids, nonneg=True)
        self.group_caps = cp.Parameter(len(instance.groups), nonneg=True)
        self.net_held = cp.Parameter(n_symbols, nonneg=True)
        self.half_spread = cp.Parameter(n_symbols, nonneg=True)
        self.chord_costs = cp.Parameter((n_symbols, n_chords), nonneg=True)
        self.chord_widths = cp.Parameter((n_symbols, n_chords), nonneg=True)
        self.buy_limits = cp.Parameter(n_symbols, nonneg=True)
        self.sell_limits = cp.Parameter(n_symbols, nonneg=True)
        self.hurdle = cp.Parameter(nonneg=True)
        self.limits = cp.Parameter(len(instance.tails), nonneg=True)
        self.weights = cp.Variable(n_bids, nonneg=True)
        net = cp.Variable(n_symbols)
        bought = cp.Variable(n_symbols, nonneg=True)
        sold = cp.Variable(n_symbols, nonneg=True)
        forced = cp.Variable(n_symbols, nonneg=True)
        filled = cp.Variable((n_symbols, n_chords), bounds=[0.0, 1.0])
        self.group_rows = (instance.membership.to_rows().astype(np.float64) @ self.weights) <= self.group_caps
        rows: list[Any] = [
            self.group_rows,
            self.weights <= self.caps,
            net == self.gather @ self.weights,
            net - self.net_held == bought - sold,
            bought <= self.buy_limits,
            sold - forced <= self.sell_limits,
            bought + sold - forced == cp.sum(cp.multiply(self.chord_widths, filled), axis=1),
        ]
        cost = (
            self.half_spread @ (bought + sold)
            + cp.sum(cp.multiply(self.chord_costs, filled))
            + instance.policy.forced_sale_penalty * cp.sum(forced)
        )
        self.tail_rows = []
        objective = cost - self.values @ self.weights
        for place, tail in enumerate(instance.tails):
            risk, row = _tail(net, tail.returns, instance.confidence_level)
            self.tail_rows.append(row)
            rows += [row, risk <= self.limits[place]]
            if place == 0:
                objective = objective + self.hurdle * risk
        self.problem = cp.Problem(cp.Minimize(objective), rows)
        self.ratio = _Ratio(self.gather, instance)

    def fits(self, instance: AuctionInstance) -> bool:
        """Whether only parameters differ between this program and the instance."""
        mine, theirs = self.key, instance
        return (
            mine.symbols == theirs.symbols
            and mine.bid_ids == theirs.bid_ids
            and mine.policy == theirs.policy
            and mine.confidence_level == theirs.confidence_level
            and np.array_equal(mine.symbol_of, theirs.symbol_of)
            and mine.membership.equals(theirs.membership)
            and len(mine.tails) == len(theirs.tails)
            and all(
                a.returns is b.returns or np.array_equal(a.returns, b.returns)
                for a, b in zip(mine.tails, theirs.tails, strict=True)
            )
        )

    def load(self, instance: AuctionInstance) -> None:
        """Set every parameter to the instance's numbers."""
        grid, reach = chord_grid(instance.policy), instance.reach
        self.values.value = instance.values
        self.caps.value = instance.caps
        self.group_caps.value = instance.group_caps
        self.net_held.value = instance.net(instance.held)
        self.half_spread.value = instance.half_spread
        self.chord_widths.value = np.outer(reach, np.diff(grid))
        self.chord_costs.value = np.diff(chord_nodes(instance, np.arange(len(instance.symbols))), axis=1)
        self.buy_limits.value = instance.buy_limits
        self.sell_limits.value = instance.sell_limits
        self.hurdle.value = instance.hurdle
        self.limits.value = np.array([tail.limit for tail in instance.tails])


class _Ratio:
    """The best ratio of value to current CVaR: value bought by a book whose CVaR is one.

    Costs are half the spread, from cash; caps play no part, because a ratio has no size.
    """

    def __init__(self, gather: NDArray[np.float64], instance: AuctionInstance) -> None:
        cp = _cvxpy()

        self.values = cp.Parameter(len(instance.bid_ids))
        self.room = cp.Parameter(len(instance.bid_ids), nonneg=True)
        weights = cp.Variable(len(instance.bid_ids), nonneg=True)
        net = cp.Variable(len(instance.symbols))
        risk, row = _tail(net, instance.scenarios.current.returns, instance.confidence_level)
        rows = [
            net == gather @ weights,
            weights <= self.room,
            cp.sum(weights) <= instance.policy.ratio_gross_bound,
            row,
            risk <= 1.0,
        ]
        self.problem = cp.Problem(cp.Maximize(self.values @ weights), rows)
        self.asked: NDArray[np.float64] | None = None
        self.answer = float("nan")

    def best(self, instance: AuctionInstance) -> float:
        """Return the best ratio, NaN where it was not found; the last question is remembered.

        A bid that may hold nothing offers nothing.
        """
        bound = instance.policy.ratio_gross_bound
        values = instance.values - instance.half_spread[instance.symbol_of]
        room = np.where(instance.caps > 0.0, bound, 0.0)
        asked = np.concatenate([values, room])
        if self.asked is None or not np.array_equal(asked, self.asked):
            self.values.value, self.room.value = values, room
            is_found = _run(self.problem, instance) == "optimal"
            self.answer = max(float(self.problem.value), 0.0) if is_found else float("nan")
            self.asked = asked
        return self.answer


def _reorder(instance: AuctionInstance, order: list[int]) -> AuctionInstance:
    return replace(
        instance,
        bid_ids=tuple(instance.bid_ids[j] for j in order),
        strategies=tuple(instance.strategies[j] for j in order),
        symbol_of=instance.symbol_of[order],
        values=instance.values[order],
        held=instance.held[order],
        caps=instance.caps[order],
        cap_codes=tuple(instance.cap_codes[j] for j in order),
        block_codes=tuple(instance.block_codes[j] for j in order),
        membership=Incidence.from_rows(instance.membership.to_rows()[:, order]),
    )


def _gather(instance: AuctionInstance) -> NDArray[np.float64]:
    out = np.zeros((len(instance.symbols), len(instance.bid_ids)))
    out[instance.symbol_of, np.arange(len(instance.bid_ids))] = 1.0
    return out


def _tail(net: Any, returns: NDArray[np.float64], confidence_level: float) -> tuple[Any, Any]:
    # CVaR = min over z of z + sum(max(L - z, 0)) / m (Rockafellar and Uryasev 2000), written out:
    # cvxpy 1.9's own cvar atom fails on the second solve when m is not a whole number.
    cp = _cvxpy()

    edge = cp.Variable()
    excess = cp.Variable(returns.shape[0], nonneg=True)
    row = -(returns @ net) - edge - excess <= 0.0
    return edge + cp.sum(excess) / ((1.0 - confidence_level) * returns.shape[0]), row


class CvxpySolver:
    """The auction as an explicit linear program in cvxpy, solved by HiGHS (`AuctionSolver`).

    The program is compiled once and kept: while bids, groups and scenarios stay the same, a solve
    only sets parameters. Bids are solved in the order of their identity and every solve starts
    from nothing, so an answer is a function of the instance alone. HiGHS's thread count is global
    to the process and never set.
    """

    def __init__(self) -> None:
        self._program: _Program | None = None

    def restart(self) -> None:
        """Forget the compiled program."""
        self._program = None

    def solve(self, instance: AuctionInstance) -> AuctionSolution:
        """Solve one instance; a solver's failure is an answer with ``is_solved`` false."""
        if not instance.bid_ids:
            return empty_solution(instance)
        order = sorted(range(len(instance.bid_ids)), key=instance.bid_ids.__getitem__)
        solution = self._solve(_reorder(instance, order))
        if not solution.is_solved:
            return solution
        weights = np.empty(len(order))
        weights[order] = solution.weights
        return replace(solution, weights=weights)

    def _solve(self, instance: AuctionInstance) -> AuctionSolution:
        program = self._program
        if program is None or not program.fits(instance):
            program = self._program = _Program(instance)
        try:
            program.load(instance)
        except ValueError as error:  # a number no program can hold: a negative cap, a NaN
            return unsolved(f"{type(error).__name__}: {error}")
        message = _run(program.problem, instance)
        if message != "optimal":
            return unsolved(message)
        duals = [row.dual_value for row in program.tail_rows]
        weights, prices = program.weights.value, program.group_rows.dual_value
        if weights is None or prices is None or any(dual is None for dual in duals):
            return unsolved("no duals")
        return AuctionSolution(
            is_solved=True,
            weights=np.asarray(weights, dtype=np.float64),
            tail_weights=tuple(np.asarray(dual, dtype=np.float64) for dual in duals),
            group_prices=np.asarray(prices, dtype=np.float64),
            lambda_star=program.ratio.best(instance),
            message=message,
        )


def _run(problem: Any, instance: AuctionInstance) -> str:
    # The solver's word for what happened, "optimal" for an answer.
    cp = _cvxpy()

    policy = instance.policy
    try:
        problem.solve(
            solver=cp.HIGHS,
            warm_start=False,  # an answer is a function of its instance alone
            primal_feasibility_tolerance=policy.solver_tolerance,
            dual_feasibility_tolerance=policy.solver_tolerance,
            simplex_iteration_limit=policy.solver_iterations,
            **_ENGINE,
        )
    except (cp.SolverError, ValueError, ArithmeticError) as error:
        return f"{type(error).__name__}: {error}"
    return str(problem.status)


def empty_solution(instance: AuctionInstance) -> AuctionSolution:
    return AuctionSolution(
        is_solved=True,
        weights=np.zeros(0),
        tail_weights=tuple(np.zeros(tail.returns.shape[0]) for tail in instance.tails),
        group_prices=np.zeros(len(instance.groups)),
        lambda_star=0.0,
        message="no bids",
    )
