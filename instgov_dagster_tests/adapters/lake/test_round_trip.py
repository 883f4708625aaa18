"""Into the lake, two writers at once, read as of an instant, and back: always the same rows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from instgov_dagster.adapters.lake import Lake, differences, pull, push
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.vocabulary.errors import InputError, LakeUnavailable
from instgov_dagster_tests.adapters.lake.lakes import add_bars, as_of, dev_bars, empty_home
from instgov_dagster_tests.adapters.lake.writers import push_at_once, start
from instgov_dagster_tests.adapters.store.stores import NIGHT, bars

LATER = NIGHT + timedelta(days=1)


def store(home: Home) -> WarehouseResource:
    return WarehouseResource(database=str(home.warehouse))


def lacking(lake: Lake, home: Home) -> dict[str, tuple[int, int]]:
    found = differences(lake, home)
    return {one.table: (one.missing, one.extra) for one in found if one.missing or one.extra}


def test_what_was_pushed_answers_as_the_home_does_and_as_it_stood_before(
    lake: Lake, tmp_path: Path
) -> None:
    home = empty_home(tmp_path / "one")
    add_bars(home, bars("ABC", [1.0, 2.0, 3.0], payload="first"))
    first = push(lake, home, pushed_at=NIGHT)
    assert first.added == {"warehouse.bar_sources": 1, "warehouse.bar_versions": 3}
    add_bars(home, bars("ABC", [1.0, 2.5, 3.0], payload="second"), run_id="second")
    assert push(lake, home, pushed_at=NIGHT).added["warehouse.bar_versions"] == 1
    with store(home).reader() as mine, lake.reader() as con:
        assert_frame_equal(as_of(mine, ["ABC"], LATER), as_of(con, ["ABC"], LATER))
        assert as_of(con, ["ABC"], LATER)["close"].to_list() == [1.0, 2.5, 3.0]
    with lake.reader(at=first.snapshot) as con:
        assert as_of(con, ["ABC"], LATER)["close"].to_list() == [1.0, 2.0, 3.0]


@pytest.mark.nightly
def test_what_was_pushed_is_not_pushed_again_and_comes_back_row_for_row(
    lake: Lake, tmp_path: Path
) -> None:
    home, again = empty_home(tmp_path / "one"), Home(tmp_path / "again")
    add_bars(home, bars("ABC", [1.0, 2.0, 3.0], payload="first"))
    first = push(lake, home, pushed_at=NIGHT)
    assert first.added == {"warehouse.bar_sources": 1, "warehouse.bar_versions": 3}
    assert push(lake, home, pushed_at=NIGHT).added == {}
    # One close is restated, one bar withdrawn; both stand beside what was known before.
    add_bars(home, bars("ABC", [1.0, 2.5], payload="second"), run_id="second")
    assert push(lake, home, pushed_at=LATER).added["warehouse.bar_versions"] == 1
    assert lacking(lake, home) == {}
    done = pull(lake, again, pulled_at=LATER)
    assert done.tables["bar_versions"] == 4
    assert lacking(lake, again) == {}
    with store(home).reader() as mine, store(again).reader() as theirs, lake.reader() as con:
        for instant in (datetime(2024, 11, 2, tzinfo=UTC), NIGHT, LATER):
            told = as_of(mine, ["ABC"], instant)
            assert_frame_equal(told, as_of(con, ["ABC"], instant))
            assert_frame_equal(told, as_of(theirs, ["ABC"], instant))
    # The lake as it stood before the restatement, whatever is asked of it now.
    with lake.reader(at=first.snapshot) as con:
        assert as_of(con, ["ABC"], LATER)["close"].to_list() == [1.0, 2.0, 3.0]
    with pytest.raises(InputError, match="must have no warehouse yet"):
        pull(lake, again, pulled_at=LATER)
    with pytest.raises(LakeUnavailable, match="No snapshot found at timestamp"):
        pull(lake, Home(tmp_path / "early"), pulled_at=NIGHT, at=datetime(2020, 1, 1, tzinfo=UTC))
    assert not (tmp_path / "early" / "warehouse.duckdb").exists()


@pytest.mark.nightly
def test_a_home_that_went_its_own_way_is_refused_and_the_lake_stays_as_it_was(
    lake: Lake, tmp_path: Path
) -> None:
    one, two = empty_home(tmp_path / "one"), empty_home(tmp_path / "two")
    add_bars(one, bars("ABC", [1.0, 2.0], payload="first"))
    add_bars(two, bars("ABC", [1.0, 9.0], payload="other"), run_id="other")
    push(lake, one, pushed_at=NIGHT)
    with pytest.raises(InputError, match=r"another history of bar_sources \(ABC, 1\)"):
        push(lake, two, pushed_at=NIGHT)
    assert lacking(lake, one) == {}
    (two.root / "market.json").write_text('{"market": "live"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="the lake belongs to the market"):
        push(lake, two, pushed_at=NIGHT)


@pytest.mark.nightly
def test_two_processes_push_the_same_home_at_once_and_no_row_stands_twice(
    lake: Lake, environment: dict[str, str], tmp_path: Path
) -> None:
    home = empty_home(tmp_path / "one")
    for symbol in ("ABC", "DEF", "GHI"):
        add_bars(home, bars(symbol, range(1, 40), payload=symbol))
    writers = [start(home, environment) for _ in range(2)]
    told = push_at_once(writers)
    assert sorted(rows for _, _, rows in told) == [0, 120]
    assert lacking(lake, home) == {}


@pytest.mark.nightly
def test_the_real_bars_of_two_writers_at_once_answer_as_one_local_store_does(
    lake: Lake, environment: dict[str, str], bars_dir: Path, tmp_path: Path
) -> None:
    frame = dev_bars(bars_dir)
    symbols = frame["symbol"].unique().sort().to_list()
    whole, halves = empty_home(tmp_path / "whole"), [symbols[::2], symbols[1::2]]
    add_bars(whole, frame)
    homes = [empty_home(tmp_path / name) for name in ("one", "two")]
    for home, half in zip(homes, halves, strict=True):
        add_bars(home, frame.filter(pl.col("symbol").is_in(half)))
    told = push_at_once([start(home, environment) for home in homes])
    # Each began before the other had ended, and each brought its own rows alone.
    assert max(first for first, _, _ in told) < min(last for _, last, _ in told)
    assert sum(rows for _, _, rows in told) == frame.height + len(symbols)
    with store(whole).reader() as mine, lake.reader() as con:
        for instant in (datetime(2020, 3, 17, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)):
            wanted = as_of(mine, symbols, instant)
            assert wanted.height > 30_000
            assert_frame_equal(wanted, as_of(con, symbols, instant))
    # Back out: rows, versions and instants are those of the two, and of none twice.
    again = Home(tmp_path / "again")
    assert pull(lake, again, pulled_at=LATER).tables["bar_versions"] == frame.height
    with store(whole).reader() as mine, store(again).reader() as theirs:
        everything = "SELECT * EXCLUDE (recorded_at) FROM bar_versions ORDER BY symbol, date"
        assert_frame_equal(mine.sql(everything).pl(), theirs.sql(everything).pl())
