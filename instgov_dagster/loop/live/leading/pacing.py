"""When a session's cycles are due by the real clock: drift-free, none caught up on, none twice."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """One cycle by the real clock.

    Attributes
    ----------
    due, began
        When it should have begun and when it did, UTC.
    missed
        Whole beats between the two: they are left out, for what is past cannot be decided.
    is_late
        Recorded with the cycle, which then holds what is held.
    """

    due: datetime
    began: datetime
    missed: int
    is_late: bool

    def facts(self, pid: int) -> dict[str, Any]:
        """Say in a frame when the cycle was due, when it began and who led it."""
        return {
            "due": self.due.isoformat(),
            "began": self.began.isoformat(),
            "missed": self.missed,
            "pid": pid,
        }


class Pace:
    """Gives the beats of a session, ``period_seconds`` apart.

    Parameters
    ----------
    period_seconds
        Seconds between two beats, > 0.
    late_after_seconds
        A cycle that begins so much behind its beat is late.
    now
        When the session begins to lead.
    after
        The last beat of the predecessor, whose rhythm is kept; None where there was none. One that
        is long past, or said to lie ahead of the clock, is not waited for.

    Attributes
    ----------
    due
        The next beat.
    longest_gap_seconds
        Between the beginnings of two cycles so far; None before the second.
    """

    def __init__(
        self,
        *,
        period_seconds: float,
        late_after_seconds: float,
        now: datetime,
        after: datetime | None,
    ) -> None:
        self._period = timedelta(seconds=period_seconds)
        self._late_after = timedelta(seconds=late_after_seconds)
        wanted = now if after is None else after + self._period
        self.due = max(now, min(wanted, now + self._period))
        self.longest_gap_seconds: float | None = None
        self._began: datetime | None = None

    def begin(self, now: datetime) -> Beat:
        """Take the beat that is due, and set the next one ahead of the clock.

        Parameters
        ----------
        now
            When the cycle begins; not before `due` by more than the clock's grain.
        """
        behind = max(now - self.due, timedelta(0))
        missed = behind // self._period
        beat = Beat(due=self.due, began=now, missed=missed, is_late=behind > self._late_after)
        self.due += (missed + 1) * self._period
        if self._began is not None:
            gap = (now - self._began).total_seconds()
            self.longest_gap_seconds = max(gap, self.longest_gap_seconds or 0.0)
        self._began = now
        return beat


@contextmanager
def unpaused() -> Iterator[Callable[[], None]]:
    """Keep the collector of cycles from looking through all that was loaded, again and again.

    What stands when the block is entered, the market and the models, lives as long as the session:
    a whole collection would walk through it in the middle of a cycle (.13 s at 500 symbols) and
    find nothing. What a cycle makes is collected as ever. Gives what sets aside once more, for what
    the first cycle loads and keeps.
    """
    gc.freeze()
    try:
        yield gc.freeze
    finally:
        gc.unfreeze()
