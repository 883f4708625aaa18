"""The only holder of a broker: approved orders in, outcomes and book changes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.adapters.account import BrokerState, MarketView, OrderOutcome
from instgov_dagster.adapters.broker import PaperBroker
from instgov_dagster.adapters.markets.quote_stream import QuoteStream
from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.governance.proof import require_approved
from instgov_dagster.loop.book import BookChange, Shares
from instgov_dagster.loop.live.reconciliation import Account
from instgov_dagster.vocabulary.audit import ApprovedOrder
from instgov_dagster.vocabulary.errors import SystemHalt


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """What the broker answered in one go and what it did to the book.

    ``halt`` is what broke off the sending; what was answered before it still counts.
    """

    outcomes: tuple[OrderOutcome, ...]
    changes: tuple[BookChange, ...]
    shares: Mapping[str, Shares]
    ledger: tuple[dict[str, Any], ...]
    halt: SystemHalt | None = None

    @property
    def n_fills(self) -> int:
        """How many fills the answers hold."""
        return sum(len(outcome.fills) for outcome in self.outcomes)


class Router:
    """Sends nothing but orders whose approval verifies, each at most once.

    Parameters
    ----------
    state
        The account as the journal's fills tell it: the paper account opens with it.
    key
        The session's secret, which governance mints approvals with.
    """

    def __init__(self, state: BrokerState, *, key: bytes) -> None:
        self._broker = PaperBroker.from_state(state)
        self._key = key
        self._shares: dict[str, Shares] = {}
        self._ledger_seen = 0
        self._booked: dict[str, int] = {}

    def match(self, views: Mapping[str, MarketView]) -> Routed:
        """Try what rests against new quotes."""
        return self._collect(self._broker.match(views))

    def withdraw(self) -> Routed:
        """Cancel whatever still rests: a new cycle decides anew."""
        resting = self._broker.open_orders()
        return self._collect([self._broker.cancel(o.client_order_id) for o in resting])

    def send(
        self,
        orders: Sequence[ApprovedOrder],
        views: Mapping[str, MarketView],
        shares: Mapping[str, Shares],
    ) -> Routed:
        """Send approved orders, reductions first as they come.

        Parameters
        ----------
        shares
            By client order id: the strategies the order belongs to.

        Raises
        ------
        SystemHalt
            ``ORDER_NOT_APPROVED`` for anything governance did not mint with this session's key.
        """
        # Every approval is looked at before the first order leaves.
        approved = [require_approved(order, self._key) for order in orders]
        outcomes, halt = [], None
        for order in approved:
            self._shares[order.client_order_id] = shares[order.client_order_id]
            try:
                outcomes.append(self._broker.submit(order, views[order.symbol]))
            except SystemHalt as error:
                halt = error
                break
        return replace(self._collect(outcomes), halt=halt)

    def account(self) -> Account:
        """Give the broker's own word on cash and units held."""
        return Account(cash_usd=self._broker.cash_usd(), positions=dict(self._broker.positions()))

    def _collect(self, outcomes: Sequence[OrderOutcome]) -> Routed:
        changes = []
        for outcome in outcomes:
            name = outcome.order.client_order_id
            fresh = outcome.fills[self._booked.get(name, 0) :]
            self._booked[name] = len(outcome.fills)
            changes += [
                BookChange(
                    symbol=fill.symbol,
                    quantity=fill.side.sign * fill.quantity,
                    cash_usd=fill.cash_usd,
                    shares=self._shares[name],
                )
                for fill in fresh
            ]
        entries = self._broker.ledger()
        rows = tuple(
            {
                "cycle_id": _cycle_of(entry.client_order_id),
                "sequence": entry.sequence,
                "entry": entry.kind.value,
                "symbol": entry.symbol or None,
                "client_order_id": entry.client_order_id or None,
                "amount_usd": entry.amount_usd,
                "balance_usd": entry.balance_usd,
            }
            for entry in entries[self._ledger_seen :]
        )
        self._ledger_seen = len(entries)
        return Routed(
            outcomes=tuple(outcomes),
            changes=tuple(changes),
            shares={
                o.order.client_order_id: self._shares[o.order.client_order_id] for o in outcomes
            },
            ledger=rows,
        )


def _cycle_of(client_order_id: str) -> str:
    return client_order_id.split("|", 1)[0] if client_order_id else ""


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
