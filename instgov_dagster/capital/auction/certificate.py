"""Proofs about an auction's answer that share nothing with any solver: checks, value, bound."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.instance import AuctionInstance, Tail, chord_grid, chord_nodes
from instgov_dagster.capital.cvar import book_losses, cvar
from instgov_dagster.vocabulary.reasons import ReasonCode


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
    policy = instance.policy
    found: list[Violation] = []

    def note(code: ReasonCode, key: str, excess: float, tolerance: float) -> None:
        if not excess <= tolerance:  # NaN is a violation
            found.append(Violation(code=code, key=key, excess=excess))

    linear = policy.feasibility_tolerance
    if weights.size:
        note(ReasonCode.RISK_NOT_FINITE, "short", float(-weights.min()), linear)
    for j in np.flatnonzero(~(weights - instance.caps <= linear)).tolist():
        excess = float(weights[j] - instance.caps[j])
        note(instance.cap_codes[j], instance.bid_ids[j], excess, linear)
    for g, group in enumerate(instance.groups):
        total = float(weights[instance.membership[g]].sum())
        note(group.code, group.key, total - float(instance.group_caps[g]), linear)
    net = instance.net(weights)
    bought = net - instance.net(instance.held)
    for i in np.flatnonzero(~(bought - instance.buy_limits <= linear)).tolist():
        excess = float(bought[i] - instance.buy_limits[i])
        note(instance.buy_codes[i], instance.symbols[i], excess, linear)
    pairs = zip(instance.scenarios.measures, instance.measure_limits, strict=True)
    for measure, limit in pairs:
        if not np.isfinite(measure.returns).all():
            note(ReasonCode.RISK_NOT_FINITE, measure.name, np.inf, policy.cvar_tolerance)
            continue
        level = instance.confidence_level
        value = cvar(book_losses(measure.returns, net), confidence_level=level)
        taken = value if measure.multiplier == 1.0 else measure.multiplier * max(value, 0.0)
        note(ReasonCode.CVAR_LIMIT_BINDS, measure.name, taken - limit, policy.cvar_tolerance)
    return tuple(found)


def _chord_cost(instance: AuctionInstance, traded: NDArray[np.float64]) -> NDArray[np.float64]:
    # Impact of trading `traded` (n_symbols,) on the chords that lie above the convex cost.
    grid, nodes = chord_grid(instance.policy), chord_nodes(instance)
    share = _share(instance, traded)
    at = np.clip(np.searchsorted(grid, share, side="right") - 1, 0, grid.size - 2)
    rows = np.arange(traded.size)
    part = np.minimum((share - grid[at]) / (grid[at + 1] - grid[at]), 1.0)
    low, high = nodes[rows, at], nodes[rows, at + 1]
    cost: NDArray[np.float64] = low + part * (high - low)
    return cost


def _share(instance: AuctionInstance, traded: NDArray[np.float64]) -> NDArray[np.float64]:
    reach = instance.reach
    return np.divide(traded, reach, out=np.zeros_like(traded), where=reach > 0.0)


def trading_costs(instance: AuctionInstance, net: NDArray[np.float64]) -> NDArray[np.float64]:
    """Price the trade of each symbol from what is held to ``net``, shape ``(n_symbols,)``.

    Half the spread on every trade, the chords of the impact, and the penalty on the part of a
    sale beyond the participation limit, which only a cap can force.
    """
    change = net - instance.net(instance.held)
    sold = np.maximum(-change, 0.0)
    forced = np.maximum(sold - instance.sell_limits, 0.0)
    chords = _chord_cost(instance, np.maximum(change, 0.0) + sold - forced)
    costs: NDArray[np.float64] = (
        instance.half_spread * np.abs(change)
        + chords
        + instance.policy.forced_sale_penalty * forced
    )
    return costs


def marginal_costs(instance: AuctionInstance, net: NDArray[np.float64]) -> NDArray[np.float64]:
    """Price the next unit bought of each symbol from ``net``, shape ``(n_symbols,)``.

    A symbol that is being sold saves the cost of the sale it no longer makes.
    """
    change = net - instance.net(instance.held)
    grid = chord_grid(instance.policy)
    slack = instance.policy.feasibility_tolerance
    share = _share(instance, np.abs(change))
    is_sold = change < -slack
    above = np.searchsorted(grid, share + slack, side="right") - 1
    below = np.searchsorted(grid, share - slack, side="left") - 1
    at = np.clip(np.where(is_sold, below, above), 0, grid.size - 2)
    rows = np.arange(change.size)
    nodes = chord_nodes(instance)
    width = instance.reach * (grid[at + 1] - grid[at])
    rise = nodes[rows, at + 1] - nodes[rows, at]
    slope = np.divide(rise, width, out=np.zeros_like(rise), where=width > 0.0)
    unit = instance.half_spread + slope
    signed: NDArray[np.float64] = np.where(is_sold, -unit, unit)
    return signed


def objective_value(instance: AuctionInstance, weights: NDArray[np.float64]) -> float:
    """Evaluate the auction's objective at weights, with the exact CVaR (roadmap 4.3).

    Expected value less lambda times current CVaR less trading costs, a fraction of net asset
    value over the horizon.
    """
    net = instance.net(weights)
    losses = book_losses(instance.scenarios.current.returns, net)
    risk = cvar(losses, confidence_level=instance.confidence_level)
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
    weights = np.where(np.isfinite(raw), np.maximum(raw, 0.0), 0.0)
    total = max(float(weights.sum()), tail.hurdle)
    if total <= 0.0:
        return np.zeros(n_scenarios)
    weights = np.minimum(weights, total / mass)
    room = total / mass - weights
    # The cap leaves room for n / m > 1 times the total, so what was cut off always fits again.
    repaired: NDArray[np.float64] = weights + room * (
        (total - float(weights.sum())) / float(room.sum())
    )
    return repaired


def _best_by_symbol(instance: AuctionInstance, worth: NDArray[np.float64]) -> NDArray[np.float64]:
    # max over each symbol's bids of worth @ x - cost(sum x): concave and piecewise linear in the
    # sum, so its maximum stands on one of the kinks, all of which are tried.
    n_symbols, n_bids = len(instance.symbols), len(instance.bid_ids)
    if not n_bids:
        return np.zeros(0)
    order = np.lexsort((np.arange(n_bids), -worth, instance.symbol_of))
    owner = instance.symbol_of[order]
    place = np.arange(n_bids) - np.searchsorted(owner, owner, side="left")
    width = int(place.max()) + 1
    caps = np.zeros((n_symbols, width))
    rates = np.zeros((n_symbols, width))
    caps[owner, place] = instance.caps[order]
    rates[owner, place] = worth[order]
    ends = np.cumsum(caps, axis=1)
    held = instance.net(instance.held)
    reach = instance.reach
    most = np.minimum(ends[:, -1], held + np.minimum(instance.buy_limits, reach))
    kinks = reach[:, None] * chord_grid(instance.policy)
    sold = np.minimum(kinks, instance.sell_limits[:, None])
    candidates = np.concatenate(
        [
            np.zeros((n_symbols, 1)),
            ends,
            held[:, None] + kinks,
            held[:, None] - sold,
            (held - instance.sell_limits)[:, None],
            most[:, None],
        ],
        axis=1,
    )
    candidates = np.clip(candidates, 0.0, np.maximum(most, 0.0)[:, None])
    starts = ends - caps
    filled = np.clip(candidates[:, :, None] - starts[:, None, :], 0.0, caps[:, None, :])
    gains = (filled * rates[:, None, :]).sum(axis=2)
    costs = np.column_stack(
        [trading_costs(instance, candidates[:, c]) for c in range(candidates.shape[1])]
    )
    best: NDArray[np.float64] = (gains - costs).max(axis=1)
    return best


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
    prices = np.where(np.isfinite(group_prices), np.maximum(group_prices, 0.0), 0.0)
    worth = instance.values - prices @ instance.membership
    bound = float(prices @ instance.group_caps)
    for raw, tail in zip(tail_weights, instance.tails, strict=True):
        share = repair_tail(raw, tail, confidence_level=instance.confidence_level)
        worth = worth + (share @ tail.returns)[instance.symbol_of]
        bound += (float(share.sum()) - tail.hurdle) * tail.limit
    return bound + float(_best_by_symbol(instance, worth).sum())
