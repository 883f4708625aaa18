"""A session before it leads: it reads the chains as they grow, gets ready, and waits its turn."""

from datetime import date, datetime, timedelta
from typing import Any

from instgov_dagster.adapters.journal import Position
from instgov_dagster.adapters.markets.quote_stream import SessionSpan
from instgov_dagster.adapters.runtime import Lease
from instgov_dagster.adapters.runtime.stopping import StopRequest
from instgov_dagster.loop.live.leading.host import Host
from instgov_dagster.loop.live.leading.memory import Memory
from instgov_dagster.loop.live.leading.readiness import Ready, make_ready, rehearse
from instgov_dagster.loop.live.leading.register import Entry, Role
from instgov_dagster.loop.live.leading.waiting import wait_to_lead
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.governance import Chain


class Candidate:
    """Knows all that a leader must know, so that little is left to do once the lease comes.

    Attributes
    ----------
    memory
        What the loop's chain tells, as far as `log` read it.
    log
        The reader of the three chains; each frame is verified once and heard by `memory`.
    """

    def __init__(
        self, platform: Platform, asof: date, span: SessionSpan, *, run_id: str, period: float
    ) -> None:
        self._platform, self._asof, self._span = platform, asof, span
        self._period = period
        self._ready: Ready | None = None
        self._ready_since: datetime | None = None
        self._entry = Entry(
            platform.home, run_id=run_id, asof=asof.isoformat(), period_seconds=period
        )
        self.memory = Memory(asof)
        self.log = platform.state_log()
        self.log.listener = self.memory.take

    def stand_by(self, lease: Lease, *, host: Host, stop: StopRequest) -> None:
        """Get warm, say so, and wait for the lease.

        Raises
        ------
        LeaseHeld
            If it was asked to end, lost its host or waited too long: it never led.
        InputError, SystemHalt
            As `make_ready` does.
        """
        platform, loop = self._platform, self._platform.policy.loop
        self._ready = make_ready(platform, self._asof, self._span)
        rehearse(platform, self._ready)
        self.log.refresh()
        now = self._ready_since = platform.now()
        self._entry.tell(Role.STANDBY, at=now)
        patience = timedelta(seconds=loop.standby_waits_sessions * self._span.cycles * self._period)
        wait_to_lead(
            lease,
            clock=platform.clock,
            stop=stop,
            obstacle=host.fault,
            catch_up=self._catch_up,
            catch_up_seconds=loop.standby_catch_up_seconds,
            until=now + patience if self._period else None,
        )

    def _catch_up(self) -> None:
        self.log.refresh()
        self.ready()

    def ready(self) -> Ready:
        """Give what the session stands on; read again where another night is published meanwhile.

        Raises
        ------
        InputError
            If the night is another day's: a session of that day is asked for.
        SystemHalt
            As `make_ready` does.
        """
        if self._ready is None or not self._ready.is_current(self._platform):
            self._ready = make_ready(self._platform, self._asof, self._span)
        return self._ready

    def begin_to_lead(self) -> Position | None:
        """Say that it leads now, and how far the loop's chain is proven; None where it is not."""
        self._leads_since = self._platform.now()
        self._entry.tell(Role.LEADER, at=self._leads_since)
        beat = self._platform.home.heartbeat
        beat.write_text(f"0/{self._span.cycles} cycles", encoding="utf-8")
        at = self.log.position(Chain.LOOP)
        return at if at.sequence else None

    def turn(self) -> dict[str, Any]:
        """Say since when it was ready and led, by the real clock; nothing of one that waits not."""
        if self._ready_since is None:
            return {}
        instants = {"ready": self._ready_since, "led": self._leads_since}
        return {"turn": {name: instant.isoformat() for name, instant in instants.items()}}

    def withdraw(self) -> None:
        """Leave the register: the session neither leads nor stands by."""
        self._entry.withdraw()
