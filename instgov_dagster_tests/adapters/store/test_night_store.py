"""A night's tables: written once per content, read back as written, never mixed."""

from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from instgov_dagster.adapters.store.errors import WarehouseCorrupt
from instgov_dagster.adapters.store.night_store import (
    NightWrite,
    latest_asof,
    read_night,
    read_nights_before,
    write_night,
)
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster_tests.adapters.store.stores import ASOF, NIGHT, warehouse


def _quality(score: float = 0.9, symbols: tuple[str, ...] = ("A", "B")) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": symbols,
            "asset_class": ["STOCKS"] * len(symbols),
            "quality_score": [score] * len(symbols),
            "status": ["VALID"] * len(symbols),
            "rows": [1260] * len(symbols),
            "expected_rows": [1260] * len(symbols),
            "first_bar": [date(2019, 12, 9)] * len(symbols),
            "last_bar": [None] * len(symbols),
            "flags": ["{}"] * len(symbols),
            "reason_codes": [["DATA_VALID", "QUALITY_DEGRADED"]] * len(symbols),
        },
        schema_overrides={
            "symbol": pl.String,
            "last_bar": pl.Date,
            "reason_codes": pl.List(pl.String),
        },
    )


def _prices(close: float) -> pl.DataFrame:
    numbers = {name: [close] for name in ("open", "high", "low", "close", "adj_close", "price")}
    return pl.DataFrame(
        {"symbol": ["A"], "date": [date(2024, 12, 5)], "asset_class": ["STOCKS"]}
        | numbers
        | {"volume": [1e6], "is_repaired": [False]}
    )


def _write(
    store: WarehouseResource,
    frame: pl.DataFrame,
    *,
    table: str = "data_quality",
    asof: date = ASOF,
    run: str = "run-1",
    at: datetime = NIGHT,
) -> NightWrite:
    with store.txn() as con:
        return write_night(con, table, frame, asof=asof, run_id=run, recorded_at=at)


def _read(store: WarehouseResource, asof: date = ASOF, table: str = "data_quality") -> pl.DataFrame:
    with store.reader() as con:
        return read_night(con, table, asof=asof)


def _count(store: WarehouseResource, table: str = "data_quality") -> int:
    with store.reader() as con:
        return int(con.execute(f'SELECT count(*) FROM "{table}"').fetchall()[0][0])  # noqa: S608  # a literal of this file


def test_a_night_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    assert _write(store, _quality()).rows_added == 2
    assert_frame_equal(_read(store), _quality())


def test_a_repeated_night_of_the_same_content_adds_no_row(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    first = _write(store, _quality())
    again = _write(store, _quality(), run="run-2", at=NIGHT + timedelta(hours=1))
    assert (again.rows_added, again.rows) == (0, 2)
    assert again.content_sha256 == first.content_sha256
    assert _count(store) == 2


def test_another_content_is_appended_and_the_latest_is_read(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    for hour, score in enumerate([0.9, 0.7, 0.9]):
        _write(store, _quality(score), run=f"run-{hour}", at=NIGHT + timedelta(hours=hour))
    assert _count(store) == 6
    assert_frame_equal(_read(store), _quality(0.9))


def test_each_date_keeps_its_own_rows(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    before = ASOF - timedelta(days=1)
    _write(store, _quality(0.9))
    _write(store, _quality(0.7, symbols=("A",)), asof=before)
    assert _read(store, before)["quality_score"].to_list() == [0.7]
    assert _read(store).height == 2
    with store.reader() as con:
        assert latest_asof(con, "data_quality", before=ASOF) == before
        assert latest_asof(con, "data_quality", before=before) is None


def test_the_nights_before_a_date_are_read_as_each_was_last_written(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    dates = [ASOF - timedelta(days=2), ASOF - timedelta(days=1), ASOF]
    for hour, asof in enumerate([*dates, dates[0]]):
        score = 0.9 - 0.1 * hour
        at = NIGHT + timedelta(hours=hour)
        _write(store, _quality(score, symbols=("A",)), asof=asof, run=f"r{hour}", at=at)
    with store.reader() as con:
        found = read_nights_before(con, "data_quality", before=ASOF)
        assert read_nights_before(con, "data_quality", before=dates[0]).is_empty()
        with pytest.raises(ValueError, match="night's tables"):
            read_nights_before(con, "bar_versions", before=ASOF)
    assert dict(found.select("asof", "quality_score").iter_rows()) == {
        dates[0]: pytest.approx(0.6),
        dates[1]: pytest.approx(0.8),
    }
    assert not {"run_id", "recorded_at"} & set(found.columns)


def test_columns_are_matched_by_name_and_not_by_place(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    _write(store, _quality().select(sorted(_quality().columns)))
    assert_frame_equal(_read(store), _quality())


def test_a_table_without_rows_was_written_all_the_same(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    assert _write(store, _quality(symbols=())).rows_added == 0
    assert _read(store).height == 0


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (_quality().drop("flags"), "missing .'flags'."),
        (_quality().with_columns(extra=pl.lit(1)), "unknown .'extra'."),
        (_quality().with_columns(asof=pl.lit(ASOF - timedelta(days=1))), "asof must be 2024-12-06"),
    ],
)
def test_a_frame_that_is_not_the_table_is_refused(
    tmp_path: Path, frame: pl.DataFrame, sentence: str
) -> None:
    store = warehouse(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        _write(store, frame)
    assert _count(store) == 0


def test_a_frame_may_carry_the_date_it_is_written_for(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    _write(store, _quality().with_columns(asof=pl.lit(ASOF)))
    assert_frame_equal(_read(store), _quality())


@pytest.mark.parametrize("table", ["nowhere", "bar_versions", "night_writes", "strategy_lifecycle"])
def test_only_a_nights_table_is_written(tmp_path: Path, table: str) -> None:
    store = warehouse(tmp_path)
    with pytest.raises(ValueError, match="must be one of a night's tables"):
        _write(store, _quality(), table=table)


def test_a_row_that_breaks_a_check_leaves_nothing_of_the_night(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    with pytest.raises(duckdb.ConstraintException):
        _write(store, _quality(1.5))
    assert _count(store) == _count(store, "night_writes") == 0


def test_one_run_says_one_thing_at_one_instant(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    _write(store, _quality(0.9))
    with pytest.raises(ValueError, match="was already written by run-1"):
        _write(store, _quality(0.7))


@pytest.mark.roadmap("3.1")
def test_a_night_that_was_not_written_violates_the_order_of_phases(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    with pytest.raises(SystemHalt, match="PHASE_ORDER_VIOLATED: data_quality was not written"):
        _read(store)


def test_rows_that_went_missing_from_a_night_halt(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    _write(store, _quality())
    with store.writer() as con:
        con.execute("DELETE FROM data_quality WHERE symbol = 'A'")
    with pytest.raises(WarehouseCorrupt, match="must have 2 rows, had 1"):
        _read(store)


@pytest.mark.roadmap("DB.1")
def test_the_price_history_is_that_of_the_last_night_alone(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    before = ASOF - timedelta(days=1)
    _write(store, _prices(1.0), table="price_history", asof=before)
    _write(store, _prices(2.0), table="price_history")
    assert _count(store, "price_history") == 1
    assert _read(store, table="price_history")["close"].to_list() == [2.0]
    with pytest.raises(SystemHalt, match="was replaced by another night"):
        _read(store, before, table="price_history")
    back = _write(store, _prices(1.0), table="price_history", asof=before, run="run-2", at=NIGHT)
    assert back.rows_added == 1
    assert _read(store, before, table="price_history")["close"].to_list() == [1.0]


def test_a_naive_instant_in_a_column_of_instants_is_refused(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    with store.reader() as con:
        kinds = con.execute(
            "SELECT column_name FROM duckdb_columns() WHERE table_name = 'governance_decisions'"
        ).fetchall()
    stamped = {"asof", "run_id", "recorded_at"}
    frame = pl.DataFrame({name: [None] for (name,) in kinds if name not in stamped}).with_columns(
        timestamp=pl.lit(NIGHT.replace(tzinfo=None))
    )
    with pytest.raises(ValueError, match=r"governance_decisions.timestamp must be an aware"):
        _write(store, frame, table="governance_decisions")


def test_earlier_nights_are_read_together_each_as_it_was_last_written(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    before, long_before = ASOF - timedelta(days=1), ASOF - timedelta(days=9)
    _write(store, _quality(0.5, symbols=("C",)), asof=long_before)
    _write(store, _quality(0.1, symbols=("A",)), asof=before)
    _write(store, _quality(0.7, symbols=("A", "B")), asof=before, run="run-2")
    _write(store, _quality(0.9, symbols=("D",)))
    with store.reader() as con:
        found = read_nights_before(con, "data_quality", before=ASOF)
        nothing = read_nights_before(con, "data_quality", before=long_before)
    assert found.select("symbol", "quality_score").rows() == [("C", 0.5), ("A", 0.7), ("B", 0.7)]
    assert nothing.is_empty()
    assert nothing.schema == found.schema
