"""Leftovers and the four invariants, worked by hand and by what hypothesis draws."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.account import (
    BrokerState,
    CashEntry,
    CashKind,
    OrderOutcome,
    OrderStatus,
)
from instgov_dagster.adapters.journal import unbundle
from instgov_dagster.loop.decision.book import Book, Holding, apply_changes
from instgov_dagster.loop.live.frames import fills_tables
from instgov_dagster.loop.live.settling.answers import changes_of, ledger_rows
from instgov_dagster.loop.live.settling.invariants import reconcile, require_agreement
from instgov_dagster.loop.live.settling.leftovers import (
    find_unplanned,
    settle,
    shares_of_unplanned,
)
from instgov_dagster.loop.live.settling.told import Leftover, Told
from instgov_dagster.vocabulary.audit import Fill, Order, OrderSide, to_money
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

DAY, AT = date(2024, 12, 6), datetime(2024, 12, 6, 14, 30, tzinfo=UTC)
OPENING = Decimal("1000.00000000")
SHARES = (("ridge", 0.25), ("momentum", 0.75))


def order(number: int, *, quantity: str = "4") -> Order:
    return Order(
        client_order_id=f"c1|SPY|BUY|{number}",
        cycle_id="c1",
        symbol="SPY",
        side=OrderSide.BUY,
        quantity=to_money(quantity),
        limit_price=to_money("10"),
        decision_sequence=0,
    )


def filled(number: int, *, quantity: str = "4", price: str = "10") -> OrderOutcome:
    planned = order(number, quantity=quantity)
    fill = Fill(
        client_order_id=planned.client_order_id,
        cycle_id="c1",
        symbol="SPY",
        side=OrderSide.BUY,
        sequence=0,
        quantity=planned.quantity,
        price=to_money(price),
        mid_price=to_money(price),
        cost_usd=to_money("0.5"),
        is_aggressive=True,
        filled_at=AT,
    )
    reasons = (ReasonCode.ORDER_FILLED,)
    return OrderOutcome(
        order=planned, status=OrderStatus.FILLED, fills=(fill,), reason_codes=reasons
    )


def resting(number: int) -> OrderOutcome:
    reasons = (ReasonCode.ORDER_RESTING,)
    return OrderOutcome(
        order=order(number), status=OrderStatus.RESTING, fills=(), reason_codes=reasons
    )


def account_of(outcomes: list[OrderOutcome]) -> BrokerState:
    """The account of a broker that answered so, from its opening deposit on."""
    ledger = [
        CashEntry(
            sequence=0, kind=CashKind.OPENING, client_order_id="", symbol="",
            amount_usd=OPENING, balance_usd=OPENING,
        )
    ]  # fmt: skip
    held = Decimal(0)
    for outcome in outcomes:
        for fill in outcome.fills:
            held += fill.quantity
            ledger.append(
                CashEntry(
                    sequence=len(ledger), kind=CashKind.FILL, symbol="SPY",
                    client_order_id=fill.client_order_id, amount_usd=fill.cash_usd,
                    balance_usd=ledger[-1].balance_usd + fill.cash_usd,
                )
            )  # fmt: skip
    return BrokerState(
        cash_usd=ledger[-1].balance_usd,
        positions=(("SPY", held),) if held else (),
        outcomes=tuple(outcomes),
        ledger=tuple(ledger),
    )


def journal_of(outcomes: list[OrderOutcome], state: BrokerState) -> tuple[Told, Book]:
    """What a journal tells that heard every answer, and the book it wrote."""
    told = Told(asof=DAY, opening_cash_usd=OPENING, cash_usd=OPENING)
    shares = {outcome.order.client_order_id: SHARES for outcome in outcomes}
    tables = unbundle(fills_tables(outcomes, ledger_rows(state.ledger)))
    told.answer(tables, {"asof": DAY.isoformat(), "session": "s", "shares": shares})
    book = Book(cash_usd=OPENING, peak_nav_usd=OPENING)
    return told, apply_changes(book, changes_of(outcomes, shares))


def failed(told: Told, book: Book, state: BrokerState | None) -> set[str]:
    return {row.name for row in reconcile(told, book, state) if not row.passed}


@pytest.mark.roadmap("9.4")
def test_two_purchases_worked_by_hand_agree_in_all_four() -> None:
    outcomes = [filled(0), filled(1, quantity="2", price="11")]
    state = account_of(outcomes)
    told, book = journal_of(outcomes, state)
    # 1000 - 4 * 10 - 0.50 - 2 * 11 - 0.50, six units in quarters and three quarters.
    assert state.cash_usd == book.cash_usd == told.cash_usd == Decimal(937)
    assert [(h.strategy_id, h.quantity) for h in book.holdings] == [
        ("momentum", Decimal("4.5")), ("ridge", Decimal("1.5")),
    ]  # fmt: skip
    assert failed(told, book, state) == set()
    assert (told.traded, told.traded_usd) == ({"SPY": Decimal(6)}, {"SPY": 62.0})


def moved(state: BrokerState, **fields: Any) -> BrokerState:
    return replace(state, **fields)


DIGIT = Decimal("0.00000001")
BREAKS = {
    "a position": lambda s: moved(s, positions=(("SPY", Decimal(4) + DIGIT),)),
    "a symbol": lambda s: moved(s, positions=(*s.positions, ("TLT", Decimal(1)))),
    "the cash": lambda s: moved(s, cash_usd=s.cash_usd + DIGIT),
    "an entry": lambda s: moved(s, ledger=s.ledger[:-1]),
    "an order": lambda s: moved(s, outcomes=(*s.outcomes, resting(7))),
    "a status": lambda s: moved(
        s, outcomes=(replace(s.outcomes[0], status=OrderStatus.PARTIALLY_FILLED),)
    ),
    "a price": lambda s: moved(s, outcomes=(filled(0, price="10.00000001"),)),
    "everything": lambda _: None,
}


@pytest.mark.roadmap("9.4")
@pytest.mark.parametrize(
    ("what", "broken"),
    [
        ("a position", {"positions"}),
        ("a symbol", {"positions"}),
        ("the cash", {"cash"}),
        ("an entry", {"cash"}),
        ("an order", {"orders"}),
        ("a status", {"orders"}),
        ("a price", {"fills"}),
        ("everything", {"orders", "fills", "positions", "cash"}),
    ],
)
def test_one_digit_of_difference_is_a_difference_and_is_named(what: str, broken: set[str]) -> None:
    outcomes = [filled(0)]
    state = account_of(outcomes)
    told, book = journal_of(outcomes, state)
    changed = BREAKS[what](state)
    assert failed(told, book, changed) == broken
    with pytest.raises(SystemHalt, match="RECONCILIATION_UNRESOLVED") as halt:
        require_agreement(reconcile(told, book, changed))
    assert all(name in halt.value.detail for name in broken)


def test_a_short_position_never_agrees() -> None:
    outcomes = [filled(0)]
    state = account_of(outcomes)
    told, book = journal_of(outcomes, state)
    rows = (
        Holding(strategy_id="momentum", symbol="SPY", quantity=Decimal(5)),
        Holding(strategy_id="ridge", symbol="SPY", quantity=Decimal(-1)),
    )
    assert failed(told, replace(book, holdings=rows), state) == {"positions"}


def test_a_home_that_never_led_has_nothing_to_differ_in() -> None:
    book = Book(cash_usd=OPENING, peak_nav_usd=OPENING)
    assert failed(Told(asof=DAY), book, None) == set()


def test_each_leftover_is_settled_by_what_the_broker_says_of_it() -> None:
    left = {o.client_order_id: Leftover(order=o, shares=SHARES) for o in map(order, range(3))}
    answers = {o.order.client_order_id: o for o in (filled(1), resting(2))}
    withdrawn = replace(
        resting(2), status=OrderStatus.CANCELLED, reason_codes=(ReasonCode.ORDER_CANCELLED,)
    )
    never, taken, cancelled = settle(left, answers.get, lambda _: withdrawn)
    assert (never.status, never.reason_codes) == (
        OrderStatus.NEVER_SENT,
        (ReasonCode.ORDER_NEVER_SENT,),
    )
    assert (taken.status, taken.fills) == (OrderStatus.FILLED, filled(1).fills)
    assert taken.reason_codes == (ReasonCode.ORDER_FILLED, ReasonCode.ORDER_RECOVERED)
    assert cancelled.reason_codes == (ReasonCode.ORDER_CANCELLED, ReasonCode.ORDER_RECOVERED)


def test_what_rests_is_told_once_where_nothing_may_be_sent() -> None:
    planned = Leftover(order=order(0), shares=SHARES)
    name = planned.order.client_order_id
    (told,) = settle({name: planned}, lambda _: resting(0), None)
    assert told.status is OrderStatus.RESTING
    assert settle({name: replace(planned, is_resting=True)}, lambda _: resting(0), None) == ()


@pytest.mark.parametrize(
    ("leftover", "answer"),
    [
        (Leftover(order=order(0, quantity="5"), shares=SHARES), filled(0)),  # other terms
        (Leftover(order=order(0), shares=()), filled(0)),  # nobody's
        (Leftover(order=order(0), shares=SHARES, is_resting=True), None),  # forgotten
    ],
)
def test_what_cannot_be_settled_stops_the_system(
    leftover: Leftover, answer: OrderOutcome | None
) -> None:
    with pytest.raises(SystemHalt, match="RECONCILIATION_UNRESOLVED"):
        settle({leftover.order.client_order_id: leftover}, lambda _: answer, None)


def test_an_order_no_frame_planned_is_found_and_falls_to_all_that_hold_its_symbol() -> None:
    known, foreign = filled(0), filled(1)
    answers = {o.order.client_order_id: o for o in (known, foreign)}
    (found,) = find_unplanned(answers, {known.order.client_order_id}, answers.get)
    assert found.reason_codes == (ReasonCode.ORDER_FILLED, ReasonCode.RECONCILIATION_UNRESOLVED)
    _, book = journal_of([known], account_of([known]))
    words = {"strategies": ["a", "b"], "symbols": ["SPY"]}
    assert shares_of_unplanned(found, book, **words) == (("momentum", 0.75), ("ridge", 0.25))
    empty = Book(cash_usd=OPENING, peak_nav_usd=OPENING)
    assert shares_of_unplanned(found, empty, **words) == (("a", 0.5), ("b", 0.5))
    with pytest.raises(SystemHalt, match=r"no frame planned: c1\|SPY\|BUY\|1"):
        shares_of_unplanned(found, book, strategies=["a"], symbols=["TLT"])


quantities = st.decimals("0.00000001", "20", places=8).map(str)


@given(st.lists(quantities, min_size=1, max_size=6), st.data())
def test_whatever_was_heard_and_whatever_was_left_over_the_two_agree_once_it_is_settled(
    drawn: list[str], data: st.DataObject
) -> None:
    outcomes = [filled(n, quantity=quantity) for n, quantity in enumerate(drawn)]
    state = account_of(outcomes)
    heard = data.draw(st.integers(0, len(outcomes)))
    told, book = journal_of(outcomes[:heard], account_of(outcomes[:heard]))
    left = {
        o.order.client_order_id: Leftover(order=o.order, shares=SHARES) for o in outcomes[heard:]
    }
    if left:
        assert failed(told, book, state) == {"orders", "fills", "positions", "cash"}
    answers = {outcome.order.client_order_id: outcome for outcome in state.outcomes}
    settled = settle(left, answers.get, None)
    untold = [entry for entry in state.ledger if entry.sequence > told.last_entry]
    shares = dict.fromkeys(left, SHARES)
    tables = unbundle(fills_tables(settled, ledger_rows(untold)))
    told.answer(tables, {"asof": DAY.isoformat(), "session": "s", "shares": shares})
    assert failed(told, apply_changes(book, changes_of(settled, shares)), state) == set()
