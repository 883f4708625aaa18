"""Two at once on one home: one works, the other ends with three and writes nothing."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from instgov_dagster.adapters.journal import read_frames
from instgov_dagster.adapters.runtime import FileLock, Home
from instgov_dagster_tests.cli.processes import copy_tree, files_of, instgov, run_words, told
from instgov_dagster_tests.loop.homes import CONFIG

ENDLESS = "100000"
PATIENCE_SECONDS, ROUNDS = 300, 1000


@pytest.mark.parametrize(
    ("command", "lock"), [("live", "live.lease"), ("run", "live.lease"), ("run", "night.lock")]
)
def test_what_another_holds_is_refused_and_nothing_is_written(
    ran: Path, tmp_path: Path, command: str, lock: str
) -> None:
    copied = copy_tree(ran, tmp_path)
    with FileLock(copied / "data" / lock):
        before = files_of(copied)
        done = instgov(*run_words(copied, command=command))
        assert files_of(copied) == before
    assert done.returncode == 3, done.stderr[-500:]
    fields = told(done)
    assert (fields["state"], fields["cycles"], fields["report"]) == ("RUNNING", None, None)
    assert f"{lock} is held by pid" in done.stderr


def test_a_night_beside_another_night_is_refused_and_writes_nothing(
    ran: Path, tmp_path: Path
) -> None:
    copied = copy_tree(ran, tmp_path)
    words = run_words(copied, command="nightly")
    for name in ("--cycles", "--period"):
        place = words.index(name)
        del words[place : place + 2]
    with FileLock(copied / "data" / "night.lock"):
        before = files_of(copied)
        done = instgov(*words)
        assert files_of(copied) == before
    assert done.returncode == 3, done.stderr[-500:]


def start(folder: Path) -> subprocess.Popen[str]:
    words = run_words(folder, command="live")
    words[words.index("--cycles") + 1] = ENDLESS
    words[words.index("--period") + 1] = "0.05"
    return subprocess.Popen(
        [sys.executable, "-c", "from instgov_dagster.cli import app; app()", *words],
        cwd=CONFIG.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DAGSTER_DISABLE_TELEMETRY": "1"},
    )


def first_to_end(pair: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """Give the process that ends first: its stdout is closed, or holds its last words."""
    ready, _, _ = select.select([process.stdout for process in pair], [], [], PATIENCE_SECONDS)
    assert ready, "neither ended"
    ended = next(process for process in pair if process.stdout is ready[0])
    ended.wait(timeout=PATIENCE_SECONDS)
    return ended


def wait_for_cycles(leader: subprocess.Popen[str], home: Home, *, at_least: int) -> None:
    """Look at the heartbeat until it says so many cycles; a leader that ends says them never."""
    for _ in range(ROUNDS):
        ended, _, _ = select.select([leader.stdout], [], [], PATIENCE_SECONDS / ROUNDS)
        assert not ended, "the leader ended"
        text = home.heartbeat.read_text()
        if text.endswith(f"/{ENDLESS} cycles") and int(text.split("/")[0]) >= at_least:
            return
    raise AssertionError("the leader never led")


def test_of_two_started_at_once_one_leads_and_ends_in_order_when_asked(
    ran: Path, tmp_path: Path
) -> None:
    copied = copy_tree(ran, tmp_path)
    home = Home(copied / "data")
    frames = sum(1 for _ in read_frames(home.journal_dir, "loop"))
    runs = set((home.dagster / "history" / "runs").glob("*"))
    pair = [start(copied), start(copied)]
    # Whoever is refused ends by itself; the one that leads would go on for hours.
    refused = first_to_end(pair)
    leader = pair[1 - pair.index(refused)]
    assert refused.returncode == 3, refused.stderr.read() if refused.stderr else ""
    wait_for_cycles(leader, home, at_least=2)
    leader.send_signal(signal.SIGTERM)
    stdout, stderr = leader.communicate(timeout=PATIENCE_SECONDS)
    assert leader.returncode == 0, stderr[-2000:]
    fields = json.loads(stdout)
    assert 2 <= fields["cycles"] < int(ENDLESS)
    written = list(read_frames(home.journal_dir, "loop"))[frames:]
    assert {frame.meta["run_id"] for frame in written} == {written[-1].meta["run_id"]}
    assert written[-1].meta["ended_by"] == "SIGTERM"
    assert len(set((home.dagster / "history" / "runs").glob("*")) - runs) == 1
