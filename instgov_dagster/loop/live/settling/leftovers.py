"""What a leader that broke off left behind, settled by the broker's word; nothing is written."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from instgov_dagster.adapters.account import OrderOutcome, OrderStatus
from instgov_dagster.loop.decision.book import Book, Shares
from instgov_dagster.loop.live.settling.told import Leftover, order_terms
from instgov_dagster.vocabulary.audit import Order
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

Lookup = Callable[[str], OrderOutcome | None]


def settle(
    leftovers: Mapping[str, Leftover],
    lookup: Lookup,
    cancel: Callable[[str], OrderOutcome] | None,
) -> tuple[OrderOutcome, ...]:
    """Say what became of each order that was planned and whose end no frame tells.

    One the broker never saw was never sent, and is not sent again; one that rests is withdrawn;
    of any other the outcome and the fills not yet journalled are taken over.

    Parameters
    ----------
    leftovers
        By client order id.
    lookup
        The broker's own record.
    cancel
        Withdraws a standing order; None where the state of the system lets nothing be sent, and
        what rests goes on resting.

    Raises
    ------
    SystemHalt
        ``RECONCILIATION_UNRESOLVED`` if the broker holds other terms under the same id, or filled
        an order of which no frame says whose it is.
    """
    found = []
    for name, leftover in leftovers.items():
        outcome = lookup(name)
        if outcome is None:
            found.append(_never_sent(leftover))
            continue
        _require_same(leftover, outcome)
        if outcome.status is OrderStatus.RESTING and cancel is not None:
            outcome = cancel(name)
        if outcome.status is OrderStatus.RESTING and leftover.is_resting:
            continue  # told before, and it may not be withdrawn now
        reasons = (*outcome.reason_codes, ReasonCode.ORDER_RECOVERED)
        fills = outcome.fills[leftover.n_fills :]
        found.append(replace(outcome, fills=fills, reason_codes=reasons))
    return tuple(found)


def find_unplanned(
    order_ids: Iterable[str], told: Collection[str], lookup: Lookup
) -> tuple[OrderOutcome, ...]:
    """Give the orders the broker holds that no frame ever planned.

    Parameters
    ----------
    order_ids
        Of every order ever sent, as the broker knows them.
    told
        Of every order any frame tells.
    """
    names = [name for name in order_ids if name not in told]
    outcomes = [outcome for name in names if (outcome := lookup(name)) is not None]
    code = ReasonCode.RECONCILIATION_UNRESOLVED
    return tuple(replace(o, reason_codes=(*o.reason_codes, code)) for o in outcomes)


def shares_of_unplanned(
    outcome: OrderOutcome, book: Book, *, strategies: Sequence[str], symbols: Collection[str]
) -> Shares:
    """Say whose units an order nobody planned moved: what is really held may not be unseen.

    They fall to all that hold the symbol, pro rata, and where none does to every strategy alike.

    Raises
    ------
    SystemHalt
        ``RECONCILIATION_UNRESOLVED`` if it moved units of a symbol that is none of the universe's.
    """
    symbol = outcome.order.symbol
    if symbol not in symbols:
        raise unplanned_halt([outcome])
    held = {h.strategy_id: float(h.quantity) for h in book.holdings if h.symbol == symbol}
    parts = held or dict.fromkeys(strategies, 1.0)
    total = sum(parts.values())
    return tuple((name, part / total) for name, part in parts.items())


def unplanned_halt(outcomes: Iterable[OrderOutcome]) -> SystemHalt:
    """Give the halt that names orders which no frame planned."""
    names = ", ".join(outcome.order.client_order_id for outcome in outcomes)
    return SystemHalt(
        ReasonCode.RECONCILIATION_UNRESOLVED, f"orders at the broker that no frame planned: {names}"
    )


def _never_sent(leftover: Leftover) -> OrderOutcome:
    if leftover.is_resting:
        raise SystemHalt(
            ReasonCode.RECONCILIATION_UNRESOLVED,
            f"the broker does not know an order it took: {leftover.order.client_order_id}",
        )
    return never_sent(leftover.order)


def never_sent(order: Order) -> OrderOutcome:
    """Say of an order that was planned that it was not sent, and will not be."""
    return OrderOutcome(
        order=order,
        status=OrderStatus.NEVER_SENT,
        fills=(),
        reason_codes=(ReasonCode.ORDER_NEVER_SENT,),
    )


def _require_same(leftover: Leftover, outcome: OrderOutcome) -> None:
    name = leftover.order.client_order_id
    if order_terms(outcome.order) != order_terms(leftover.order):
        raise SystemHalt(
            ReasonCode.RECONCILIATION_UNRESOLVED, f"the broker holds other terms of {name}"
        )
    if outcome.fills[leftover.n_fills :] and not leftover.shares:
        raise SystemHalt(
            ReasonCode.RECONCILIATION_UNRESOLVED, f"no frame says whose order {name} was"
        )
