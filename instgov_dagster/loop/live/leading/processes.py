"""What the kernel tells of processes: whether one is still the same, stopped, or gone."""

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

_PROC = Path("/proc")
#: Fields of /proc/PID/stat after the command's name: state, parent, and the start as the twentieth.
_STATE, _PARENT, _BORN = 0, 1, 19
_STOPPED = ("T", "t")
_ENDED = ("Z", "X")
_COMMANDS = ("dagster", "dagster-daemon", "dg")
#: What stands in the command of a process that Dagster starts and means to end: a run of a code
#: server, and a code server that lives by the heartbeat of whoever started it.
_STARTED_BY_DAGSTER = ("multiprocessing.spawn", "--heartbeat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One process.

    Attributes
    ----------
    born
        When it started, in the kernel's ticks: a number given again is another process.
    """

    pid: int
    parent: int
    born: int
    is_stopped: bool

    def is_alive(self) -> bool:
        """Tell whether the very same process is still there."""
        now = look_at(self.pid)
        return now is not None and now.born == self.born


def look_at(pid: int) -> Seen | None:
    """Ask the kernel for a process; None where there is none, or it has ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    words = text.rpartition(")")[2].split()
    if words[_STATE] in _ENDED:
        return None
    return Seen(
        pid=pid,
        parent=int(words[_PARENT]),
        born=int(words[_BORN]),
        is_stopped=words[_STATE] in _STOPPED,
    )


def hosts_of(pid: int) -> tuple[Seen, ...]:
    """Name the processes that host one: its parent, and above it every process of Dagster's.

    A run's parent is the code server, which outlives the `dagster dev` that started it: a session
    that watched its parent alone would go on sending for whoever has ended it all.
    """
    found: list[Seen] = []
    seen = look_at(pid)
    while seen is not None:
        seen = look_at(seen.parent)
        if seen is None or (found and not _is_of_dagster(seen.pid)):
            break
        found.append(seen)
    return tuple(found)


def own_hosts() -> tuple[Seen, ...]:
    """Name the processes that host this one."""
    return hosts_of(os.getpid())


def orphan_above(pid: int) -> int | None:
    """Name the first process, from this one upwards, that has outlived what started it.

    A code server goes on starting runs for most of a minute after its `dagster dev` has ended.
    Such a run finds nobody above it to watch, so that it must be told by what is missing.
    """
    seen = look_at(pid)
    while seen is not None:
        is_below = _is_of_dagster(seen.parent)
        if not is_below and any(mark in " ".join(_words(seen.pid)) for mark in _STARTED_BY_DAGSTER):
            return seen.pid
        seen = look_at(seen.parent) if is_below else None
    return None


def _words(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _is_of_dagster(pid: int) -> bool:
    words = _words(pid)
    modules = [word for flag, word in pairwise(words) if flag == "-m"]
    names = [word.rpartition("/")[2] for word in words[:2]]
    return any(name in _COMMANDS for name in names) or any(
        name.partition(".")[0] == "dagster" for name in modules
    )
