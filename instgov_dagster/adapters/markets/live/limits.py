"""How fast a provider may be asked: a token bucket on the injected clock."""

from datetime import datetime, timedelta
from threading import Lock

from instgov_dagster.adapters.runtime import Clock


class TokenBucket:
    """So many requests a minute, one after another; a request waits for its turn.

    Parameters
    ----------
    per_minute
        Requests a minute in the long run, > 0.
    burst
        Requests that may be made at once after a pause, >= 1.
    clock
        What the waiting is done on.

    Notes
    -----
    Each taker is given the instant of its turn under the lock and waits outside it, so that two
    threads never share a token and the long-run rate is never passed.
    """

    def __init__(self, per_minute: float, *, burst: int = 1, clock: Clock) -> None:
        if not per_minute > 0:
            raise ValueError(f"per_minute must be > 0, was {per_minute}")
        if burst < 1:
            raise ValueError(f"burst must be >= 1, was {burst}")
        self._step = timedelta(minutes=1) / per_minute
        self._burst = burst
        self._clock = clock
        self._lock = Lock()
        self._next: datetime | None = None

    def reserve(self) -> datetime:
        """Take one token and give the instant from which it may be used."""
        with self._lock:
            now = self._clock.now()
            # An idle bucket fills up to its burst and no further.
            floor = now - self._step * (self._burst - 1)
            turn = floor if self._next is None else max(self._next, floor)
            self._next = turn + self._step
            return max(turn, now)

    def take(self) -> None:
        """Wait for one's turn."""
        self._clock.sleep_until(self.reserve())
