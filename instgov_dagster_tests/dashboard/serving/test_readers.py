"""A dashboard left open never stands in the way of who writes."""

import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from instgov_dagster.dashboard.pages import PAGES
from instgov_dagster.dashboard.reading.publishing import publish_tables
from instgov_dagster.loop.platform import open_platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster_tests.loop.homes import ASOF, run_night, settings_of, write_config

COMMAND = "from instgov_dagster.cli import app; app()"


@contextmanager
def opened(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `instgov dashboard` on a free port, as a person would, and give its address."""
    words = [sys.executable, "-c", COMMAND, "dashboard", "--home", str(home), "--port", "0"]
    running = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        yield running, running.stdout.readline().strip()
    finally:
        running.terminate()
        assert running.wait(timeout=60) == 0


def read_on(address: str, over: threading.Event, answers: list[int]) -> None:
    """Ask for every page again and again until it is over."""
    while not over.is_set():
        for key in PAGES:
            with urllib.request.urlopen(f"{address}api/{key}") as answer:  # noqa: S310  # the loopback
                answers.append(answer.status)
                answer.read()


def said_within(address: str, line: str, *, seconds: float) -> bool:
    """Ask for the metrics until they say a line; a busy machine reads late."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with urllib.request.urlopen(f"{address}metrics") as answer:  # noqa: S310  # the loopback
            if line in answer.read().decode().splitlines():
                return True
    return False


def databases_held(pid: int) -> list[str]:
    folder = Path(f"/proc/{pid}/fd")
    targets = [str(link.readlink()) for link in folder.iterdir() if link.is_symlink()]
    return [name for name in targets if name.endswith((".duckdb", ".sqlite", ".lock", ".lease"))]


def test_a_night_and_a_session_run_beside_an_open_dashboard(tmp_path: Path) -> None:
    write_config(tmp_path / "config")
    platform = open_platform(settings_of(tmp_path / "data"), os.environ)
    over, answers = threading.Event(), list[int]()
    with opened(tmp_path / "data") as (process, address):
        reading = threading.Thread(target=read_on, args=(address, over, answers))
        reading.start()
        try:
            run_night(platform)
            held = databases_held(process.pid)
            publish_tables(platform, ASOF)
            report = run_session(platform, ASOF, cycles=3, period_seconds=0.0, run_id="beside")
            held += databases_held(process.pid)
        finally:
            over.set()
            reading.join()
        last = f"instgov_nav_usd {report.nav_usd:.10g}"
        assert said_within(address, last, seconds=120.0)
    assert (report.state.name, report.cycles) == (SystemStateName.RUNNING, 3)
    assert held == []
    assert len(answers) >= len(PAGES)
    assert set(answers) == {200}
