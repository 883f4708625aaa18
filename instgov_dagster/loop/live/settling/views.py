"""The market as the broker is shown it: one instant, symbol by symbol, where a quote is valid."""

from collections.abc import Iterator, Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.adapters.account import MarketView
from instgov_dagster.adapters.markets.quote_stream import QuoteStream
from instgov_dagster.bars.quotes import Quotes


class MarketViews(Mapping[str, MarketView]):
    """The market of one instant, by symbol, where the quote is valid; a view is made when asked.

    Parameters
    ----------
    has_quote, adv_usd
        Shape ``(n_symbols,)`` in the order of the quotes.
    impact_bps
        By symbol, the plan's own estimate without the half spread, which the price carries.
    """

    def __init__(
        self,
        quotes: Quotes,
        has_quote: NDArray[np.bool_],
        stream: QuoteStream,
        adv_usd: NDArray[np.float64],
        *,
        impact_bps: Mapping[str, float],
        max_participation: float,
        at: datetime,
    ) -> None:
        self._quotes, self._adv_usd, self._impact_bps = quotes, adv_usd, impact_bps
        self._low, self._high = stream.bar_low, stream.bar_high  # as they are at this instant
        self._max_participation, self._at = max_participation, at
        shown = np.flatnonzero(has_quote & np.isfinite(adv_usd)).tolist()
        self._places = {quotes.symbols[n]: n for n in shown}

    def __getitem__(self, symbol: str) -> MarketView:
        n = self._places[symbol]
        return MarketView(
            bid=float(self._quotes.bid[n]),
            ask=float(self._quotes.ask[n]),
            bar_low=float(self._low[n]),
            bar_high=float(self._high[n]),
            impact_bps=self._impact_bps.get(symbol, 0.0),
            adv_usd=float(self._adv_usd[n]),
            max_participation=self._max_participation,
            at=self._at,
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
