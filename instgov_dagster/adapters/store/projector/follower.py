"""A process beside the loop that keeps the projection and what is published up to the journal."""

import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from instgov_dagster.adapters.journal import key_from
from instgov_dagster.adapters.runtime import Home, RealClock
from instgov_dagster.adapters.store.projector.step import project
from instgov_dagster.vocabulary.errors import InstgovError

_MODULE: Final = "instgov_dagster.adapters.store.projector.follower"
_NICENESS: Final = 10
_LOWEST_PRIORITY: Final = 19
_LAST_STEP_SECONDS: Final = 30.0


class Follower:
    """Projects every so often in another process, so that the loop waits for no database.

    Parameters
    ----------
    home
        Whose journal is followed.
    every_seconds
        How long to rest between two steps.
    published_cycles, keep
        As for `project`.

    Notes
    -----
    It lives on a pipe from its parent: however the parent ends, the pipe does, and so does it. A
    step cut short loses nothing, and one that fails fails again where the session itself projects
    at its end: nothing here can stop a loop.
    """

    def __init__(
        self, home: Home, *, every_seconds: float, published_cycles: int, keep: int
    ) -> None:
        words = (str(home.root), str(every_seconds), str(published_cycles), str(keep))
        self._command = [sys.executable, "-m", _MODULE, *words]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603  # this program's own module
            self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        # From its first instruction on: loading a program would take the leader's first cycles.
        below = min(os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS, _LOWEST_PRIORITY)
        os.setpriority(os.PRIO_PROCESS, self._process.pid, below)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it after the step it is at, or at once where that takes too long."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(timeout=_LAST_STEP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def main(words: Sequence[str]) -> int:
    """Project until standard input ends; 1 where the journal cannot be projected."""
    home, every = Home(Path(words[0])), float(words[1])
    clock, key = RealClock(), key_from(os.environ)
    while True:
        try:
            project(
                home,
                recorded_at=clock.now(),
                key=key,
                published_cycles=int(words[2]),
                keep=int(words[3]),
            )
        except (InstgovError, ValueError) as error:
            sys.stderr.write(f"instgov: the projection stands still: {error}\n")
            return 1
        if select.select([sys.stdin], [], [], every)[0]:
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
