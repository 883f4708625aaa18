"""The projector beside the loop: readers see a session while it runs; it ends with its parent."""

import subprocess
import sys
from pathlib import Path

import pytest

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.projector import follower
from instgov_dagster.adapters.store.projector.follower import Follower
from instgov_dagster.adapters.store.published import published_meta, read_snapshot
from instgov_dagster_tests.adapters.journal.chains import segment
from instgov_dagster_tests.adapters.store.projector.journals import (
    copy_journal,
    digests,
    open_journal,
    run_project,
    write_cycle,
    write_session,
)


def follow_of(home: Home, every: float = 0.01) -> Follower:
    return Follower(home, every_seconds=every, published_cycles=600, keep=3)


def wait_until(home: Home, sequence: int, process: subprocess.Popen[bytes] | None) -> None:
    assert process is not None
    told = None
    while told is None or told["chains"]["loop"]["sequence"] < sequence:
        assert process.poll() is None
        told = published_meta(home.published / "live")


def test_readers_see_the_cycles_of_a_session_that_is_still_running(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with open_journal(home) as journal, follow_of(home) as beside:
        for cycle in range(6):
            write_cycle(journal, cycle)
            if cycle in (1, 4):
                wait_until(home, journal.sequence, beside._process)
                seen = read_snapshot(home.published / "live").tables["live_cycles"]
                assert seen.height == cycle + 1
    run_project(home)
    calm = copy_journal(home, tmp_path / "calm")
    run_project(calm)
    assert digests(home) == digests(calm)


def test_it_ends_when_its_parent_s_pipe_does(tmp_path: Path) -> None:
    words = [sys.executable, "-m", follower._MODULE, str(tmp_path), "3600", "10", "2"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    _, complaint = process.communicate()
    assert (process.returncode, complaint) == (0, b"")


def test_a_journal_that_does_not_verify_ends_it_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    write_session(home, range(2))
    body = bytearray(segment(home.journal_dir).read_bytes())
    body[-30] ^= 0x10
    segment(home.journal_dir).write_bytes(body)
    assert follower.main([str(tmp_path), "0.01", "10", "2"]) == 1
    assert "CHAIN_BROKEN" in capsys.readouterr().err


def test_one_that_does_not_end_in_time_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = follow_of(Home(tmp_path))
    beside._command = [sys.executable, "-c", "import time; time.sleep(3600)"]
    monkeypatch.setattr(follower, "_LAST_STEP_SECONDS", 0.0)
    with beside:
        process = beside._process
    beside.stop()
    assert process is not None
    assert process.returncode == -9
