"""What a session reports when it ends: counts, book, risk and timings; no deciding here."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from instgov_dagster.adapters.journal import TornTail
from instgov_dagster.governance.state.rows import cause_to_dict
from instgov_dagster.loop.cycle import CycleDecision
from instgov_dagster.loop.live.leading.pacing import Beat
from instgov_dagster.loop.live.settling.invariants import Invariant
from instgov_dagster.vocabulary.governance import SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReport:
    """One session in numbers; money in USD, weights and CVaR fractions of net asset value.

    Attributes
    ----------
    reason_codes
        What befell the session itself: how it began, what it found, why it ended.
    torn
        The part of a frame that a killed writer left and that was cut off; None where none was.
    recovered
        Orders of an earlier session whose end was learned from the broker.
    reconciliation
        Broker and journal compared before the first cycle, one row an invariant.
    milliseconds
        Wall time of each cycle.
    ended_by
        The signal that asked for the end, or FENCED; None where the last cycle was reached.
    longest_gap_seconds
        Between the beginnings of two paced cycles, by the real clock; None where none were paced.
    """

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
    reason_codes: tuple[str, ...]
    recovered: int
    torn: Mapping[str, Any] | None = None
    reconciliation: tuple[Mapping[str, Any], ...] = ()
    ended_by: str | None = None
    longest_gap_seconds: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    milliseconds: tuple[float, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Write the report as plain JSON values, without every single cycle's time."""
        plain = asdict(self)
        del plain["milliseconds"]
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
    recovered: int = 0
    invariants: tuple[Invariant, ...] = ()
    codes: list[str] = field(default_factory=list)
    torn: dict[str, Any] | None = None

    def begin(self, torn: TornTail | None) -> dict[str, Any]:
        """Say with what the session begins: its codes, a tail that was cut, what was compared."""
        self.codes = [ReasonCode.SESSION_STARTED.value]
        if torn is not None:
            self.codes.append(ReasonCode.TORN_TAIL_CUT.value)
            names = ("segment", "offset", "bytes", "sha256")
            self.torn = {name: getattr(torn, name) for name in names}
        if self.recovered:
            self.codes.append(ReasonCode.ORDER_RECOVERED.value)
        return {
            "reason_codes": list(self.codes),
            "torn": self.torn,
            "recovered_orders": self.recovered,
            "reconciliation": [row.to_dict() for row in self.invariants],
        }

    def end(self, ended_by: str | None) -> dict[str, Any]:
        """Say how the session ends: its codes, and the signal or the fence that asked for it."""
        ends = [ReasonCode.SESSION_ENDED.value]
        if ended_by is not None:
            is_fenced = ended_by == ReasonCode.FENCED
            code = ReasonCode.FENCED if is_fenced else ReasonCode.SESSION_STOP_REQUESTED
            ends.append(code.value)
        self.codes += ends
        return {"reason_codes": ends, "ended_by": ended_by}

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
            reason_codes=tuple(self.codes),
            milliseconds=tuple(self.milliseconds),
            recovered=self.recovered,
            torn=self.torn,
            reconciliation=tuple(row.to_dict() for row in self.invariants),
            **facts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """A stretch of a session in numbers, told while it runs; milliseconds of wall time.

    ``behind_ms_max`` is how late its latest cycle began; gross, CVaR are fractions of NAV and,
    with ``nav_usd``, those of its last cycle.
    """

    cycles: int
    late: int
    orders: int
    fills: int
    cycle_ms_p50: float
    cycle_ms_p99: float
    cycle_ms_max: float
    behind_ms_max: float
    nav_usd: float
    gross: float
    cvar: float
    cvar_gate: float


class Minutes:
    """Cuts a session into stretches of real time and tells each as it ends.

    Parameters
    ----------
    tell
        Takes a stretch; it must not wait, for the next cycle does.
    every_seconds
        Real seconds of a stretch.
    """

    def __init__(
        self, tally: Tally, tell: Callable[[Minute], None], *, every_seconds: float
    ) -> None:
        self._tally = tally
        self._tell = tell
        self._every = every_seconds
        self._begun: datetime | None = None
        self._late, self._behind = 0, 0.0
        self._before = (0, 0, 0)  # cycles, orders and fills told so far

    def passed(self, now: datetime, beat: Beat | None) -> None:
        """Take in a cycle that ended, and tell the stretch if it is full.

        Parameters
        ----------
        beat
            When it was due and when it began; None where cycles follow back to back.
        """
        self._begun = self._begun or now
        if beat is not None:
            self._late += beat.is_late
            self._behind = max(self._behind, (beat.began - beat.due).total_seconds())
        if (now - self._begun).total_seconds() >= self._every:
            self.close()
            self._begun = now

    def close(self) -> None:
        """Tell what has passed since the last stretch, if anything has."""
        tally, (cycles, orders, fills) = self._tally, self._before
        last, times = tally.last, tally.milliseconds[cycles:]
        if last is None or not times:
            return
        minute = Minute(
            cycles=len(times),
            late=self._late,
            orders=tally.orders - orders,
            fills=tally.fills - fills,
            cycle_ms_p50=float(np.percentile(times, 50)),
            cycle_ms_p99=float(np.percentile(times, 99)),
            cycle_ms_max=max(times),
            behind_ms_max=1e3 * self._behind,
            nav_usd=last.valued.nav_usd,
            gross=float(np.abs(last.valued.net).sum()),
            cvar=last.risk.current,
            cvar_gate=last.risk.gate,
        )
        self._before = (len(tally.milliseconds), tally.orders, tally.fills)
        self._late, self._behind = 0, 0.0
        self._tell(minute)
