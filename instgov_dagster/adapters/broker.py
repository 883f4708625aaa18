"""The paper broker: fills inside the day's bar, in decimal money, each order at most once.

It keeps what a broker keeps: cash, positions, standing orders, and the outcome of every order it
was ever sent. It decides nothing; whether an order may be sent is settled before it gets here.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import ROUND_DOWN, Decimal
from typing import Final

from instgov_dagster.adapters.account import (
    BrokerState,
    CashEntry,
    CashKind,
    MarketView,
    OrderOutcome,
    OrderStatus,
    judge_view,
)
from instgov_dagster.vocabulary.audit import (
    MONEY_QUANTUM,
    ApprovedOrder,
    Fill,
    Order,
    OrderSide,
    to_money,
)
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

_NOTHING: Final = Decimal(0)
_BPS: Final = Decimal(10_000)


class PaperBroker:
    """A deterministic broker on paper: long only, cash account, no clock and no chance inside."""

    def __init__(self, opening_cash_usd: Decimal) -> None:
        cash = to_money(opening_cash_usd)
        if cash < 0:
            raise ValueError(f"opening_cash_usd must be >= 0, was {cash}")
        self._cash = _NOTHING
        self._positions: dict[str, Decimal] = {}
        self._outcomes: dict[str, OrderOutcome] = {}
        self._traded: dict[tuple[str, date], Decimal] = {}
        self._ledger: list[CashEntry] = []
        self._move_cash(CashKind.OPENING, "", "", cash)

    @classmethod
    def from_state(cls, state: BrokerState) -> "PaperBroker":
        """Restore a broker bit-equal from its state."""
        broker = cls(_NOTHING)
        broker._cash = state.cash_usd
        broker._positions = dict(state.positions)
        broker._outcomes = {o.order.client_order_id: o for o in state.outcomes}
        broker._traded = {(symbol, day): quantity for symbol, day, quantity in state.traded}
        broker._ledger = list(state.ledger)
        return broker

    @classmethod
    def from_fills(
        cls, opening_cash_usd: Decimal, orders: Iterable[Order], fills: Iterable[Fill]
    ) -> "PaperBroker":
        """Rebuild a broker from the orders and fills that stand in the journal.

        An order without a fill is as if it had never been sent: it may be sent again. One filled
        in part is over: paper orders do not outlive the session that sent them.

        Raises
        ------
        SystemHalt
            With ``RECONCILIATION_UNRESOLVED`` if a fill belongs to no order, or sells what is
            not held.
        """
        broker = cls(opening_cash_usd)
        known = {order.client_order_id: order for order in orders}
        for fill in fills:
            order = known.get(fill.client_order_id)
            if order is None or (order.symbol, order.side) != (fill.symbol, fill.side):
                raise SystemHalt(
                    ReasonCode.RECONCILIATION_UNRESOLVED,
                    f"a fill must belong to a journalled order, was {fill.client_order_id}",
                )
            earlier = broker._outcomes.get(fill.client_order_id)
            broker._book(fill)
            broker._remember(order, (*(earlier.fills if earlier else ()), fill))
        return broker

    def state(self) -> BrokerState:
        """Give everything the broker knows."""
        return BrokerState(
            cash_usd=self._cash,
            positions=tuple(sorted(self._positions.items())),
            outcomes=tuple(self._outcomes.values()),
            traded=tuple(sorted((s, d, q) for (s, d), q in self._traded.items())),
            ledger=tuple(self._ledger),
        )

    def submit(self, order: ApprovedOrder, view: MarketView) -> OrderOutcome:
        """Fill an order at once, let it rest at its limit, or reject it.

        An order whose limit reaches the far side of the quote takes it, up to what the day's
        participation leaves; the rest is cancelled. Any other rests until ``match`` fills it.

        Raises
        ------
        SystemHalt
            With ``ORDER_NOT_APPROVED`` for anything but an `ApprovedOrder`; with
            ``RECONCILIATION_UNRESOLVED`` if its id was given to another order before.
        """
        if not isinstance(order, ApprovedOrder):
            raise SystemHalt(
                ReasonCode.ORDER_NOT_APPROVED,
                f"the broker takes an ApprovedOrder, was {type(order).__name__}",
            )
        earlier = self._outcomes.get(order.client_order_id)
        if earlier is not None:
            if _terms(earlier.order) != _terms(order):
                raise SystemHalt(
                    ReasonCode.RECONCILIATION_UNRESOLVED,
                    f"client_order_id must name one order, was used twice: {order.client_order_id}",
                )
            return earlier
        refused = (*judge_view(view), *self._judge_account(order))
        if refused:
            return self._close(order, OrderStatus.REJECTED, refused)
        far_side = to_money(view.ask if order.side is OrderSide.BUY else view.bid)
        if (order.limit_price - far_side) * order.side.sign < 0:
            return self._close(order, OrderStatus.RESTING, (ReasonCode.ORDER_RESTING,))
        return self._execute(order, view, far_side, is_aggressive=True)

    def match(self, views: Mapping[str, MarketView]) -> tuple[OrderOutcome, ...]:
        """Fill the standing orders whose limit the market has reached, at their limit.

        One the market jumped over, its limit outside the day's bar, fills at the quote.
        A symbol without a usable view is left standing. Gives the outcomes that changed, in the
        order in which the orders came.
        """
        changed = []
        for order in self.open_orders():
            view = views.get(order.symbol)
            if view is None or judge_view(view):
                continue
            far_side = to_money(view.ask if order.side is OrderSide.BUY else view.bid)
            if (order.limit_price - far_side) * order.side.sign < 0:
                continue
            # A market that jumped over the limit trades where it is, not where it never was.
            is_inside = view.bar_low <= order.limit_price <= view.bar_high
            price = order.limit_price if is_inside else far_side
            changed.append(self._execute(order, view, price, is_aggressive=False))
        return tuple(changed)

    def cancel(self, client_order_id: str) -> OrderOutcome:
        """Withdraw a standing order; of one that no longer stands, give what became of it.

        Raises
        ------
        ValueError
            If the broker was never sent such an order.
        """
        outcome = self._outcomes.get(client_order_id)
        if outcome is None:
            raise ValueError(f"client_order_id must be known, was {client_order_id!r}")
        if outcome.status is not OrderStatus.RESTING:
            return outcome
        return self._close(outcome.order, OrderStatus.CANCELLED, (ReasonCode.ORDER_CANCELLED,))

    def apply_split(self, symbol: str, ratio: Decimal) -> None:
        """Multiply the units held of a symbol, where its prices are not adjusted for the split.

        Raises
        ------
        ValueError
            If the ratio is not a finite number > 0.
        """
        if not ratio.is_finite() or ratio <= 0:
            raise ValueError(f"ratio must be a finite number > 0, was {ratio}")
        if symbol in self._positions:
            self._positions[symbol] = to_money(self._positions[symbol] * ratio)

    def credit_dividend(self, symbol: str, per_unit_usd: Decimal) -> Decimal:
        """Credit a dividend on the units held, and give the amount.

        Raises
        ------
        ValueError
            If the dividend is not a finite number >= 0.
        """
        if not per_unit_usd.is_finite() or per_unit_usd < 0:
            raise ValueError(f"per_unit_usd must be a finite number >= 0, was {per_unit_usd}")
        amount = to_money(self._positions.get(symbol, _NOTHING) * per_unit_usd)
        if amount:
            self._move_cash(CashKind.DIVIDEND, "", symbol, amount)
        return amount

    def positions(self) -> Mapping[str, Decimal]:
        """Give the units held of each symbol, sorted."""
        return dict(sorted(self._positions.items()))

    def open_orders(self) -> tuple[Order, ...]:
        """Give the orders that stand unfilled, in the order in which they came."""
        return tuple(o.order for o in self._outcomes.values() if o.status is OrderStatus.RESTING)

    def outcome(self, client_order_id: str) -> OrderOutcome | None:
        """Look up what became of an order; nothing if it was never sent."""
        return self._outcomes.get(client_order_id)

    def cash_usd(self) -> Decimal:
        """Give the cash held."""
        return self._cash

    def ledger(self) -> tuple[CashEntry, ...]:
        """Give every movement of cash, the opening balance first."""
        return tuple(self._ledger)

    def _judge_account(self, order: Order) -> tuple[ReasonCode, ...]:
        # Only what can be known without a price: the cash is judged with the price in hand.
        if order.side is OrderSide.BUY:
            return ()
        standing = sum(
            (
                other.quantity
                for other in self.open_orders()
                if other.symbol == order.symbol and other.side is OrderSide.SELL
            ),
            _NOTHING,
        )
        if order.quantity + standing > self._positions.get(order.symbol, _NOTHING):
            return (ReasonCode.BROKER_NO_POSITION,)
        return ()

    def _execute(
        self, order: Order, view: MarketView, price: Decimal, *, is_aggressive: bool
    ) -> OrderOutcome:
        quantity = self._available(order, view, price)
        if quantity <= 0:
            return self._refuse(order, ReasonCode.PARTICIPATION)
        cost = to_money(quantity * price * to_money(view.impact_bps) / _BPS)
        fill = Fill(
            client_order_id=order.client_order_id,
            cycle_id=order.cycle_id,
            symbol=order.symbol,
            side=order.side,
            sequence=0,
            quantity=quantity,
            price=price,
            mid_price=to_money(view.mid),
            cost_usd=cost,
            is_aggressive=is_aggressive,
            filled_at=view.at,
        )
        if self._cash + fill.cash_usd < 0:
            return self._refuse(order, ReasonCode.BROKER_NO_CASH)
        self._book(fill)
        return self._remember(order, (fill,))

    def _available(self, order: Order, view: MarketView, price: Decimal) -> Decimal:
        # What the day's participation leaves of the order, rounded down.
        taken = self._traded.get((order.symbol, view.at.date()), _NOTHING)
        budget = Decimal(str(view.adv_usd)) * Decimal(str(view.max_participation)) / price
        left = min(order.quantity, budget - taken)
        return left.quantize(MONEY_QUANTUM, rounding=ROUND_DOWN)

    def _book(self, fill: Fill) -> None:
        held = self._positions.get(fill.symbol, _NOTHING) + fill.side.sign * fill.quantity
        if held < 0:
            raise SystemHalt(
                ReasonCode.RECONCILIATION_UNRESOLVED,
                f"a position must be >= 0, was {held} {fill.symbol} after {fill.client_order_id}",
            )
        if held:
            self._positions[fill.symbol] = held
        else:
            self._positions.pop(fill.symbol, None)
        key = (fill.symbol, fill.filled_at.date())
        self._traded[key] = self._traded.get(key, _NOTHING) + fill.quantity
        self._move_cash(CashKind.FILL, fill.client_order_id, fill.symbol, fill.cash_usd)

    def _remember(self, order: Order, fills: tuple[Fill, ...]) -> OrderOutcome:
        filled = sum((fill.quantity for fill in fills), _NOTHING)
        if filled >= order.quantity:
            return self._close(order, OrderStatus.FILLED, (ReasonCode.ORDER_FILLED,), fills)
        reasons = (ReasonCode.ORDER_PARTIALLY_FILLED, ReasonCode.PARTICIPATION)
        return self._close(order, OrderStatus.PARTIALLY_FILLED, reasons, fills)

    def _refuse(self, order: Order, reason: ReasonCode) -> OrderOutcome:
        # An order that once stood was accepted: what ends it now is a cancellation.
        if order.client_order_id in self._outcomes:
            reasons = (ReasonCode.ORDER_CANCELLED, reason)
            return self._close(order, OrderStatus.CANCELLED, reasons)
        return self._close(order, OrderStatus.REJECTED, (reason,))

    def _close(
        self,
        order: Order,
        status: OrderStatus,
        reasons: tuple[ReasonCode, ...],
        fills: tuple[Fill, ...] = (),
    ) -> OrderOutcome:
        if status is OrderStatus.REJECTED:
            reasons = (ReasonCode.ORDER_REJECTED_BY_BROKER, *reasons)
        outcome = OrderOutcome(order=order, status=status, fills=fills, reason_codes=reasons)
        self._outcomes[order.client_order_id] = outcome
        return outcome

    def _move_cash(
        self, kind: CashKind, client_order_id: str, symbol: str, amount: Decimal
    ) -> None:
        self._cash += amount
        self._ledger.append(
            CashEntry(
                sequence=len(self._ledger),
                kind=kind,
                client_order_id=client_order_id,
                symbol=symbol,
                amount_usd=amount,
                balance_usd=self._cash,
            )
        )


def _terms(order: Order) -> tuple[str, OrderSide, Decimal, Decimal]:
    return (order.symbol, order.side, order.quantity, order.limit_price)
