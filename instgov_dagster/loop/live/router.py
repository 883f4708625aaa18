"""The only holder of a broker: approved orders in, outcomes and book changes out."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Self

from instgov_dagster.adapters.account import Broker, CashEntry, MarketView, OrderOutcome
from instgov_dagster.adapters.broker import PaperBroker
from instgov_dagster.governance.proof import require_approved
from instgov_dagster.loop.decision.book import Book, Shares, fresh_book
from instgov_dagster.loop.live.settling.answers import Routed, changes_of, entries_of, ledger_rows
from instgov_dagster.loop.live.settling.invariants import Account
from instgov_dagster.loop.live.settling.leftovers import (
    find_unplanned,
    never_sent,
    settle,
    shares_of_unplanned,
)
from instgov_dagster.loop.live.settling.told import Told
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.audit import ApprovedOrder
from instgov_dagster.vocabulary.errors import SystemHalt


class Router:
    """Sends nothing but orders whose approval verifies, each at most once.

    Parameters
    ----------
    broker
        Whose word counts: it keeps a record of its own.
    key
        The session's secret, which governance mints approvals with.
    told
        Sequence of the last movement of cash that is journalled; -1 for none.
    """

    def __init__(self, broker: Broker, *, key: bytes, told: int = -1) -> None:
        self._broker = broker
        self._key = key
        self._shares: dict[str, Shares] = {}
        self._ledger_seen = told

    @classmethod
    @contextmanager
    def opened(cls, platform: Platform, told: Told, *, key: bytes) -> Iterator[Self]:
        """Hold the home's account; a new one begins with what the journal's book began with.

        Parameters
        ----------
        told
            What the journal says of the account.
        """
        cash = told.opening_cash_usd
        if cash is None:
            cash = fresh_book(platform.policy.nav_usd).cash_usd
        broker = _open_broker(platform, cash)
        try:
            yield cls(broker, key=key, told=told.last_entry)
        finally:
            broker.close()

    def recover(self, told: Told, *, may_cancel: bool) -> Routed:
        """Settle what an earlier leader left over, by what the broker says of it.

        Parameters
        ----------
        told
            What the journal says; left as it is.
        may_cancel
            Whether what rests may be withdrawn in the state the system is in.
        """
        self._shares |= {name: leftover.shares for name, leftover in told.leftovers.items()}
        cancel = self._broker.cancel if may_cancel else None
        outcomes = settle(told.leftovers, self._broker.outcome, cancel)
        untold = self._broker.ledger(after=self._ledger_seen)
        return self._collect(outcomes, entries_of(untold, outcomes))

    def adopt(
        self, told: Told, book: Book, *, strategies: Sequence[str], symbols: Collection[str]
    ) -> Routed:
        """Take over what the broker did for orders that no frame planned.

        Raises
        ------
        SystemHalt
            ``RECONCILIATION_UNRESOLVED`` if one of them moved what the book cannot hold.
        """
        names = self._broker.order_ids()
        outcomes = find_unplanned(names, told.orders.keys(), self._broker.outcome)
        for outcome in outcomes:
            self._shares[outcome.order.client_order_id] = shares_of_unplanned(
                outcome, book, strategies=strategies, symbols=symbols
            )
        entries = self._broker.ledger(after=told.last_entry)
        unplanned = {outcome.order.client_order_id for outcome in outcomes}
        return self._collect(outcomes, [e for e in entries if e.client_order_id in unplanned])

    def match(self, views: Mapping[str, MarketView]) -> Routed:
        """Try what rests against new quotes."""
        return self._collect(self._broker.match(views))

    def withdraw(self) -> Routed:
        """Cancel whatever still rests: a new cycle decides anew."""
        return self._collect(self._broker.cancel_all())

    def send(
        self,
        orders: Sequence[ApprovedOrder],
        views: Mapping[str, MarketView],
        shares: Mapping[str, Shares],
        *,
        may_send: Callable[[], bool] = lambda: True,
    ) -> Routed:
        """Send approved orders, reductions first as they come.

        Parameters
        ----------
        shares
            By client order id: the strategies the order belongs to.
        may_send
            Asked before each order; from the first no on nothing is sent, and that is the outcome.

        Raises
        ------
        SystemHalt
            ``ORDER_NOT_APPROVED`` for anything governance did not mint with this session's key.
        """
        # Every approval is looked at before the first order leaves.
        approved = [require_approved(order, self._key) for order in orders]
        for order in approved:
            self._shares[order.client_order_id] = shares[order.client_order_id]
        outcomes: list[OrderOutcome] = []
        halt = None
        try:
            with self._broker.one_act():
                halt = self._submit(approved, views, may_send, outcomes)
        except SystemHalt as error:  # the act is not on disk, so nothing in it is known
            outcomes, halt = [], halt or error
        return replace(self._collect(outcomes), halt=halt)

    def _submit(
        self,
        orders: Sequence[ApprovedOrder],
        views: Mapping[str, MarketView],
        may_send: Callable[[], bool],
        outcomes: list[OrderOutcome],
    ) -> SystemHalt | None:
        # Adds the outcomes one by one; gives what broke it off, after which nothing is sent.
        is_free = True
        for order in orders:
            is_free = is_free and may_send()
            if not is_free:
                outcomes.append(never_sent(order))
                continue
            try:
                outcomes.append(self._broker.submit(order, views[order.symbol]))
            except SystemHalt as error:
                return error
        return None

    def account(self) -> Account:
        """Give the broker's own word on cash and units held."""
        return Account(cash_usd=self._broker.cash_usd(), positions=dict(self._broker.positions()))

    def _collect(
        self, outcomes: Sequence[OrderOutcome], entries: Sequence[CashEntry] | None = None
    ) -> Routed:
        if entries is None:
            entries = self._broker.ledger(after=self._ledger_seen)
        self._ledger_seen = max([self._ledger_seen, *(entry.sequence for entry in entries)])
        names = [outcome.order.client_order_id for outcome in outcomes]
        shares = {name: self._shares[name] for name in names}
        for outcome in outcomes:
            if outcome.status.is_final:  # nothing more comes of it: a session is long
                self._shares.pop(outcome.order.client_order_id, None)
        return Routed(
            outcomes=tuple(outcomes),
            changes=changes_of(outcomes, shares),
            shares=shares,
            ledger=ledger_rows(entries),
        )


def _open_broker(platform: Platform, opening_cash_usd: Decimal) -> Broker:
    # Whose account it is was settled when the platform was opened, by configuration and arms.
    path = platform.home.paper_account
    if not platform.account.is_remote:
        return PaperBroker.open(path, opening_cash_usd=opening_cash_usd)
    from instgov_dagster.adapters.broker.alpaca import AlpacaBroker  # alpaca-py is heavy
    from instgov_dagster.adapters.broker.alpaca_desk import AlpacaDesk

    policy, clock = platform.policy.providers, platform.clock
    desk = AlpacaDesk.of(platform.account, platform.environment, policy, clock=clock)
    return AlpacaBroker.open(
        path, desk, opening_cash_usd=opening_cash_usd, policy=policy, clock=clock
    )
