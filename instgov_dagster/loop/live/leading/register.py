"""Who leads and who stands by, told in ``<home>/live``: one small file a process."""

import json
import os
import signal
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from instgov_dagster.adapters.runtime import Home, replace_durably
from instgov_dagster.loop.live.leading.processes import look_at


class Role(StrEnum):
    """What a session does now; one that starts or ends is not in the register."""

    STANDBY = "STANDBY"
    LEADER = "LEADER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One session that is ready or leads.

    Attributes
    ----------
    born
        When the process started, in the kernel's ticks: a number given again is another process.
    since
        Since when it has its role, UTC.
    period_seconds
        Seconds between the cycles it leads.
    """

    role: Role
    pid: int
    born: int
    run_id: str
    asof: str
    since: datetime
    period_seconds: float

    def is_alive(self) -> bool:
        """Tell whether the process that wrote this is still there."""
        seen = look_at(self.pid)
        return seen is not None and seen.born == self.born

    def is_stopped(self) -> bool:
        """Tell whether the process is stopped and can answer nothing."""
        seen = look_at(self.pid)
        return seen is not None and seen.born == self.born and seen.is_stopped

    def kill(self) -> None:
        """End the process at once, if it is still the one that wrote this."""
        if self.is_alive():
            os.kill(self.pid, signal.SIGKILL)


class Entry:
    """The line of one process in the register: its own.

    Parameters
    ----------
    run_id, asof, period_seconds
        As `Member` has them.
    """

    def __init__(self, home: Home, *, run_id: str, asof: str, period_seconds: float) -> None:
        pid = os.getpid()
        seen = look_at(pid)
        self._path = home.sessions / f"{pid}.json"
        self._run_id, self._asof, self._period = run_id, asof, period_seconds
        self._pid, self._born = pid, seen.born if seen else 0

    def tell(self, role: Role, *, at: datetime) -> None:
        """Say what the session does from now on."""
        member = Member(
            role=role,
            pid=self._pid,
            born=self._born,
            run_id=self._run_id,
            asof=self._asof,
            since=at,
            period_seconds=self._period,
        )
        body = asdict(member) | {"since": at.isoformat()}
        replace_durably(self._path, json.dumps(body, sort_keys=True).encode())

    def withdraw(self) -> None:
        """Take the line out; a process that was killed leaves one that is passed over."""
        self._path.unlink(missing_ok=True)


def members(home: Home) -> tuple[Member, ...]:
    """Read who leads and who stands by, the living alone; the dead's lines are swept out."""
    found = []
    for path in sorted(home.sessions.glob("*.json")):
        member = _read(path)
        if member is not None and member.is_alive():
            found.append(member)
        else:
            path.unlink(missing_ok=True)
    return tuple(found)


def _read(path: Path) -> Member | None:
    try:
        body: dict[str, Any] = json.loads(path.read_bytes())
        member = Member(**body)
        since = datetime.fromisoformat(body["since"])
        return replace(member, role=Role(body["role"]), since=since)
    except (OSError, ValueError, TypeError, KeyError):
        return None  # taken out between two looks, or not one of ours
