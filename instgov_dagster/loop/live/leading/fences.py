"""What keeps a session from going on or from sending: its host, its run, its lease, the time."""

from datetime import timedelta

from instgov_dagster.adapters.runtime import Lease
from instgov_dagster.loop.live.leading.host import Host
from instgov_dagster.loop.live.leading.pacing import Beat
from instgov_dagster.loop.live.leading.watches import RunWatch
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode


class Fences:
    """Asked before each cycle and before each order; a look costs two stats and no waiting.

    Parameters
    ----------
    lease
        Held by the session.

    Attributes
    ----------
    fault
        Why the session may not go on; None while it may. Once there is one it stays.
    run_watch
        Asks the platform for the session's run; None where no platform hosts it.
    """

    def __init__(self, platform: Platform, host: Host, lease: Lease) -> None:
        self._platform, self._host, self._lease = platform, host, lease
        self.fault: str | None = None
        self.run_watch: RunWatch | None = None

    def begin(self) -> None:
        """Begin to ask for the run, where there is one."""
        if self._host.is_run_current is not None:
            policy, now = self._platform.policy.loop, self._platform.now()
            self.run_watch = RunWatch(self._host.is_run_current, policy, now=now)

    def is_closed(self) -> bool:
        """Tell whether nothing may be decided or sent any more.

        Raises
        ------
        SystemHalt
            ``FENCED`` where the lease's file is another: somebody else may lead beside this one.
        """
        if not self._lease.is_intact():
            raise SystemHalt(ReasonCode.FENCED, f"{self._lease.path} is no longer this session's")
        self.fault = self.fault or self._host.fault()
        if self.fault is None and self.run_watch is not None:
            self.fault = self.run_watch.fault(self._platform.now())
        return self.fault is not None

    def may_send(self, beat: Beat | None) -> bool:
        """Tell whether an order of the cycle in hand may still go.

        Parameters
        ----------
        beat
            When the cycle began; None where cycles are not paced. What was decided longer ago than
            makes a cycle late was decided on another market: a process that was stopped and goes
            on sends nothing of it.
        """
        if self.is_closed():
            return False
        limit = timedelta(seconds=self._platform.policy.loop.late_after_seconds)
        return beat is None or self._platform.now() - beat.began <= limit
