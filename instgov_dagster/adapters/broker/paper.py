"""The paper broker: fills inside the day's bar, in decimal money, each order at most once.

It keeps what a broker keeps, on disk before it answers: cash, positions, standing orders, and the
outcome of every order it was ever sent. It decides nothing; whether an order may be sent is settled
before it gets here.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import Final

from instgov_dagster.adapters.account import (
    CashKind,
    MarketView,
    OrderOutcome,
    OrderStatus,
    judge_view,
)
from instgov_dagster.adapters.broker.booked import BookedAccount, plain
from instgov_dagster.adapters.paper.rows import AccountChange
from instgov_dagster.adapters.paper.store import AccountStore
from instgov_dagster.capital.execution.fills import FillTerms, fill_terms
from instgov_dagster.vocabulary.audit import (
    ApprovedOrder,
    Fill,
    Order,
    OrderSide,
    to_money,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

_NOTHING: Final = Decimal(0)
_BPS: Final = Decimal(10_000)


class PaperBroker(BookedAccount):
    """A deterministic broker on paper: long only, cash account, no clock and no chance inside.

    Parameters
    ----------
    store
        The account. In memory stay the standing orders, the positions, the cash and one day's
        volume; what is over is looked up.
    """

    @classmethod
    def open(cls, path: Path, *, opening_cash_usd: Decimal) -> "PaperBroker":
        """Open the account in a file; a new one begins with its one deposit.

        Raises
        ------
        SystemHalt
            ``RECONCILIATION_UNRESOLVED`` or ``SCHEMA_MISMATCH`` if the account cannot be read.
        """
        return cls(AccountStore.open(path, opening_cash_usd=to_money(opening_cash_usd)))

    def one_act(self) -> AbstractContextManager[None]:
        """Keep every order submitted within on disk at one go, all of them or none.

        Raises
        ------
        SystemHalt
            ``ORDER_UNKNOWN_OUTCOME`` on leaving, if they are not on disk.
        """
        return self._store.act()

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
        earlier = self.earlier(order)
        return earlier if earlier is not None else self._accept(plain(order), view)

    def _accept(self, order: Order, view: MarketView) -> OrderOutcome:
        refused = (*judge_view(view), *self._judge_account(order))
        if refused:
            return self.settle(order, OrderStatus.REJECTED, refused)
        terms = self._terms_now(order, view, is_resting=False)
        if terms is None:
            return self.settle(order, OrderStatus.RESTING, (ReasonCode.ORDER_RESTING,))
        return self._execute(order, view, terms)

    def match(self, views: Mapping[str, MarketView]) -> tuple[OrderOutcome, ...]:
        """Fill the standing orders whose limit the market has reached, at their limit.

        One the market jumped over, its limit outside the day's bar, fills at the quote.
        A symbol without a usable view is left standing. Gives the outcomes that changed, in the
        order in which the orders came.
        """
        standing, changed = self.open_orders(), []
        if not standing:
            return ()
        with self._store.act():
            for order in standing:
                view = views.get(order.symbol)
                if view is None or judge_view(view):
                    continue
                terms = self._terms_now(order, view, is_resting=True)
                if terms is not None:
                    changed.append(self._execute(order, view, terms))
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
        return self.settle(outcome.order, OrderStatus.CANCELLED, (ReasonCode.ORDER_CANCELLED,))

    def cancel_all(self) -> tuple[OrderOutcome, ...]:
        """Withdraw every standing order in one act; give the outcomes in the orders' order."""
        reasons = (ReasonCode.ORDER_CANCELLED,)
        cancelled = tuple(
            OrderOutcome(order=order, status=OrderStatus.CANCELLED, fills=(), reason_codes=reasons)
            for order in self.open_orders()
        )
        if cancelled:
            self._store.record(
                *(AccountChange(outcome=outcome, accepts=False) for outcome in cancelled)
            )
            self._standing.clear()
        return cancelled

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
            self.hold(symbol, held)

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
            entry = self.entry(CashKind.DIVIDEND, "", symbol, amount)
            self._store.record(AccountChange(entries=(entry,)))
            self._last = entry
        return amount

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

    def _terms_now(self, order: Order, view: MarketView, *, is_resting: bool) -> FillTerms | None:
        return fill_terms(
            side=order.side,
            quantity=order.quantity,
            limit_price=order.limit_price,
            view=view,
            taken=self.traded_on(view.at.date()).get(order.symbol, _NOTHING),
            is_resting=is_resting,
        )

    def _execute(self, order: Order, view: MarketView, terms: FillTerms) -> OrderOutcome:
        if terms.quantity <= 0:
            return self._refuse(order, ReasonCode.PARTICIPATION)
        fill = Fill(
            client_order_id=order.client_order_id,
            cycle_id=order.cycle_id,
            symbol=order.symbol,
            side=order.side,
            sequence=0,
            quantity=terms.quantity,
            price=terms.price,
            mid_price=to_money(view.mid),
            cost_usd=terms.cost_usd,
            is_aggressive=terms.is_aggressive,
            filled_at=view.at,
        )
        if self.cash_usd() + fill.cash_usd < 0:
            return self._refuse(order, ReasonCode.BROKER_NO_CASH)
        if terms.quantity >= order.quantity:
            return self.settle(order, OrderStatus.FILLED, (ReasonCode.ORDER_FILLED,), fill)
        reasons = (ReasonCode.ORDER_PARTIALLY_FILLED, ReasonCode.PARTICIPATION)
        return self.settle(order, OrderStatus.PARTIALLY_FILLED, reasons, fill)

    def _refuse(self, order: Order, reason: ReasonCode) -> OrderOutcome:
        # An order that once stood was accepted: what ends it now is a cancellation.
        if order.client_order_id in self._standing:
            reasons = (ReasonCode.ORDER_CANCELLED, reason)
            return self.settle(order, OrderStatus.CANCELLED, reasons)
        return self.settle(order, OrderStatus.REJECTED, (reason,))
