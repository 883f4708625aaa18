"""Proofs about an auction's answer that share nothing with any solver: checks, value, bound."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.instance import (
    AuctionInstance,
    CapGroup,
    Tail,
    chord_grid,
    chord_nodes,
    impact_costs,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

# Tail weights that miss their sum by no more than floating point does are left as they are.
_ROUNDING = 1e-13


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A limit the weights break: which, of what, and by how much."""

    code: ReasonCode
    key: str
    excess: float


def check_weights(instance: AuctionInstance, weights: NDArray[np.float64]) -> tuple[Violation, ...]:
    """Check weights against every limit of the instance; an empty answer says they keep all.

    Finiteness first, then the box, the groups with the budget, the purchase limits, and the exact
    CVaR of every measure.

    Parameters
    ----------
    weights
        Shape ``(n_bids,)``, fractions of net asset value.
    """
    if weights.shape != instance.held.shape or not np.isfinite(weights).all():
        return (Violation(code=ReasonCode.RISK_NOT_FINITE, key="weights", excess=np.inf),)
    net = instance.net(weights)
    return (*_check_box(instance, weights, net), *_check_tails(instance, net))


def _check_box(
    instance: AuctionInstance, weights: NDArray[np.float64], net: NDArray[np.float64]
) -> list[Violation]:
    slack = instance.policy.feasibility_tolerance
    boxes = weights - instance.caps
    groups = instance.membership.sums(weights) - instance.group_caps
    buys = net - instance.net_held - instance.buy_limits
    found = [
        *((instance.bid_ids[j], instance.cap_codes[j], boxes[j]) for j in _broken(boxes, slack)),
        *((group.key, group.code, groups[g]) for g, group in _named(instance, groups, slack)),
        *((instance.symbols[i], instance.buy_codes[i], buys[i]) for i in _broken(buys, slack)),
    ]
    if weights.size and not -weights.min() <= slack:
        found.insert(0, ("short", ReasonCode.RISK_NOT_FINITE, -weights.min()))
    return [Violation(code=code, key=key, excess=float(excess)) for key, code, excess in found]


def _named(
    instance: AuctionInstance, excess: NDArray[np.float64], tolerance: float
) -> list[tuple[int, CapGroup]]:
    return [(g, instance.groups[g]) for g in _broken(excess, tolerance)]


def _broken(excess: NDArray[np.float64], tolerance: float) -> list[int]:
    places: list[int] = np.flatnonzero(~(excess <= tolerance)).tolist()  # NaN is a violation
    return places


def _check_tails(instance: AuctionInstance, net: NDArray[np.float64]) -> list[Violation]:
    found = []
    taken: dict[int, float] = {}
    for measure, limit in zip(instance.scenarios.measures, instance.measure_limits, strict=True):
        key = id(measure.returns)  # measures share a matrix where one is a multiple of another
        if key not in taken:
            taken[key] = (
                measure.cvar(net, instance.confidence_level) if measure.is_finite else np.nan
            )
        value = taken[key]
        gauged = value if measure.multiplier == 1.0 else measure.multiplier * max(value, 0.0)
        excess = gauged - limit if np.isfinite(value) else np.inf
        if not excess <= instance.policy.cvar_tolerance:
            code = ReasonCode.CVAR_LIMIT_BINDS if np.isfinite(value) else ReasonCode.RISK_NOT_FINITE
            found.append(Violation(code=code, key=measure.name, excess=excess))
    return found


def _chord_cost(
    instance: AuctionInstance, traded: NDArray[np.float64], rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    # Impact of trading `traded` (n_rows, any) on the chords that lie above the convex cost.
    grid, n = chord_grid(instance.policy), traded.shape[1]
    reach = instance.reach[rows, None]
    share = traded / np.where(reach > 0.0, reach, np.inf)
    at = np.minimum(np.searchsorted(grid, share, side="right") - 1, grid.size - 2)
    start = grid[at]
    end = grid[at + 1]
    part = np.minimum((share - start) / (end - start), 1.0)
    costs = impact_costs(instance, np.concatenate([reach * start, reach * end], axis=1), rows)
    low, high = costs[:, :n], costs[:, n:]
    cost: NDArray[np.float64] = low + part * (high - low)
    return cost


def _costs_of(
    instance: AuctionInstance, nets: NDArray[np.float64], rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    # What it costs to go from what is held to each of some nets, shape (n_rows, any).
    change = nets - instance.net_held[rows, None]
    size = np.abs(change)
    forced = np.maximum(-change - instance.sell_limits[rows, None], 0.0)
    costs: NDArray[np.float64] = (
        instance.half_spread[rows, None] * size
        + _chord_cost(instance, size - forced, rows)
        + instance.policy.forced_sale_penalty * forced
    )
    return costs


def trading_costs(instance: AuctionInstance, *nets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Price the trade of each symbol from what is held to the first of ``nets``, ``(n_symbols,)``.

    Half the spread on every trade, the chords of the impact, and the penalty on the part of a
    sale beyond the participation limit, which only a cap can force. The costs of all the nets are
    kept with the instance.
    """
    keys = [net.tobytes() for net in nets]
    asked = [net for net, key in zip(nets, keys, strict=True) if key not in instance.kept_costs]
    if asked:
        together = np.column_stack(asked)
        rows = np.flatnonzero((together != instance.net_held[:, None]).any(axis=1))
        costs = np.zeros((len(asked), instance.net_held.size))
        costs[:, rows] = _costs_of(instance, together[rows], rows).T
        costs.setflags(write=False)
        for net, cost in zip(asked, costs, strict=True):
            instance.kept_costs[net.tobytes()] = cost
    return instance.kept_costs[keys[0]]


def marginal_costs(instance: AuctionInstance, net: NDArray[np.float64]) -> NDArray[np.float64]:
    """Price the next unit bought of each symbol from ``net``, shape ``(n_symbols,)``.

    A symbol that is being sold saves the cost of the sale it no longer makes.
    """
    change, reach, grid = net - instance.net_held, instance.reach, chord_grid(instance.policy)
    slack = instance.policy.feasibility_tolerance
    share = np.abs(change) / np.where(reach > 0.0, reach, np.inf)
    is_sold = change < -slack
    above = np.searchsorted(grid, share + slack, side="right") - 1
    below = np.searchsorted(grid, share - slack, side="left") - 1
    at = np.clip(np.where(is_sold, below, above), 0, grid.size - 2)
    ends = np.stack([reach * grid[at], reach * grid[at + 1]], axis=1)
    nodes = impact_costs(instance, ends, np.arange(net.size))
    width = ends[:, 1] - ends[:, 0]
    slope = (nodes[:, 1] - nodes[:, 0]) / np.where(width > 0.0, width, np.inf)
    unit = instance.half_spread + slope
    signed: NDArray[np.float64] = np.where(is_sold, -unit, unit)
    return signed


def objective_value(instance: AuctionInstance, weights: NDArray[np.float64]) -> float:
    """Evaluate the auction's objective at weights, with the exact CVaR (roadmap 4.3).

    Expected value less lambda times current CVaR less trading costs, a fraction of net asset
    value over the horizon.
    """
    net = instance.net(weights)
    risk = instance.scenarios.current.cvar(net, instance.confidence_level)
    return float(
        instance.values @ weights - instance.hurdle * risk - trading_costs(instance, net).sum()
    )


def repair_tail(
    raw: NDArray[np.float64], tail: Tail, *, confidence_level: float
) -> NDArray[np.float64]:
    """Turn any numbers into valid tail weights: 0 <= q <= sum(q) / m and sum(q) >= hurdle.

    Parameters
    ----------
    raw
        Shape ``(n_scenarios,)``, what a solver called the duals of the scenario rows.
    tail
        The scenarios they belong to.
    confidence_level
        Tail level alpha in (0, 1); m is (1 - alpha) times the number of scenarios.
    """
    n_scenarios = tail.returns.shape[0]
    mass = (1.0 - confidence_level) * n_scenarios
    weights: NDArray[np.float64] = np.where(np.isfinite(raw), np.maximum(raw, 0.0), 0.0)
    total = max(float(weights.sum()), tail.hurdle)
    if total <= 0.0:
        return np.zeros(n_scenarios)
    most = total / mass
    weights = np.minimum(weights, most)
    # What is missing goes where weight already is; only where that has no room, everywhere.
    missing = total - float(weights.sum())
    if missing > _ROUNDING * total:
        room = np.where(weights > 0.0, most - weights, 0.0)
        if float(room.sum()) < missing:
            room = most - weights
        weights += room * (missing / float(room.sum()))
    return weights


def _by_bid(
    instance: AuctionInstance, worth: NDArray[np.float64], rows: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # The caps and worths of each row's bids, dearest first: shape (n_rows, most bids of a symbol).
    place_of = np.full(len(instance.symbols), -1, dtype=np.intp)
    place_of[rows] = np.arange(rows.size)
    bids = np.flatnonzero(place_of[instance.symbol_of] >= 0)
    owner = place_of[instance.symbol_of[bids]]
    order = np.lexsort((bids, -worth[bids], owner))
    bids, owner = bids[order], owner[order]
    place = np.arange(bids.size) - np.searchsorted(owner, owner, side="left")
    width = int(place.max(initial=0)) + 1
    caps, rates = np.zeros((rows.size, width)), np.zeros((rows.size, width))
    caps[owner, place] = instance.caps[bids]
    rates[owner, place] = worth[bids]
    return caps, rates


def _filled(
    nets: NDArray[np.float64], caps: NDArray[np.float64], rates: NDArray[np.float64]
) -> NDArray[np.float64]:
    # What nets (n_rows, any) are worth, the dearest bids filled first.
    left, gains = nets, np.zeros(nets.shape)
    for place in range(caps.shape[1]):
        taken = np.minimum(left, caps[:, place, None])
        gains += taken * rates[:, place, None]
        left = left - taken
    return gains


def _best_of(
    instance: AuctionInstance, worth: NDArray[np.float64], rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    # max over each symbol's bids of worth @ x - cost(sum x): concave and piecewise linear in the
    # sum, so its maximum stands on one of the kinks, all of which are tried.
    caps, rates = _by_bid(instance, worth, rows)
    ends = np.cumsum(caps, axis=1)
    held, reach = instance.net_held[rows], instance.reach[rows]
    sells = np.minimum(instance.sell_limits[rows], held)
    buys = np.minimum(instance.buy_limits[rows], reach)
    most = np.maximum(np.minimum(ends[:, -1], held + buys), 0.0)
    corners = np.zeros((rows.size, ends.shape[1] + 2))
    corners[:, 1:-2], corners[:, -2], corners[:, -1] = ends[:, :-1], held - sells, most
    corners = np.minimum(corners, most[:, None])
    best = (_filled(corners, caps, rates) - _costs_of(instance, corners, rows)).max(axis=1)
    # Where a chord ends its cost is known; an end that cannot be traded to is no candidate.
    kinks = reach[:, None] * chord_grid(instance.policy)
    costs = instance.half_spread[rows, None] * kinks + chord_nodes(instance, rows)
    room = (most - held)[:, None]
    bought = np.where(kinks <= room, _filled(held[:, None] + kinks, caps, rates) - costs, -np.inf)
    can_sell = (kinks <= sells[:, None]) & (kinks >= -room)
    sold = np.where(can_sell, _filled(held[:, None] - kinks, caps, rates) - costs, -np.inf)
    found: NDArray[np.float64] = np.maximum(best, np.maximum(bought, sold).max(axis=1))
    return found


def _best_total(instance: AuctionInstance, worth: NDArray[np.float64]) -> float:
    # A symbol not held whose dearest bid is worth no more than half the spread adds exactly 0:
    # its gain is at most worth times the purchase and its cost at least the spread times it.
    if not worth.size:
        return 0.0
    dearest = np.full(len(instance.symbols), -np.inf)
    np.maximum.at(dearest, instance.symbol_of, worth)
    is_open = (instance.net_held > 0.0) | (dearest > instance.half_spread)
    rows = np.flatnonzero(is_open)
    return float(_best_of(instance, worth, rows).sum()) if rows.size else 0.0


def upper_bound(
    instance: AuctionInstance,
    tail_weights: tuple[NDArray[np.float64], ...],
    group_prices: NDArray[np.float64],
) -> float:
    """Bound the objective of every feasible answer from above, by weak duality.

    For any q with 0 <= q <= sum(q) / m and sum(q) >= lambda, and any prices y >= 0: the value
    with each bid's worth mu + R'q - G'y, maximised symbol by symbol, plus y times the caps, plus
    (sum(q) - lambda) times the CVaR limit. A gap of zero to a feasible answer proves it best.

    Parameters
    ----------
    tail_weights
        One array a tail, shape ``(n_scenarios,)``; any numbers, repaired by `repair_tail`.
    group_prices
        Shape ``(n_groups,)``; what is negative or not finite counts as zero.
    """
    return bound_of(instance, read_duals(instance, tail_weights, group_prices))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Duals:
    """Duals that are valid whatever they were made from, and what a unit of each bid pays at them.

    ``shares`` holds one array a tail, shape ``(n_scenarios,)``, as `repair_tail` leaves it;
    ``prices`` (G,) are not negative; ``charge`` (J,) is G'y - R'q of each bid.
    """

    shares: tuple[NDArray[np.float64], ...]
    prices: NDArray[np.float64]
    charge: NDArray[np.float64]


def read_duals(
    instance: AuctionInstance,
    tail_weights: tuple[NDArray[np.float64], ...],
    group_prices: NDArray[np.float64],
) -> Duals:
    """Turn any numbers into valid duals.

    Parameters
    ----------
    tail_weights
        One array a tail, shape ``(n_scenarios,)``; repaired by `repair_tail`.
    group_prices
        Shape ``(n_groups,)``; what is negative or not finite counts as zero.
    """
    prices, level = valid_prices(group_prices), instance.confidence_level
    pairs = zip(tail_weights, instance.tails, strict=True)
    shares = tuple(repair_tail(raw, tail, confidence_level=level) for raw, tail in pairs)
    charge = instance.membership.charges(prices)
    for share, tail in zip(shares, instance.tails, strict=True):
        charge = charge - mean_returns(share, tail)[instance.symbol_of]
    return Duals(shares=shares, prices=prices, charge=charge)


def bound_of(instance: AuctionInstance, duals: Duals) -> float:
    """Give the bound that valid duals prove; see `upper_bound`."""
    bound = float(duals.prices @ instance.group_caps)
    for share, tail in zip(duals.shares, instance.tails, strict=True):
        bound += (float(share.sum()) - tail.hurdle) * tail.limit
    return bound + _best_total(instance, instance.values - duals.charge)


def valid_prices(group_prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn any numbers into prices: what is negative or not finite counts as zero."""
    return np.where(np.isfinite(group_prices), np.maximum(group_prices, 0.0), 0.0)


def mean_returns(share: NDArray[np.float64], tail: Tail) -> NDArray[np.float64]:
    """Weigh a tail's returns, R'q: shape ``(n_scenarios,)`` to ``(n_symbols,)``."""
    touched = np.flatnonzero(share)
    returns: NDArray[np.float64] = share[touched] @ tail.returns[touched]
    return returns


def scale_into_limits(
    instance: AuctionInstance, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Scale weights by one factor until caps, groups and every CVaR limit are kept.

    Both sums and CVaR are proportional to the factor. What a symbol may buy is not looked at.

    Parameters
    ----------
    weights
        Shape ``(n_bids,)``, finite and not negative.
    """
    clipped = np.minimum(weights, instance.caps)
    gross = instance.membership.sums(clipped)
    over = gross > instance.group_caps
    factor = float((instance.group_caps[over] / gross[over]).min(initial=1.0))
    net = instance.net(clipped)
    for tail in instance.tails:
        value = tail.measure.cvar(net, instance.confidence_level)
        if value > tail.limit:
            factor = min(factor, tail.limit / value)
    return clipped * factor
