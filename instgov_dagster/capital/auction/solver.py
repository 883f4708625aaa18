"""What the auction asks of a solver, and what it gets; nothing is solved and nothing is judged."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.instance import AuctionInstance


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
        """Forget all that was kept from earlier solves: the next one starts cold.

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


def empty_solution(instance: AuctionInstance) -> AuctionSolution:
    """Answer an auction nobody bid in."""
    return AuctionSolution(
        is_solved=True,
        weights=np.zeros(0),
        tail_weights=tuple(np.zeros(tail.returns.shape[0]) for tail in instance.tails),
        group_prices=np.zeros(len(instance.groups)),
        lambda_star=0.0,
        message="no bids",
    )
