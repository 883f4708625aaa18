"""The desk: tells each thing once over every channel, and again what a channel did not take."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from instgov_dagster.adapters.alerts.alert import Alert
from instgov_dagster.adapters.alerts.channels import Channel, DeliveryFailed
from instgov_dagster.adapters.alerts.outbox import (
    Outbox,
    Resting,
    Told,
    Waiting,
    read_outbox,
    write_outbox,
)
from instgov_dagster.adapters.runtime import Clock, FileLock
from instgov_dagster.vocabulary.errors import LeaseHeld
from instgov_dagster.vocabulary.policy.operations import OperationsPolicy

# What a full disk kept from the file: this process goes on with it.
_UNSAVED: dict[Path, Outbox] = {}
_THREADS: Final = threading.Lock()
# More names than this are not told apart for long: the oldest is forgotten first.
_MOST_NAMES: Final = 1000


class AlertDesk:
    """Tells alerts of one home; no failure of a channel or of its own memory reaches the caller.

    Parameters
    ----------
    root
        The home, whose file ``alerts.json`` is the memory.
    complain
        Takes a sentence where something about the telling itself went wrong.
    """

    def __init__(
        self,
        root: Path,
        channels: Sequence[Channel],
        *,
        policy: OperationsPolicy,
        clock: Clock,
        complain: Callable[[str], None],
    ) -> None:
        self._root = root
        self._channels = {channel.name: channel for channel in channels}
        self._policy = policy
        self._clock = clock
        self._complain = complain

    def tell(self, alert: Alert) -> bool:
        """Send an alert over every channel, unless it was told a short while ago.

        Returns
        -------
        Whether it is sent: False where the same was told within the policy's minutes. What a
        channel does not take now waits, and `retry` takes it up.
        """
        if not self._channels:
            return False
        with self._memory() as outbox:
            told = outbox.told.get(alert.name)
            repeat = timedelta(minutes=self._policy.alert_repeat_minutes)
            digest = alert.digest()
            is_new = told is None or told.digest != digest or not _within(alert.at, told.at, repeat)
            if is_new:
                outbox.told.pop(alert.name, None)
                outbox.told[alert.name] = Told(digest=digest, at=alert.at)
                while len(outbox.told) > _MOST_NAMES:
                    outbox.told.pop(next(iter(outbox.told)))
                outbox.waiting.append(Waiting(alert=alert, channels=list(self._channels)))
            self._deliver(outbox)
        return is_new

    def retry(self) -> int:
        """Send what waits and may be tried again; give how many still wait."""
        if not self._channels:
            return 0
        with self._memory() as outbox:
            if outbox.waiting:
                self._deliver(outbox)
            return len(outbox.waiting)

    @contextmanager
    def _memory(self) -> Iterator[Outbox]:
        # One teller at a time. Where the memory fails the alert is told all the same: told twice
        # is better than not told.
        with _THREADS:
            lock = FileLock(self._root / "alerts.lock", clock=self._clock)
            self._try_lock(lock)
            try:
                outbox = self._read()
                before = outbox.to_bytes()
                yield outbox
                if outbox.to_bytes() != before or self._root in _UNSAVED:
                    self._write(outbox)
            finally:
                lock.release()

    def _try_lock(self, lock: FileLock) -> None:
        try:
            lock.acquire(2.0 * self._policy.alert_deadline_seconds)
        except (LeaseHeld, OSError) as error:
            self._complain(f"alerts go on without their lock: {type(error).__name__}")

    def _read(self) -> Outbox:
        if self._root in _UNSAVED:
            return _UNSAVED[self._root]
        try:
            return read_outbox(self._root)
        except (OSError, ValueError) as error:
            self._complain(f"the memory of alerts is lost: {type(error).__name__}")
            return Outbox()

    def _write(self, outbox: Outbox) -> None:
        try:
            write_outbox(self._root, outbox)
        except OSError as error:
            _UNSAVED[self._root] = outbox
            self._complain(f"the memory of alerts cannot be written: {type(error).__name__}")
        else:
            _UNSAVED.pop(self._root, None)

    def _deliver(self, outbox: Outbox) -> None:
        self._forget(outbox)
        for name, channel in self._channels.items():
            rest = outbox.resting.get(name)
            if rest is None or self._clock.now() >= rest.until:
                self._deliver_over(channel, outbox)
        outbox.waiting = [row for row in outbox.waiting if row.channels]

    def _deliver_over(self, channel: Channel, outbox: Outbox) -> None:
        # In order, up to the first failure: where one is not taken, the next would not be either.
        started = self._clock.now()
        deadline = self._policy.alert_deadline_seconds
        for row in outbox.waiting:
            if channel.name not in row.channels:
                continue
            if not _within(self._clock.now(), started, timedelta(seconds=deadline)):
                return  # whoever ticks has other things to do; the rest goes with the next tick
            try:
                channel.send(row.alert, deadline_seconds=deadline)
            except DeliveryFailed as failure:
                self._rest(channel, outbox, str(failure))
                return
            row.channels.remove(channel.name)
            outbox.resting.pop(channel.name, None)

    def _rest(self, channel: Channel, outbox: Outbox, why: str) -> None:
        policy = self._policy
        before = outbox.resting.get(channel.name)
        failures = 1 + (before.failures if before else 0)
        # 2**40 seconds pass any bound: the doubling itself must not overflow.
        pause = policy.alert_backoff_seconds * 2.0 ** min(failures - 1, 40)
        until = self._clock.now() + timedelta(seconds=min(pause, policy.alert_backoff_max_seconds))
        outbox.resting[channel.name] = Resting(failures=failures, until=until, why=why)
        self._complain(f"the channel {channel.name} failed, {failures} in a row: {why}")

    def _forget(self, outbox: Outbox) -> None:
        now, keep = self._clock.now(), timedelta(hours=self._policy.alert_keep_hours)
        for row in outbox.waiting:
            row.channels = [name for name in row.channels if name in self._channels]
        kept = [row for row in outbox.waiting if row.channels and _within(now, row.alert.at, keep)]
        kept = kept[-self._policy.alert_outbox :]
        if dropped := len(outbox.waiting) - len(kept):
            self._complain(f"{dropped} undelivered alerts are given up")
        outbox.waiting = kept


def _within(now: datetime, then: datetime, span: timedelta) -> bool:
    # A clock that was set back makes nothing younger: what seems to come from later has passed.
    return timedelta(0) <= now - then < span
