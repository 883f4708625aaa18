"""Homes that people look at: one recorded, one halted, one whose leader died, one that is empty."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from instgov_dagster.adapters.journal import Journal
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.dashboard.reading.board import Board, BoardReader
from instgov_dagster.dashboard.reading.publishing import publish_tables
from instgov_dagster.dashboard.serving.server import DashboardServer
from instgov_dagster.dashboard.serving.watcher import Watcher
from instgov_dagster.loop.live.operator import act
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster_tests.loop.homes import ASOF, make_home

CYCLES = 4


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A home after one night and one session; shared, so it is only read."""
    platform = make_home(tmp_path_factory.mktemp("shown"))
    publish_tables(platform, ASOF)
    run_session(platform, ASOF, cycles=CYCLES, period_seconds=0.0, run_id="shown")
    return platform


def copied(source: Platform, target: Path) -> Home:
    shutil.copytree(source.home.root, target)
    return Home(target)


@pytest.fixture(scope="session")
def halted(recorded: Platform, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The recorded home after an operator's halt."""
    home = copied(recorded, tmp_path_factory.mktemp("halted") / "data")
    act(home, None, operator="ada", reason="<b>fire</b> in the hall", is_halt=True)
    return home


@pytest.fixture(scope="session")
def stale(recorded: Platform, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The recorded home after a second session that began, and died before it ended."""
    home = copied(recorded, tmp_path_factory.mktemp("stale") / "data")
    begun = {"event": "started", "session": "live-2025-03-12-dead", "asof": ASOF.isoformat()}
    with Journal.open(home.journal_dir, "loop") as journal:
        journal.append("session", pa.table({}), begun)
    os.utime(home.heartbeat, (1.0, 1.0))
    return home


@pytest.fixture
def empty(tmp_path: Path) -> Home:
    """A home that nobody made."""
    return Home(tmp_path / "nothing")


def board_of(home: Home, policy: Policy | None = None) -> Board:
    return BoardReader(home, policy or Policy(), key=None).read()


@pytest.fixture(scope="session")
def board(recorded: Platform) -> Board:
    """One reading of the recorded home."""
    return board_of(recorded.home, recorded.policy)


@contextmanager
def served(
    home: Home, *, token: str | None = None, every: float = 1.0
) -> Iterator[DashboardServer]:
    """Serve a home on a free port of the loopback."""
    with Watcher(BoardReader(home, Policy(), key=None), every_seconds=every) as watcher:
        server = DashboardServer("127.0.0.1", 0, watcher, token=token)
        with server.serving():
            yield server


@pytest.fixture(scope="session")
def server(recorded: Platform) -> Iterator[DashboardServer]:
    """The recorded home, served."""
    with served(recorded.home) as running:
        yield running
