"""The paper broker: fills inside the day's bar, in decimal money, each order at most once.

It keeps what a broker keeps, on disk before it answers: cash, positions, standing orders, and the
outcome of every order it was ever sent. It decides nothing; whether an order may be sent is settled
before it gets here.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Final

from instgov_dagster.adapters.account import (
    CashEntry,
    CashKind,
    MarketView,
    OrderOutcome,
    OrderStatus,
    judge_view,
)
from instgov_dagster.adapters.paper.rows import AccountChange
from instgov_dagster.adapters.paper.store import AccountStore
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
    """A deterministic broker on paper: long only, cash account, no clock and no chance inside.

    Parameters
    ----------
    store
        The account. In memory stay the standing orders, the positions, the cash and one day's
        volume; what is over is looked up.
    """

    def __init__(self, store: AccountStore) -> None:
        self._store = store
        self._last = store.last_entry()
        self._positions = store.positions()
        self._standing = {o.order.client_order_id: o for o in store.resting()}
        self._day: date | None = None
        self._traded: dict[str, Decimal] = {}

    @classmethod
    def open(cls, path: Path, *, opening_cash_usd: Decimal) -> "PaperBroker":
        """Open the account in a file; a new one begins with its one deposit.

        Raises
        ------
        SystemHalt
            ``RECONCILIATION_UNRESOLVED`` or ``SCHEMA_MISMATCH`` if the account cannot be read.
        """
        return cls(AccountStore.open(path, opening_cash_usd=to_money(opening_cash_usd)))

    def close(self) -> None:
        """Let go of the account."""
        self._store.close()

    def submit(self, order: ApprovedOrder, view: MarketView) -> OrderOutcome:
        """Fill an order at once, let it rest at its limit, or reject it.

        An order whose limit reaches the far side of the quote takes it, up to what the day's
        participation leaves; the rest is cancelled. Any other rests until ``match`` fills it.

        Raises
        ------
        SystemHalt
            With ``ORDER_NOT_APPROVED`` for anything but an `ApprovedOrder`; with
            ``RECONCILIATION_UNRESOLVED`` if its id was given to another order before; with
            ``ORDER_UNKNOWN_OUTCOME`` if the account could not be written.
        """
        if not isinstance(order, ApprovedOrder):
            raise SystemHalt(
                ReasonCode.ORDER_NOT_APPROVED,
                f"the broker takes an ApprovedOrder, was {type(order).__name__}",
            )
        earlier = self._store.outcome(order.client_order_id)
        if earlier is not None:
            if _terms(earlier.order) != _terms(order):
                raise SystemHalt(
                    ReasonCode.RECONCILIATION_UNRESOLVED,
                    f"client_order_id must name one order, was used twice: {order.client_order_id}",
                )
            return earlier
        return self._accept(_plain(order), view)

    def _accept(self, order: Order, view: MarketView) -> OrderOutcome:
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
        outcome = self._store.outcome(client_order_id)
        if outcome is None:
            raise ValueError(f"client_order_id must be known, was {client_order_id!r}")
        if outcome.status.is_final:
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
            held = to_money(self._positions[symbol] * ratio)
            self._store.record(AccountChange(positions={symbol: held}))
            self._hold(symbol, held)

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
            entry = self._entry(CashKind.DIVIDEND, "", symbol, amount)
            self._store.record(AccountChange(entries=(entry,)))
            self._last = entry
        return amount

    def positions(self) -> Mapping[str, Decimal]:
        """Give the units held of each symbol, sorted."""
        return dict(sorted(self._positions.items()))

    def open_orders(self) -> tuple[Order, ...]:
        """Give the orders that stand unfilled, in the order in which they came."""
        return tuple(outcome.order for outcome in self._standing.values())

    def outcome(self, client_order_id: str) -> OrderOutcome | None:
        """Look up what became of an order; nothing if it was never sent."""
        return self._store.outcome(client_order_id)

    def order_ids(self) -> tuple[str, ...]:
        """Give the id of every order ever sent, in the order in which they came."""
        return self._store.order_ids()

    def cash_usd(self) -> Decimal:
        """Give the cash held."""
        return self._last.balance_usd

    def ledger(self, *, after: int = -1) -> tuple[CashEntry, ...]:
        """Give the movements of cash after one sequence, the opening balance first by default."""
        return () if self._last.sequence <= after else self._store.ledger(after=after)

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
        if self.cash_usd() + fill.cash_usd < 0:
            return self._refuse(order, ReasonCode.BROKER_NO_CASH)
        if quantity >= order.quantity:
            return self._close(order, OrderStatus.FILLED, (ReasonCode.ORDER_FILLED,), fill)
        reasons = (ReasonCode.ORDER_PARTIALLY_FILLED, ReasonCode.PARTICIPATION)
        return self._close(order, OrderStatus.PARTIALLY_FILLED, reasons, fill)

    def _available(self, order: Order, view: MarketView, price: Decimal) -> Decimal:
        # What the day's participation leaves of the order, rounded down.
        taken = self._traded_on(view.at.date()).get(order.symbol, _NOTHING)
        budget = Decimal(str(view.adv_usd)) * Decimal(str(view.max_participation)) / price
        left = min(order.quantity, budget - taken)
        return left.quantize(MONEY_QUANTUM, rounding=ROUND_DOWN)

    def _traded_on(self, day: date) -> dict[str, Decimal]:
        if day != self._day:
            self._day, self._traded = day, self._store.traded(day)
        return self._traded

    def _refuse(self, order: Order, reason: ReasonCode) -> OrderOutcome:
        # An order that once stood was accepted: what ends it now is a cancellation.
        if order.client_order_id in self._standing:
            reasons = (ReasonCode.ORDER_CANCELLED, reason)
            return self._close(order, OrderStatus.CANCELLED, reasons)
        return self._close(order, OrderStatus.REJECTED, (reason,))

    def _close(
        self,
        order: Order,
        status: OrderStatus,
        reasons: tuple[ReasonCode, ...],
        fill: Fill | None = None,
    ) -> OrderOutcome:
        if status is OrderStatus.REJECTED:
            reasons = (ReasonCode.ORDER_REJECTED_BY_BROKER, *reasons)
        fills = () if fill is None else (fill,)
        outcome = OrderOutcome(order=order, status=status, fills=fills, reason_codes=reasons)
        accepts = order.client_order_id not in self._standing
        # On disk first: what memory says must never be more than what a restart would find.
        if fill is None:
            self._store.record(AccountChange(outcome=outcome, accepts=accepts))
        else:
            self._book(outcome, fill, accepts=accepts)
        if status.is_final:
            self._standing.pop(order.client_order_id, None)
        else:
            self._standing[order.client_order_id] = outcome
        return outcome

    def _book(self, outcome: OrderOutcome, fill: Fill, *, accepts: bool) -> None:
        symbol, day = fill.symbol, fill.filled_at.date()
        held = self._positions.get(symbol, _NOTHING) + fill.side.sign * fill.quantity
        if held < 0:
            raise SystemHalt(
                ReasonCode.RECONCILIATION_UNRESOLVED,
                f"a position must be >= 0, was {held} {symbol} after {fill.client_order_id}",
            )
        entry = self._entry(CashKind.FILL, fill.client_order_id, symbol, fill.cash_usd)
        traded = self._traded_on(day).get(symbol, _NOTHING) + fill.quantity
        self._store.record(
            AccountChange(
                outcome=outcome,
                accepts=accepts,
                fills=(fill,),
                entries=(entry,),
                positions={symbol: held},
                traded={(symbol, day): traded},
            )
        )
        self._hold(symbol, held)
        self._traded[symbol] = traded
        self._last = entry

    def _hold(self, symbol: str, held: Decimal) -> None:
        if held:
            self._positions[symbol] = held
        else:
            self._positions.pop(symbol, None)

    def _entry(
        self, kind: CashKind, client_order_id: str, symbol: str, amount: Decimal
    ) -> CashEntry:
        return CashEntry(
            sequence=self._last.sequence + 1,
            kind=kind,
            client_order_id=client_order_id,
            symbol=symbol,
            amount_usd=amount,
            balance_usd=self.cash_usd() + amount,
        )


def _plain(order: ApprovedOrder) -> Order:
    # The approval has done its work: an outcome reads the same before and after a restart.
    return Order(**{field.name: getattr(order, field.name) for field in fields(Order)})


def _terms(order: Order) -> tuple[str, OrderSide, Decimal, Decimal]:
    return (order.symbol, order.side, order.quantity, order.limit_price)
