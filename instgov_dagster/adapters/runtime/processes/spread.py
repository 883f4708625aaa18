"""Processes that share out independent work; what the work is, is no matter here."""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import TypeVar

_Job = TypeVar("_Job")
_Done = TypeVar("_Done")


def usable_processors() -> int:
    """Count the processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def end_with_parent() -> None:
    """End this process at once when the one that started it has ended, by whatever means.

    A worker of a pool waits at a queue it could write to itself: it would never hear of it.
    """
    threading.Thread(target=_end_after, args=(parent_process(),), daemon=True).start()


def _end_after(parent: BaseProcess | None) -> None:
    if parent is not None:
        parent.join()
        os._exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpread:
    """A map in order over processes, where the work is enough to be worth starting them.

    Attributes
    ----------
    parallel_from
        Jobs from which processes are started; fewer are done one after another.
    workers
        Processes.

    Notes
    -----
    Each job is done on its own, and answers come back in the order of the jobs: the result is
    that of a plain map, whatever the number of processes. They are spawned, not forked: the
    caller holds threads and an open store.
    """

    parallel_from: int
    workers: int

    def __call__(self, work: Callable[[_Job], _Done], jobs: Sequence[_Job]) -> Iterable[_Done]:
        """Do the work on every job."""
        if len(jobs) < self.parallel_from or self.workers == 1:
            return [work(job) for job in jobs]
        share = -(-len(jobs) // (4 * self.workers))
        with ProcessPoolExecutor(
            self.workers, mp_context=get_context("spawn"), initializer=end_with_parent
        ) as pool:
            return list(pool.map(work, jobs, chunksize=share))
