"""What is read of a table once is what a query each would give, whatever the order of its rows."""

from datetime import date, timedelta

import polars as pl
import pytest

from instgov_dagster.loop.decision.book import book_to_frame, fresh_book
from instgov_dagster.loop.steps.rows import book_of, last_rows

pytestmark = pytest.mark.roadmap("0.9")

ROWS = {"AAA": 3, "BBB": 1, "CCC": 5}


def frame() -> pl.DataFrame:
    return pl.DataFrame(
        [
            (name, date(2025, 3, 3) + timedelta(days=i), float(i))
            for name, n in ROWS.items()
            for i in range(n)
        ],
        schema={"symbol": pl.String, "date": pl.Date, "close": pl.Float64},
        orient="row",
    )


@pytest.mark.parametrize("order", ["as it lies", "symbols turned round", "shuffled"])
def test_the_last_rows_of_the_symbols_asked_for_whatever_the_order(order: str) -> None:
    held = {
        "as it lies": frame(),
        "symbols turned round": frame().sort("symbol", "date", descending=[True, False]),
        "shuffled": frame().sample(fraction=1.0, shuffle=True, seed=2),
    }[order]
    found = last_rows(held, ("CCC", "AAA", "ZZZ"), 2)
    assert found.schema == held.schema
    assert found["symbol"].to_list() == ["AAA", "AAA", "CCC", "CCC"]
    assert found["close"].to_list() == [1.0, 2.0, 3.0, 4.0]
    assert last_rows(held, ("BBB",), 9)["close"].to_list() == [0.0]
    assert last_rows(held, (), 2).is_empty()
    assert last_rows(held.clear(), ("AAA",), 2).is_empty()


def test_a_book_is_read_from_the_very_frame_and_not_from_one_before_it() -> None:
    frames = [book_to_frame(fresh_book(nav)) for nav in (1000.0, 2000.0, 3000.0)]
    for _ in range(2):
        found = [float(book_of({"portfolio": one}).cash_usd) for one in frames]
        assert found == [1000.0, 2000.0, 3000.0]
    assert book_of({"portfolio": frames[2]}) is book_of({"portfolio": frames[2]})
