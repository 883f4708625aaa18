"""What one walk was asked and what it found, with the fields of the command's one object."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.loop.platform import DEFAULT_SEED
from instgov_dagster.loop.proving.survival.keeping.memory import Memory
from instgov_dagster.loop.proving.survival.keeping.records import Records
from instgov_dagster.loop.proving.survival.knowing.fitting import Clocked
from instgov_dagster.loop.proving.survival.knowing.history import History
from instgov_dagster.loop.proving.survival.parity import Parity
from instgov_dagster.loop.proving.survival.telling.measures import (
    Coverage,
    PathMeasures,
    plain,
    state_days,
)
from instgov_dagster.loop.proving.survival.variants import GOVERNED
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.capital import CoverageTest
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.governance import StrategyLifecycle, SystemStateName


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What one call asks for.

    Attributes
    ----------
    years
        Of the simulated market, up to ``end``; None for the span that ``start`` and ``end`` say.
    gates
        Gates to walk without as well, one walk each; ``governance_off`` is walked always.
    """

    market: Market
    bars: Path | None = None
    seed: int = DEFAULT_SEED
    years: int | None = None
    start: date | None = None
    end: date | None = None
    config_dir: Path | None = None
    gates: tuple[str, ...] = ()
    is_compared: bool = True


@dataclass(slots=True, kw_only=True)
class Answer:
    """What a walk found.

    Attributes
    ----------
    paths
        Net asset value by name, the governed walk's first: ``(sessions + 1,)`` each.
    parity
        The last day decided again as a home decides it; None where it held no session.
    """

    question: Question
    days: tuple[date, ...]
    policy: Policy
    history: History
    records: Records
    memories: Mapping[str, Memory]
    clocked: Clocked
    coverage: Coverage
    paths: Mapping[str, NDArray[np.float64]]
    measures: Mapping[str, PathMeasures] = field(default_factory=dict)
    parity: Parity | None = None

    @property
    def governed(self) -> pl.DataFrame:
        """The sessions of the governed walk."""
        sessions = self.records.tables["sessions"]
        return sessions.filter(pl.col("walk") == GOVERNED)

    @property
    def gate_holds(self) -> bool:
        """Whether on no day the book exceeded its CVaR limit once its orders were done."""
        return self.governed.filter(pl.col("cvar_gate") > self.cvar_bound).is_empty()

    @property
    def cvar_bound(self) -> float:
        """What no day's CVaR may exceed: the limit and its tolerance, fractions of NAV."""
        return self.policy.cvar.portfolio_limit + self.policy.limits.limit_tolerance

    @property
    def highest_cvar_gate(self) -> float | None:
        """The largest CVaR of any day once its orders were done; None where no day has one."""
        highest = self.governed["cvar_gate"].max()
        return None if highest is None else float(highest)  # type: ignore[arg-type]  # a float column

    def fields(self) -> dict[str, Any]:
        """Give the fields of the command's JSON object."""
        mine, measures = self.governed, self.measures[GOVERNED]
        changes = self.records.tables["stage_changes"]
        return {
            "sessions": mine.height,
            "seconds": round(self.clocked.seconds, 3),
            "total_return": measures.total_return,
            "max_drawdown": measures.max_drawdown,
            "worst_5d_loss": measures.worst_5d_loss,
            "gross_mean": float(mine["gross"].mean()),  # type: ignore[arg-type]
            "cvar_exceedance_rate": self.coverage.cvar_exceedance_rate,
            "kupiec_p": self.coverage.value(CoverageTest.KUPIEC.value),
            "e_value": self.coverage.value(CoverageTest.E_PROCESS.value),
            "days_reduce_only": state_days(mine, SystemStateName.REDUCE_ONLY.value),
            "days_halted": days_halted(mine),
            "promotions": _changes(changes, is_promotion=True),
            "decommissions": _changes(changes, is_promotion=False),
            "benchmarks": {
                name: plain(found) for name, found in self.measures.items() if name != GOVERNED
            },
        }


def days_halted(sessions: pl.DataFrame) -> int:
    """Count the sessions of a walk that a latched state or a night that ended early kept still."""
    latched = [name.value for name in SystemStateName if name.is_latched]
    is_still = pl.col("state").is_in(latched) | pl.col("halted_at").is_not_null()
    return sessions.filter(is_still).height


def _changes(changes: pl.DataFrame, *, is_promotion: bool) -> list[dict[str, Any]]:
    ended = StrategyLifecycle.DECOMMISSIONED.value
    rows = changes.filter((pl.col("to") != ended) if is_promotion else (pl.col("to") == ended))
    return [{**row, "date": row["date"].isoformat()} for row in rows.to_dicts()]


def measures_frame(measures: Mapping[str, PathMeasures]) -> pl.DataFrame:
    """Lay the measures of every path out, one row a path."""
    return pl.DataFrame([{"walk": name, **asdict(row)} for name, row in measures.items()])
