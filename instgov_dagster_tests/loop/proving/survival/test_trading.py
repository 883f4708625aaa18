"""A session on paper: splits and dividends by hand, bars that can be traded in, cash that lasts."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.loop.decision.book import Book, Holding
from instgov_dagster.loop.proving.survival.trading import (
    act_on_corporate_actions,
    bar_prices,
    corporate_action,
)


def test_a_dividend_is_what_the_adjustment_says_was_paid() -> None:
    # 100 falls to 98 on a dividend of 2: total return 0, so the adjusted close stays.
    ratio, income = corporate_action((100.0, 50.0), (98.0, 50.0), 0.0, tolerance=0.2)
    assert ratio == 1.0
    assert income == pytest.approx(2.0)


def test_a_split_multiplies_units_only_where_the_close_moved_as_it_says() -> None:
    assert corporate_action((400.0, 100.0), (101.0, 101.0), 4.0, tolerance=0.2) == (4.0, 0.0)
    adjusted = corporate_action((100.0, 100.0), (101.0, 101.0), 4.0, tolerance=0.2)
    assert adjusted == (1.0, 0.0)


def test_a_split_and_a_dividend_of_one_day_are_both_booked() -> None:
    # Two for one and 1 a new share: 200 -> 100 -> 99, total return 0.
    ratio, income = corporate_action((200.0, 60.0), (99.0, 60.0), 2.0, tolerance=0.2)
    assert ratio == 2.0
    assert income == pytest.approx(1.0)


@given(before=st.floats(1.0, 1e4), after=st.floats(1.0, 1e4), adjusted=st.floats(1e-3, 1e3))
def test_closes_that_are_adjusted_already_pay_nothing_twice(
    before: float, after: float, adjusted: float
) -> None:
    scaled = (before * adjusted, after * adjusted)
    _, income = corporate_action((before, scaled[0]), (after, scaled[1]), 0.0, tolerance=0.2)
    assert income == 0.0


@given(price=st.sampled_from([float("nan"), float("inf"), 0.0, -37.63, None]))
def test_a_price_that_is_none_pays_and_splits_nothing(price: float | None) -> None:
    told = corporate_action((100.0, price), (98.0, 50.0), 2.0, tolerance=0.2)  # type: ignore[arg-type]
    assert told == (1.0, 0.0)


def test_holders_are_paid_by_what_each_holds() -> None:
    rows = (
        Holding(strategy_id="a", symbol="XX", quantity=Decimal(30)),
        Holding(strategy_id="b", symbol="XX", quantity=Decimal(10)),
    )
    book = Book(cash_usd=Decimal(100), peak_nav_usd=Decimal(5000), holdings=rows)
    bars = pl.DataFrame({"symbol": ["XX"], "close": [98.0], "adj_close": [50.0], "split": [0.0]})
    before = pl.DataFrame({"symbol": ["XX"], "close": [100.0], "adj_close": [50.0]})
    after, changes, ratios = act_on_corporate_actions(book, bars, before, split_tolerance=0.2)
    assert float(after.cash_usd) == pytest.approx(100.0 + 40 * 2.0)
    assert after.holdings == rows
    assert dict(changes[0].shares) == {"a": 0.75, "b": 0.25}
    assert ratios == {}


def test_a_bar_that_does_not_hold_its_prices_is_widened_and_one_below_zero_is_none() -> None:
    bars = pl.DataFrame(
        {
            "symbol": ["A", "CL=F"],
            "open": [10.0, 10.0],
            "high": [9.0, 12.0],
            "low": [9.5, -40.0],
            "close": [11.0, -37.63],
        }
    )
    assert bar_prices(bars) == {"A": (10.0, 11.0, 9.0, 11.0)}
