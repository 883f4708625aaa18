"""The only way time enters the system: the machine's clock, or one that is told to move."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The only way time enters the system."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""
        ...

    def sleep_until(self, instant: datetime) -> None:
        """Return at ``instant`` or at once when it has passed."""
        ...


class RealClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current instant in UTC."""
        return datetime.now(UTC)  # noqa: TID251  # the one place where time enters

    def sleep_until(self, instant: datetime) -> None:
        """Sleep until ``instant``, which must be aware."""
        _require_utc(instant)
        while (left := (instant - self.now()).total_seconds()) > 0:
            time.sleep(left)


class VirtualClock:
    """A clock that stands still until it is told to move; it never runs back.

    Parameters
    ----------
    start
        The first instant, aware, in UTC.
    """

    def __init__(self, start: datetime) -> None:
        _require_utc(start)
        self._now = start

    def now(self) -> datetime:
        """Return the instant the clock stands at."""
        return self._now

    def sleep_until(self, instant: datetime) -> None:
        """Move to ``instant`` unless it has passed."""
        _require_utc(instant)
        self._now = max(self._now, instant)

    def advance(self, step: timedelta) -> None:
        """Move forward by ``step``.

        Raises
        ------
        ValueError
            If ``step`` is negative.
        """
        if step < timedelta(0):
            raise ValueError(f"step must be >= 0, was {step}")
        self._now += step


def _require_utc(instant: datetime) -> None:
    if instant.utcoffset() != timedelta(0):
        raise ValueError(f"an instant must be aware and in UTC, was {instant!r}")
