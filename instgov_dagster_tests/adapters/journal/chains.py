"""Chains the journal's tests write: small frames, a virtual clock, nothing else."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from instgov_dagster.adapters.journal import Journal
from instgov_dagster.adapters.runtime import VirtualClock

START = datetime(2024, 12, 6, 14, 30, tzinfo=UTC)
CHAIN = "loop"


def rows(count: int, first: int = 0) -> pa.Table:
    """Return a table of a few decisions."""
    return pa.table(
        {
            "symbol": [f"S{first + i}" for i in range(count)],
            "weight": [0.01 * (first + i) for i in range(count)],
        }
    )


def open_chain(folder: Path, **options: object) -> Journal:
    """Open the chain on a clock that stands still."""
    return Journal.open(folder, CHAIN, clock=VirtualClock(START), **options)  # type: ignore[arg-type]


def write_chain(folder: Path, frames: int, **options: object) -> Journal:
    """Write so many frames of two rows and close the chain."""
    with open_chain(folder, **options) as journal:
        for number in range(frames):
            journal.append("decisions", rows(2, number), {"cycle": number})
    return journal


def segment(folder: Path, number: int = 1) -> Path:
    """Return the file of a segment."""
    return folder / CHAIN / f"{number:06d}.igj"


def bytes_read() -> int:
    """Count what this process has read from files so far, as the kernel does."""
    lines = Path("/proc/self/io").read_text(encoding="utf-8").splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])
