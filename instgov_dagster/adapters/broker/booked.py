"""An account as a broker keeps it: on disk before anything is told, in memory what is looked at."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from decimal import Decimal
from typing import Final

from instgov_dagster.adapters.account import CashEntry, CashKind, OrderOutcome, OrderStatus
from instgov_dagster.adapters.paper.rows import AccountChange
from instgov_dagster.adapters.paper.store import AccountStore
from instgov_dagster.vocabulary.audit import ApprovedOrder, Fill, Order, OrderSide
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

_NOTHING: Final = Decimal(0)


class BookedAccount:
    """The record every broker of this system keeps, whoever executes.

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

    def close(self) -> None:
        """Let go of the account."""
        self._store.close()

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

    def traded_on(self, day: date) -> dict[str, Decimal]:
        """Give the units traded of each symbol on one day, either way."""
        if day != self._day:
            self._day, self._traded = day, self._store.traded(day)
        return self._traded

    def earlier(self, order: ApprovedOrder) -> OrderOutcome | None:
        """Give what became of an order sent before under the same id; None where none was.

        Raises
        ------
        SystemHalt
            ``ORDER_NOT_APPROVED`` for anything but an `ApprovedOrder`;
            ``RECONCILIATION_UNRESOLVED`` if the id was given to another order.
        """
        if not isinstance(order, ApprovedOrder):
            raise SystemHalt(
                ReasonCode.ORDER_NOT_APPROVED,
                f"the broker takes an ApprovedOrder, was {type(order).__name__}",
            )
        found = self._store.outcome(order.client_order_id)
        if found is not None and _terms(found.order) != _terms(order):
            raise SystemHalt(
                ReasonCode.RECONCILIATION_UNRESOLVED,
                f"client_order_id must name one order, was used twice: {order.client_order_id}",
            )
        return found

    def settle(
        self,
        order: Order,
        status: OrderStatus,
        reasons: tuple[ReasonCode, ...],
        fill: Fill | None = None,
    ) -> OrderOutcome:
        """Record what became of an order and of what it moved, on disk before it is told.

        Raises
        ------
        SystemHalt
            ``ORDER_UNKNOWN_OUTCOME`` if the record could not be written,
            ``RECONCILIATION_UNRESOLVED`` if more was sold than was held.
        """
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
        entry = self.entry(CashKind.FILL, fill.client_order_id, symbol, fill.cash_usd)
        traded = self.traded_on(day).get(symbol, _NOTHING) + fill.quantity
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
        self.hold(symbol, held)
        self._traded[symbol] = traded
        self._last = entry

    def hold(self, symbol: str, held: Decimal) -> None:
        """Remember the units held of a symbol."""
        if held:
            self._positions[symbol] = held
        else:
            self._positions.pop(symbol, None)

    def entry(
        self, kind: CashKind, client_order_id: str, symbol: str, amount: Decimal
    ) -> CashEntry:
        """Make the next line of the cash ledger."""
        return CashEntry(
            sequence=self._last.sequence + 1,
            kind=kind,
            client_order_id=client_order_id,
            symbol=symbol,
            amount_usd=amount,
            balance_usd=self.cash_usd() + amount,
        )


def plain(order: ApprovedOrder) -> Order:
    """Give the order without its approval, which has done its work.

    An outcome reads the same before and after a restart.
    """
    return Order(**{field.name: getattr(order, field.name) for field in fields(Order)})


def _terms(order: Order) -> tuple[str, OrderSide, Decimal, Decimal]:
    return (order.symbol, order.side, order.quantity, order.limit_price)
