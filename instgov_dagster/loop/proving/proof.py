"""The no-bypass proof as one report: the spaces, the invariants, the sources."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from instgov_dagster.loop.proving.approvals import HANDLING, small_spaces
from instgov_dagster.loop.proving.enumeration import Invariant, Mechanism, walk_everything
from instgov_dagster.loop.proving.factors import (
    ELIGIBILITY,
    MOVES,
    STATES,
    book_gates,
    order_gates,
)
from instgov_dagster.loop.proving.imports import Guarded, walk_sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was proved, in how many states.

    Attributes
    ----------
    states_visited
        Points of the spaces that were driven through the code: cycle times symbol in the large
        one, every point of the smaller ones.
    factors
        The values of every factor of the large space.
    sources
        Who uses what is guarded, by the sources.
    """

    states_visited: int
    invariants: tuple[Invariant, ...]
    factors: Mapping[str, tuple[str, ...]]
    sources: tuple[Guarded, ...]

    @property
    def ok(self) -> bool:
        """Whether every invariant held in at least one state and failed in none."""
        held = all(row.states > 0 and row.violations == 0 for row in self.invariants)
        return held and all(row.holds for row in self.sources)

    def to_dict(self) -> dict[str, Any]:
        """Write the proof as plain JSON values."""
        return {
            "ok": self.ok,
            "states_visited": self.states_visited,
            "invariants": [
                {**asdict(row), "ok": row.states > 0 and row.violations == 0}
                for row in self.invariants
            ],
            "factors": {name: list(values) for name, values in self.factors.items()},
            "sources": [{**asdict(row), "ok": row.holds} for row in self.sources],
        }


def factors() -> dict[str, tuple[str, ...]]:
    """Name every factor of the proof and its values."""
    yes_no = ("no", "yes")
    gates = {f"gate {name}": ("open", "shut", "blind") for name in order_gates()}
    books = {f"{name}": ("open", "shut", "blind", "not judged") for name in book_gates()}
    return {
        "state": tuple(STATES),
        "move": tuple(MOVES),
        "late": yes_no,
        "stale snapshot": yes_no,
        "quote valid": yes_no,
        "forecast finite": yes_no,
        "eligibility": ELIGIBILITY,
        "bid": yes_no,
        "veto": yes_no,
        "audit": ("written", "failed"),
        "side asked for": ("BUY", "SELL"),
        "handling of the approval": HANDLING,
        **gates,
        **books,
    }


def prove(folder: Path, mechanism: Mechanism | None = None) -> Proof:
    """Enumerate every space through the code and read the sources.

    Parameters
    ----------
    folder
        An empty folder for the journal the walk writes.
    mechanism
        The code under proof; the session's own by default.
    """
    used = mechanism or Mechanism()
    walk = walk_everything(folder, used)
    small = tuple(small_spaces(used))
    return Proof(
        states_visited=walk.visited + sum(row.states for row in small),
        invariants=(*walk.invariants.values(), *small),
        factors=factors(),
        sources=walk_sources(),
    )
