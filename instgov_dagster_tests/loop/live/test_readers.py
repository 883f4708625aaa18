"""A reader that polls what is published, beside a loop and a night, sees no error and no tear."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store import published
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.session import run_session
from instgov_dagster_tests.loop.homes import ASOF
from instgov_dagster_tests.repository.roadmap import ROOT

# A worker does its part over and over until its time is up; a part begun is ended.
WORKER = """
import os, sys, time
from pathlib import Path
{prepare}
print("ready", flush=True)
seconds, done = float(sys.stdin.readline()), 0
end = time.monotonic() + seconds
while not done or time.monotonic() < end:
    {act}
    done += 1
print(done, flush=True)
"""
REAL = """
from instgov_dagster.loop.platform import open_platform
from instgov_dagster.loop.session import run_session
from instgov_dagster_tests.loop.homes import ASOF, run_night, settings_of
platform = open_platform(settings_of(Path(sys.argv[1])), os.environ)
"""
SMALL = """
import polars as pl
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.published import publish
from instgov_dagster_tests.adapters.store.projector.journals import run_project, write_session
home = Home(Path(sys.argv[1]))

def publish_night(number):
    stamps = pl.DataFrame({"asof": ["2025-03-12"] * 2000, "n": [number] * 2000})
    publish(home.published / "night", {"phase_stamps": stamps, "more": stamps},
            meta={"asof": "2025-03-12", "n": number}, keep=2)
"""
LOOP = WORKER.format(
    prepare=REAL,
    act="run_session(platform, ASOF, cycles=5, period_seconds=0.0, run_id=f'session-{done}')",
)
NIGHT = WORKER.format(prepare=REAL, act="run_night(platform, run_id=f'night-{done + 2}')")
BOTH = WORKER.format(
    prepare=SMALL + "write_session(home, range(3)); run_project(home); publish_night(0)",
    act="write_session(home, range(5 * done + 3, 5 * done + 8)); run_project(home, keep=2);"
    " publish_night(done + 1)",
)
# The reader asks every 50 ms until it is told to stop, and holds each snapshot against itself.
READER = """
import json, select, sys, time
from pathlib import Path
from instgov_dagster.adapters.store.published import read_snapshot
published = Path(sys.argv[1])
told = {"reads": 0, "torn": [], "errors": [], "night": [], "live": []}

def look(name):
    snapshot = read_snapshot(published / name)
    if snapshot.snapshot_id not in told[name]:
        told[name].append(snapshot.snapshot_id)
    tables = snapshot.tables
    if name == "night":
        whole = {str(d) for d in tables["phase_stamps"]["asof"]} == {snapshot.meta["asof"]}
    else:
        cycles, decisions = tables["live_cycles"], tables["governance_decisions"]
        last = snapshot.meta["chains"]["loop"]["sequence"]
        counts = decisions["cycle_id"].value_counts()
        whole = set(counts["cycle_id"]) == set(cycles["cycle_id"])
        whole = whole and counts["count"].n_unique() == 1
        whole = whole and cycles["frame_sequence"].max() < last
    if not whole:
        told["torn"].append(snapshot.snapshot_id)
    told["reads"] += 1

print("ready", flush=True)
begun = time.monotonic()
while not select.select([sys.stdin], [], [], max(begun + 0.05 - time.monotonic(), 0.0))[0]:
    begun = time.monotonic()
    for name in ("night", "live"):
        try:
            look(name)
        except Exception as error:
            told["errors"].append(f"{name}: {error!r}")
print(json.dumps(told), flush=True)
"""


def start(code: str, *words: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def read_beside(home: Home, seconds: float, *parts: str) -> dict[str, Any]:
    workers = [start(part, str(home.root)) for part in parts]
    reader = start(READER, str(home.published))
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(f"{seconds}\n")
        worker.stdin.flush()
    ends = [worker.communicate() for worker in workers]
    answer, complaint = reader.communicate("stop\n")
    assert reader.returncode == 0, complaint
    for worker, (done, error) in zip(workers, ends, strict=True):
        assert worker.returncode == 0, error[-3000:]
        assert int(done) >= 1
    told: dict[str, Any] = json.loads(answer)
    return told


def require_whole(told: dict[str, Any], *, reads: int, snapshots: int) -> None:
    assert told["errors"] == []
    assert told["torn"] == []
    assert told["reads"] >= reads
    for name in ("night", "live"):
        assert len(told[name]) >= snapshots, told
        assert told[name] == sorted(told[name])


@pytest.mark.roadmap("3.2")
def test_a_reader_every_fifty_milliseconds_sees_whole_snapshots_only(tmp_path: Path) -> None:
    require_whole(read_beside(Home(tmp_path), 8.0, BOTH), reads=20, snapshots=3)


@pytest.mark.nightly
def test_a_reader_of_five_minutes_beside_a_loop_and_a_night_sees_whole_snapshots_only(
    platform: Platform,
) -> None:
    run_session(platform, ASOF, cycles=2, period_seconds=0.0, run_id="first")
    require_whole(read_beside(platform.home, 300.0, LOOP, NIGHT), reads=1000, snapshots=5)


def test_a_reader_whose_snapshot_is_pruned_under_it_reads_the_new_one(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = platform.home.published / "night"
    load, moved = published.load_snapshot, []

    def prune_first(place: Path, manifest: Any, tables: Any = None) -> Any:
        if not moved:  # between the pointer and the files the night publishes past what is kept
            moved.append(manifest["snapshot_id"])
            held = load(place, manifest).tables
            for _ in range(3):
                published.publish(folder, held, meta=dict(manifest["meta"]), keep=2)
            assert not (folder / moved[0]).exists()
        return load(place, manifest, tables)

    monkeypatch.setattr(published, "load_snapshot", prune_first)
    assert published.read_snapshot(folder).snapshot_id > moved[0]
