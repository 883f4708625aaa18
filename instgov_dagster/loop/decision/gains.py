"""What each order of the auction is worth: its own gain and the capital it sets free."""

from collections.abc import Mapping

import numpy as np
import polars as pl
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

    def priced(code: ReasonCode, keys: pl.Series) -> NDArray[np.float64]:
        return np.array([prices.get((code, key), 0.0) for key in keys.to_list()])

    bids = auction.bids
    names = bids["symbol"]
    change = (bids["weight"] - bids["held_weight"]).to_numpy()
    budget = sum(y for (code, _), y in prices.items() if code is ReasonCode.BUDGET_BINDS)
    rate = (
        budget
        + priced(ReasonCode.STAGE_CAP_BINDS, bids["strategy_id"])
        + priced(ReasonCode.NAME_CAP_BINDS, names)
        + priced(ReasonCode.SECTOR_CAP_BINDS, names.replace_strict(sectors, default=""))
        + priced(ReasonCode.CLASS_CAP_BINDS, names.replace_strict(classes, default=""))
    )
    place = {symbol: i for i, symbol in enumerate(symbols)}
    freed = np.zeros(len(symbols))
    for symbol, value in zip(names.to_list(), (-rate * change).tolist(), strict=True):
        freed[place[symbol]] += value
    return auction.net_gain(symbols) + np.maximum(freed, 0.0)
