"""The market as the broker is shown it: one instant, symbol by symbol, where a quote is valid."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.adapters.account import MarketView
from instgov_dagster.adapters.markets.quote_stream import QuoteStream
from instgov_dagster.bars.quotes import Quotes


def market_views(
    quotes: Quotes,
    has_quote: NDArray[np.bool_],
    stream: QuoteStream,
    adv_usd: NDArray[np.float64],
    *,
    impact_bps: Mapping[str, float],
    max_participation: float,
    at: datetime,
) -> dict[str, MarketView]:
    """Show the broker the market of one instant, symbol by symbol, where the quote is valid.

    Parameters
    ----------
    has_quote, adv_usd
        Shape ``(n_symbols,)`` in the order of the quotes.
    impact_bps
        By symbol, the plan's own estimate without the half spread, which the price carries.
    """
    return {
        symbol: MarketView(
            bid=float(quotes.bid[n]),
            ask=float(quotes.ask[n]),
            bar_low=float(stream.bar_low[n]),
            bar_high=float(stream.bar_high[n]),
            impact_bps=impact_bps.get(symbol, 0.0),
            adv_usd=float(adv_usd[n]),
            max_participation=max_participation,
            at=at,
        )
        for n, symbol in enumerate(quotes.symbols)
        if has_quote[n] and np.isfinite(adv_usd[n])
    }
