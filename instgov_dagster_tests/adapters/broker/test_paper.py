"""The paper broker: fills inside the bar, money to the last decimal, each order once."""

import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.account import (
    CashKind,
    MarketView,
    OrderStatus,
)
from instgov_dagster.adapters.broker import PaperBroker
from instgov_dagster.adapters.paper.store import read_account
from instgov_dagster.vocabulary.audit import AppendReceipt, ApprovedOrder, Order, OrderSide
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

AT = datetime(2024, 12, 6, 14, 30, tzinfo=UTC)
RECEIPT = AppendReceipt(
    chain="loop", segment=1, sequence=1, offset=0, frame_sha256="a" * 64, rows=1
)


def order(number: int = 0, **terms: Any) -> ApprovedOrder:
    fields: dict[str, Any] = {
        "client_order_id": f"c1-{number}",
        "cycle_id": "c1",
        "symbol": "SPY",
        "side": OrderSide.BUY,
        "quantity": Decimal(100),
        "limit_price": Decimal(1000),
        "decision_sequence": number,
        "receipt": RECEIPT,
        "mac": "b" * 64,
    }
    return ApprovedOrder(**(fields | terms))


def view(**fields: Any) -> MarketView:
    base: dict[str, Any] = {
        "bid": 99.9,
        "ask": 100.1,
        "bar_low": 98.0,
        "bar_high": 103.0,
        "impact_bps": 4.0,
        "adv_usd": 1e9,
        "max_participation": 0.1,
        "at": AT,
    }
    return MarketView(**(base | fields))


Open = Callable[[int], PaperBroker]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open the account of one test; a second opening finds what the first one left."""
    brokers: list[PaperBroker] = []

    def open_account(cash_usd: int) -> PaperBroker:
        path = tmp_path / "paper" / "account.sqlite"
        brokers.append(PaperBroker.open(path, opening_cash_usd=Decimal(cash_usd)))
        return brokers[-1]

    yield open_account
    for broker in brokers:
        broker.close()


def plain(approved: ApprovedOrder) -> Order:
    names = Order.__dataclass_fields__
    return Order(**{name: getattr(approved, name) for name in names})


@pytest.mark.roadmap("TEST.8")
def test_a_purchase_worked_by_hand_costs_price_times_units_plus_impact(opened: Open) -> None:
    broker = opened(50_000)
    outcome = broker.submit(order(), view())
    (fill,) = outcome.fills
    assert outcome.status is OrderStatus.FILLED
    assert fill.price == Decimal("100.10000000")
    assert fill.cost_usd == Decimal("4.00400000")  # 100 * 100.10 * 4 / 10000
    assert broker.cash_usd() == Decimal("39985.99600000")
    assert broker.positions() == {"SPY": Decimal(100)}
    assert fill.is_aggressive
    assert fill.mid_price == Decimal(100)


def test_a_sale_takes_the_bid_and_empties_the_position(opened: Open) -> None:
    broker = opened(50_000)
    broker.submit(order(0), view())
    broker.submit(order(1, side=OrderSide.SELL, limit_price=Decimal(1)), view())
    assert broker.positions() == {}
    # Bought at 100.10, sold at 99.90, 4 bps of each: 20 + 4.004 + 3.996 spent on nothing.
    assert broker.cash_usd() == Decimal("49972.00000000")


def test_the_same_order_sent_again_gets_the_same_answer_and_moves_nothing(opened: Open) -> None:
    broker = opened(50_000)
    first = broker.submit(order(), view())
    again = broker.submit(order(), view(bid=101.0, ask=101.2))
    assert again == first
    assert broker.positions() == {"SPY": Decimal(100)}
    assert len(broker.ledger()) == 2


def test_one_id_for_two_orders_stops_the_system(opened: Open) -> None:
    broker = opened(50_000)
    broker.submit(order(), view())
    with pytest.raises(SystemHalt) as halt:
        broker.submit(order(quantity=Decimal(7)), view())
    assert halt.value.reason_code is ReasonCode.RECONCILIATION_UNRESOLVED


def test_an_order_nobody_approved_stops_the_system(opened: Open) -> None:
    with pytest.raises(SystemHalt) as halt:
        opened(1000).submit(plain(order()), view())  # type: ignore[arg-type]  # the point
    assert halt.value.reason_code is ReasonCode.ORDER_NOT_APPROVED


@pytest.mark.roadmap("8.5")
def test_a_day_fills_no_more_than_its_participation_however_often_it_is_asked(opened: Open) -> None:
    broker = opened(50_000)
    small = {"adv_usd": 100_100.0, "max_participation": 0.1}  # leaves 100 units at 100.10
    first = broker.submit(order(0, quantity=Decimal(60)), view(**small))
    second = broker.submit(order(1, quantity=Decimal(60)), view(**small))
    third = broker.submit(order(2, quantity=Decimal(60)), view(**small))
    assert first.status is OrderStatus.FILLED
    assert second.status is OrderStatus.PARTIALLY_FILLED
    assert second.filled_quantity == Decimal(40)
    assert ReasonCode.PARTICIPATION in second.reason_codes
    assert third.status is OrderStatus.REJECTED
    assert ReasonCode.PARTICIPATION in third.reason_codes
    tomorrow = view(at=AT + timedelta(days=1), **small)
    assert broker.submit(order(3, quantity=Decimal(60)), tomorrow).status is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"bid": float("nan")}, ReasonCode.QUOTE_INVALID),
        ({"bid": 0.0}, ReasonCode.QUOTE_INVALID),
        ({"bid": 100.2}, ReasonCode.QUOTE_INVALID),
        ({"bar_low": float("nan")}, ReasonCode.QUOTE_INVALID),
        ({"bar_high": 99.0}, ReasonCode.QUOTE_INVALID),
        ({"bar_low": 100.5}, ReasonCode.QUOTE_INVALID),
        ({"impact_bps": float("nan")}, ReasonCode.NO_IMPACT_ESTIMATE),
        ({"impact_bps": -1.0}, ReasonCode.NO_IMPACT_ESTIMATE),
        ({"adv_usd": 0.0}, ReasonCode.NO_IMPACT_ESTIMATE),
        ({"adv_usd": float("inf")}, ReasonCode.NO_IMPACT_ESTIMATE),
    ],
)
def test_nothing_is_filled_on_what_cannot_be_seen(
    opened: Open, fields: dict[str, float], reason: ReasonCode
) -> None:
    broker = opened(50_000)
    outcome = broker.submit(order(), view(**fields))
    assert outcome.status is OrderStatus.REJECTED
    assert reason in outcome.reason_codes
    assert broker.cash_usd() == Decimal(50_000)
    assert broker.positions() == {}


def test_nobody_sells_what_is_not_held_nor_spends_what_is_not_there(opened: Open) -> None:
    broker = opened(5_000)
    short = broker.submit(order(0, side=OrderSide.SELL, limit_price=Decimal(1)), view())
    dear = broker.submit(order(1), view())
    assert ReasonCode.BROKER_NO_POSITION in short.reason_codes
    assert ReasonCode.BROKER_NO_CASH in dear.reason_codes
    assert broker.cash_usd() == Decimal(5_000)


def test_two_standing_sales_may_not_promise_the_same_units(opened: Open) -> None:
    broker = opened(50_000)
    broker.submit(order(0), view())
    passive = {"side": OrderSide.SELL, "limit_price": Decimal(102)}
    first = broker.submit(order(1, quantity=Decimal(70), **passive), view())
    second = broker.submit(order(2, quantity=Decimal(70), **passive), view())
    assert first.status is OrderStatus.RESTING
    assert ReasonCode.BROKER_NO_POSITION in second.reason_codes


@pytest.mark.roadmap("8.4")
def test_a_passive_order_rests_and_fills_at_its_limit_when_the_market_comes_to_it(
    opened: Open,
) -> None:
    broker = opened(50_000)
    standing = broker.submit(order(limit_price=Decimal("99.50")), view())
    assert standing.status is OrderStatus.RESTING
    assert [o.client_order_id for o in broker.open_orders()] == ["c1-0"]
    assert broker.match({"SPY": view(bid=99.5, ask=99.7)}) == ()
    assert broker.match({"SPY": view(bid=99.2, ask=99.4, bar_low=float("nan"))}) == ()
    (outcome,) = broker.match({"SPY": view(bid=99.2, ask=99.4)})
    assert outcome.fills[0].price == Decimal("99.50")
    assert not outcome.fills[0].is_aggressive
    assert broker.open_orders() == ()


def test_an_order_the_market_jumped_over_fills_where_the_market_is(opened: Open) -> None:
    broker = opened(50_000)
    broker.submit(order(limit_price=Decimal(99)), view())
    tomorrow = view(bid=89.9, ask=90.1, bar_low=88.0, bar_high=92.0, at=AT + timedelta(days=1))
    (outcome,) = broker.match({"SPY": tomorrow})
    assert outcome.fills[0].price == Decimal("90.1")


def test_all_that_stands_is_withdrawn_in_one_act_and_nothing_else(opened: Open) -> None:
    broker = opened(100_000)
    for number in (0, 1):
        broker.submit(order(number, limit_price=Decimal(99)), view())
    filled = broker.submit(order(2, quantity=Decimal(1)), view())
    assert [o.order.client_order_id for o in broker.cancel_all()] == ["c1-0", "c1-1"]
    assert broker.open_orders() == ()
    for number in (0, 1):
        found = broker.outcome(f"c1-{number}")
        assert found is not None
        assert found.status is OrderStatus.CANCELLED
    assert filled.status is OrderStatus.FILLED
    assert broker.outcome("c1-2") == filled
    assert broker.cancel_all() == ()


def test_a_cancelled_order_never_fills_and_a_filled_one_cannot_be_cancelled(opened: Open) -> None:
    broker = opened(50_000)
    broker.submit(order(0, limit_price=Decimal(99)), view())
    broker.submit(order(1), view())
    assert broker.cancel("c1-0").status is OrderStatus.CANCELLED
    assert broker.cancel("c1-1").status is OrderStatus.FILLED
    assert broker.match({"SPY": view(bid=98.0, ask=98.2)}) == ()
    with pytest.raises(ValueError, match="must be known"):
        broker.cancel("c9-9")


def test_a_split_moves_units_and_no_cash_and_a_dividend_pays_the_units(opened: Open) -> None:
    broker = opened(50_000)
    broker.submit(order(), view())
    cash = broker.cash_usd()
    broker.apply_split("SPY", Decimal(4))
    assert broker.positions() == {"SPY": Decimal(400)}
    assert broker.credit_dividend("SPY", Decimal("0.25")) == Decimal(100)
    assert broker.cash_usd() == cash + 100
    assert broker.ledger()[-1].kind is CashKind.DIVIDEND


@pytest.mark.roadmap("TEST.8")
def test_a_broker_that_comes_back_knows_what_the_first_one_knew(opened: Open) -> None:
    broker = opened(50_000)
    sent = [
        order(0),
        order(1, quantity=Decimal(30), side=OrderSide.SELL, limit_price=Decimal(1)),
        order(2, limit_price=Decimal("99.50")),
        order(3, side=OrderSide.SELL, quantity=Decimal(500), limit_price=Decimal(1)),
    ]
    outcomes = [broker.submit(each, view()) for each in sent]
    broker.close()
    again = opened(777)  # the deposit is made once: an account that exists keeps its own
    assert again.positions() == {"SPY": Decimal(70)}
    assert again.cash_usd() == broker.cash_usd()
    assert again.order_ids() == ("c1-0", "c1-1", "c1-2", "c1-3")
    assert [again.outcome(each.client_order_id) for each in sent] == outcomes
    assert again.open_orders() == (plain(sent[2]),)
    assert again.submit(sent[0], view(ask=102.0, bid=101.8)) == outcomes[0]
    (filled,) = again.match({"SPY": view(bid=99.2, ask=99.4)})
    assert filled.status is OrderStatus.FILLED


@pytest.mark.roadmap("8.5")
def test_a_day_s_participation_outlives_the_process_that_used_it(opened: Open) -> None:
    small = {"adv_usd": 100_100.0, "max_participation": 0.1}  # leaves 100 units at 100.10
    first = opened(50_000)
    first.submit(order(0, quantity=Decimal(60)), view(**small))
    first.close()
    second = opened(50_000)
    partly = second.submit(order(1, quantity=Decimal(60)), view(**small))
    assert partly.filled_quantity == Decimal(40)


def test_what_is_over_does_not_stay_in_memory(opened: Open) -> None:
    broker = opened(1_000_000)
    for number in range(40):
        far = Decimal(1) if number % 2 else Decimal(1000)
        broker.submit(order(number, quantity=Decimal(1), limit_price=far), view())
    for standing in broker.open_orders():
        broker.cancel(standing.client_order_id)
    assert len(broker.order_ids()) == 40
    assert (broker._standing, len(broker._positions), len(broker._traded)) == ({}, 1, 1)


prices = st.floats(5.0, 500.0)


@st.composite
def markets(draw: st.DrawFn) -> MarketView:
    low = draw(prices)
    high = low * draw(st.floats(1.0, 1.2))
    mid = min(high, low + (high - low) * draw(st.floats(0.0, 1.0)))
    half = mid * draw(st.floats(0.0, 0.01))
    return view(
        bid=mid - half,
        ask=mid + half,
        bar_low=low,
        bar_high=high,
        impact_bps=draw(st.floats(0.0, 200.0)),
        adv_usd=draw(st.floats(1.0, 1e7)),
    )


@st.composite
def orders(draw: st.DrawFn) -> list[ApprovedOrder]:
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(list(OrderSide)),
                st.decimals("0.00000001", "900", places=8),
                st.sampled_from(["SPY", "BTC-USD"]),
                st.decimals("5", "600", places=4),
            ),
            max_size=12,
        )
    )
    return [
        order(i, side=side, quantity=quantity, symbol=symbol, limit_price=limit)
        for i, (side, quantity, symbol, limit) in enumerate(rows)
    ]


@given(orders(), st.lists(markets(), min_size=1, max_size=4))
def test_money_balances_to_the_last_decimal_and_fills_stay_in_the_bar(
    sent: list[ApprovedOrder], seen: list[MarketView]
) -> None:
    opening = Decimal(100_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "account.sqlite"
        broker = PaperBroker.open(path, opening_cash_usd=opening)
        _trade_and_balance(broker, path, sent, seen)
        broker.close()


def _trade_and_balance(
    broker: PaperBroker, path: Path, sent: list[ApprovedOrder], seen: list[MarketView]
) -> None:
    opening = broker.cash_usd()
    for i, each in enumerate(sent):
        at = seen[i % len(seen)]
        changed = [broker.submit(each, at), *broker.match({"SPY": at, "BTC-USD": at})]
        half = Decimal(str((at.ask - at.bid) / 2)) + Decimal("0.0000001")
        for fill in (fill for outcome in changed for fill in outcome.fills):
            assert fill.price >= Decimal(str(at.bar_low)) - half
            assert fill.price <= Decimal(str(at.bar_high)) + half
    state = read_account(path)
    assert state is not None
    fills = [fill for o in state.outcomes for fill in o.fills]
    spent = sum((fill.side.sign * fill.quantity * fill.price for fill in fills), Decimal(0))
    costs = sum((fill.cost_usd for fill in fills), Decimal(0))
    # Each amount is rounded once, to the eighth decimal.
    assert abs(opening - spent - costs - broker.cash_usd()) <= len(fills) * Decimal("0.000000005")
    assert sum((entry.amount_usd for entry in broker.ledger()), Decimal(0)) == broker.cash_usd()
    assert opening + sum((fill.cash_usd for fill in fills), Decimal(0)) == broker.cash_usd()
    assert broker.cash_usd() >= 0
    assert all(quantity > 0 for quantity in broker.positions().values())
    # What stands on disk is what the broker answers from memory.
    assert (dict(state.positions), state.cash_usd) == (broker.positions(), broker.cash_usd())
    assert state.ledger == broker.ledger()
