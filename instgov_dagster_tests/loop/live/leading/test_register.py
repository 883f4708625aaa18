"""Who leads and who stands by, as every process may read it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.loop.live.leading.processes import look_at
from instgov_dagster.loop.live.leading.register import Entry, Member, Role, members

NOON = datetime(2025, 3, 12, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for nothing but its end."""
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield started
    started.kill()
    started.communicate()


def member_of(process: subprocess.Popen[bytes]) -> Member:
    seen = look_at(process.pid)
    assert seen is not None
    return Member(
        role=Role.LEADER,
        pid=process.pid,
        born=seen.born,
        run_id="r",
        asof="2025-03-12",
        since=NOON,
        period_seconds=1.0,
    )


def test_a_session_tells_its_role_and_leaves_when_it_ends(home: Home) -> None:
    entry = Entry(home, run_id="r-1", asof="2025-03-12", period_seconds=1.0)
    assert members(home) == ()
    entry.tell(Role.STANDBY, at=NOON)
    (seen,) = members(home)
    assert (seen.role, seen.pid, seen.run_id, seen.since) == (
        Role.STANDBY,
        os.getpid(),
        "r-1",
        NOON,
    )
    entry.tell(Role.LEADER, at=NOON)
    (seen,) = members(home)
    assert (seen.role, seen.period_seconds, seen.is_stopped()) == (Role.LEADER, 1.0, False)
    entry.withdraw()
    assert members(home) == ()


def test_the_line_of_a_killed_process_is_passed_over_and_swept_out(
    home: Home, other: subprocess.Popen[bytes]
) -> None:
    entry = Entry(home, run_id="r", asof="2025-03-12", period_seconds=1.0)
    entry.tell(Role.LEADER, at=NOON)
    path = next(home.sessions.glob("*.json"))
    pid, born = os.getpid(), look_at(os.getpid()).born  # type: ignore[union-attr]  # it is us
    # The number was given to another process since, or the process is gone.
    path.write_text(path.read_text().replace(f'"born": {born}', f'"born": {born - 1}'))
    assert members(home) == ()
    assert not path.exists()
    entry.tell(Role.LEADER, at=NOON)
    path.write_text(path.read_text().replace(f'"pid": {pid}', f'"pid": {other.pid}'))
    assert members(home) == ()


def test_a_stopped_process_is_told_from_one_that_only_waits(other: subprocess.Popen[bytes]) -> None:
    member = member_of(other)
    assert member.is_alive()
    assert not member.is_stopped()
    os.kill(other.pid, signal.SIGSTOP)
    os.waitpid(other.pid, os.WUNTRACED)
    assert member.is_stopped()
    member.kill()
    assert other.wait() == -signal.SIGKILL
    assert not member.is_alive()


def test_a_number_that_was_given_again_is_not_killed(other: subprocess.Popen[bytes]) -> None:
    member = member_of(other)
    earlier = Member(
        role=member.role,
        pid=member.pid,
        born=member.born - 1,
        run_id="r",
        asof=member.asof,
        since=NOON,
        period_seconds=1.0,
    )
    earlier.kill()
    assert other.poll() is None
    assert look_at(other.pid) is not None


def test_a_file_that_is_no_line_of_the_register_is_swept_out(home: Home) -> None:
    home.sessions.mkdir()
    for name, text in (("1.json", "{"), ("2.json", "[]"), ("3.json", '{"pid": 3}')):
        (home.sessions / name).write_text(text)
    assert members(home) == ()
    assert list(home.sessions.iterdir()) == []
