"""How fast a provider may be asked: a token bucket on the injected clock."""

from datetime import datetime, timedelta

from instgov_dagster.adapters.runtime import Clock
from instgov_dagster.adapters.runtime.turns import OwnTurns, Turns


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
    turns
        Whom the bucket is shared with; the threads of this process where nothing is given.

    Notes
    -----
    Each taker is given the instant of its turn and waits for it by itself, so that two takers
    never share a token and the long-run rate is never passed.
    """

    def __init__(
        self, per_minute: float, *, burst: int = 1, clock: Clock, turns: Turns | None = None
    ) -> None:
        if not per_minute > 0:
            raise ValueError(f"per_minute must be > 0, was {per_minute}")
        if burst < 1:
            raise ValueError(f"burst must be >= 1, was {burst}")
        self._step = timedelta(minutes=1) / per_minute
        # An idle bucket fills up to its burst and no further.
        self._allowance = self._step * (burst - 1)
        self._clock = clock
        self._turns: Turns = turns or OwnTurns()

    def reserve(self) -> datetime:
        """Take one token and give the instant from which it may be used."""
        return self._turns.reserve(self._clock.now(), self._step, self._allowance)

    def take(self) -> None:
        """Wait for one's turn."""
        self._clock.sleep_until(self.reserve())
