"""Our own engine, by the way the cycle takes: `run_auction` with the default solver."""

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.bench.auction.arrays import without_penalties
from instgov_dagster.bench.auction.engines import Answer
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.run import run_auction
from instgov_dagster.capital.auction.solver import AuctionSolver
from instgov_dagster.capital.cvar import book_losses, delta_cvars


def default_solver() -> AuctionSolver:
    """Make the solver the product runs with; the one place where the bench picks it."""
    return HotSolver()


class Instgov:
    """The whole auction: refusals, solver, checks, certificate, reasons for every bid."""

    def __init__(self) -> None:
        self._solver = default_solver()
        self._previous: NDArray[np.float64] | None = None

    def solve(self, instance: AuctionInstance) -> Answer:
        """Run one auction; what the solver knows of the last one stays hot."""
        result = run_auction(
            instance,
            without_penalties(instance),
            solver=self._solver,
            previous=self._previous,
        )
        self._previous = result.weights
        proof = result.certificate
        return Answer(
            weights=result.weights,
            status=result.status.value,
            gap=None if proof is None else abs(proof.gap),
        )


def finite_deltas(instance: AuctionInstance, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Measure every bid's finite delta of CVaR, last in: what the order gate asks (SPEC 4).

    Parameters
    ----------
    weights
        Shape ``(n_bids,)``; a bid that holds nothing is asked about one thousandth.

    Returns
    -------
    Shape ``(n_symbols,)``, fractions of net asset value.
    """
    net = instance.net(weights)
    changes = np.where(net > 0.0, net, 1e-3)
    returns = instance.scenarios.current.returns
    return delta_cvars(
        returns,
        book_losses(returns, np.maximum(net, changes)),
        np.arange(net.size),
        changes,
        confidence_level=instance.confidence_level,
    )
