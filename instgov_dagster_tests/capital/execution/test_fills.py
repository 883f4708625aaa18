"""The rule of a fill, by hand and beside the paper broker's own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.account import MarketView, OrderStatus
from instgov_dagster.adapters.broker import PaperBroker
from instgov_dagster.capital.execution.fills import (
    FillTerms,
    available_quantity,
    fill_terms,
    impact_cost,
)
from instgov_dagster.vocabulary.audit import AppendReceipt, ApprovedOrder, OrderSide, to_money

pytestmark = pytest.mark.roadmap("8.3", "TEST.8")
_CASH = Decimal(10) ** 11
AT = datetime(2024, 12, 6, 14, 30, tzinfo=UTC)
RECEIPT = AppendReceipt(
    chain="loop", segment=1, sequence=1, offset=0, frame_sha256="a" * 64, rows=1
)


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


def terms(**fields: Any) -> FillTerms | None:
    base: dict[str, Any] = {
        "side": OrderSide.BUY,
        "quantity": Decimal(100),
        "limit_price": Decimal(1000),
        "view": view(),
        "taken": Decimal(0),
        "is_resting": False,
    }
    return fill_terms(**(base | fields))


def test_a_purchase_takes_the_ask_and_pays_its_impact_by_hand() -> None:
    found = terms()
    # 100 * 100.10 * 4 / 10000.
    assert found == FillTerms(
        price=Decimal("100.10000000"),
        quantity=Decimal("100.00000000"),
        cost_usd=Decimal("4.00400000"),
        is_aggressive=True,
    )


def test_an_order_rests_until_the_market_comes_to_its_limit_and_trades_there() -> None:
    limit = Decimal("99.50")
    assert terms(limit_price=limit) is None
    assert terms(limit_price=limit, view=view(bid=99.5, ask=99.7), is_resting=True) is None
    found = terms(limit_price=limit, view=view(bid=99.2, ask=99.4), is_resting=True)
    assert found is not None
    assert (found.price, found.is_aggressive) == (limit, False)


def test_a_market_that_jumped_over_the_limit_trades_where_it_is() -> None:
    below = view(bid=89.9, ask=90.1, bar_low=88.0, bar_high=92.0)
    found = terms(limit_price=Decimal(99), view=below, is_resting=True)
    assert found is not None
    assert found.price == Decimal("90.1")


def test_a_day_leaves_what_participation_leaves_and_then_nothing() -> None:
    small = view(adv_usd=100_100.0)  # a tenth of it is 100 units at 100.10
    assert terms(view=small, taken=Decimal(60)) is not None
    left = terms(view=small, taken=Decimal(60))
    assert left is not None
    assert left.quantity == Decimal(40)
    spent = terms(view=small, taken=Decimal(100))
    assert spent is not None
    assert (spent.quantity, spent.cost_usd) == (0, 0)


def test_what_is_available_is_rounded_down() -> None:
    third = available_quantity(
        Decimal(1000), Decimal(3), adv_usd=10.0, participation=0.1, taken=Decimal(0)
    )
    assert third == Decimal("0.33333333")
    assert impact_cost(third, Decimal(3), impact_bps=10.0) == Decimal("0.00100000")


PRICES = st.floats(0.5, 5000.0)


@given(
    side=st.sampled_from(list(OrderSide)),
    quantity=st.integers(1, 10**12),
    mid=PRICES,
    half_bps=st.floats(0.0, 50.0),
    limit=st.floats(0.97, 1.03),
    later=st.floats(0.97, 1.03),
    impact=st.floats(0.0, 200.0),
    adv=st.floats(1.0, 1e9),
    taken=st.integers(0, 10**10),
)
def test_the_rule_is_the_paper_brokers_sent_and_resting(  # noqa: PLR0917  # one argument a number
    side: OrderSide,
    quantity: int,
    mid: float,
    half_bps: float,
    limit: float,
    later: float,
    impact: float,
    adv: float,
    taken: int,
) -> None:
    units, before = Decimal(quantity).scaleb(-8), Decimal(taken).scaleb(-8)
    first = _quote(mid, half_bps, mid, impact, adv)
    second = _quote(mid * later, half_bps, mid, impact, adv)
    order = ApprovedOrder(
        client_order_id="c1-0",
        cycle_id="c1",
        symbol="SPY",
        side=side,
        quantity=units,
        limit_price=to_money(mid * limit),
        decision_sequence=0,
        receipt=RECEIPT,
        mac="b" * 64,
    )
    with _broker(units, before) as broker:
        outcome = broker.submit(order, first)
        changed = broker.match({"SPY": second})
    ours = {"side": side, "quantity": units, "limit_price": order.limit_price, "taken": before}
    found = fill_terms(**ours, view=first, is_resting=False)
    if found is None:
        assert outcome.status is OrderStatus.RESTING
        found = fill_terms(**ours, view=second, is_resting=True)
        if found is None:
            assert changed == ()
            return
        (outcome,) = changed
    if found.quantity == 0:
        assert outcome.fills == ()
        return
    (fill,) = outcome.fills
    assert (fill.price, fill.quantity) == (found.price, found.quantity)
    assert (fill.cost_usd, fill.is_aggressive) == (found.cost_usd, found.is_aggressive)


def _quote(mid: float, half_bps: float, start: float, impact: float, adv: float) -> MarketView:
    half = mid * half_bps / 1e4
    return view(
        bid=mid - half,
        ask=mid + half,
        bar_low=0.97 * start,
        bar_high=1.03 * start,
        impact_bps=impact,
        adv_usd=adv,
    )


@contextmanager
def _broker(units: Decimal, taken: Decimal) -> Iterator[PaperBroker]:
    # Enough cash and units for either side, and what the day has traded so far.
    with tempfile.TemporaryDirectory() as folder:
        broker = PaperBroker.open(Path(folder) / "account.sqlite", opening_cash_usd=_CASH)
        broker._positions["SPY"] = units
        broker._day, broker._traded = AT.date(), {"SPY": taken}
        yield broker
        broker.close()
