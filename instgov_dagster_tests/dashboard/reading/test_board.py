"""A reading of a home: what it holds, what it is worth, and that nothing is ever taken for live."""

import os
import shutil
from pathlib import Path

import pytest

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.published import CURRENT_FILE
from instgov_dagster.dashboard.model import Standing
from instgov_dagster.dashboard.reading.board import Board, BoardReader
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.dashboard.conftest import CYCLES, board_of, copied
from instgov_dagster_tests.loop.homes import ASOF


def test_the_recorded_home_is_told_from_its_journal_and_its_publications(board: Board) -> None:
    assert (board.standing, board.state.name) == (Standing.ENDED, SystemStateName.RUNNING)
    assert (board.asof, board.market, board.problems) == (ASOF.isoformat(), "simulated", ())
    published = board.table("live", "live_cycles")
    assert board.cycles.height == CYCLES == published.height
    assert board.cycles["chain_head"].to_list() == published["chain_head"].to_list()
    assert board.cycles["nav_usd"].to_list() == published["nav_usd"].to_list()
    assert board.last_cycle["nav_usd"] == board.session["nav_usd"]
    assert board.heads["loop"] == (board.session["frames"], board.session["chain_head"])


def test_a_halt_stands_with_its_cause_and_since_when(halted: Home) -> None:
    board = board_of(halted)
    assert board.state.name is SystemStateName.HALT_SYSTEM
    assert [cause.reason_code for cause in board.state.causes] == [ReasonCode.OPERATOR_HALT]
    assert board.since is not None


def test_an_open_chain_without_a_heartbeat_is_stale_and_with_one_it_is_live(stale: Home) -> None:
    assert board_of(stale).standing is Standing.STALE
    os.utime(stale.heartbeat)
    assert board_of(stale).standing is Standing.LIVE
    os.utime(stale.heartbeat, (1.0, 1.0))
    assert board_of(stale).standing is Standing.STALE


def test_an_empty_home_is_empty_and_stays_so(empty: Home) -> None:
    board = board_of(empty)
    assert (board.standing, board.problems) == (Standing.EMPTY, ())
    assert not empty.root.exists()


def test_a_damaged_publication_is_a_problem_and_nothing_is_shown_as_live(
    recorded: Platform, tmp_path: Path
) -> None:
    home = copied(recorded, tmp_path / "data")
    (home.published / "live" / CURRENT_FILE).write_text("{}")
    board = board_of(home)
    assert board.standing is Standing.STALE
    assert board.table("live", "fills").is_empty()
    assert any("published/live" in problem for problem in board.problems)


def test_a_broken_chain_is_stop_and_stale(recorded: Platform, tmp_path: Path) -> None:
    home = copied(recorded, tmp_path / "data")
    segment = home.journal_dir / "loop" / "000001.igj"
    body = bytearray(segment.read_bytes())
    body[len(body) // 2] ^= 1
    segment.write_bytes(body)
    board = board_of(home)
    assert (board.state.name, board.standing) == (SystemStateName.STOP_SYSTEM, Standing.STALE)


def test_reading_again_reads_only_what_is_new(recorded: Platform, tmp_path: Path) -> None:
    home = copied(recorded, tmp_path / "data")
    reader = BoardReader(home, Policy(), key=None)
    first = reader.read()
    shutil.rmtree(home.published / "night" / first.snapshots["night"].snapshot_id)
    second = reader.read()
    assert second.snapshots["night"] is first.snapshots["night"]
    assert second.cycles.equals(first.cycles)


@pytest.mark.parametrize("folder", ["night", "live", "dashboard"])
def test_a_section_names_the_snapshot_it_stands_on(board: Board, folder: str) -> None:
    assert board.snapshots[folder].snapshot_id in board.source(folder)
