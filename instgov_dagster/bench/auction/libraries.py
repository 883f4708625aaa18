"""The simple auction in portfolio libraries, as their manuals say; each call starts anew.

A library that invests everything is given a column of cash that returns nothing.
"""

from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.bench.auction.engines import Answer
from instgov_dagster.capital.auction.instance import AuctionInstance


def _returns(instance: AuctionInstance) -> NDArray[np.float64]:
    returns: NDArray[np.float64] = instance.scenarios.current.returns[:, instance.symbol_of]
    return returns


def _values(instance: AuctionInstance) -> NDArray[np.float64]:
    return instance.values


def _with_cash(instance: AuctionInstance) -> Any:
    import pandas as pd

    returns = _returns(instance)
    cash = np.zeros((returns.shape[0], 1))
    return pd.DataFrame(np.hstack([returns, cash]), columns=[*instance.bid_ids, "cash"])


class SkfolioMeanRisk:
    """`skfolio.optimization.MeanRisk`, utility with CVaR."""

    def __init__(self, solver: str | None = None) -> None:
        self._solver = solver

    def solve(self, instance: AuctionInstance) -> Answer:
        """Fit once."""
        from skfolio import RiskMeasure
        from skfolio.optimization import MeanRisk, ObjectiveFunction

        values = _values(instance)
        model = MeanRisk(
            objective_function=ObjectiveFunction.MAXIMIZE_UTILITY,
            risk_measure=RiskMeasure.CVAR,
            risk_aversion=instance.hurdle,
            cvar_beta=instance.confidence_level,
            min_weights=0.0,
            max_weights=instance.caps,
            budget=None,
            min_budget=0.0,
            max_budget=1.0,
            overwrite_expected_return=lambda weights: values @ weights,
            **({} if self._solver is None else {"solver": self._solver}),
        )
        model.fit(_returns(instance))
        return Answer(weights=np.asarray(model.weights_), status="fitted")


class Riskfolio:
    """`riskfolio.Portfolio.optimization`, utility with CVaR, on Clarabel."""

    def solve(self, instance: AuctionInstance) -> Answer:
        """Build and solve."""
        import pandas as pd
        import riskfolio

        returns = _with_cash(instance)
        portfolio = riskfolio.Portfolio(returns=returns, alpha=1.0 - instance.confidence_level)
        portfolio.assets_stats(method_mu="hist", method_cov="hist")
        portfolio.mu = pd.DataFrame([np.r_[_values(instance), 0.0]], columns=returns.columns)
        n = len(instance.bid_ids)
        portfolio.ainequality = np.eye(n, n + 1)  # A w <= b
        portfolio.binequality = instance.caps[:, None]
        portfolio.solvers = ["CLARABEL"]
        found = portfolio.optimization(
            model="Classic", rm="CVaR", obj="Utility", l=instance.hurdle, hist=True
        )
        return Answer(weights=found["weights"].to_numpy()[:n], status="optimized")


class PyPortfolioOpt:
    """`pypfopt.EfficientCVaR.min_cvar` with the value as a further objective, on Clarabel."""

    def solve(self, instance: AuctionInstance) -> Answer:
        """Build and solve."""
        from pypfopt import EfficientCVaR

        values = np.r_[_values(instance), 0.0]
        bounds = [(0.0, float(cap)) for cap in [*instance.caps, 1.0]]
        frontier = EfficientCVaR(
            values,
            _with_cash(instance),
            beta=instance.confidence_level,
            weight_bounds=bounds,
            solver="CLARABEL",
        )
        frontier.add_objective(lambda weights: -(values @ weights) / instance.hurdle)
        frontier.min_cvar()
        return Answer(weights=np.asarray(frontier.weights)[:-1], status="solved")


class Cvqp:
    """`cvqp.solve` (ADMM) at its own tolerance; the CVaR in the objective is a further column."""

    def solve(self, instance: AuctionInstance) -> Answer:
        """Solve from nothing."""
        import cvqp

        returns = _returns(instance)
        n = len(instance.bid_ids)
        rows = np.vstack([np.eye(n + 1), np.r_[np.ones(n), 0.0]])
        found = cvqp.solve(
            None,
            np.r_[-_values(instance), instance.hurdle],
            np.hstack([-returns, -np.ones((returns.shape[0], 1))]),
            rows,
            np.r_[np.zeros(n), -1.0, 0.0],
            np.r_[instance.caps, 1.0, 1.0],
            instance.confidence_level,
            0.0,
        )
        return Answer(weights=np.asarray(found.x)[:n], status=str(found.status))


skfolio_default: Final = SkfolioMeanRisk
skfolio_highs: Final = partial(SkfolioMeanRisk, "HIGHS")
