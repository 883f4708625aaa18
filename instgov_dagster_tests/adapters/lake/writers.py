"""A writer of its own process: it pushes one home when told to, and says when it did.

Run as a program: the home's folder; the lake is named by the environment. It says ``ready``, waits
for a line, pushes, and says ``pushed FROM TO ROWS`` in seconds of the machine's clock.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from instgov_dagster.adapters.runtime import Home
from instgov_dagster_tests.adapters.lake.lakes import open_lake
from instgov_dagster_tests.adapters.store.stores import NIGHT

_ROOT = Path(__file__).resolve().parents[3]
_PROGRAM = "from instgov_dagster_tests.adapters.lake.writers import write; write()"


def start(home: Home, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a writer; it waits to be told."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(home.root)],
        cwd=_ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def push_at_once(writers: list[subprocess.Popen[str]]) -> list[tuple[float, float, int]]:
    """Tell all of them, wait for all; give from, to and rows of each."""
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    told = []
    for writer in writers:
        out, _ = writer.communicate(timeout=900)
        assert writer.returncode == 0
        word, first, last, rows = out.split()
        assert word == "pushed"
        told.append((float(first), float(last), int(rows)))
    return told


def write() -> None:
    """Push the home once."""
    from instgov_dagster.adapters.lake import push

    home, lake = Home(Path(sys.argv[1])), open_lake(os.environ)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    begin = time.monotonic()
    done = push(lake, home, pushed_at=NIGHT)
    rows = sum(done.added.values())
    sys.stdout.write(f"pushed {begin} {time.monotonic()} {rows}\n")
