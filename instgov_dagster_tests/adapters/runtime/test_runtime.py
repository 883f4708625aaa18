"""Clock, locks, free space, the hash of the code."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from instgov_dagster.adapters.runtime import (
    FileLock,
    Home,
    RealClock,
    VirtualClock,
    code_sha256,
    lent_locks,
    replace_durably,
    require_free_space,
)
from instgov_dagster.vocabulary.errors import LeaseHeld, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

START = datetime(2024, 12, 6, 14, 30, tzinfo=UTC)
HOLD_LOCK = """
import sys
from pathlib import Path
from instgov_dagster.adapters.runtime import FileLock
with FileLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def _holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_virtual_clock_stands_still_until_it_is_told_to_move() -> None:
    clock = VirtualClock(START)
    assert clock.now() == clock.now() == START
    clock.sleep_until(START + timedelta(seconds=1))
    assert clock.now() == START + timedelta(seconds=1)


def test_a_virtual_clock_never_runs_back() -> None:
    clock = VirtualClock(START)
    clock.sleep_until(START - timedelta(days=1))
    assert clock.now() == START
    with pytest.raises(ValueError, match="step must be >= 0"):
        clock.advance(timedelta(seconds=-1))


def test_a_naive_instant_is_refused_by_every_clock() -> None:
    naive = START.replace(tzinfo=None)
    with pytest.raises(ValueError, match="aware and in UTC"):
        VirtualClock(naive)
    with pytest.raises(ValueError, match="aware and in UTC"):
        RealClock().sleep_until(naive)


def test_the_real_clock_tells_utc_and_returns_at_once_from_an_instant_that_has_passed() -> None:
    clock = RealClock()
    before = clock.now()
    clock.sleep_until(START)
    assert before.utcoffset() == timedelta(0)
    assert clock.now() >= before


def test_a_lock_is_held_by_one_and_names_its_holder(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    refused = pytest.raises(LeaseHeld, match=f"held by pid {os.getpid()} since 2024-12-06")
    with FileLock(tmp_path / "night.lock", clock=clock), refused:
        FileLock(tmp_path / "night.lock", clock=clock).acquire()
    with FileLock(tmp_path / "night.lock", clock=clock) as again:
        assert again.is_held


def test_waiting_for_a_lock_ends_when_the_time_is_up(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    with FileLock(tmp_path / "lease"), pytest.raises(LeaseHeld):
        FileLock(tmp_path / "lease", clock=clock).acquire(timeout_seconds=2.0)
    assert clock.now() == START + timedelta(seconds=2)


def test_one_holder_cannot_take_its_own_lock_twice(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lease")
    with lock, pytest.raises(ValueError, match="twice"):
        lock.try_acquire()
    assert not lock.is_held
    lock.release()


def test_a_lock_that_is_lent_passes_to_the_next_of_this_process_without_a_gap(
    tmp_path: Path,
) -> None:
    path = tmp_path / "lease"
    with FileLock(path) as lender:
        lender.lend()
        with pytest.raises(ValueError, match="must be held to be lent"):
            lender.lend()
        other = subprocess.run(
            [sys.executable, "-c", HOLD_LOCK, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "LeaseHeld" in other.stderr
        with FileLock(path) as taker:
            assert (taker.is_held, lender.is_held) == (True, False)
            lender.release()  # what was taken is not the lender's to release
            assert not FileLock(path).try_acquire()
    assert FileLock(path).try_acquire()


def test_a_lock_that_is_lent_and_never_taken_is_released_with_its_lender(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with FileLock(path) as lender:
        lender.lend()
    holder = _holder(path)
    holder.communicate()
    assert holder.returncode == 0


def test_of_several_locks_one_takes_all_or_none_and_writes_nothing(tmp_path: Path) -> None:
    free, taken = tmp_path / "night.lock", tmp_path / "live.lease"
    with FileLock(free):
        pass
    before = free.read_text()
    with FileLock(taken), pytest.raises(LeaseHeld, match=r"live\.lease is held by pid"):  # noqa: SIM117
        with lent_locks([free, taken]):
            raise AssertionError
    assert free.read_text() == before
    assert FileLock(free).try_acquire()


def test_a_lock_of_a_killed_process_is_free_although_its_text_remains(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    process = _holder(path)
    other = FileLock(path)
    assert not other.try_acquire()
    assert f"pid {process.pid}" in other.holder()
    process.kill()
    process.communicate()
    assert f"pid {process.pid}" in other.holder()
    assert other.try_acquire()
    other.release()


def test_a_lock_nobody_ever_took_is_held_by_nobody(tmp_path: Path) -> None:
    assert FileLock(tmp_path / "lease").holder() == "nobody"


def test_everything_of_a_home_lies_below_its_root(tmp_path: Path) -> None:
    home = Home(tmp_path)
    paths = [
        home.warehouse,
        home.live,
        home.journal_dir,
        home.published,
        home.anchors,
        home.raw,
        home.dagster,
        home.night_lock,
        home.lease,
        home.heartbeat,
    ]
    assert len(set(paths)) == len(paths)
    assert all(path.is_relative_to(tmp_path) for path in paths)
    assert home.raw == tmp_path / "runtime" / "raw"


def test_a_disk_without_the_space_asked_for_stops_the_system(tmp_path: Path) -> None:
    free = require_free_space(tmp_path / "not" / "yet" / "there", needed_bytes=1)
    assert free > 0
    with pytest.raises(SystemHalt, match="DISK_FULL") as stopped:
        require_free_space(tmp_path, needed_bytes=10**18)
    assert stopped.value.reason_code is ReasonCode.DISK_FULL


def test_the_hash_of_the_code_is_the_same_until_the_code_changes() -> None:
    digest = code_sha256()
    assert len(digest) == 64
    assert code_sha256() == digest


def test_a_failed_replacement_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "CURRENT.json"
    replace_durably(path, b"old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        replace_durably(tmp_path / "folder", b"new")
    replace_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["CURRENT.json", "folder"]
