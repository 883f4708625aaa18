"""Small auctions whose answer is known by hand, and a way to run them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.result import AuctionResult
from instgov_dagster.capital.auction.run import run_auction
from instgov_dagster.capital.auction.solver import AuctionSolver
from instgov_dagster.capital.auction.values import AdjustedValues
from instgov_dagster.vocabulary.capital import CapitalAuctionInput
from instgov_dagster.vocabulary.policy.capital import AuctionPolicy, CVaRConfig
from instgov_dagster_tests.capital.worlds import bid, instance_of, scenarios_of, small_config

#: One solver for all small auctions: the program is rebuilt whenever the bids change.
SOLVER = HotSolver()


def crashes(*losses: float, n: int = 60) -> NDArray[np.float64]:
    """One column a loss: it falls in the same three of sixty scenarios, the whole 95 % tail."""
    returns = np.zeros((n, len(losses)))
    returns[:3] = -np.array(losses)
    return returns


def free_bid(
    symbol: str = "S000", strategy_id: str = "momentum", **fields: Any
) -> CapitalAuctionInput:
    """A bid that trades for nothing, with an expected return of 40 bps."""
    free = {"liquidity_cost_bps": 0.0, "market_impact_bps": 0.0, "mu": 0.004}
    return bid(symbol, strategy_id, **{**free, **fields})


def one(
    loss: float = 0.1,
    *,
    config: CVaRConfig | None = None,
    policy: AuctionPolicy | None = None,
    fields: dict[str, Any] | None = None,
    **terms: Any,
) -> AuctionInstance:
    """One bid on one symbol whose CVaR a unit is its loss."""
    config = config or small_config()
    scenarios = scenarios_of(crashes(loss), config)
    return instance_of(
        [free_bid(**(fields or {}))], scenarios, config=config, policy=policy, **terms
    )


def many(
    rows: list[CapitalAuctionInput],
    losses: tuple[float, ...],
    *,
    policy: AuctionPolicy | None = None,
    config: CVaRConfig | None = None,
    **terms: Any,
) -> AuctionInstance:
    """Several bids on symbols S000, S001 ... with the given tail losses."""
    config = config or small_config()
    return instance_of(
        rows, scenarios_of(crashes(*losses), config), config=config, policy=policy, **terms
    )


def plain_values(instance: AuctionInstance) -> AdjustedValues:
    """An attribution without penalties, as `worlds.instance_of` uses."""
    none = np.zeros(len(instance.bid_ids))
    value = np.maximum(instance.values, 0.0)
    return AdjustedValues(
        mu=value,
        negative_part=none,
        data_quality_penalty=none,
        model_decay_penalty=none,
        provider_penalty=none,
        correlation_penalty=none,
        time_decay_penalty=none,
        mu_hat=value,
    )


def run(
    instance: AuctionInstance,
    *,
    solver: AuctionSolver | None = None,
    previous: NDArray[np.float64] | None = None,
) -> AuctionResult:
    """Run an auction with the shared solver."""
    return run_auction(instance, plain_values(instance), solver=solver or SOLVER, previous=previous)
