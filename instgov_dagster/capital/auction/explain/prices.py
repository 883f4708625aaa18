"""What caps and tails cost the bids, and what a bid's next unit would pay; no words here."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.certificate import Duals, marginal_costs
from instgov_dagster.capital.auction.instance import AuctionInstance, Tail
from instgov_dagster.capital.auction.result import ShadowPrice
from instgov_dagster.capital.cvar import marginal_and_rising_cvar
from instgov_dagster.vocabulary.reasons import ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prices:
    """The prices of an auction: what the caps and the tail cost each bid.

    ``groups`` (G,) price the caps; ``limits`` price each tail's CVaR limit; ``charge`` (J,) is
    what a unit of each bid pays for tail and caps together. All zero where nothing was solved.
    """

    groups: NDArray[np.float64]
    limits: tuple[float, ...]
    charge: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """How each bid stands, arrays of shape ``(n_bids,)``.

    ``surplus`` is what it is worth above its price; ``tail``, ``rent`` and ``cost`` are the parts
    of the price of its next unit: the hurdle on current CVaR, what scarce caps and CVaR limits
    cost, and the cost of trading; ``shortfall`` by how much its value falls short of that price;
    ``marginal`` the derivative of the book's current CVaR.
    """

    surplus: NDArray[np.float64]
    tail: NDArray[np.float64]
    rent: NDArray[np.float64]
    cost: NDArray[np.float64]
    shortfall: NDArray[np.float64]
    marginal: NDArray[np.float64]


def no_prices(instance: AuctionInstance) -> Prices:
    """Price nothing, for the steps of the ladder that have no duals."""
    return Prices(
        groups=np.zeros(len(instance.groups)),
        limits=tuple(0.0 for _ in instance.tails),
        charge=np.zeros(len(instance.bid_ids)),
    )


def price_bids(instance: AuctionInstance, duals: Duals) -> Prices:
    """Turn duals into what a unit of each bid pays."""
    pairs = zip(duals.shares, instance.tails, strict=True)
    limits = tuple(max(float(share.sum()) - tail.hurdle, 0.0) for share, tail in pairs)
    return Prices(groups=duals.prices, limits=limits, charge=duals.charge)


def stand(instance: AuctionInstance, weights: NDArray[np.float64], prices: Prices) -> Standing:
    """Set what each bid is worth against what its next unit would pay."""
    owner, net = instance.symbol_of, instance.net(weights)
    costs = marginal_costs(instance, net)[owner]
    rent = instance.membership.charges(prices.groups)
    hurdles = np.zeros(owner.size)
    marginals = np.zeros(owner.size)
    for place, (tail, price) in enumerate(zip(instance.tails, prices.limits, strict=True)):
        if place > 0 and tail.hurdle <= 0.0 and price <= 0.0:
            continue
        marginal, rising = _slopes(instance, tail, net)
        rent = rent + price * rising[owner]
        hurdles = hurdles + tail.hurdle * rising[owner]
        if place == 0:
            marginals = marginal[owner]
    return Standing(
        marginal=marginals,
        surplus=instance.values - prices.charge - costs,
        tail=hurdles,
        rent=rent,
        cost=costs,
        shortfall=np.maximum(costs + rent + hurdles - instance.values, 0.0),
    )


def _slopes(
    instance: AuctionInstance, tail: Tail, net: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # What each symbol adds to the CVaR of the book, and what its next unit would; on an empty
    # book nothing does, and the next unit adds the symbol's own.
    level = instance.confidence_level
    if not net.any():
        return np.zeros(net.size), tail.measure.standalone_cvar(level)
    tolerance = instance.policy.weight_quantum * int(np.count_nonzero(net))
    losses = tail.measure.losses(net)
    return marginal_and_rising_cvar(
        tail.returns, losses, confidence_level=level, tie_tolerance=tolerance
    )


def shadow_prices(
    instance: AuctionInstance, weights: NDArray[np.float64], prices: Prices
) -> tuple[ShadowPrice, ...]:
    """List the caps and CVaR limits that cost something, dearest first."""
    least = instance.policy.price_tolerance
    net = instance.net(weights)
    found = []
    totals = instance.membership.sums(weights)
    for g in np.flatnonzero(prices.groups > least).tolist():
        group, slack = instance.groups[g], float(instance.group_caps[g] - totals[g])
        price = float(prices.groups[g])
        found.append(ShadowPrice(code=group.code, key=group.key, price=price, slack=slack))
    for place, (tail, price) in enumerate(zip(instance.tails, prices.limits, strict=True)):
        if price > least:
            value = tail.measure.cvar(net, instance.confidence_level)
            found.append(
                ShadowPrice(
                    code=ReasonCode.CVAR_LIMIT_BINDS,
                    key=f"tail_{place}",
                    price=price,
                    slack=tail.limit - value,
                )
            )
    return tuple(sorted(found, key=lambda row: (-row.price, row.code, row.key)))
