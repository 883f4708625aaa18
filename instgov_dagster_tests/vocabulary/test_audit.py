"""Receipts, orders and fills: what cannot exist, and money that adds up."""

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.vocabulary.audit import (
    AppendReceipt,
    ApprovedOrder,
    Fill,
    Order,
    OrderSide,
    to_money,
)

RECEIPT = AppendReceipt(
    chain="loop", segment=1, sequence=12, offset=4096, frame_sha256="ab" * 32, rows=56
)
ORDER = Order(
    client_order_id="c-1",
    cycle_id="loop-12",
    symbol="SPY",
    side=OrderSide.SELL,
    quantity=Decimal("2.5"),
    limit_price=Decimal("600.25"),
    decision_sequence=3,
)
FILL = Fill(
    client_order_id="c-1",
    cycle_id="loop-12",
    symbol="SPY",
    side=OrderSide.BUY,
    sequence=0,
    quantity=Decimal("2.5"),
    price=Decimal("600.25"),
    mid_price=Decimal("600.20"),
    cost_usd=Decimal("0.75"),
    is_aggressive=True,
    filled_at=datetime(2024, 12, 6, 14, 30, tzinfo=UTC),
)


def _approved() -> ApprovedOrder:
    return ApprovedOrder(
        client_order_id=ORDER.client_order_id,
        cycle_id=ORDER.cycle_id,
        symbol=ORDER.symbol,
        side=ORDER.side,
        quantity=ORDER.quantity,
        limit_price=ORDER.limit_price,
        decision_sequence=ORDER.decision_sequence,
        receipt=RECEIPT,
        mac="cd" * 32,
    )


@pytest.mark.roadmap("0.6")
def test_the_head_of_a_chain_after_a_frame_is_the_digest_in_its_receipt() -> None:
    assert RECEIPT.head == "ab" * 32


def test_a_receipt_cannot_be_changed_once_it_is_written() -> None:
    with pytest.raises(FrozenInstanceError):
        RECEIPT.sequence = 13  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chain", ""),
        ("segment", 0),
        ("sequence", 0),
        ("sequence", True),
        ("offset", -1),
        ("rows", -1),
        ("frame_sha256", "AB" * 32),
        ("frame_sha256", "ab" * 31),
    ],
)
def test_a_receipt_of_an_impossible_place_cannot_exist(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field} must be"):
        replace(RECEIPT, **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", Decimal(0)),
        ("quantity", Decimal(-1)),
        ("quantity", Decimal("NaN")),
        ("quantity", Decimal("0.000000001")),
        ("quantity", Decimal(10) ** 12),
        ("quantity", 2.5),
        ("limit_price", Decimal("Infinity")),
        ("limit_price", 600.25),
        ("side", "SELL"),
        ("symbol", ""),
        ("client_order_id", ""),
        ("decision_sequence", -1),
    ],
)
def test_an_order_with_an_impossible_field_cannot_exist(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field} must"):
        replace(ORDER, **{field: value})


def test_a_negative_limit_price_is_an_order_because_oil_has_traded_there() -> None:
    assert replace(ORDER, limit_price=Decimal("-37.63")).limit_price == Decimal("-37.63")


@pytest.mark.roadmap("9.4")
def test_an_order_is_no_approved_order_and_an_approved_order_carries_its_receipt() -> None:
    assert not isinstance(ORDER, ApprovedOrder)
    assert _approved().receipt == RECEIPT


@pytest.mark.parametrize(("field", "value"), [("receipt", None), ("mac", "no mac"), ("mac", "")])
def test_an_approved_order_without_receipt_or_mac_cannot_exist(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field} must be"):
        replace(_approved(), **{field: value})


def test_an_approved_order_is_checked_like_an_order() -> None:
    with pytest.raises(ValueError, match="quantity must be > 0"):
        replace(_approved(), quantity=Decimal(0))


def test_a_purchase_of_two_and_a_half_at_600_25_costs_1501_375_dollars_with_its_costs() -> None:
    assert FILL.cash_usd == Decimal("-1501.37500000")


def test_a_sale_brings_its_price_less_its_costs() -> None:
    assert replace(FILL, side=OrderSide.SELL).cash_usd == Decimal("1499.87500000")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cost_usd", Decimal("-0.01")),
        ("quantity", Decimal(0)),
        ("price", Decimal("NaN")),
        ("sequence", -1),
        ("filled_at", datetime(2024, 12, 6, 14, 30)),  # noqa: DTZ001  # the naive instant is the point
        ("filled_at", datetime(2024, 12, 6, tzinfo=timezone(timedelta(hours=1)))),
    ],
)
def test_a_fill_with_an_impossible_field_cannot_exist(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field} must"):
        replace(FILL, **{field: value})


@pytest.mark.parametrize("value", ["ten", float("nan"), float("inf"), Decimal("NaN"), 1e12])
def test_what_is_no_finite_amount_is_no_money(value: object) -> None:
    with pytest.raises(ValueError, match="money must be"):
        to_money(value)  # type: ignore[arg-type]


def test_a_tenth_as_a_float_is_a_tenth_of_a_dollar() -> None:
    assert str(to_money(0.1)) == "0.10000000"


@given(st.decimals(min_value=-(10**11), max_value=10**11, allow_nan=False))
def test_money_is_never_off_by_more_than_half_of_its_last_digit(value: Decimal) -> None:
    assert abs(to_money(value) - value) <= Decimal("0.000000005")
