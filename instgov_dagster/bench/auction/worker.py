"""One engine on one auction in a process of its own: first cold, then second by second."""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from instgov_dagster.adapters.runtime.processes.memory import peak_rss_mb
from instgov_dagster.bench.auction.arrays import (
    AuctionSize,
    Programme,
    make_instance,
    next_instance,
)
from instgov_dagster.bench.auction.engines import OURS, Answer, Engine, make_engine
from instgov_dagster.capital.auction.certificate import check_weights, objective_value
from instgov_dagster.capital.auction.instance import AuctionInstance

_WARM_UP = AuctionSize(n_bids=5, n_scenarios=40)
_DELTA_TRIES = 3
#: A first auction is over in an instant: the median of a few says more, where they take no longer
#: than this altogether.
_COLD_TRIES = 5
_COLD_SECONDS = 2.0


def measure(
    engine: str,
    size: AuctionSize,
    programme: Programme,
    *,
    n_ticks: int,
    tick_seconds: float,
    on_report: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Measure one engine: from its arrays to its weights cold, then a second at a time.

    A small auction is solved first, so that no library is loaded within a measurement. The cold
    solve is told by the median of up to five, each by a new engine on arrays made anew.

    Parameters
    ----------
    n_ticks, tick_seconds
        How many seconds are played, and the longest they may take altogether.
    on_report
        Called with what is known after the cold solve and again at the end.
    """
    make_engine(engine).solve(make_instance(_WARM_UP, programme))
    walls: list[float] = []
    cpus: list[float] = []
    while len(walls) < _COLD_TRIES and sum(walls) < _COLD_SECONDS:
        instance, solver = make_instance(size, programme), make_engine(engine)
        answer, wall, cpu = _timed(solver, instance)
        walls.append(wall)
        cpus.append(cpu)
    report: dict[str, Any] = {
        "cpu_seconds": round(float(np.median(cpus)), 6),
        "cold_ms": round(1e3 * float(np.median(walls)), 3),
        "objective": objective_value(instance, answer.weights),
        "gap": answer.gap,
        "violation": _violation(instance, answer),
        "status": answer.status,
        "rss_mb": round(peak_rss_mb(), 1),
    }
    on_report(report)
    report |= _ticks(solver, instance, size, answer.gap, report["violation"], n_ticks, tick_seconds)
    if engine == OURS and programme is Programme.FULL:
        report["deltas_ms"] = round(_deltas_ms(instance, answer), 3)
    report["rss_mb"] = round(peak_rss_mb(), 1)
    on_report(report)
    return report


def _ticks(
    solver: Engine,
    instance: AuctionInstance,
    size: AuctionSize,
    gap: float | None,
    violation: float,
    n_ticks: int,
    tick_seconds: float,
) -> dict[str, Any]:
    walls: list[float] = []
    cpus: list[float] = []
    gaps = [gap]
    worst = violation
    while len(walls) < n_ticks and sum(walls) < tick_seconds:
        instance = next_instance(instance, size, len(walls))
        answer, wall, cpu = _timed(solver, instance)
        walls.append(wall)
        cpus.append(cpu)
        gaps.append(answer.gap)
        worst = max(worst, _violation(instance, answer))
    milliseconds = 1e3 * np.array(walls)
    return {
        "tick_ms_p50": round(float(np.quantile(milliseconds, 0.50)), 3),
        "tick_ms_p99": round(float(np.quantile(milliseconds, 0.99)), 3),
        "tick_cpu_ms_p50": round(1e3 * float(np.median(cpus)), 3),
        "ticks": len(walls),
        "gap": _worst_gap(gaps),
        "violation": worst,
    }


def _worst_gap(gaps: list[float | None]) -> float | None:
    known = [gap for gap in gaps if gap is not None]
    return max(known) if len(known) == len(gaps) else None


def _timed(solver: Engine, instance: AuctionInstance) -> tuple[Answer, float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    answer = solver.solve(instance)
    return answer, time.perf_counter() - wall, time.process_time() - cpu


def _violation(instance: AuctionInstance, answer: Answer) -> float:
    return max((found.excess for found in check_weights(instance, answer.weights)), default=0.0)


def _deltas_ms(instance: AuctionInstance, answer: Answer) -> float:
    from instgov_dagster.bench.auction.ours import finite_deltas

    times = []
    for _ in range(_DELTA_TRIES):
        before = time.perf_counter()
        finite_deltas(instance, answer.weights)
        times.append(time.perf_counter() - before)
    return 1e3 * min(times)


def main(arguments: list[str]) -> None:
    """Measure what the command line names and print one JSON object a report, one a line."""
    engine, programme, n_bids, n_scenarios, n_ticks, tick_seconds = arguments
    warnings.simplefilter("ignore")
    stdout = os.dup(1)
    os.dup2(2, 1)  # some libraries print what they do

    def tell(report: dict[str, Any]) -> None:
        os.write(stdout, json.dumps(report).encode() + b"\n")

    measure(
        engine,
        AuctionSize(n_bids=int(n_bids), n_scenarios=int(n_scenarios)),
        Programme(programme),
        n_ticks=int(n_ticks),
        tick_seconds=float(tick_seconds),
        on_report=tell,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
