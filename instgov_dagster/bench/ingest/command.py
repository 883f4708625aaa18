"""`instgov bench ingest`: files to score to store, ours beside pandas on sqlite, in one run."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from instgov_dagster.bench.ingest.worker import OURS, PEER
from instgov_dagster.bench.synthetic_bars import SyntheticBars, write_bars
from instgov_dagster.vocabulary.errors import InputError, InstgovError

PEER_SYMBOLS = 500
PEER_SECONDS = 60.0
DEFAULT_SIZES = (5000,)


class BenchFailed(InstgovError):  # noqa: N818  # a state of the world, like its siblings
    """An engine of the bench ended with an error of its own."""


def bench_ingest(
    sizes: Sequence[int] = DEFAULT_SIZES,
    *,
    n_sessions: int = 1260,
    peer_symbols: int = PEER_SYMBOLS,
    peer_seconds: float = PEER_SECONDS,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Measure two nights of ingestion for each size, and the peer at one small size.

    Parameters
    ----------
    sizes
        Numbers of symbols; ours is measured at ``peer_symbols`` as well, for the comparison.
    peer_seconds
        What the peer may take; past it its row says ``timed_out``.
    on_row
        Called with each row as soon as it is known.

    Returns
    -------
    list[dict[str, Any]]
        One row an engine and size, ours first: engine, n, s (sessions a symbol), seconds,
        second_seconds, rows, second_rows, cpu_seconds, rss_mb, matrix_ms, timed_out.

    Raises
    ------
    InputError
        If a size is no whole number from 1 to 99999.
    BenchFailed
        If an engine ends with an error.
    """
    wanted = sorted({*sizes, peer_symbols})
    plans = [_plan(n, n_sessions) for n in wanted]
    rows = []
    for plan in plans:
        with tempfile.TemporaryDirectory(prefix="instgov-bench-") as scratch:
            bars = Path(scratch) / "bars"
            write_bars(bars, plan)
            engines = (OURS, PEER) if plan.n_symbols == peer_symbols else (OURS,)
            for engine in engines:
                limit = peer_seconds if engine == PEER else None
                row = _measured(engine, plan, bars, Path(scratch) / engine, limit)
                rows.append(row)
                if on_row is not None:
                    on_row(row)
    return sorted(rows, key=_ours_first)


def _plan(n: int, n_sessions: int) -> SyntheticBars:
    if isinstance(n, bool) or not isinstance(n, int):
        raise InputError(f"sizes must be whole numbers, was {n!r}")
    try:
        return SyntheticBars(n_symbols=n, n_sessions=n_sessions)
    except ValueError as e:
        raise InputError(f"sizes: {e}") from e


def _measured(
    engine: str, plan: SyntheticBars, bars: Path, home: Path, limit: float | None
) -> dict[str, Any]:
    home.mkdir()
    head = {"engine": engine, "n": plan.n_symbols, "s": plan.n_sessions}
    command = [sys.executable, "-m", "instgov_dagster.bench.ingest.worker"]
    command += [engine, str(bars), str(home), plan.asof.isoformat()]
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit, check=False)  # noqa: S603  # our own module and paths
    except subprocess.TimeoutExpired:
        return head | dict.fromkeys(_MEASURES) | {"timed_out": True}
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise BenchFailed(f"{engine} at {plan.n_symbols} symbols failed: {' '.join(last)}")
    report = json.loads(done.stdout)
    return head | {name: report[name] for name in _MEASURES} | {"timed_out": False}


_MEASURES = (
    "seconds",
    "second_seconds",
    "rows",
    "second_rows",
    "cpu_seconds",
    "rss_mb",
    "matrix_ms",
)


def _ours_first(row: dict[str, Any]) -> tuple[bool, int]:
    return (row["engine"] != OURS, row["n"])
