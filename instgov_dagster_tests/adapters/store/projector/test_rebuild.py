"""A projection made again from the journal is the incremental one, byte for byte as Parquet."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from instgov_dagster.adapters.runtime import FileLock, Home
from instgov_dagster.adapters.store.projector import (
    LIVE_TABLES,
    RebuildResult,
    follow,
    live_store,
    readers,
    rebuild,
    rebuild_projection,
)
from instgov_dagster.adapters.store.published import read_snapshot
from instgov_dagster.vocabulary.errors import LeaseHeld, SystemHalt
from instgov_dagster_tests.adapters.journal.chains import segment
from instgov_dagster_tests.adapters.store.projector.journals import (
    META,
    START,
    copy_journal,
    count_rows,
    digests,
    open_journal,
    run_project,
    state,
    write_cycle,
    write_session,
)


def run_rebuild(home: Home) -> RebuildResult:
    return rebuild_projection(home, recorded_at=START, published_cycles=600, keep=3)


@pytest.mark.roadmap("3.5")
def test_a_rebuilt_projection_equals_the_one_that_grew_byte_for_byte_as_parquet(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    # Grown in many steps, a state of another chain between any two.
    for number in range(6):
        cycles = range(10 * number, 10 * number + 10)
        write_session(home, cycles, segment_bytes=20_000)
        for chain in ("operator", "night"):
            with open_journal(home, chain) as journal:
                journal.append("state", state(chain, number + 1), META)
            run_project(home)
    assert len(list((home.journal_dir / "loop").glob("*.igj"))) > 6
    grown = digests(home)
    result = run_rebuild(home)
    assert result.tables == grown == digests(home)
    assert (result.ok, result.differing, result.frames) == (True, (), 72 + 12)
    assert set(result.tables) == set(LIVE_TABLES)
    assert result.tables["governance_decisions"].rows == 120
    assert result.tables["system_states"].rows == 6 + 12


def test_a_table_of_many_row_groups_digests_the_same_whatever_its_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Home(tmp_path / "one")
    with open_journal(one) as journal:
        for cycle in range(10):
            write_cycle(journal, cycle, n=14_000)
    other = copy_journal(one, tmp_path / "other")
    monkeypatch.setattr(follow, "_BATCH_FRAMES", 1)
    run_project(one)
    monkeypatch.setattr(follow, "_BATCH_FRAMES", 7)
    run_project(other)
    made = digests(one)
    assert made["governance_decisions"].rows == 140_000 > 2 * readers._ROW_GROUP
    assert made == digests(other)


def test_a_digest_is_that_of_the_parquet_file_it_describes(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    run_project(home)
    before = digests(home)["fills"]
    with live_store(home).writer() as con:
        con.execute("UPDATE fills SET price = price + 0.00000001 WHERE cycle_id = 'loop-1'")
    changed = digests(home)["fills"]
    assert (changed.rows, before.rows) == (3, 3)
    assert changed.sha256 != before.sha256


def test_what_the_projection_said_beyond_its_journal_is_named_and_gone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    run_project(home)
    sound = digests(home)
    with live_store(home).writer() as con:
        con.execute("UPDATE live_cycles SET nav_usd = 2 * nav_usd")
    write_session(home, range(3, 5))  # what the old one has not seen yet is no difference
    result = run_rebuild(home)
    assert (result.ok, result.differing) == (False, ("live_cycles",))
    assert result.tables["fills"].rows == 5
    published = read_snapshot(home.published / "live").tables["live_cycles"]
    assert published["nav_usd"].max() == 10_000_004.0
    again = run_rebuild(home)
    assert (again.ok, again.differing) == (True, ())
    assert again.tables["live_cycles"] != sound["live_cycles"]


@pytest.mark.parametrize("kind", ["damaged", "gone", "without a table"])
def test_a_projection_that_cannot_be_read_is_made_again_and_compared_with_nothing(
    tmp_path: Path, kind: str
) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    run_project(home)
    before = digests(home)
    match kind:
        case "damaged":
            home.live.write_bytes(b"not a database")
        case "gone":
            home.live.unlink()
        case _:
            with live_store(home).writer() as con:
                con.execute("DROP TABLE fills")
    result = run_rebuild(home)
    assert (result.ok, result.differing, result.tables) == (True, None, before)
    assert result.snapshot_id is not None


@pytest.mark.roadmap("0.6")
def test_a_broken_chain_leaves_the_old_projection_where_it_was(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    run_project(home)
    before, body = digests(home), bytearray(segment(home.journal_dir).read_bytes())
    body[-30] ^= 0x10
    segment(home.journal_dir).write_bytes(body)
    with pytest.raises(SystemHalt, match="CHAIN_BROKEN"):
        run_rebuild(home)
    assert digests(home) == before


def test_a_loop_and_a_projector_go_on_while_a_rebuild_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    run_project(home)
    follow_once = rebuild.follow
    seen: list[int] = []

    def follow_and_let_the_loop_go_on(*arguments: Any, **words: Any) -> Any:
        rows = follow_once(*arguments, **words)
        if not seen:
            write_session(home, range(3, 6))
            run_project(home)
            seen.append(count_rows(home, "fills"))
        return rows

    monkeypatch.setattr(rebuild, "follow", follow_and_let_the_loop_go_on)
    result = run_rebuild(home)
    assert seen == [6]
    assert (result.ok, result.tables["fills"].rows) == (True, 6)


def test_two_rebuilds_do_not_work_on_one_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with FileLock(home.live.with_name("live.duckdb.rebuild.lock")), pytest.raises(LeaseHeld):
        run_rebuild(home)


def test_what_is_hashed_is_a_parquet_file_a_reader_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    write_session(home, range(3))
    run_project(home)
    kept = tmp_path / "kept.parquet"

    class Keeping(readers._HashingSink):
        def __init__(self) -> None:
            super().__init__()
            kept.write_bytes(b"")

        def write(self, body: Any) -> int:
            with kept.open("ab") as stream:
                stream.write(memoryview(body))
            return super().write(body)

    monkeypatch.setattr(readers, "_HashingSink", Keeping)
    monkeypatch.setattr(readers, "LIVE_TABLES", ("fills",))
    digests(home)
    table = pq.read_table(kept)
    assert table.num_rows == 3
    assert table.column("cycle_id").to_pylist() == ["loop-0", "loop-1", "loop-2"]
