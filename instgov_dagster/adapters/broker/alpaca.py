"""The Alpaca broker: each order at most once, its outcome known or everything stops."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Self
from uuid import UUID

from instgov_dagster.adapters.account import (
    DeskOrder,
    MarketView,
    OrderOutcome,
    OrderStatus,
    judge_view,
)
from instgov_dagster.adapters.broker.alpaca_desk import (
    Desk,
    DeskRefused,
    DeskSilent,
    holdings_of,
    require_fresh,
)
from instgov_dagster.adapters.broker.booked import BookedAccount, plain
from instgov_dagster.adapters.markets.live.alpaca.wire import PROVIDER
from instgov_dagster.adapters.paper.store import AccountStore
from instgov_dagster.adapters.runtime import Clock
from instgov_dagster.bars.providers import provider_verdict
from instgov_dagster.vocabulary.audit import ApprovedOrder, Fill, Order, to_money
from instgov_dagster.vocabulary.bars import Purpose
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

_NOTHING = Decimal(0)
_CENT = Decimal("0.01")
_RATE_LIMITED = 429
_ON_ITS_WAY = (ReasonCode.ORDER_SENT,)
_NO_SUCH_ORDER = DeskSilent("it has no order of the name", status=404)


class AlpacaBroker(BookedAccount):
    """A broker on the wire, with a record of its own of what the wire said.

    An order is on record before it leaves, so that whatever breaks off finds it. One of unknown
    outcome is looked up by our own id, never sent again. What rests is told when it is over: an
    order lives a cycle, and its fills are one fill at their mean price.

    Parameters
    ----------
    store
        The record: what Alpaca said, on disk before it is told.
    desk
        The account on the wire.
    """

    def __init__(
        self, store: AccountStore, desk: Desk, *, policy: ProviderPolicy, clock: Clock
    ) -> None:
        super().__init__(store)
        self._desk = desk
        self._policy = policy
        self._clock = clock
        self._mid: dict[str, Decimal] = {}
        self._crossed: set[str] = set()
        self._ids: dict[str, UUID] = {}  # the broker's own names of what stands

    @classmethod
    def open(
        cls,
        path: Path,
        desk: Desk,
        *,
        opening_cash_usd: Decimal,
        policy: ProviderPolicy,
        clock: Clock,
    ) -> Self:
        """Open the record and hold it against the account.

        What was left standing is settled first, so that both speak of the same instant. A record
        is begun on an account that holds nothing but the cash it begins with.

        Raises
        ------
        InputError
            If there is no record yet and the account holds anything else; nothing is written then.
        SystemHalt
            ``RECONCILIATION_UNRESOLVED`` where cash or units differ, or the account holds a
            standing order that is none of ours; ``ORDER_UNKNOWN_OUTCOME`` where it cannot be asked.
        """
        opening = to_money(opening_cash_usd)
        if not path.exists():
            require_fresh(desk, opening, policy, clock=clock)
        store = AccountStore.open(path, opening_cash_usd=opening)
        try:
            broker = cls(store, desk, policy=policy, clock=clock)
            broker.recover()
            broker.require_agreement()
        except BaseException:
            store.close()
            raise
        return broker

    def recover(self) -> tuple[OrderOutcome, ...]:
        """Find out what became of every order on record that is not over.

        One that was on its way when a process died and that the broker does not know never got
        there; should it turn up after all, it is an order that is none of ours, and all stops.

        Raises
        ------
        SystemHalt
            ``ORDER_UNKNOWN_OUTCOME`` where the broker does not say.
        """
        outcomes = []
        for order in self.open_orders():
            is_on_its_way = self._standing[order.client_order_id].reason_codes == _ON_ITS_WAY
            answer = self._look_up(order)
            if answer is not None:
                outcomes.append(self._follow(order, answer))
            elif is_on_its_way:
                outcomes.append(
                    self.settle(order, OrderStatus.CANCELLED, (ReasonCode.ORDER_NEVER_SENT,))
                )
            else:
                raise self._unknown(order.client_order_id, _NO_SUCH_ORDER)
        return tuple(outcomes)

    def require_agreement(self) -> None:
        """Hold the record against the account: cash to the cent, units exactly, orders by name.

        Raises
        ------
        SystemHalt
            ``RECONCILIATION_UNRESOLVED`` naming what differs.
        """
        try:
            told = holdings_of(self._desk, self._policy, clock=self._clock)
        except DeskSilent as silent:
            raise self._unknown("the account", silent) from None
        different = [
            f"{symbol}: {self.positions().get(symbol, _NOTHING)} ours, "
            f"{told.positions.get(symbol, _NOTHING)} theirs"
            for symbol in sorted({*self.positions(), *told.positions})
            if self.positions().get(symbol, _NOTHING) != told.positions.get(symbol, _NOTHING)
        ]
        if abs(told.cash_usd - self.cash_usd()) > _CENT:
            different.append(f"cash: {self.cash_usd()} ours, {told.cash_usd} theirs")
        foreign = sorted(told.standing - {order.client_order_id for order in self.open_orders()})
        different.extend(f"order {name}: none of ours" for name in foreign)
        if different:
            raise SystemHalt(ReasonCode.RECONCILIATION_UNRESOLVED, "; ".join(different[:10]))

    def one_act(self) -> AbstractContextManager[None]:
        """Keep nothing back: an order on the wire is on record before it leaves."""
        return nullcontext()

    def submit(self, order: ApprovedOrder, view: MarketView) -> OrderOutcome:
        """Send an order once and tell how it stands.

        Raises
        ------
        SystemHalt
            ``ORDER_NOT_APPROVED`` for anything but an `ApprovedOrder`; ``ORDER_UNKNOWN_OUTCOME``
            where it cannot be found out whether the order stands; ``RECONCILIATION_UNRESOLVED``
            where the broker took another order than was sent.
        """
        known = self.earlier(order)
        if known is not None:
            return known
        booked = plain(order)
        refused = (*_without_route(booked.symbol), *judge_view(view))
        if refused:
            return self.settle(booked, OrderStatus.REJECTED, refused)
        self._remember(booked, view)
        self.settle(booked, OrderStatus.RESTING, _ON_ITS_WAY)
        try:
            answer = self._desk.submit(booked)
        except DeskRefused as refusal:
            return self._refused(booked, refusal)
        except DeskSilent as silent:
            found = self._resolve(booked, silent)
            if found is None:
                return self.settle(
                    booked, OrderStatus.REJECTED, (ReasonCode.PROVIDER_RATE_LIMITED,)
                )
            answer = found
        return self._follow(booked, answer)

    def match(self, views: Mapping[str, MarketView]) -> tuple[OrderOutcome, ...]:  # noqa: ARG002  # the market matches, not this
        """Ask what became of the standing orders; give those that are over.

        Raises
        ------
        SystemHalt
            ``ORDER_UNKNOWN_OUTCOME`` where it cannot be found out.
        """
        standing = self.open_orders()
        if not standing:
            return ()
        try:
            told = self._desk.latest()
        except DeskSilent as silent:
            raise self._unknown("what stands", silent) from None
        outcomes = [
            self._follow(order, told.get(order.client_order_id) or self._found(order))
            for order in standing
        ]
        return tuple(outcome for outcome in outcomes if outcome.status.is_final)

    def cancel(self, client_order_id: str) -> OrderOutcome:
        """Withdraw a standing order; give what became of it, its fills included.

        Raises
        ------
        ValueError
            If the broker was never sent such an order.
        SystemHalt
            ``ORDER_UNKNOWN_OUTCOME`` where it is not over by the deadline.
        """
        outcome = self.outcome(client_order_id)
        if outcome is None:
            raise ValueError(f"client_order_id must be known, was {client_order_id!r}")
        if outcome.status.is_final:
            return outcome
        return self._withdraw([outcome.order])[0]

    def cancel_all(self) -> tuple[OrderOutcome, ...]:
        """Withdraw every standing order; give what became of each, in the orders' order.

        Raises
        ------
        SystemHalt
            ``ORDER_UNKNOWN_OUTCOME`` where one is not over by the deadline.
        """
        standing = self.open_orders()
        return self._withdraw(standing) if standing else ()

    def _withdraw(self, orders: Sequence[Order]) -> tuple[OrderOutcome, ...]:
        # One request an order, and one for what became of all of them: Alpaca counts requests.
        deadline = self._clock.now() + timedelta(seconds=self._policy.cancel_deadline_seconds)
        for order in orders:
            known = self._ids.get(order.client_order_id)
            if known is None:
                known = self._found(order).order_id  # left by an earlier process
            self._ask_to_cancel(known, order.client_order_id)
        over: dict[str, OrderOutcome] = {}
        while left := [order for order in orders if order.client_order_id not in over]:
            told = self._told()
            for order in left:
                answer = told.get(order.client_order_id)
                if answer is not None and answer.is_final:
                    over[order.client_order_id] = self._follow(order, answer)
                elif self._clock.now() >= deadline:
                    raise self._still(order, answer)
            if len(over) < len(orders):
                self._pause()
        return tuple(over[order.client_order_id] for order in orders)

    def _told(self) -> Mapping[str, DeskOrder]:
        # Silence is asked again until the deadline.
        try:
            return self._desk.latest()
        except DeskSilent:
            return {}

    def _still(self, order: Order, answer: DeskOrder | None) -> SystemHalt:
        state = "not told" if answer is None else answer.status
        return SystemHalt(
            ReasonCode.ORDER_UNKNOWN_OUTCOME,
            f"{order.client_order_id} was cancelled and is still {state}",
        )

    def _remember(self, order: Order, view: MarketView) -> None:
        # What the market was when the order left: its fill is judged against it.
        name = order.client_order_id
        self._mid[name] = to_money(view.mid)
        far_side = to_money(view.ask if order.side.sign > 0 else view.bid)
        if (order.limit_price - far_side) * order.side.sign >= 0:
            self._crossed.add(name)

    def _refused(self, order: Order, refusal: DeskRefused) -> OrderOutcome:
        # "must be unique": it was taken before, by a request whose answer was lost.
        if "unique" in refusal.detail:
            return self._follow(order, self._found(order))
        return self.settle(order, OrderStatus.REJECTED, (refusal.reason_code,))

    def _resolve(self, order: Order, silent: DeskSilent) -> DeskOrder | None:
        # Only a refusal at the door, for asking too often, proves that an order never got in: any
        # other silence may still become one after we looked.
        for _ in range(self._policy.lookup_tries):
            try:
                found = self._desk.find(order.client_order_id)
            except DeskSilent:
                found = None
            else:
                if found is None and silent.status == _RATE_LIMITED:
                    return None
            if found is not None:
                return found
            self._pause()
        raise self._unknown(order.client_order_id, silent)

    def _found(self, order: Order) -> DeskOrder:
        answer = self._look_up(order)
        if answer is None:
            raise self._unknown(order.client_order_id, _NO_SUCH_ORDER)
        return answer

    def _look_up(self, order: Order) -> DeskOrder | None:
        # None only where the broker said so each time it was asked.
        last: DeskSilent | None = None
        for tries in range(self._policy.lookup_tries):
            if tries:
                self._pause()
            try:
                answer = self._desk.find(order.client_order_id)
            except DeskSilent as silent:
                last = silent
            else:
                if answer is not None:
                    return answer
                last = None
        if last is not None:
            raise self._unknown(order.client_order_id, last)
        return None

    def _ask_to_cancel(self, order_id: UUID, name: str) -> None:
        try:
            self._desk.cancel(order_id)
        except DeskSilent as silent:
            if silent.status is not None and silent.status < 500:
                raise self._unknown(name, silent) from None
            # What became of it is looked up: a lost answer may have been a cancellation.

    def _follow(self, order: Order, answer: DeskOrder) -> OrderOutcome:
        told = (answer.client_order_id, answer.symbol, answer.side, answer.quantity)
        if told != (order.client_order_id, order.symbol, order.side, order.quantity):
            raise SystemHalt(
                ReasonCode.RECONCILIATION_UNRESOLVED,
                f"the broker holds other terms of {order.client_order_id}: {told[1:]}",
            )
        if not answer.is_final:
            self._ids[order.client_order_id] = answer.order_id
            known = self._standing.get(order.client_order_id)
            if known is not None and known.reason_codes != _ON_ITS_WAY:
                return known
            return self.settle(order, OrderStatus.RESTING, (ReasonCode.ORDER_RESTING,))
        return self._end(order, answer)

    def _end(self, order: Order, answer: DeskOrder) -> OrderOutcome:
        fill = self._fill(order, answer)
        self._ids.pop(order.client_order_id, None)
        self._mid.pop(order.client_order_id, None)
        self._crossed.discard(order.client_order_id)
        if fill is None:
            if answer.status == "rejected":
                return self.settle(order, OrderStatus.REJECTED, (ReasonCode.BROKER_REFUSED,))
            return self.settle(order, OrderStatus.CANCELLED, (ReasonCode.ORDER_CANCELLED,))
        if answer.filled_quantity >= order.quantity:
            return self.settle(order, OrderStatus.FILLED, (ReasonCode.ORDER_FILLED,), fill)
        reasons = (ReasonCode.ORDER_PARTIALLY_FILLED, ReasonCode.ORDER_CANCELLED)
        return self.settle(order, OrderStatus.PARTIALLY_FILLED, reasons, fill)

    def _fill(self, order: Order, answer: DeskOrder) -> Fill | None:
        if answer.filled_quantity == 0 or answer.filled_price is None:
            return None
        name = order.client_order_id
        return Fill(
            client_order_id=name,
            cycle_id=order.cycle_id,
            symbol=order.symbol,
            side=order.side,
            sequence=0,
            quantity=answer.filled_quantity,
            price=answer.filled_price,
            # After a restart nobody remembers the mid: the fill then tells no slippage.
            mid_price=self._mid.get(name, answer.filled_price),
            cost_usd=_NOTHING,  # the price carries the impact; Alpaca charges no commission
            is_aggressive=name in self._crossed,
            filled_at=answer.filled_at or self._clock.now(),
        )

    def _pause(self) -> None:
        pause = timedelta(seconds=self._policy.lookup_pause_seconds)
        self._clock.sleep_until(self._clock.now() + pause)

    def _unknown(self, what: str, silent: DeskSilent) -> SystemHalt:
        return SystemHalt(
            ReasonCode.ORDER_UNKNOWN_OUTCOME,
            f"{what}: the broker did not say what became of it ({silent.detail})",
        )


def _without_route(symbol: str) -> tuple[ReasonCode, ...]:
    # The last wall: nothing without a live route was ever approved, and nothing of it is sent.
    verdict = provider_verdict(symbol, 0, Purpose.EXECUTION, frozenset({PROVIDER}))
    return () if verdict.is_selected else (verdict.reason_code,)
