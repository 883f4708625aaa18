from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.loop.decision.book import (
    Book,
    BookChange,
    Holding,
    apply_changes,
    book_from_dict,
    book_from_frame,
    book_to_dict,
    book_to_frame,
    fresh_book,
    split_quantity,
)

MONEY = st.decimals(min_value=-1_000_000, max_value=1_000_000, places=8)


def change(symbol: str, quantity: str, cash: str, *shares: tuple[str, float]) -> BookChange:
    return BookChange(
        symbol=symbol, quantity=Decimal(quantity), cash_usd=Decimal(cash), shares=shares
    )


def test_a_purchase_moves_cash_into_the_strategies_by_their_shares() -> None:
    bought = change("SPY", "10", "-5003.5", ("a", 0.25), ("b", 0.75))
    book = apply_changes(fresh_book(10_000.0), [bought])
    assert book.cash_usd == Decimal("4996.5")
    assert {(h.strategy_id, h.quantity) for h in book.holdings} == {
        ("a", Decimal("2.5")),
        ("b", Decimal("7.5")),
    }


def test_a_position_that_is_sold_whole_leaves_the_book() -> None:
    bought = change("SPY", "4", "-2000", ("a", 1.0))
    sold = change("SPY", "-4", "2100", ("a", 1.0))
    book = apply_changes(fresh_book(10_000.0), [bought, sold])
    assert book.holdings == ()
    assert book.cash_usd == Decimal(10_100)


@given(MONEY, st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_the_parts_of_a_split_sum_to_it_to_the_last_digit(
    quantity: Decimal, raw: list[float]
) -> None:
    rest = 1.0 - sum(raw)
    shares = [(f"s{i}", share) for i, share in enumerate(raw)] + [("rest", rest)]
    parts = split_quantity(quantity, shares)
    assert sum((part for _, part in parts), Decimal(0)) == quantity


def test_shares_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(ValueError, match="shares must sum to 1"):
        split_quantity(Decimal(1), [("a", 0.5), ("b", float("nan"))])


def test_what_is_held_but_unknown_is_never_left_out() -> None:
    book = Book(
        cash_usd=Decimal(0),
        peak_nav_usd=Decimal(1),
        holdings=(Holding(strategy_id="a", symbol="OLD", quantity=Decimal(1)),),
    )
    with pytest.raises(ValueError, match="held but not known: a OLD"):
        book.quantities(["a"], ["NEW"])


@given(MONEY, st.dictionaries(st.tuples(st.sampled_from("ab"), st.sampled_from("XYZ")), MONEY))
def test_a_book_reads_back_bit_equal_from_json_and_from_rows(
    cash: Decimal, held: dict[tuple[str, str], Decimal]
) -> None:
    holdings = tuple(
        Holding(strategy_id=strategy, symbol=symbol, quantity=quantity)
        for (strategy, symbol), quantity in sorted(held.items())
    )
    book = Book(cash_usd=cash, peak_nav_usd=Decimal("10.5"), holdings=holdings)
    assert book_from_dict(book_to_dict(book)) == book
    assert book_from_frame(book_to_frame(book)) == book


def test_the_peak_only_rises() -> None:
    book = fresh_book(100.0).with_peak(120.0).with_peak(90.0)
    assert book.peak_nav_usd == Decimal(120)
