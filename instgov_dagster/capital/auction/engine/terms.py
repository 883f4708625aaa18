"""What an auction's bids and caps are, and its numbers of one second, as the engine reads them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.engine.lp import UNBOUNDED, Floats, Places
from instgov_dagster.capital.auction.instance import (
    AuctionInstance,
    chord_grid,
    identity_order,
    impact_costs,
)


class Structure:
    """What stays while only numbers move: whose each bid is, the caps it shares in, the tails.

    Bids stand in the order of their identity, so that the order they came in changes nothing. A
    cap on all the bids of one symbol and no other is a bound on its net weight, ``bound_groups``
    (P,) with ``bound_symbols`` (P,); every other group is a row, ``row_groups``.
    """

    def __init__(self, instance: AuctionInstance) -> None:
        self.key = instance
        n_bids, n_symbols = len(instance.bid_ids), len(instance.symbols)
        self.order: Places = identity_order(instance.bid_ids)
        self.symbol_of: Places = instance.symbol_of[self.order]
        self.n_symbols = n_symbols
        self.bids_on = np.bincount(self.symbol_of, minlength=n_symbols)
        place = np.empty(n_bids, dtype=np.intp)
        place[self.order] = np.arange(n_bids)
        self._split_groups(instance, place)

    def _split_groups(self, instance: AuctionInstance, place: Places) -> None:
        pairs, n_groups = instance.membership, len(instance.groups)
        owner = instance.symbol_of[pairs.bid_of]
        least = np.full(n_groups, self.n_symbols)
        most = np.full(n_groups, -1)
        np.minimum.at(least, pairs.group_of, owner)
        np.maximum.at(most, pairs.group_of, owner)
        sizes = np.bincount(pairs.group_of, minlength=n_groups)
        is_bound = (least == most) & (sizes == self.bids_on[np.maximum(most, 0)])
        self.bound_groups: Places = np.flatnonzero(is_bound)
        self.bound_symbols: Places = most[self.bound_groups]
        self.has_rival_bounds = np.unique(self.bound_symbols).size < self.bound_symbols.size
        self.row_groups: Places = np.flatnonzero(~is_bound & (sizes > 0))
        in_row = np.full(n_groups, -1)
        in_row[self.row_groups] = np.arange(self.row_groups.size)
        kept = in_row[pairs.group_of] >= 0
        #: The pairs of row and bid, bids in the engine's order.
        self.pair_row: Places = in_row[pairs.group_of[kept]]
        self.pair_bid: Places = place[pairs.bid_of[kept]]

    def fits(self, instance: AuctionInstance) -> bool:
        """Whether only numbers differ between the auction this was made for and another."""
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Terms:
    """The numbers of one second: J bids in the engine's order, N symbols.

    ``values`` and ``caps`` (J,); ``bounds`` (N,) the tightest cap on all of a symbol's bids and
    ``bound_by`` (N,) the group it is, -1 for none; ``buys`` and ``sells`` (N,) the most that may
    be traded either way without the penalty; ``first_cost`` (N,) what the first unit bought costs.
    """

    instance: AuctionInstance
    values: Floats
    caps: Floats
    bounds: Floats
    bound_by: Places
    buys: Floats
    sells: Floats
    first_cost: Floats


def read_terms(structure: Structure, instance: AuctionInstance) -> Terms:
    """Read an auction's numbers in the engine's order."""
    bounds = np.full(structure.n_symbols, UNBOUNDED)
    bound_by = np.full(structure.n_symbols, -1)
    caps = instance.group_caps[structure.bound_groups]
    symbols, groups = structure.bound_symbols, structure.bound_groups
    if structure.has_rival_bounds:
        tightest = np.lexsort((groups, caps))[::-1]  # of equals the first group stays
        symbols, groups, caps = symbols[tightest], groups[tightest], caps[tightest]
    bounds[symbols] = caps
    bound_by[symbols] = groups
    return Terms(
        instance=instance,
        values=instance.values[structure.order],
        caps=instance.caps[structure.order],
        bounds=bounds,
        bound_by=bound_by,
        buys=np.minimum(instance.buy_limits, instance.reach),
        sells=np.minimum(instance.sell_limits, instance.net_held),
        first_cost=_first_costs(instance),
    )


def _first_costs(instance: AuctionInstance) -> Floats:
    rows = np.arange(len(instance.symbols))
    width = instance.reach * chord_grid(instance.policy)[1]
    rise = impact_costs(instance, width[:, None], rows)[:, 0]
    costs: Floats = instance.half_spread + rise / np.where(width > 0.0, width, UNBOUNDED)
    return costs


def trade_pieces(terms: Terms, symbols: Places) -> tuple[Floats, Floats]:
    """Cut the trade of symbols into pieces of constant cost, cheapest first on either side.

    Returns
    -------
    Costs a unit and widths, shape ``(n_symbols, 2 n_chords + 1)``: purchases, sales, and the sale
    beyond the volume limit.
    """
    instance = terms.instance
    ends = instance.reach[symbols, None] * chord_grid(instance.policy)
    starts = ends[:, :-1]
    width = ends[:, 1:] - starts
    nodes = impact_costs(instance, ends, symbols)
    slope = (nodes[:, 1:] - nodes[:, :-1]) / np.where(width > 0.0, width, UNBOUNDED)
    spread = instance.half_spread[symbols, None]
    n, half = width.shape
    costs, widths = np.empty((n, 2 * half + 1)), np.empty((n, 2 * half + 1))
    np.add(spread, slope, out=costs[:, :half])
    costs[:, half:-1] = costs[:, :half]
    costs[:, -1] = spread[:, 0] + instance.policy.forced_sale_penalty
    bought, sold = widths[:, :half], widths[:, half:-1]
    for side, most in ((bought, terms.buys), (sold, terms.sells)):
        np.subtract(most[symbols, None], starts, out=side)
        np.minimum(np.maximum(side, 0.0, out=side), width, out=side)
    widths[:, -1] = instance.net_held[symbols]
    # A purchase that a cap ends is ended by the cap, which then has the price, and not by the end
    # of the last piece as well: of two ends at one place either could have it.
    bought[:, -1] += np.where((instance.reach < instance.buy_limits)[symbols], width[:, -1], 0.0)
    # Where trading moves no price all pieces cost the same, and one stands for all.
    is_flat = instance.impact[symbols] == 0.0
    if is_flat.any():
        for side in (bought, sold):
            side[is_flat, 0] = side[is_flat].sum(axis=1)
            side[is_flat, 1:] = 0.0
    return costs, widths


def best_worth(structure: Structure, terms: Terms, worth: Floats) -> Floats:
    """Give each symbol's best worth among the bids that may hold anything, -inf where none may."""
    best = np.full(structure.n_symbols, -UNBOUNDED)
    is_open = terms.caps > 0.0
    np.maximum.at(best, structure.symbol_of[is_open], worth[is_open])
    return best


def room(structure: Structure, terms: Terms) -> Floats:
    """Give the most each symbol may weigh, shape ``(n_symbols,)``."""
    total = np.bincount(structure.symbol_of, weights=terms.caps, minlength=structure.n_symbols)
    held: NDArray[np.float64] = terms.instance.net_held
    most: Floats = np.minimum(np.minimum(total, terms.bounds), held + terms.buys)
    return most
