"""From a decision to what is due now: orders, and what strategies pass to each other."""

from decimal import ROUND_DOWN, Decimal

import numpy as np

from instgov_dagster.loop.cycle import CycleDecision
from instgov_dagster.loop.decision.book import QUANTUM, Book, BookChange, Shares
from instgov_dagster.loop.decision.rows import order_name
from instgov_dagster.vocabulary.audit import Order, OrderSide, to_money
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode


def shares_of(decision: CycleDecision, book: Book, symbol: str, side: OrderSide) -> Shares:
    """Say whose order it is: the strategies that give or take, each by what it gives or takes.

    What strategies pass to each other has left the book's sums before (`transfer_changes`), so a
    sale belongs to the givers alone and a purchase to the takers alone. A sale that no strategy
    asked for, out of a breach, belongs to all that hold the symbol, pro rata.

    Raises
    ------
    SystemHalt
        ``ORDER_NOT_APPROVED`` where nobody asked for a purchase, or nobody holds what is sold.
    """
    table, auction = decision.found.bids.table, decision.auction
    mine = np.flatnonzero(table.symbol == symbol)
    asked = np.maximum((auction.weights[mine] - auction.held[mine]) * side.sign, 0.0)
    names = table.strategy_id[mine].tolist()
    if side is OrderSide.SELL and (decision.found.is_scaled or not asked.any()):
        held = {h.strategy_id: float(h.quantity) for h in book.holdings if h.symbol == symbol}
        names, asked = list(held), np.maximum(np.array(list(held.values())), 0.0)
    total = float(asked.sum())
    if not (np.isfinite(total) and total > 0.0):
        raise SystemHalt(
            ReasonCode.ORDER_NOT_APPROVED, f"no strategy stands behind {side} {symbol}"
        )
    parts = (asked / total).tolist()
    return tuple((name, part) for name, part in zip(names, parts, strict=True) if part > 0.0)


def plan_to_orders(
    decision: CycleDecision, book: Book
) -> tuple[tuple[Order, ...], dict[str, Shares]]:
    """Turn the slices that are due now into orders, each beside the strategies it belongs to.

    Later slices are not remembered: the next cycle decides anew from what was filled.

    Parameters
    ----------
    book
        What is held once the cycle's transfers are done.
    """
    places = {row.symbol: n for n, row in enumerate(decision.decisions)}
    orders, shares = [], {}
    for planned in decision.orders:
        if planned.release_after_seconds > 0.0:
            continue
        name = order_name(decision.cycle_id, planned)
        orders.append(
            Order(
                client_order_id=name,
                cycle_id=decision.cycle_id,
                symbol=planned.symbol,
                side=OrderSide(planned.side.value),
                quantity=to_money(planned.quantity),
                limit_price=to_money(planned.limit_price),
                decision_sequence=places[planned.symbol],
            )
        )
        side = OrderSide(planned.side.value)
        shares[name] = shares_of(decision, book, planned.symbol, side)
    return tuple(orders), shares


def transfer_changes(decision: CycleDecision) -> tuple[BookChange, ...]:
    """Turn what strategies pass to each other into book changes that net to nothing.

    Where one strategy's target of a symbol falls and another's rises, the smaller side crosses
    inside the book at the mark: no order, no cost, the same net exposure. A late cycle, a book in
    breach, or a state that lets nothing go, passes nothing.
    """
    told = decision.told
    if told.is_late or decision.found.is_scaled or not told.system.allows_reduction:
        return ()
    moved = decision.auction.weights - decision.auction.held
    names = decision.found.bids.table.symbol
    crossing = set(names[moved > 0.0].tolist()) & set(names[moved < 0.0].tolist())
    changes: list[BookChange] = []
    for symbol in sorted(crossing):
        mark = float(decision.valued.marks[decision.quotes.symbols.index(symbol)])
        if not (np.isfinite(mark) and mark > 0.0):
            continue
        for giver, taker, weight in decision.auction.transfers(symbol):
            units = Decimal(repr(weight * decision.valued.nav_usd / mark))
            quantity = units.quantize(QUANTUM, rounding=ROUND_DOWN)
            cash = to_money(quantity * to_money(mark))
            changes += [
                BookChange(
                    symbol=symbol, quantity=-quantity, cash_usd=cash, shares=((giver, 1.0),)
                ),
                BookChange(
                    symbol=symbol, quantity=quantity, cash_usd=-cash, shares=((taker, 1.0),)
                ),
            ]
    return tuple(changes)
