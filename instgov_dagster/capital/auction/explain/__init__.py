"""Why each bid won or lost: ranks, prices, contributions and reasons; nothing is decided here."""

from instgov_dagster.capital.auction.explain.prices import (
    Prices,
    no_prices,
    price_bids,
    shadow_prices,
)
from instgov_dagster.capital.auction.explain.rows import explain_bids, refuse_bids

__all__ = ["Prices", "explain_bids", "no_prices", "price_bids", "refuse_bids", "shadow_prices"]
