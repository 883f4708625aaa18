"""Who hosts a session: may it wait for its turn, and what tells it that its host is gone."""

from collections.abc import Callable
from dataclasses import dataclass

from instgov_dagster.loop.live.leading.processes import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a session knows of what started it.

    Attributes
    ----------
    may_wait
        Whether it stands by while another leads; a command of a person does not.
    processes
        Those it may not outlive, any of them; none where a person started it.
    is_run_current
        Asks the platform whether it still believes the run to run; None where no platform does.
    """

    may_wait: bool = False
    processes: tuple[Seen, ...] = ()
    is_run_current: Callable[[], bool] | None = None

    def fault(self) -> str | None:
        """Say which of its hosts is gone; None while none is."""
        gone = next((one.pid for one in self.processes if not one.is_alive()), None)
        return None if gone is None else f"its host, process {gone}, has ended"


#: A session of a person's own command: it waits for nobody and asks nobody.
ALONE = Host()
