"""The targets of the auction and what the bench's rows say of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from instgov_dagster.bench.auction.arrays import Programme
from instgov_dagster.bench.auction.command import N_SCENARIOS
from instgov_dagster.bench.auction.engines import ENGINES, OURS

Row = Mapping[str, Any]

_SIMPLE, _FULL = Programme.SIMPLE.value, Programme.FULL.value
_TWO = Programme.FULL_TWO_MEASURES.value


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetVerdict:
    """One target, what was measured, and whether it is met; None where it was not measured."""

    target: str
    measured: float | None
    is_met: bool | None


def judge_targets(rows: Sequence[Row]) -> tuple[TargetVerdict, ...]:
    """Judge every target on the rows of one run.

    Parameters
    ----------
    rows
        Of `bench_auction`.
    """
    return tuple(_verdict(target, rows) for target in _TARGETS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    # A number taken from the rows, and the most or the least it may be.
    text: str
    measure: Callable[[Sequence[Row]], float | None]
    most: float | None = None
    least: float | None = None


def _verdict(target: _Target, rows: Sequence[Row]) -> TargetVerdict:
    value = target.measure(rows)
    if value is None:
        return TargetVerdict(target=target.text, measured=None, is_met=None)
    within = target.most is None or value <= target.most
    reached = target.least is None or value >= target.least
    return TargetVerdict(target=target.text, measured=value, is_met=within and reached)


def _find(rows: Sequence[Row], engine: str, programme: str, n: int, s: int) -> Row | None:
    key = (engine, programme, n, s)
    return next((r for r in rows if (r["engine"], r["programme"], r["n"], r["s"]) == key), None)


def _value(
    name: str, n: int, programme: str = _FULL, s: int = N_SCENARIOS
) -> Callable[[Sequence[Row]], float | None]:
    def measure(rows: Sequence[Row]) -> float | None:
        row = _find(rows, OURS, programme, n, s)
        return None if row is None else row[name]

    return measure


def _quotient(
    name: str, above: tuple[str, str, int], below: tuple[str, str, int], n: int
) -> Callable[[Sequence[Row]], float | None]:
    def measure(rows: Sequence[Row]) -> float | None:
        over = _find(rows, above[0], above[1], n, above[2])
        under = _find(rows, below[0], below[1], n, below[2])
        if over is None or under is None or over[name] is None or not under[name]:
            return None
        return float(over[name] / under[name])

    return measure


def _worst_gap(rows: Sequence[Row]) -> float | None:
    ours = [row["gap"] for row in rows if row["engine"] == OURS]
    if not ours:
        return None
    return float("inf") if None in ours else float(max(ours))


def _worst_difference(rows: Sequence[Row]) -> float | None:
    found = [
        row["objective_difference"]
        for row in rows
        if row["engine"] != OURS
        and ENGINES[row["engine"]].is_exact
        and row["objective_difference"] is not None
    ]
    return max(found, default=None)


_S: Final = N_SCENARIOS
_TARGETS: Final = (
    _Target(text="worst certificate gap ≤ 1e-9", measure=_worst_gap, most=1e-9),
    _Target(text="distance from the exact peers ≤ 1e-9", measure=_worst_difference, most=1e-9),
    _Target(text="N = 500: cold < 50 ms", measure=_value("cold_ms", 500), most=50.0),
    _Target(text="N = 500: tick p99 < 10 ms", measure=_value("tick_ms_p99", 500), most=10.0),
    _Target(text="N = 3000: cold < 300 ms", measure=_value("cold_ms", 3000), most=300.0),
    _Target(text="N = 3000: tick p99 < 50 ms", measure=_value("tick_ms_p99", 3000), most=50.0),
    _Target(text="N = 3000: memory < 500 MB", measure=_value("rss_mb", 3000), most=500.0),
    _Target(
        text="N = 500: ≥ 40 × less CPU cold than cvxpy+HIGHS, whole programme",
        measure=_quotient("cpu_seconds", ("cvxpy+HIGHS", _FULL, _S), (OURS, _FULL, _S), 500),
        least=40.0,
    ),
    _Target(
        text="N = 500: ≥ 40 × less CPU cold than cvxpy+HIGHS, simple programme",
        measure=_quotient("cpu_seconds", ("cvxpy+HIGHS", _SIMPLE, _S), (OURS, _SIMPLE, _S), 500),
        least=40.0,
    ),
    _Target(
        text="N = 500: ≥ 100 × less CPU cold than skfolio's default",
        measure=_quotient("cpu_seconds", ("skfolio", _SIMPLE, _S), (OURS, _SIMPLE, _S), 500),
        least=100.0,
    ),
    _Target(
        text="N = 500: a tick at S = 5000 takes at most twice that at 1260",
        measure=_quotient("tick_cpu_ms_p50", (OURS, _FULL, 5000), (OURS, _FULL, _S), 500),
        most=2.0,
    ),
    _Target(
        text="N = 500: a second slack measure costs < 30 % of a tick more",
        measure=_quotient("tick_cpu_ms_p50", (OURS, _TWO, _S), (OURS, _FULL, _S), 500),
        most=1.3,
    ),
    _Target(text="500 finite deltas ≤ 50 ms", measure=_value("deltas_ms", 500), most=50.0),
)
