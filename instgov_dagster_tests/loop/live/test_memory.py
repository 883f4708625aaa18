"""A session's memory does not grow with its cycles."""

import subprocess
import sys

import pytest

from instgov_dagster.loop.platform import Platform
from instgov_dagster_tests.repository.roadmap import ROOT

# One process, one session, cycles back to back on the virtual clock; resident KiB at two of them.
CHILD = """
import os, sys
from pathlib import Path
from instgov_dagster.loop.platform import open_platform
from instgov_dagster.loop.session import Session, run_session
from instgov_dagster_tests.loop.homes import ASOF, settings_of
early, late = int(sys.argv[2]), int(sys.argv[3])
cycle_of = Session._cycle

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmRSS:")]
    return int(line.split()[1])

def measured(self, cycle, **words):
    cycle_of(self, cycle, **words)
    if cycle + 1 in (early, late):
        print(resident(), flush=True)

Session._cycle = measured
platform = open_platform(settings_of(Path(sys.argv[1])), os.environ)
run_session(platform, ASOF, cycles=late, period_seconds=0.0, run_id="memory")
"""


def resident_kib(platform: Platform, early: int, late: int) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(platform.home.root), str(early), str(late)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, last = (int(line) for line in done.stdout.split())
    sys.stdout.write(f"resident after {early} cycles {first} KiB, after {late} {last} KiB\n")
    return first, last


def test_a_short_session_s_memory_settles(platform: Platform) -> None:
    first, last = resident_kib(platform, 20, 60)
    assert last <= 1.02 * first


@pytest.mark.nightly
def test_an_hour_of_cycles_stays_within_two_percent_of_ten_minutes(platform: Platform) -> None:
    first, last = resident_kib(platform, 600, 3600)
    assert last <= 1.02 * first
