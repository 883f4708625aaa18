"""Who hosts a session: may it wait for its turn, and what tells it that its host is gone."""

import os
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a session knows of the process that started it.

    Attributes
    ----------
    may_wait
        Whether it stands by while another leads; a command of a person does not.
    parent_pid
        The process it may not outlive; None where it may.
    is_run_current
        Asks the platform whether it still believes the run to run; None where no platform does.
    """

    may_wait: bool = False
    parent_pid: int | None = None
    is_run_current: Callable[[], bool] | None = None

    def fault(self) -> str | None:
        """Say whether the parent is gone; None while it is not."""
        if self.parent_pid is None or os.getppid() == self.parent_pid:
            return None
        return f"its parent, process {self.parent_pid}, has ended"


#: A session of a person's own command: it waits for nobody and asks nobody.
ALONE = Host()
