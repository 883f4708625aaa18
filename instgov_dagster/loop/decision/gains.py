"""What each order of the auction is worth: its own gain and the capital it sets free."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.result import AuctionResult
from instgov_dagster.vocabulary.reasons import ReasonCode


def order_gains(
    auction: AuctionResult,
    symbols: tuple[str, ...],
    *,
    sectors: Mapping[str, str],
    classes: Mapping[str, str],
) -> NDArray[np.float64]:
    """Give mu_net of each symbol's order: value less cost, and what the freed capital earns.

    A strategy at its cap sells one name to hold a better one: seen alone, the sale only loses.
    What it frees of a binding cap is worth the cap's price, because that is what the auction
    earns on it elsewhere; only capital on balance set free is counted, never capital taken up.

    Parameters
    ----------
    symbols
        In the order of the result.
    sectors, classes
        Of each symbol, as the caps are named.

    Returns
    -------
    Shape ``(n_symbols,)``, fractions of net asset value.

    Notes
    -----
    At an optimum with prices y of the caps A x <= b, taking back the bids on one symbol cannot
    raise the Lagrangian: gain - y' A (change) >= lambda * delta. So no order fails its hurdle.
    """
    prices = {(price.code, price.key): price.price for price in auction.prices}
    budget = sum(y for (code, _), y in prices.items() if code is ReasonCode.BUDGET_BINDS)
    of_symbol = np.array(
        [
            budget
            + prices.get((ReasonCode.NAME_CAP_BINDS, symbol), 0.0)
            + prices.get((ReasonCode.SECTOR_CAP_BINDS, sectors.get(symbol, "")), 0.0)
            + prices.get((ReasonCode.CLASS_CAP_BINDS, classes.get(symbol, "")), 0.0)
            for symbol in symbols
        ]
    )
    stages = {key: y for (code, key), y in prices.items() if code is ReasonCode.STAGE_CAP_BINDS}
    bids = auction.bids
    symbol_of = bid_places(auction, symbols)
    of_strategy = np.array([stages.get(name, 0.0) for name in bids["strategy_id"].to_list()])
    change = auction.weights - auction.held
    gain = bids["mu_hat"].to_numpy() * change - bids["liquidity_cost"].to_numpy()
    freed = -(of_symbol[symbol_of] + of_strategy) * change
    n = len(symbols)
    earned = np.bincount(symbol_of, gain, n).astype(np.float64)
    return earned + np.maximum(np.bincount(symbol_of, freed, n), 0.0)


def bid_places(auction: AuctionResult, symbols: tuple[str, ...]) -> NDArray[np.intp]:
    """Give the place of each bid's symbol among the symbols, shape ``(n_bids,)``.

    Raises
    ------
    KeyError
        If a bid is on a symbol that is not among them.
    """
    place = {symbol: i for i, symbol in enumerate(symbols)}
    return np.array([place[name] for name in auction.bids["symbol"].to_list()], dtype=np.intp)


def lead_strategies(auction: AuctionResult, symbols: Sequence[str]) -> dict[str, str]:
    """Name the strategy each symbol's order belongs to: the largest grant, else the best rank.

    Raises
    ------
    KeyError
        If nobody bid for a symbol.
    """
    wanted, bids = set(symbols), auction.bids
    columns = ("symbol", "strategy_id", "weight", "rank")
    best: dict[str, tuple[tuple[float, float], str]] = {}
    for symbol, name, weight, rank in zip(*(bids[c].to_list() for c in columns), strict=True):
        if symbol in wanted and (symbol not in best or (weight, -rank) > best[symbol][0]):
            best[symbol] = ((weight, -rank), name)
    return {symbol: best[symbol][1] for symbol in symbols}
