"""A projector killed at any instant has lost nothing and repeats nothing."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.projector import live_store
from instgov_dagster.adapters.store.published import read_snapshot
from instgov_dagster_tests.adapters.store.projector.journals import (
    copy_journal,
    digests,
    run_project,
    write_session,
)

# One frame a transaction: an instant of any length lies somewhere between two of them. After the
# journal's end a projection is made again and again, so that creating and publishing are hit too.
CHILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.projector import follow, project, rebuild_projection
follow._BATCH_FRAMES = 1
home, act = Home(Path(sys.argv[1])), sys.argv[2]
words = {"recorded_at": datetime(2024, 12, 6, tzinfo=UTC), "published_cycles": 20, "keep": 2}
project(Home(home.root / "warm"), **words)  # what loads at the first use has loaded
print("ready", flush=True)
while True:
    if act == "rebuild":
        rebuild_projection(home, **words)
    else:
        done = project(home, **words)
        if done.frames == 0:
            home.live.unlink()
"""
CYCLES = 60


def kill_at_a_random_instant(home: Home, act: str, chance: random.Random) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(home.root), act],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        process.communicate(timeout=chance.uniform(0.0, 2.0))
    except subprocess.TimeoutExpired:
        process.kill()
    _, told = process.communicate()
    assert process.returncode == -signal.SIGKILL, told


def whole_up_to(home: Home) -> int:
    # Every frame up to the cursor once, none after it; give how many cycles that is.
    if not home.live.exists():
        return 0
    with live_store(home).reader() as con:
        found = con.execute("SELECT sequence FROM journal_cursor WHERE chain = 'loop'").fetchall()
        held = con.execute("SELECT frame_sequence FROM live_cycles ORDER BY rowid").fetchall()
        rows = con.execute("SELECT count(*) FROM governance_decisions").fetchall()
        ended = con.execute("SELECT count(*) FROM session_results").fetchall()
    sequence = found[0][0] if found else 0
    cycles = max(min(sequence, CYCLES + 1) - 1, 0)
    assert held == [(2 + k,) for k in range(cycles)]
    assert rows == [(2 * cycles,)]
    assert ended == [(2 if sequence == CYCLES + 2 else 0,)]
    return cycles


def survive(folder: Path, act: str, kills: int, seed: int) -> None:
    home = Home(folder / "home")
    write_session(home, range(CYCLES))
    calm = copy_journal(home, folder / "calm")
    run_project(calm)
    wanted, chance = digests(calm), random.Random(seed)  # noqa: S311  # instants, not secrets
    if act == "rebuild":
        run_project(home)
    stood = []
    for _ in range(kills):
        kill_at_a_random_instant(home, act, chance)
        stood.append(whole_up_to(home))
        if act == "rebuild":  # the old one stays until the new one is whole
            assert digests(home) == wanted
    if act == "project":
        assert any(0 < cycles < CYCLES for cycles in stood), stood
    run_project(home)
    assert digests(home) == wanted
    assert read_snapshot(home.published / "live").meta["chains"]["loop"]["sequence"] == CYCLES + 2


def test_a_projector_killed_at_random_instants_projects_every_frame_once(tmp_path: Path) -> None:
    survive(tmp_path, "project", kills=5, seed=1)


def test_a_rebuild_killed_at_random_instants_leaves_a_whole_projection(tmp_path: Path) -> None:
    survive(tmp_path, "rebuild", kills=1, seed=2)


@pytest.mark.nightly
@pytest.mark.parametrize("act", ["project", "rebuild"])
def test_fifty_kills_lose_and_repeat_nothing(tmp_path: Path, act: str) -> None:
    survive(tmp_path, act, kills=50, seed=3)
