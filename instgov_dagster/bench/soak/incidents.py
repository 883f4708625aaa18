"""What is done to the loop while it runs: when, to whom, and whether a standby was ready."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from instgov_dagster.bench.soak.processes import of_kind
from instgov_dagster.bench.soak.site import Site
from instgov_dagster.loop.live.leading.register import Member, Role, members

#: How long a leader must have led before it is killed: it should have decided something.
LED_SECONDS = 3.0
#: How long a stopped leader stays stopped, unless it is ended before.
STOPPED_SECONDS = 30.0


class Kind(StrEnum):
    """What may be done."""

    KILL_LEADER = "kill -9 of the leader"
    STOP_LEADER = "SIGSTOP of the leader"
    RESTART_DAEMON = "the daemon killed, dagster dev started again"
    KILL_CODE_SERVER = "kill -9 of the code server"
    RESTART = "dagster dev started again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One thing that was done.

    Attributes
    ----------
    had_standby
        Whether a standby had told that it was ready.
    """

    kind: Kind
    at: datetime
    pid: int
    had_standby: bool


#: What may be asked for by a word; all of it, in this order, where nobody asks.
HARM = {
    "kill": Kind.KILL_LEADER,
    "stop": Kind.STOP_LEADER,
    "daemon": Kind.RESTART_DAEMON,
    "server": Kind.KILL_CODE_SERVER,
}
WHOLE = ("kill", "kill", "kill", "stop", "daemon", "server")
_FIRST, _LAST = 0.2, 0.85


def plan(seconds: float, harm: Sequence[str] = WHOLE) -> tuple[tuple[float, Kind], ...]:
    """Say what is to be done in a soak of so many seconds, as seconds since its first cycle.

    Parameters
    ----------
    harm
        Words of `HARM`, spread evenly; the first waits until a session may have handed over.
    """
    step = (_LAST - _FIRST) / max(len(harm) - 1, 1)
    return tuple((seconds * (_FIRST + n * step), HARM[word]) for n, word in enumerate(harm))


def victim_of(kind: Kind, site: Site, seen: Sequence[Member], now: datetime) -> int | None:
    """Name the process an incident is for; None while its conditions are not met.

    Something is done only where a leader leads and a standby is ready: what follows is measured
    against what a ready standby promises.
    """
    leader = next((one for one in seen if one.role is Role.LEADER), None)
    is_ready = any(one.role is Role.STANDBY for one in seen)
    if leader is None or not is_ready:
        return None
    if (now - leader.since).total_seconds() < LED_SECONDS:
        return None
    match kind:
        case Kind.RESTART_DAEMON:
            return next((one.pid for one in of_kind(site.token, "daemon")), None)
        case Kind.KILL_CODE_SERVER:
            return next((one.pid for one in of_kind(site.token, "code server")), None)
        case _:
            return leader.pid


def do(kind: Kind, pid: int) -> None:
    """Do it to one process of the soak."""
    os.kill(pid, signal.SIGSTOP if kind is Kind.STOP_LEADER else signal.SIGKILL)


def go_on(pid: int, site: Site) -> bool:
    """Let a stopped process go on; False where it was ended meanwhile."""
    if pid not in {one.pid for one in of_kind(site.token, "session")}:
        return False
    os.kill(pid, signal.SIGCONT)
    return True


def seen_at(site: Site) -> tuple[Member, ...]:
    """Read the register of the soak's home."""
    return members(site.home)
