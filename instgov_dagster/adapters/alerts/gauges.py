"""The gauges of a home: its loop's pulse, its event log's size and space; nothing is judged."""

import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from instgov_dagster.adapters.journal import newest_headers
from instgov_dagster.adapters.journal.segments import list_segments, segment_path
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.projector.rows import LEADER

_MIB: Final = 1024 * 1024
_PROBE_BYTES: Final = 4096
# Frames that say nothing about whether a session goes on: a check may write one at any time.
_STATE_KIND: Final = "state"
_SESSION_KIND: Final = "session"
_ENDED: Final = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPulse:
    """The loop as its files tell it; ages in seconds, None where there is nothing.

    ``is_open`` says whether the chain does not end with a session's end.
    """

    heartbeat_age_seconds: float | None
    chain_age_seconds: float | None
    sequence: int
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSpace:
    """What a folder holds and what is free on its disk, MiB; None where it cannot be measured."""

    used_mib: float | None
    free_mib: float | None


def loop_pulse(home: Home, *, now: datetime) -> LoopPulse:
    """Read the loop's heartbeat and the end of its chain.

    Raises
    ------
    SystemHalt
        If the chain's segments cannot be read.
    """
    segments = list_segments(home.journal_dir, LEADER)
    newest = segment_path(home.journal_dir, LEADER, segments[-1]) if segments else None
    sequence, is_open = 0, False
    for header in newest_headers(home.journal_dir, LEADER):
        sequence = sequence or header.sequence
        if header.kind != _STATE_KIND:
            is_open = not (header.kind == _SESSION_KIND and header.meta.get("event") == _ENDED)
            break
    return LoopPulse(
        heartbeat_age_seconds=age_of(home.heartbeat, now),
        chain_age_seconds=None if newest is None else age_of(newest, now),
        sequence=sequence,
        is_open=is_open,
    )


def age_of(path: Path, now: datetime) -> float | None:
    """Give how long ago a file was written, in seconds; None where there is none."""
    try:
        return max(now.timestamp() - path.stat().st_mtime, 0.0)
    except FileNotFoundError:
        return None


def store_space(folder: Path) -> StoreSpace:
    """Measure what a folder holds on disk, and what is free beside it."""
    try:
        return StoreSpace(
            used_mib=_allocated(folder) / _MIB, free_mib=shutil.disk_usage(folder).free / _MIB
        )
    except OSError:
        return StoreSpace(used_mib=None, free_mib=None)


def _allocated(folder: Path) -> int:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    total += _allocated(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
            except FileNotFoundError:
                continue  # a journal file of SQLite comes and goes
    return total


def probe_write(folder: Path) -> bool:
    """Try to write to a folder and make it durable: full, read-only and broken disks all refuse."""
    path = folder / f".probe.{os.getpid()}"
    try:
        with path.open("wb") as stream:
            stream.write(bytes(_PROBE_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        return False
    finally:
        path.unlink(missing_ok=True)
    return True
