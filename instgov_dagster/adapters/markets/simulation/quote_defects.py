"""The odd quotes of the simulated feed: a small known share, placed by seed, day and cycle."""

import hashlib
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.vocabulary.checks import check_bounds, number


class QuoteDefect(StrEnum):
    """How a quote can be odd; all but a locked one, bid equal to ask, are unusable."""

    CROSSED = "CROSSED"
    ONE_SIDED = "ONE_SIDED"
    STALE = "STALE"
    MISSING = "MISSING"
    LOCKED = "LOCKED"


#: The number of a quote that is as it should be; defect k of the enum has number k + 1.
GOOD: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteDefects:
    """Shares of all quotes that are odd in each way, and how late a stale one is."""

    crossed: float = number(0.0005, ge=0, le=0.2)
    one_sided: float = number(0.0005, ge=0, le=0.2)
    stale: float = number(0.0005, ge=0, le=0.2)
    missing: float = number(0.0005, ge=0, le=0.2)
    locked: float = number(0.0005, ge=0, le=0.2)
    stale_seconds: float = number(30.0, gt=0)

    def __post_init__(self) -> None:
        check_bounds(self)


NO_DEFECTS: Final = QuoteDefects(crossed=0.0, one_sided=0.0, stale=0.0, missing=0.0, locked=0.0)


def draw_defects(
    defects: QuoteDefects, *, seed: int, day: date, cycle: int, n_symbols: int
) -> NDArray[np.int8]:
    """Decide which quotes of a cycle are odd, in any order of asking.

    Returns
    -------
    NDArray[np.int8]
        Shape ``(n_symbols,)``: GOOD, or one plus the place of the `QuoteDefect`.
    """
    d = defects
    edges = np.cumsum([d.crossed, d.one_sided, d.stale, d.missing, d.locked])
    if edges[-1] <= 0:
        return np.zeros(n_symbols, dtype=np.int8)
    draws = cycle_generator(seed, day, cycle).random(n_symbols)
    kinds = np.searchsorted(edges, draws, side="right") + 1
    return np.where(draws < edges[-1], kinds, GOOD).astype(np.int8)


def cycle_generator(seed: int, day: date, cycle: int) -> np.random.Generator:
    """Open the generator that belongs to one cycle of one day."""
    digest = hashlib.sha256(f"quotes|{seed}|{day.isoformat()}|{cycle}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))
