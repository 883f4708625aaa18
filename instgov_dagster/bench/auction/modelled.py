"""The auction written in cvxpy as its manual would: parameters once, solved again each second."""

from functools import partial
from typing import Any, Final

import cvxpy
import numpy as np

from instgov_dagster.bench.auction.engines import Answer
from instgov_dagster.bench.auction.linear import chord_slopes, group_rows, has_trading
from instgov_dagster.capital.auction.instance import AuctionInstance

cp: Any = cvxpy  # its stubs do not know its own functions


class CvxpyModel:
    """One program with explicit Rockafellar-Uryasev rows, compiled once."""

    def __init__(self, solver: str) -> None:
        self._solver = solver
        self._problem: Any = None
        self._parameters: dict[str, Any] = {}
        self._weights: Any = None

    def solve(self, instance: AuctionInstance) -> Answer:
        """Set the parameters and solve."""
        if self._problem is None:
            self._build(instance)
        for name, value in _numbers(instance).items():
            if name in self._parameters:
                self._parameters[name].value = value
        options: dict[str, Any] = {}
        if self._solver == cp.HIGHS:
            tolerance = instance.policy.solver_tolerance
            options = {
                "primal_feasibility_tolerance": tolerance,
                "dual_feasibility_tolerance": tolerance,
            }
        self._problem.solve(solver=self._solver, **options)
        return Answer(weights=np.asarray(self._weights.value), status=str(self._problem.status))

    def _build(self, instance: AuctionInstance) -> None:
        n_bids = len(instance.bid_ids)
        weights = cp.Variable(n_bids, nonneg=True)
        values = cp.Parameter(n_bids)
        self._parameters = {"values": values}
        rows = [weights <= instance.caps, group_rows(instance) @ weights <= instance.group_caps]
        objective = values @ weights
        if has_trading(instance):
            cost, more = self._trading(instance, weights)
            objective, rows = objective - cost, rows + more
        for place, tail in enumerate(instance.tails):
            n_scenarios = tail.returns.shape[0]
            edge, excess = cp.Variable(), cp.Variable(n_scenarios, nonneg=True)
            mass = (1.0 - instance.confidence_level) * n_scenarios
            risk = edge + cp.sum(excess) / mass
            returns = tail.returns[:, instance.symbol_of]
            rows += [excess >= -(returns @ weights) - edge, risk <= tail.limit]
            if place == 0:
                objective = objective - instance.hurdle * risk
        self._weights, self._problem = weights, cp.Problem(cp.Maximize(objective), rows)

    def _trading(self, instance: AuctionInstance, weights: Any) -> tuple[Any, list[Any]]:
        n, n_chords = len(instance.symbols), instance.policy.impact_chords
        gather = np.zeros((n, len(instance.bid_ids)))
        gather[instance.symbol_of, np.arange(len(instance.bid_ids))] = 1.0
        held = cp.Parameter(n)
        widths = cp.Parameter((n, n_chords), nonneg=True)
        slopes = cp.Parameter((n, n_chords), nonneg=True)
        self._parameters |= {"held": held, "widths": widths, "slopes": slopes}
        bought, sold, forced = (cp.Variable(n, nonneg=True) for _ in range(3))
        chords = cp.Variable((n, n_chords), nonneg=True)
        rows = [
            gather @ weights - held == bought - sold,
            bought <= instance.buy_limits,
            sold - forced <= instance.sell_limits,
            bought + sold - forced == cp.sum(chords, axis=1),
            chords <= widths,
        ]
        cost = instance.half_spread @ (bought + sold) + cp.sum(cp.multiply(slopes, chords))
        return cost + instance.policy.forced_sale_penalty * cp.sum(forced), rows


def _numbers(instance: AuctionInstance) -> dict[str, Any]:
    widths, slopes = chord_slopes(instance)
    return {
        "values": instance.values,
        "held": instance.net_held,
        "widths": widths,
        "slopes": slopes,
    }


cvxpy_highs: Final = partial(CvxpyModel, cp.HIGHS)
cvxpy_clarabel: Final = partial(CvxpyModel, cp.CLARABEL)
