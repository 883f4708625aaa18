"""What a leader asks beside its cycles, in a thread of its own: its run, the published night."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from instgov_dagster.adapters.runtime import Clock
from instgov_dagster.vocabulary.config import LoopPolicy
from instgov_dagster.vocabulary.errors import SystemHalt

#: How often the thread looks at whether anything is due.
_LOOK_SECONDS = 0.5


class Watch(Protocol):
    """Something asked every so often; its answer is kept for whoever reads it."""

    def ask_if_due(self, now: datetime) -> None:
        """Ask where the last answer is old enough; never raise."""
        ...


class RunWatch:
    """Whether the run that hosts the session is still what the platform believes to run.

    Parameters
    ----------
    is_current
        Asks the platform; False where it ended the run or never knew it. May fail.
    now
        When the session begins: it was current then.
    """

    def __init__(
        self, is_current: Callable[[], bool], policy: LoopPolicy, *, now: datetime
    ) -> None:
        self._is_current = is_current
        self._every = timedelta(seconds=policy.fence_every_seconds)
        self._blind_after = timedelta(seconds=policy.fence_blind_seconds)
        self._asked = self._answered = now
        self._is_over = False

    def ask_if_due(self, now: datetime) -> None:
        """Ask the platform for the run; an answer that does not come is noticed by its age."""
        if now - self._asked < self._every:
            return
        self._asked = now
        try:
            is_current = self._is_current()
        except Exception:  # noqa: BLE001  # whatever keeps the answer away, its age counts
            return
        self._answered = now
        self._is_over |= not is_current

    def fault(self, now: datetime) -> str | None:
        """Say why the session may not go on; None where it may."""
        if self._is_over:
            return "its run is no longer one the platform believes to run"
        silence = now - self._answered
        if silence > self._blind_after:
            return f"nobody told for {silence.total_seconds():.0f} s whether its run goes on"
        return None


class Standing(StrEnum):
    """How long ago the published night was verified, by the policy's limits."""

    FRESH = "FRESH"
    STALE = "STALE"
    EXPIRED = "EXPIRED"


class SnapshotWatch:
    """When the published night was last read again and verified (SPEC 9).

    Parameters
    ----------
    verify
        Reads every byte again; raises `SystemHalt` where it is damaged or gone, anything else
        where it could not be asked.
    now
        When the session read it first.
    """

    def __init__(self, verify: Callable[[], None], policy: LoopPolicy, *, now: datetime) -> None:
        self._verify = verify
        self._every = timedelta(minutes=policy.snapshot_refresh_minutes)
        self._ttl = timedelta(minutes=policy.snapshot_ttl_minutes)
        self._end = self._ttl * policy.snapshot_halt_multiple
        self._verified = self._asked = now
        self.damage: SystemHalt | None = None

    def ask_if_due(self, now: datetime) -> None:
        """Verify it again; a check that cannot be made leaves the last one to grow old."""
        if now - self._asked < self._every:
            return
        self._asked = now
        try:
            self._verify()
        except SystemHalt as halt:
            self.damage = halt
        except Exception:  # noqa: BLE001  # whatever keeps the answer away, its age counts
            return
        else:
            self._verified = now

    def standing(self, now: datetime) -> Standing:
        """Say what the last check is still worth.

        Raises
        ------
        SystemHalt
            What a check found damaged.
        """
        if self.damage is not None:
            raise self.damage
        age = now - self._verified
        if age > self._end:
            return Standing.EXPIRED
        return Standing.STALE if age > self._ttl else Standing.FRESH

    def age_minutes(self, now: datetime) -> float:
        """Give how long ago the last check was."""
        return (now - self._verified).total_seconds() / 60.0


class Background:
    """Asks the watches in a thread, so that no cycle waits for a disk or a database.

    Parameters
    ----------
    clock
        The session's own.
    is_threaded
        False where nothing is paced, and time may be virtual: `look` asks then.
    """

    def __init__(self, watches: Sequence[Watch], clock: Clock, *, is_threaded: bool) -> None:
        self._watches = tuple(watches)
        self._clock = clock
        self._over = threading.Event()
        self._is_threaded = is_threaded

    def look(self) -> None:
        """Ask what is due where no thread does."""
        if not self._is_threaded:
            self._ask()

    def _ask(self) -> None:
        for watch in self._watches:
            watch.ask_if_due(self._clock.now())

    def _run(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self._ask()

    def __enter__(self) -> Self:
        if self._is_threaded:
            threading.Thread(target=self._run, name="watches", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()  # a question under way ends with the process: nobody waits for it
