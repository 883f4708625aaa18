"""Our record of an account against the word of whoever keeps it, invariant by invariant."""

from collections.abc import Mapping
from decimal import Decimal

from instgov_dagster.adapters.account import AccountWord, BrokerState, OrderOutcome, OrderStatus
from instgov_dagster.vocabulary.reasons import ReasonCode

_NOTHING = Decimal(0)
#: Cash is told in cents, and an average price loses digits that the cash keeps.
_CENT = Decimal("0.01")


def told_differently(state: BrokerState, word: AccountWord | None) -> Mapping[str, list[str]]:
    """Name what the account's keeper says otherwise, by invariant; nothing where none is asked.

    An order that stands in our record counts with what he says of it: a session that broke off
    has not heard it yet, and the next one settles it by that word.
    """
    if word is None:
        return {}
    record = {outcome.order.client_order_id: outcome for outcome in state.outcomes}
    return {
        "orders": _orders(record, word),
        "fills": _fills(record, word),
        "positions": _positions(state, word),
        "cash": _cash(state, word),
    }


def _orders(record: Mapping[str, OrderOutcome], word: AccountWord) -> list[str]:
    ours = {name: (o.order.symbol, o.order.side, o.order.quantity) for name, o in record.items()}
    theirs = {name: (o.symbol, o.side, o.quantity) for name, o in word.orders.items()}
    of_day = f"live-{word.day.isoformat()}-"
    expected = {n for n, o in record.items() if n.startswith(of_day) and _got_there(o)}
    names = expected | theirs.keys()
    different = {name for name in names if ours.get(name) != theirs.get(name)}
    # What we count as over must not stand there; what stands in our record may be over by now.
    different |= {
        name
        for name, told in word.orders.items()
        if not told.is_final and name in record and record[name].status.is_final
    }
    return [f"{name} at the broker" for name in sorted(different)]


def _got_there(outcome: OrderOutcome) -> bool:
    never = ReasonCode.ORDER_NEVER_SENT in outcome.reason_codes
    return outcome.status is not OrderStatus.REJECTED and not never


def _fills(record: Mapping[str, OrderOutcome], word: AccountWord) -> list[str]:
    different = []
    for name, told in sorted(word.orders.items()):
        known = record.get(name)
        if known is None or known.status is OrderStatus.RESTING:
            continue
        prices = {fill.price for fill in known.fills}
        theirs = {told.filled_price} if told.filled_quantity else set()
        if known.filled_quantity != told.filled_quantity or prices != theirs:
            different.append(f"{name} at the broker")
    return different


def _positions(state: BrokerState, word: AccountWord) -> list[str]:
    ours = dict(state.positions)
    for symbol, quantity, _ in _unheard(state, word):
        ours[symbol] = ours.get(symbol, _NOTHING) + quantity
    names = sorted({*ours, *word.positions})
    return [
        f"{name} at the broker"
        for name in names
        if ours.get(name, _NOTHING) != word.positions.get(name, _NOTHING)
    ]


def _cash(state: BrokerState, word: AccountWord) -> list[str]:
    ours = state.cash_usd - sum((usd for *_, usd in _unheard(state, word)), _NOTHING)
    return [] if abs(ours - word.cash_usd) <= _CENT else [f"{word.cash_usd} at the broker"]


def _unheard(state: BrokerState, word: AccountWord) -> list[tuple[str, Decimal, Decimal]]:
    # Symbol, signed units, signed dollars of what filled of orders that stand in our record.
    found = []
    for outcome in state.outcomes:
        told = word.orders.get(outcome.order.client_order_id)
        if outcome.status is not OrderStatus.RESTING or told is None or told.filled_price is None:
            continue
        units = told.side.sign * told.filled_quantity
        found.append((told.symbol, units, units * told.filled_price))
    return found
