"""What a leader sends and what comes of it: minted orders out, outcomes journalled and booked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from instgov_dagster.adapters.account import MarketView
from instgov_dagster.adapters.markets.quote_stream import QuoteStream
from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.governance.proof import mint_approved_order
from instgov_dagster.loop.decision.book import Shares
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.folding.fold import SessionFold, Turn, plain_shares
from instgov_dagster.loop.live.frames import FILLS_KIND, fills_tables
from instgov_dagster.loop.live.settling.answers import Routed
from instgov_dagster.loop.live.settling.invariants import Account, require_reconciled
from instgov_dagster.loop.live.settling.views import MarketViews
from instgov_dagster.vocabulary.audit import AppendReceipt, ApprovedOrder
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.governance import SystemState


class Sender(Protocol):
    """What trading needs of the router."""

    def match(self, views: Mapping[str, MarketView]) -> Routed:
        """Try what rests against new quotes."""
        ...

    def withdraw(self) -> Routed:
        """Cancel whatever still rests."""
        ...

    def send(
        self,
        orders: Sequence[ApprovedOrder],
        views: Mapping[str, MarketView],
        shares: Mapping[str, Shares],
        *,
        may_send: Callable[[], bool],
    ) -> Routed:
        """Send approved orders."""
        ...

    def account(self) -> Account:
        """Give the broker's own word on cash and units held."""
        ...


@dataclass(slots=True, kw_only=True)
class Trading:
    """The acting half of a session; it decides nothing.

    Attributes
    ----------
    key
        The session's secret, which governance mints approvals with.
    write
        Writes one frame of the loop's chain.
    now
        The instant of the cycle in hand, on the session's clock.
    n_fills
        How many fills were booked.
    """

    policy: Policy
    snapshot: Snapshot
    stream: QuoteStream
    router: Sender
    fold: SessionFold
    key: bytes
    write: Callable[[str, pa.Table, Mapping[str, Any]], AppendReceipt]
    now: Callable[[], datetime]
    n_fills: int = 0
    _impact_bps: dict[str, float] = field(default_factory=dict)

    def settle_resting(self, quotes: Quotes, system: SystemState) -> None:
        """Try what rests against the new quotes and withdraw the rest: it is decided anew.

        A state that lets nothing grow withdraws before anything can fill; STOP sends nothing.
        """
        if not system.allows_cancel:
            return
        if system.allows_increase:
            self._book(self.router.match(self._views(quotes)))
        self._book(self.router.withdraw())

    def withdraw(self) -> None:
        """Withdraw whatever rests."""
        self._book(self.router.withdraw())

    def send(self, turn: Turn, receipt: AppendReceipt, *, may_send: Callable[[], bool]) -> None:
        """Send what is due of a cycle whose frame is on disk.

        Parameters
        ----------
        may_send
            Asked before each order.

        Raises
        ------
        SystemHalt
            Whatever broke off the sending, once what was answered before it is journalled.
        """
        decision = turn.decision
        approved = [
            mint_approved_order(
                order,
                decision.decisions[order.decision_sequence],
                receipt,
                cycle_id=decision.cycle_id,
                key=self.key,
            )
            for order in turn.orders
        ]
        self._impact_bps = {
            order.symbol: order.impact.temporary_impact_bps + order.impact.permanent_impact_bps
            for order in decision.orders
            if order.slice_index == 0  # the one that is due: a later slice is decided anew
        }
        views = self._views(decision.quotes)
        self._book(self.router.send(approved, views, turn.shares, may_send=may_send))

    def _views(self, quotes: Quotes) -> Mapping[str, MarketView]:
        now = self.now()
        instant = np.datetime64(now.replace(tzinfo=None), "us")
        return MarketViews(
            quotes,
            quotes.valid_mask(instant, self.policy.loop.quote_max_age_seconds),
            self.stream,
            self.snapshot.adv_usd,
            impact_bps=self._impact_bps,
            max_participation=self.policy.impact.max_participation,
            at=now,
        )

    def _book(self, routed: Routed) -> None:
        # The broker's answer is journalled before the next decision stands on it.
        if routed.outcomes:
            self._journal(routed)
        if routed.halt is not None:
            raise routed.halt

    def _journal(self, routed: Routed) -> None:
        self.n_fills += routed.n_fills
        facts = self.fold.settle(routed.changes)
        self.write(
            FILLS_KIND,
            fills_tables(routed.outcomes, routed.ledger),
            {**facts, "shares": plain_shares(routed.shares)},
        )
        require_reconciled(self.router.account(), self.fold.book)
