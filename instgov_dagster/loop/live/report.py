"""What a session reports when it ends: counts, book, risk and timings; no deciding here."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from instgov_dagster.governance.state.rows import cause_to_dict
from instgov_dagster.loop.cycle import CycleDecision
from instgov_dagster.vocabulary.governance import SystemState


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReport:
    """One session in numbers; money in USD, weights and CVaR fractions of net asset value."""

    session_id: str
    run_id: str
    state: SystemState
    asof: str
    cycles: int
    decisions: int
    verdicts: Mapping[str, int]
    reasons: Mapping[str, int]
    orders: int
    fills: int
    nav_usd: float | None
    gross: float | None
    cvar: float | None
    cvar_gate: float | None
    cvar_limit: float
    cycle_ms_p50: float | None
    cycle_ms_p99: float | None
    chain_head: str
    frames: int
    snapshot_id: str
    first_cycle: int
    told_hash: str | None
    started_hash: str
    measures: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Write the report as plain JSON values."""
        plain = asdict(self)
        plain["state"] = self.state.name.value
        plain["causes"] = [cause_to_dict(cause) for cause in self.state.causes]
        return plain


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts a session's cycles as they pass; the one mutable thing of a session beside its book.

    Attributes
    ----------
    milliseconds
        Wall time of each cycle; reported, never journalled.
    """

    cycles: int = 0
    decisions: int = 0
    orders: int = 0
    fills: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    last: CycleDecision | None = None

    def count(self, decision: CycleDecision, *, n_orders: int) -> None:
        """Take one cycle's decisions into the counts."""
        self.cycles += 1
        self.decisions += len(decision.decisions)
        self.orders += n_orders
        self.verdicts.update(row.decision.value for row in decision.decisions)
        self.reasons.update(code.value for row in decision.decisions for code in row.reason_codes)
        for name, value in decision.risk.measures:
            self.measures[name.value] = max(value, self.measures.get(name.value, value))
        self.last = decision

    def percentile(self, q: float) -> float | None:
        """Give a percentile of the cycles' wall times, in milliseconds."""
        return float(np.percentile(self.milliseconds, q)) if self.milliseconds else None

    def report(self, *, state: SystemState, **facts: Any) -> SessionReport:
        """Close the counts into a report; ``facts`` are its fields that no cycle tells."""
        last = self.last
        return SessionReport(
            state=state,
            cycles=self.cycles,
            decisions=self.decisions,
            verdicts=dict(sorted(self.verdicts.items())),
            reasons=dict(sorted(self.reasons.items())),
            orders=self.orders,
            fills=self.fills,
            nav_usd=last.valued.nav_usd if last else None,
            gross=float(np.abs(last.valued.net).sum()) if last else None,
            cvar=last.risk.current if last else None,
            cvar_gate=last.risk.gate if last else None,
            cycle_ms_p50=self.percentile(50),
            cycle_ms_p99=self.percentile(99),
            measures=dict(sorted(self.measures.items())),
            **facts,
        )
