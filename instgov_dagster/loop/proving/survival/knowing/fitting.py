"""What a walk has taken of real time, the fits of parameters apart."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter

from instgov_dagster.beliefs.models.garch_fit import FitJob, GjrFit, Spread


@dataclass(slots=True)
class Clocked:
    """What a walk has taken, seconds of real time: all of it, and of that the parameter fits.

    The time of the counterfactual walks beside the governed one is not in it.

    Attributes
    ----------
    fit_seconds
        Where nights are made in a process of their own, only what the walk stood waiting for.
    beside_rss_mb
        The most memory such a process held, MiB, without those it starts for fits of its own; 0
        where there is none, or where a system does not tell.
    """

    seconds: float = 0.0
    fit_seconds: float = 0.0
    fits: int = 0
    beside_rss_mb: float = 0.0


class TimedFits:
    """The same map over the same jobs, its time counted apart."""

    def __init__(self, spread: Spread, clocked: Clocked) -> None:
        self._spread, self._clocked = spread, clocked

    def __call__(
        self, work: Callable[[FitJob], GjrFit | None], jobs: Sequence[FitJob]
    ) -> Iterable[GjrFit | None]:
        """Do the work on every job."""
        begun = perf_counter()
        done = list(self._spread(work, jobs))
        self._clocked.fit_seconds += perf_counter() - begun
        self._clocked.fits += len(jobs)
        return done
