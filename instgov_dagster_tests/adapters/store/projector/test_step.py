"""The projection: every journalled row once, resumable, published, bounded, never in the way."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from instgov_dagster.adapters.runtime import FileLock, Home
from instgov_dagster.adapters.store.projector import (
    CHAINS,
    LIVE_TABLES,
    follow,
    live_store,
    project,
    step,
)
from instgov_dagster.adapters.store.published import read_snapshot
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster_tests.adapters.journal.chains import segment
from instgov_dagster_tests.adapters.store.projector.journals import (
    META,
    START,
    count_rows,
    decisions,
    digests,
    fills,
    open_journal,
    run_project,
    state,
    write_cycle,
    write_session,
)


def test_every_journalled_row_is_projected_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    first = run_project(home)
    assert (first.frames, first.positions["loop"].sequence) == (5, 5)
    assert {k: n for k, n in first.rows.items() if n} == {
        "live_cycles": 3,
        "governance_decisions": 6,
        "fills": 3,
        "system_states": 1,
        "session_results": 2,
    }
    again = run_project(home)
    assert (again.frames, again.positions, again.snapshot_id) == (0, first.positions, None)
    assert count_rows(home, "governance_decisions") == 6


def test_the_projection_goes_on_where_it_stood(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(2))
    run_project(home)
    write_session(home, range(2, 4))
    second = run_project(home)
    assert (second.frames, second.positions["loop"].sequence) == (4, 8)
    assert count_rows(home, "fills") == 4


def test_a_row_carries_the_origin_that_its_frame_states(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(1))
    run_project(home)
    with live_store(home).reader() as con:
        found = con.execute('SELECT "asof", run_id, recorded_at, price FROM fills').fetchall()
    assert found == [(date(2024, 12, 6), "session-1", START, Decimal("600.25"))]


def test_a_cycle_s_facts_stand_in_one_row_with_the_head_its_frame_made(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with open_journal(home) as journal:
        write_cycle(journal, 7)
        head = journal.head
    run_project(home)
    with live_store(home).reader() as con:
        found = con.execute(
            "SELECT cycle_id, session_id, state, is_late, nav_usd, gross, cvar_current,"
            " cvar_filtered, cvar_stressed, cvar_gate, lambda_star, frame_sequence, chain_head,"
            " night_head, operator_head, config_hash FROM live_cycles"
        ).fetchall()
    assert found == [
        (
            "loop-7", "live-1", "RUNNING", True, 10_000_007.0, 0.07, 0.01, 0.02, None, 0.02, 0.3,
            1, head, "bb", "cc", "c0",
        )
    ]  # fmt: skip


def test_a_session_s_result_is_told_by_strategy(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(4))
    run_project(home)
    with live_store(home).reader() as con:
        found = con.execute(
            "SELECT session_id, strategy_id, value_usd, pnl, frame_sequence FROM session_results"
        ).fetchall()
    assert found == [
        ("live-1", "momentum", 1e5, 4e-4, 6),
        ("live-1", "reversal", 1e5, -1e-5, 6),
    ]


def test_the_states_of_all_three_chains_are_projected_and_no_night_s_decisions(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    for chain in CHAINS:
        with open_journal(home, chain) as journal:
            journal.append("state", state(chain), META)
            if chain == "night":
                journal.append("governance_decisions", decisions(1), META)
    result = run_project(home)
    assert result.frames == 4
    with live_store(home).reader() as con:
        chains = con.execute("SELECT chain FROM system_states ORDER BY chain").fetchall()
    assert chains == [("loop",), ("night",), ("operator",)]
    assert count_rows(home, "governance_decisions") == 0


def test_a_kill_between_two_batches_repeats_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    write_session(home, range(6))
    monkeypatch.setattr(follow, "_BATCH_FRAMES", 3)
    moves: list[int] = []
    move = follow._move_cursor

    def die_at_the_second(*arguments: Any) -> None:
        moves.append(1)
        if len(moves) == 2:
            raise KeyboardInterrupt
        move(*arguments)

    monkeypatch.setattr(follow, "_move_cursor", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_project(home)
    assert count_rows(home, "governance_decisions") == 4
    monkeypatch.setattr(follow, "_move_cursor", move)
    assert run_project(home).frames == 5
    assert count_rows(home, "governance_decisions") == 12


@pytest.mark.parametrize(("frames", "size"), [(1, 2**30), (10**6, 1), (3, 2**30)])
def test_a_batch_holds_so_many_frames_or_bytes_whatever_the_journal_s_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int, size: int
) -> None:
    one, other = Home(tmp_path / "one"), Home(tmp_path / "other")
    for home in (one, other):
        write_session(home, range(7))
    run_project(one)
    monkeypatch.setattr(follow, "_BATCH_FRAMES", frames)
    monkeypatch.setattr(follow, "_BATCH_BYTES", size)
    held: list[int] = []
    rows_by_table = follow.rows_by_table

    def counted(batch: list[Any]) -> dict[str, pa.Table]:
        held.append(len(batch))
        return rows_by_table(batch)

    monkeypatch.setattr(follow, "rows_by_table", counted)
    run_project(other)
    assert sum(held) == 9
    assert max(held) == (1 if size == 1 else frames)
    assert digests(one) == digests(other)


def test_a_projection_killed_before_it_was_published_is_published_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    write_session(home, range(1))
    with monkeypatch.context() as patched:
        patched.setattr(step, "publish_live", _die)
        with pytest.raises(KeyboardInterrupt):
            run_project(home)
    assert run_project(home).snapshot_id is not None


def _die(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_readers_get_the_last_cycles_as_verified_parquet(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(5))
    result = run_project(home, published_cycles=2)
    snapshot = read_snapshot(home.published / "live")
    assert set(snapshot.tables) == {*LIVE_TABLES, "execution_costs"}
    assert snapshot.meta["chains"]["loop"] == {
        "sequence": 7,
        "head": result.positions["loop"].head.hex(),
    }
    for name in ("live_cycles", "governance_decisions", "fills"):
        assert snapshot.tables[name]["cycle_id"].unique(maintain_order=True).to_list() == [
            "loop-3",
            "loop-4",
        ]
    assert snapshot.tables["session_results"]["strategy_id"].to_list() == ["momentum", "reversal"]
    assert snapshot.tables["system_states"].height == 1


def test_what_is_published_does_not_grow_with_the_journal(tmp_path: Path) -> None:
    home = Home(tmp_path)
    heights = []
    for first in (0, 20, 40):
        write_session(home, range(first, first + 20))
        run_project(home, published_cycles=5)
        tables = read_snapshot(home.published / "live").tables
        heights.append({name: table.height for name, table in tables.items()})
    assert heights[1]["governance_decisions"] == 10
    assert heights[1]["system_states"] == 2
    capped = {name: min(height, 5) for name, height in heights[2].items()}
    for name in ("live_cycles", "session_results", "system_states", "fills"):
        assert heights[2][name] == capped[name]


@pytest.mark.roadmap("0.6")
def test_a_broken_chain_is_not_projected(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(2))
    body = bytearray(segment(home.journal_dir).read_bytes())
    body[-30] ^= 0x10
    segment(home.journal_dir).write_bytes(body)
    with pytest.raises(SystemHalt, match="CHAIN_BROKEN"):
        run_project(home)
    assert count_rows(home, "governance_decisions") == 0


def test_a_row_the_table_would_refuse_stops_the_projection_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    with open_journal(home) as journal:
        journal.append("fills", fills(1), META)
        journal.append("governance_decisions", decisions(1, "BUY"), META)
    with pytest.raises(duckdb.ConstraintException):
        run_project(home)
    assert count_rows(home, "fills") == 0


def test_a_column_the_table_does_not_have_and_a_fact_a_cycle_lacks_are_named(
    tmp_path: Path,
) -> None:
    home, other = Home(tmp_path / "a"), Home(tmp_path / "b")
    with open_journal(home) as journal:
        journal.append("fills", fills(1).append_column("mood", pa.array(["good"])), META)
    with pytest.raises(ValueError, match=r"fills has no columns .'mood'."):
        run_project(home)
    with open_journal(other) as journal:
        journal.append("cycle", pa.table({"n": [1]}), META)
    with pytest.raises(ValueError, match=r"loop/000001.igj#1 must tell 'heads', as every cycle"):
        run_project(other)


@pytest.mark.parametrize("kind", ["damaged", "of an older schema", "gone", "half made"])
def test_a_projection_that_cannot_be_gone_on_with_is_begun_again(tmp_path: Path, kind: str) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    run_project(home)
    before = digests(home)
    match kind:
        case "damaged":
            home.live.write_bytes(b"not a database")
        case "of an older schema":
            with live_store(home).writer() as con:
                con.execute("DELETE FROM schema_version WHERE version = 12")
        case "gone":
            home.live.unlink()
        case _:
            home.live.write_bytes(b"")
    assert run_project(home).frames == 5
    assert digests(home) == before


def test_who_finds_another_projector_at_work_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    write_session(home, range(1))
    monkeypatch.setattr(step, "_WAIT_SECONDS", 0.0)
    with FileLock(home.projection_lock):
        assert project(home, recorded_at=START, published_cycles=600, keep=3) is None
    assert run_project(home).frames == 3


def test_a_home_without_a_journal_projects_nothing(tmp_path: Path) -> None:
    result = run_project(Home(tmp_path))
    assert result.frames == 0
    assert {at.sequence for at in result.positions.values()} == {0}
