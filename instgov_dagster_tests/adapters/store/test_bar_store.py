"""Bitemporal bars: appended once, restated beside, withdrawn openly, never seen early."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.adapters.store.bar_reads import bars_as_of, price_matrix
from instgov_dagster.adapters.store.bar_store import AppendResult, append_bars
from instgov_dagster.adapters.store.schema import migrate
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.store.stores import NIGHT, bars, warehouse

FIRST = date(2024, 11, 1)
END = date(2025, 1, 1)
LATE = datetime(2025, 6, 1, tzinfo=UTC)


def _append(
    store: WarehouseResource, frame: pl.DataFrame, *, known: datetime = NIGHT
) -> AppendResult:
    with store.txn() as con:
        return append_bars(con, frame, run_id="run", recorded_at=LATE, knowledge_instant=known)


def _closes(store: WarehouseResource, known_at: datetime = LATE, symbol: str = "A") -> list[float]:
    with store.reader() as con:
        frame = bars_as_of(con, [symbol], start=FIRST, end=END, known_at=known_at)
    return [float(close) for close in frame["close"].to_list()]


def _rows(store: WarehouseResource) -> int:
    with store.reader() as con:
        return int(con.execute("SELECT count(*) FROM bar_versions").fetchall()[0][0])


@pytest.mark.roadmap("2.1")
def test_a_first_night_appends_every_bar(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    frame = pl.concat([bars("A", [1, 2, 3], payload="p"), bars("B", [4, 5], payload="q")])
    assert _append(store, frame) == AppendResult(added=5, restated=0, unchanged=0)
    assert _closes(store) == [1.0, 2.0, 3.0]
    assert _closes(store, symbol="B") == [4.0, 5.0]


@pytest.mark.parametrize("payload", ["p", "the same bars in another payload"])
def test_a_second_night_of_the_same_bars_adds_no_row(tmp_path: Path, payload: str) -> None:
    store = warehouse(tmp_path)
    _append(store, bars("A", [1, 2, float("nan")], payload="p"))
    again = _append(store, bars("A", [1, 2, float("nan")], payload=payload))
    assert again == AppendResult(added=0, restated=0, unchanged=3)
    assert again.rows == 0
    assert _rows(store) == 3


def test_a_next_day_adds_the_new_bar_alone(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    _append(store, bars("A", [1, 2, 3], payload="p"))
    moved = bars("A", [2, 3, 4], payload="q", first=FIRST + timedelta(days=1))
    assert _append(store, moved) == AppendResult(added=1, restated=0, unchanged=2)
    assert _closes(store) == [1.0, 2.0, 3.0, 4.0]


def test_a_restated_bar_is_a_new_version_known_from_the_night_that_saw_it(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    _append(store, bars("A", [1, 2, 3], payload="p"))
    result = _append(store, bars("A", [1, 20, 3], payload="q"))
    assert (result.added, result.restated, result.unchanged) == (0, 1, 2)
    assert _closes(store, NIGHT - timedelta(microseconds=1)) == [1.0, 2.0, 3.0]
    assert _closes(store, NIGHT) == [1.0, 20.0, 3.0]
    with store.reader() as con:
        found = bars_as_of(con, ["A"], start=FIRST, end=END, known_at=NIGHT)
    assert found["is_restated"].to_list() == [False, True, False]
    assert found["known_at"].to_list()[1] == NIGHT


def test_a_bar_restated_back_is_a_third_version_and_the_old_truths_remain(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    for night, close in enumerate([1.0, 2.0, 1.0]):
        frame = bars("A", [close], payload=f"p{close}")
        _append(store, frame, known=NIGHT + timedelta(days=night))
    assert _rows(store) == 3
    seen = [_closes(store, NIGHT + timedelta(days=night)) for night in (0, 1, 2)]
    assert seen == [[1.0], [2.0], [1.0]]


def test_no_version_is_known_before_the_one_it_replaces(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    _append(store, bars("A", [1], payload="p"), known=NIGHT)
    _append(store, bars("A", [2], payload="q"), known=NIGHT + timedelta(days=9))
    _append(store, bars("A", [3], payload="r"), known=NIGHT)
    assert _closes(store, NIGHT + timedelta(days=8)) == [1.0]
    assert _closes(store, NIGHT + timedelta(days=9)) == [3.0]


def test_a_bar_the_provider_withdrew_is_gone_from_then_on_and_not_before(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    _append(store, bars("A", [1, 2, 3], payload="p"))
    gap = bars("A", [1, 2, 3], payload="q").filter(pl.col("close") != 2.0)
    result = _append(store, gap)
    assert (result.withdrawn, result.restated, result.unchanged) == (1, 0, 2)
    assert _closes(store, NIGHT - timedelta(seconds=1)) == [1.0, 2.0, 3.0]
    assert _closes(store) == [1.0, 3.0]
    back = _append(store, bars("A", [1, 2, 3], payload="p"))
    assert (back.added, back.restated) == (0, 1)
    assert _closes(store) == [1.0, 2.0, 3.0]


def test_a_bar_before_or_after_the_payload_is_not_withdrawn(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    _append(store, bars("A", [1, 2, 3, 4], payload="p"))
    middle = bars("A", [2, 3], payload="q", first=FIRST + timedelta(days=1))
    assert _append(store, middle).rows == 0
    assert _closes(store) == [1.0, 2.0, 3.0, 4.0]


def test_a_date_delivered_twice_is_kept_twice_for_the_quality_rules_to_see(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    twice = pl.concat([bars("A", [1, 2], payload="p"), bars("A", [7], payload="p")])
    assert _append(store, twice).added == 3
    assert _closes(store) == [1.0, 7.0, 2.0]
    assert _append(store, twice.with_columns(pl.lit("q").alias("source_sha256"))).rows == 0
    cleaned = _append(store, bars("A", [1, 2], payload="r"))
    assert cleaned.withdrawn == 1
    assert _closes(store) == [1.0, 2.0]


def test_where_a_bar_was_read_from_is_no_difference_and_who_sent_it_is(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    frame = bars("A", [1, 2], payload="p")
    _append(store, frame)
    moved = frame.with_columns(source=pl.lit("other.parquet"), source_sha256=pl.lit("q"))
    assert _append(store, moved).rows == 0
    other = frame.with_columns(provider=pl.lit("yahoo"), source_sha256=pl.lit("r"))
    assert _append(store, other).restated == 2


def test_an_append_that_fails_leaves_no_bar_and_no_mark_of_the_payload(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    bad = bars("A", [1, 2], payload="p").with_columns(asset_class=pl.lit("BONDS"))
    with pytest.raises(Exception, match="CHECK constraint"):
        _append(store, bad)
    assert _rows(store) == 0
    assert _append(store, bars("A", [1, 2], payload="p")).added == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (pl.col("close").alias("close"), None),
        (pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("known_at"), "known_at must never be"),
        (pl.col("known_at").dt.replace_time_zone(None), "known_at must be an aware instant"),
        (pl.lit(None, dtype=pl.String).alias("source_sha256"), "source_sha256 must never be null"),
        (pl.col("date").cast(pl.String).alias("source_sha256"), "must come from one payload"),
    ],
)
def test_bars_without_a_known_instant_or_with_two_payloads_are_refused(
    tmp_path: Path, change: pl.Expr, sentence: str | None
) -> None:
    store = warehouse(tmp_path)
    frame = bars("A", [1, 2], payload="p").with_columns(change)
    if sentence is None:
        assert _append(store, frame).added == 2
        return
    with pytest.raises(ValueError, match=sentence):
        _append(store, frame)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    with pytest.raises(ValueError, match="must have the columns volume, split"):
        _append(store, bars("A", [1], payload="p").drop("volume", "split"))


@given(
    nights=st.lists(
        st.tuples(st.integers(0, 40), st.lists(st.integers(1, 3), min_size=1, max_size=5)),
        min_size=1,
        max_size=5,
    ),
    asked=st.integers(-5, 50),
)
@settings(max_examples=25, deadline=None)
@pytest.mark.roadmap("3.1")
def test_what_is_read_as_of_an_instant_was_known_then_and_is_the_last_that_was(
    nights: list[tuple[int, list[int]]], asked: int
) -> None:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    migrate(con, "warehouse", applied_at=NIGHT)
    instant = NIGHT + timedelta(days=asked)
    for number, (day, closes) in enumerate(sorted(nights, key=lambda night: night[0])):
        frame = bars("A", closes, payload=f"p{number}")
        known = NIGHT + timedelta(days=day)
        append_bars(con, frame, run_id="run", recorded_at=LATE, knowledge_instant=known)
    seen = bars_as_of(con, ["A"], start=FIRST, end=END, known_at=instant)
    stored = con.execute(
        "SELECT date, version, close, known_at FROM bar_versions ORDER BY date, version"
    ).fetchall()
    con.close()
    assert (seen["known_at"] <= instant).all()
    latest = {day: close for day, _, close, known in stored if known <= instant}
    assert dict(zip(seen["date"].to_list(), seen["close"].to_list(), strict=True)) == latest
    for (day, _, _, before), (next_day, _, _, after) in pairwise(stored):
        assert day != next_day or before <= after


def test_a_naive_instant_is_not_read_as_of(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    naive = NIGHT.replace(tzinfo=None)
    with store.reader() as con, pytest.raises(ValueError, match="known_at must be aware"):
        bars_as_of(con, ["A"], start=FIRST, end=END, known_at=naive)


def test_a_symbol_without_bars_has_no_rows_and_all_columns(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    with store.reader() as con:
        frame = bars_as_of(con, ["NOBODY"], start=FIRST, end=END, known_at=LATE)
        nothing = bars_as_of(con, [], start=FIRST, end=END, known_at=LATE)
    assert frame.height == nothing.height == 0
    assert frame.schema["known_at"] == pl.Datetime("us", "UTC")
    assert frame.schema["close"] == pl.Float64


def test_closes_become_a_matrix_in_the_order_asked_for(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    frame = pl.concat([bars("A", [1, 2, 3], payload="p"), bars("B", [4, 5, 6], payload="q")])
    _append(store, frame)
    with store.reader() as con:
        found = price_matrix(con, ["B", "A"], start=FIRST, end=END, known_at=LATE)
    assert found.symbols == ("B", "A")
    assert found.dates.tolist() == [FIRST + timedelta(days=i) for i in range(3)]
    np.testing.assert_array_equal(found.closes, [[4.0, 1.0], [5.0, 2.0], [6.0, 3.0]])


def test_a_matrix_holds_restated_closes_only_from_when_they_were_known(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    _append(store, bars("A", [1, 2, 3], payload="p"))
    _append(store, bars("A", [1, 2, 30], payload="q"))
    with store.reader() as con:
        before = price_matrix(
            con, ["A"], start=FIRST, end=END, known_at=NIGHT - timedelta(seconds=1)
        )
        after = price_matrix(con, ["A"], start=FIRST, end=END, known_at=NIGHT)
    assert before.closes[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert after.closes[:, 0].tolist() == [1.0, 2.0, 30.0]


@pytest.mark.parametrize(
    ("closes", "code"),
    [
        ([4, 5], ReasonCode.MISSING_SESSIONS),
        ([], ReasonCode.MISSING_SESSIONS),
        ([4, float("nan"), 6], ReasonCode.PRICE_NOT_FINITE),
        ([4, 5, 6, 7], ReasonCode.MISSING_SESSIONS),
    ],
)
def test_a_hole_in_the_matrix_is_refused_and_never_filled(
    tmp_path: Path, closes: list[float], code: ReasonCode
) -> None:
    store = warehouse(tmp_path)
    _append(store, pl.concat([bars("A", [1, 2, 3], payload="p"), bars("B", closes, payload="q")]))
    with store.reader() as con, pytest.raises(DataRejected) as refused:
        price_matrix(con, ["A", "B"], start=FIRST, end=END, known_at=LATE)
    assert refused.value.reason_code is code


def test_a_date_delivered_twice_makes_no_matrix(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    _append(store, pl.concat([bars("A", [1, 2], payload="p"), bars("A", [1], payload="p")]))
    with store.reader() as con, pytest.raises(DataRejected, match="DUPLICATE_DATES"):
        price_matrix(con, ["A"], start=FIRST, end=END, known_at=LATE)
