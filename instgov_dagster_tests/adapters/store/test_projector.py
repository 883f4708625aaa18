"""The projection: every journalled row once, resumable, rebuildable, published."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from instgov_dagster.adapters.journal import Journal, bundle_tables
from instgov_dagster.adapters.runtime import Home, VirtualClock
from instgov_dagster.adapters.store import projector
from instgov_dagster.adapters.store.projector import (
    LIVE_TABLES,
    LIVE_VIEWS,
    ProjectionResult,
    live_store,
    project,
    rebuild_projection,
)
from instgov_dagster.adapters.store.published import read_snapshot
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster_tests.adapters.journal.chains import segment

START = datetime(2024, 12, 6, 14, 30, tzinfo=UTC)
META = {"asof": "2024-12-06", "run_id": "session-1"}


def _decisions(cycle: int, decision: str = "HOLD") -> pa.Table:
    return pa.table(
        {
            "cycle_id": [f"loop-{cycle}"] * 2,
            "sequence": [0, 1],
            "symbol": ["A", "B"],
            "decision": [decision] * 2,
            "reason_codes": [["HOLD_AT_TARGET"], ["HOLD_AT_TARGET", "NO_VETO"]],
            "mu": [0.01, 0.02],
            "sigma": [0.1, 0.1],
            "cvar": [0.03, 0.03],
            "data_quality": [1.0, 1.0],
            "model_confidence": [0.5, 0.5],
            "vetoed": [False, False],
            "timestamp": pa.array([START] * 2, pa.timestamp("us", "UTC")),
            "veto_triggers": pa.array([[], []], pa.list_(pa.string())),
            "headroom": ["{}", "{}"],
        }
    )


def _fills(cycle: int) -> pa.Table:
    money = {
        name: pa.array([Decimal(value)], pa.decimal128(20, 8))
        for name, value in (
            ("quantity", "2.5"),
            ("price", "600.25"),
            ("mid_price", "600.2"),
            ("cost_usd", "0.75"),
        )
    }
    return pa.table(
        {
            "client_order_id": [f"c-{cycle}"],
            "cycle_id": [f"loop-{cycle}"],
            "symbol": ["A"],
            "side": ["BUY"],
            "sequence": [0],
            "is_aggressive": [True],
            "filled_at": pa.array([START], pa.timestamp("us", "UTC")),
        }
        | money
    )


def _state() -> pa.Table:
    return pa.table({"state": ["RUNNING"], "causes": ["[]"], "chain": ["loop"], "sequence": [1]})


def _run(home: Home, cycles: range) -> None:
    with Journal.open(home.journal_dir, "loop", clock=VirtualClock(START)) as journal:
        journal.append("state", _state(), META)
        for cycle in cycles:
            tables = {"governance_decisions": _decisions(cycle), "fills": _fills(cycle)}
            journal.append("cycle", bundle_tables(tables | {"book": _state()}), META)
        journal.append("session_ended", pa.table({"n": [1]}), {})


def _project(home: Home, **options: Any) -> ProjectionResult:
    return project(home, **({"recorded_at": START, "published_cycles": 600, "keep": 3} | options))


def _rows(home: Home, table: str) -> int:
    with live_store(home).reader() as con:
        return int(con.execute(f'SELECT count(*) FROM "{table}"').fetchall()[0][0])  # noqa: S608  # a literal of this file


def test_every_journalled_row_is_projected_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    _run(home, range(3))
    first = _project(home)
    assert (first.frames, first.sequence) == (5, 5)
    assert {k: n for k, n in first.rows.items() if n} == {
        "governance_decisions": 6,
        "fills": 3,
        "system_states": 1,
    }
    again = _project(home)
    assert (again.frames, again.sequence, again.snapshot_id) == (0, 5, None)
    assert _rows(home, "governance_decisions") == 6


def test_the_projection_goes_on_where_it_stood(tmp_path: Path) -> None:
    home = Home(tmp_path)
    _run(home, range(2))
    _project(home)
    _run(home, range(2, 4))
    second = _project(home)
    assert (second.frames, second.sequence) == (4, 8)
    assert _rows(home, "fills") == 4


def test_a_row_carries_the_origin_that_its_frame_states(tmp_path: Path) -> None:
    home = Home(tmp_path)
    _run(home, range(1))
    _project(home)
    with live_store(home).reader() as con:
        found = con.execute('SELECT "asof", run_id, recorded_at, price FROM fills').fetchall()
    assert found == [(date(2024, 12, 6), "session-1", START, Decimal("600.25"))]


def test_a_kill_between_two_batches_repeats_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    _run(home, range(6))
    monkeypatch.setattr(projector, "_BATCH_FRAMES", 3)
    moves: list[int] = []
    move = projector._move_cursor

    def die_at_the_second(*arguments: Any) -> None:
        moves.append(1)
        if len(moves) == 2:
            raise KeyboardInterrupt
        move(*arguments)

    monkeypatch.setattr(projector, "_move_cursor", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        _project(home)
    assert _rows(home, "governance_decisions") == 4
    monkeypatch.setattr(projector, "_move_cursor", move)
    assert _project(home).frames == 5
    assert _rows(home, "governance_decisions") == 12


def test_a_projection_killed_before_it_was_published_is_published_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    _run(home, range(1))
    with monkeypatch.context() as patched:
        patched.setattr(projector, "publish", _die)
        with pytest.raises(KeyboardInterrupt):
            _project(home)
    assert _project(home).snapshot_id is not None


def _die(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_readers_get_the_projection_as_verified_parquet(tmp_path: Path) -> None:
    home = Home(tmp_path)
    _run(home, range(5))
    result = _project(home, published_cycles=2)
    snapshot = read_snapshot(home.published / "live")
    assert set(snapshot.tables) == {*LIVE_TABLES, *LIVE_VIEWS}
    assert snapshot.meta == {"chain": "loop", "sequence": 7, "head": result.head}
    assert snapshot.tables["fills"].height == 5
    assert set(snapshot.tables["governance_decisions"]["cycle_id"]) == {"loop-3", "loop-4"}


@pytest.mark.roadmap("0.6")
def test_a_broken_chain_is_not_projected(tmp_path: Path) -> None:
    home = Home(tmp_path)
    _run(home, range(2))
    body = bytearray(segment(home.journal_dir).read_bytes())
    body[-30] ^= 0x10
    segment(home.journal_dir).write_bytes(body)
    with pytest.raises(SystemHalt, match="CHAIN_BROKEN"):
        _project(home)
    assert _rows(home, "governance_decisions") == 0


def test_a_row_the_table_would_refuse_stops_the_projection_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    with Journal.open(home.journal_dir, "loop", clock=VirtualClock(START)) as journal:
        journal.append("fills", _fills(1), META)
        journal.append("governance_decisions", _decisions(1, "BUY"), META)
    with pytest.raises(duckdb.ConstraintException):
        _project(home)
    assert _rows(home, "fills") == 0


def test_a_column_the_table_does_not_have_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with Journal.open(home.journal_dir, "loop", clock=VirtualClock(START)) as journal:
        journal.append("fills", _fills(1).append_column("mood", pa.array(["good"])), META)
    with pytest.raises(ValueError, match=r"fills has no columns .'mood'."):
        _project(home)


def test_a_projection_thrown_away_is_made_again_from_the_journal(tmp_path: Path) -> None:
    home = Home(tmp_path)
    _run(home, range(3))
    _project(home)
    before = read_snapshot(home.published / "live").tables["governance_decisions"]
    home.live.write_bytes(b"not a database")
    result = rebuild_projection(home, recorded_at=START, published_cycles=600, keep=3)
    assert result.sequence == 5
    after = read_snapshot(home.published / "live").tables["governance_decisions"]
    assert_frame_equal(before, after)


def test_a_home_without_a_journal_projects_nothing(tmp_path: Path) -> None:
    result = _project(Home(tmp_path))
    assert (result.frames, result.sequence) == (0, 0)
