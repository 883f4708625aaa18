"""The processes of a soak, found by the token they carry; nothing else is ever looked at."""

import os
from dataclasses import dataclass
from pathlib import Path

from instgov_dagster.bench.soak.site import TOKEN_VARIABLE

_PROC = Path("/proc")
_KINDS = {
    "daemon": "dagster._daemon",
    "webserver": "dagster_webserver",
    "code server": "dagster api grpc",
    "proxy": "dagster code-server",
    "follower": "projector.follower",
    "session": "multiprocessing.spawn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of the soak: its number, its parent's, and what it is."""

    pid: int
    parent: int
    kind: str


def processes_of(token: str) -> tuple[Process, ...]:
    """List the processes that carry a token, but for this one."""
    mark = f"{TOKEN_VARIABLE}={token}".encode()
    found = []
    for folder in _PROC.iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if mark not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it ended, or is another user's
        rest = stat.rpartition(")")[2].split()
        if rest[0] == "Z":
            continue
        kind = next((name for name, word in _KINDS.items() if word in words), "other")
        found.append(Process(pid=int(folder.name), parent=int(rest[1]), kind=kind))
    return tuple(found)


def of_kind(token: str, kind: str) -> tuple[Process, ...]:
    """List the processes of one kind."""
    return tuple(process for process in processes_of(token) if process.kind == kind)
