"""`instgov bench auction`: every engine on every size, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from instgov_dagster.bench.auction.arrays import AuctionSize, Programme
from instgov_dagster.bench.auction.engines import ENGINES, OURS, is_installed, version_of
from instgov_dagster.bench.ingest.command import BenchFailed
from instgov_dagster.vocabulary.errors import InputError

DEFAULT_SIZES: Final = (50, 100, 500, 1000, 3000)
PEER_SECONDS: Final = 60.0
N_SCENARIOS: Final = 1260
#: Ours once more at one size, to see what more scenarios cost.
SCENARIO_SIZE: Final = 500
MORE_SCENARIOS: Final = (2500, 5000)
#: Ours is judged by its slowest hundredth; for a peer the median says enough.
N_TICKS: Final = 300
PEER_TICKS: Final = 30
TICK_SECONDS: Final = 10.0

_MEASURES: Final = (
    "cpu_seconds",
    "cold_ms",
    "tick_ms_p50",
    "tick_ms_p99",
    "tick_cpu_ms_p50",
    "ticks",
    "objective",
    "gap",
    "violation",
    "deltas_ms",
    "rss_mb",
    "status",
)
_ONE_THREAD: Final = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    # One measurement: an engine, what it solves and how large.
    engine: str
    programme: Programme
    size: AuctionSize


def bench_auction(
    sizes: Sequence[int] = DEFAULT_SIZES,
    *,
    n_scenarios: int = N_SCENARIOS,
    engines: Sequence[str] = tuple(ENGINES),
    peer_seconds: float = PEER_SECONDS,
    n_ticks: int = N_TICKS,
    tick_seconds: float = TICK_SECONDS,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Measure the auction at each size, ours and every peer's, on the same arrays.

    Parameters
    ----------
    sizes
        Numbers of bids, one symbol each.
    peer_seconds
        What a peer may take for one size, its imports included; past it its row says
        ``timed_out`` and keeps what was known by then.
    n_ticks, tick_seconds
        The seconds played after the cold solve, a peer at most `PEER_TICKS`, and the longest they
        may take altogether.
    on_row
        Called with each row as soon as it is known.

    Returns
    -------
    list[dict[str, Any]]
        One row an engine, programme and size, ours first. ``objective`` is of the weights an
        engine gave, by our own arithmetic; ``objective_difference`` its distance from ours;
        ``violation`` by how much the weights break a limit; ``gap`` the worst certificate;
        ``note`` why there is nothing to tell.

    Raises
    ------
    InputError
        If a size is no whole number from 1 to 99999.
    BenchFailed
        If our own engine ends with an error.
    """
    rows: list[dict[str, Any]] = []
    ours: dict[tuple[str, int, int], dict[str, Any]] = {}
    for plan in _plans(sizes, n_scenarios, engines):
        row = _measured(plan, peer_seconds, n_ticks, tick_seconds)
        key = (row["programme"], row["n"], row["s"])
        if plan.engine == OURS:
            ours[key] = row
        row["objective_difference"] = _difference(row, ours.get(key))
        rows.append(row)
        if on_row is not None:
            on_row(row)
    return sorted(rows, key=_ours_first)


def _plans(sizes: Sequence[int], n_scenarios: int, engines: Sequence[str]) -> Iterator[_Plan]:
    for n in sorted(set(sizes)):
        size = _size(n, n_scenarios)
        for engine in engines:
            yield _Plan(engine=engine, programme=Programme.SIMPLE, size=size)
        for engine in engines:
            if ENGINES[engine].solves_full:
                yield _Plan(engine=engine, programme=Programme.FULL, size=size)
        if OURS in engines:
            yield _Plan(engine=OURS, programme=Programme.FULL_TWO_MEASURES, size=size)
        if n == SCENARIO_SIZE and OURS in engines:
            for more in MORE_SCENARIOS:
                yield _Plan(engine=OURS, programme=Programme.FULL, size=_size(n, more))


def _size(n: int, n_scenarios: int) -> AuctionSize:
    if isinstance(n, bool) or not isinstance(n, int):
        raise InputError(f"sizes must be whole numbers, was {n!r}")
    try:
        return AuctionSize(n_bids=n, n_scenarios=n_scenarios)
    except ValueError as error:
        raise InputError(f"sizes: {error}") from error


def _measured(
    plan: _Plan, peer_seconds: float, n_ticks: int, tick_seconds: float
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "engine": plan.engine,
        "programme": plan.programme.value,
        "n": plan.size.n_bids,
        "s": plan.size.n_scenarios,
        "version": version_of(plan.engine),
        **dict.fromkeys(_MEASURES),
        "timed_out": False,
        "note": None,
    }
    if not is_installed(plan.engine):
        return row | {"note": "not installed"}
    limit = None if plan.engine == OURS else peer_seconds
    ticks = n_ticks if plan.engine == OURS else min(n_ticks, PEER_TICKS)
    command = [sys.executable, "-m", "instgov_dagster.bench.auction.worker", plan.engine]
    command += [plan.programme.value, str(plan.size.n_bids), str(plan.size.n_scenarios)]
    command += [str(ticks), str(tick_seconds)]
    environment = os.environ | dict.fromkeys(_ONE_THREAD, "1")
    try:
        done = subprocess.run(  # noqa: S603  # our own module and numbers
            command, capture_output=True, timeout=limit, check=False, env=environment
        )
    except subprocess.TimeoutExpired as expired:
        return row | _last_report(expired.stdout) | {"timed_out": True}
    if done.returncode != 0:
        last = " ".join(done.stderr.decode(errors="replace").strip().splitlines()[-1:])
        if plan.engine == OURS:
            raise BenchFailed(f"{plan.engine} at {plan.size.n_bids} bids failed: {last}")
        return row | _last_report(done.stdout) | {"note": f"failed: {last}"}
    return row | _last_report(done.stdout)


def _last_report(output: bytes | None) -> dict[str, Any]:
    lines = [line for line in (output or b"").splitlines() if line.endswith(b"}")]
    report: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return report


def _difference(row: dict[str, Any], ours: dict[str, Any] | None) -> float | None:
    if ours is None or row["objective"] is None or ours["objective"] is None:
        return None
    return abs(float(row["objective"]) - float(ours["objective"]))


def _ours_first(row: dict[str, Any]) -> tuple[bool, int, int, int]:
    order = list(Programme)
    is_more = row["s"] if row["engine"] == OURS else 0
    return (row["engine"] != OURS, is_more, order.index(Programme(row["programme"])), row["n"])
