"""Who hosts a session: may it wait for its turn, and what tells it that its host is gone."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from instgov_dagster.loop.live.leading.processes import Seen
from instgov_dagster.loop.live.report import Minute


def _tell_nobody(_: Minute) -> None:
    """Keep a minute's numbers to oneself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a session was asked for."""

    asof: date
    cycles: int
    period_seconds: float
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a session knows of what started it.

    Attributes
    ----------
    may_wait
        Whether it stands by while another leads; a command of a person does not.
    processes
        Those it may not outlive, any of them; none where a person started it.
    orphan
        One of them that had outlived what started it when the session began: it hosts nothing.
    is_run_current
        Asks the platform whether it still believes the run to run; None where no platform does.
    tell
        Takes each minute's numbers as it ends; it must not wait.
    """

    may_wait: bool = False
    processes: tuple[Seen, ...] = ()
    orphan: int | None = None
    is_run_current: Callable[[], bool] | None = None
    tell: Callable[[Minute], None] = _tell_nobody

    def fault(self) -> str | None:
        """Say which of its hosts is gone; None while none is."""
        if self.orphan is not None:
            return f"process {self.orphan} has outlived what started it: nobody hosts this session"
        gone = next((one.pid for one in self.processes if not one.is_alive()), None)
        return None if gone is None else f"its host, process {gone}, has ended"


#: A session of a person's own command: it waits for nobody and asks nobody.
ALONE = Host()
