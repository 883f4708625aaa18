"""`instgov bench live`: governed sessions of several sizes, and one new process a cycle."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from instgov_dagster.adapters.journal import read_frames, unbundle
from instgov_dagster.adapters.runtime import Home, RealClock
from instgov_dagster.bench.ingest.command import BenchFailed
from instgov_dagster.loop.live.frames import CYCLE_KIND
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import Chain

OURS: Final = "instgov"
PLAIN: Final = "process+cvxpy+duckdb"
STRATEGIES: Final = 6
DEFAULT_SIZES: Final = (360, 3000, 18_000)
DEFAULT_SECONDS: Final = 120.0
PEER_SECONDS: Final = 60.0
_PLAIN_CYCLES: Final = 5
_MIB: Final = 1024.0 * 1024.0
# What comes before this share of a session is warming up.
_WARM_UP: Final = 0.25
_ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")

#: What every row states; null where an engine does not do that part.
MEASURES: Final = (
    "cycles", "cold_ms", "cycle_ms_p50", "cycle_ms_p99", "cycle_ms_p999", "cycle_ms_max",
    "journal_ms_p50", "journal_ms_p99", "frame_bytes", "gaps", "gap_s_max", "cpu_ms_p50",
    "cpu_ms_p99", "cpu_percent", "rss_mb", "rss_start_mb", "rss_end_mb",
    "rss_growth_percent_an_hour", "orders", "fills", "gross", "cvar_gate", "state",
    "same_decisions",
)  # fmt: skip


def bench_live(
    sizes: Sequence[int] = DEFAULT_SIZES,
    *,
    seconds: float = DEFAULT_SECONDS,
    period_seconds: float = 1.0,
    peer_seconds: float = PEER_SECONDS,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Lead one session for each size, then decide its first cycles the plain way.

    Parameters
    ----------
    sizes
        Numbers of bids, six strategies a symbol.
    seconds
        How long a session leads.
    period_seconds
        Seconds between its cycles; 0 runs ``seconds`` cycles back to back.
    peer_seconds
        What the plain way may take for one size; past it its row says ``timed_out``.
    on_row
        Called with each row as soon as it is known.

    Returns
    -------
    list[dict[str, Any]]
        One row an engine and size, ours first: engine, n (bids), symbols, `MEASURES`, timed_out,
        note. ``rss_growth_percent_an_hour`` is extrapolated from the session's last three
        quarters; ``same_decisions`` is the share of symbols the plain way decides alike.

    Raises
    ------
    InputError
        If a size is no multiple of six from 48 to 60000, or the seconds are fewer than 4.
    BenchFailed
        If the night or our session ends with an error.
    """
    for n in sizes:
        if isinstance(n, bool) or not isinstance(n, int) or n % STRATEGIES:
            raise InputError(f"sizes must be whole multiples of {STRATEGIES}, was {n!r}")
        if not 8 * STRATEGIES <= n <= 10_000 * STRATEGIES:
            raise InputError(f"sizes must be from 48 to 60000, was {n}")
    if not seconds >= 4.0:
        raise InputError(f"seconds must be >= 4, was {seconds!r}")
    rows = []
    for n in sizes:
        with tempfile.TemporaryDirectory(prefix="instgov-bench-") as scratch:
            for row in _size(Path(scratch), n, seconds, period_seconds, peer_seconds):
                rows.append(row)
                if on_row is not None:
                    on_row(row)
    return sorted(rows, key=lambda row: row["engine"] != OURS)


def _size(
    root: Path, n: int, seconds: float, period: float, peer_seconds: float
) -> Iterator[dict[str, Any]]:
    symbols = n // STRATEGIES
    _finished(_start("prepare", root, symbols), f"the night of {symbols} symbols")
    cycles = max(int(seconds / (period or 1.0)), 4)
    worker = _start("lead", root, symbols, cycles, period)
    watched = _watch(worker, Home(root / "home").heartbeat)
    told = _finished(worker, f"the session of {symbols} symbols")
    head = {"n": n, "symbols": symbols, **dict.fromkeys(MEASURES), "timed_out": False}
    note = f"{period:g} s between cycles" if period else "back to back"
    yield {"engine": OURS} | head | told | watched | {"note": f"{note}, no GARCH fitted"}
    decided = _first_decisions(root)
    yield {"engine": PLAIN} | head | _plain(root, symbols, decided, peer_seconds)


def _start(
    what: str, root: Path, symbols: int, cycles: int = 0, period: float = 0.0
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "instgov_dagster.bench.live.worker", what, str(root)]
    command += [str(symbols), str(cycles), str(period)]
    environment = os.environ | dict.fromkeys(_ONE_THREAD, "1")
    return subprocess.Popen(  # noqa: S603  # our own module and numbers
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


def _finished(worker: subprocess.Popen[bytes], what: str) -> dict[str, Any]:
    out, errors = worker.communicate()
    if worker.returncode != 0:
        last = " ".join(errors.decode(errors="replace").strip().splitlines()[-1:])
        raise BenchFailed(f"{what} failed: {last}")
    told: dict[str, Any] = json.loads(out.splitlines()[-1])
    return told


def _watch(worker: subprocess.Popen[bytes], heartbeat: Path) -> dict[str, Any]:
    # From outside, so that watching costs the session nothing; once a second while it beats. What
    # follows its last cycle reads the whole chain back, once, and is no part of the loop.
    held: list[tuple[float, float]] = []
    clock = RealClock()
    while True:
        resident = _resident_mb(worker.pid)
        if resident is not None and heartbeat.exists():
            held.append((clock.now().timestamp(), resident))
        try:
            worker.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            continue
        break
    last = heartbeat.stat().st_mtime if heartbeat.exists() else 0.0
    beating = [(at, resident) for at, resident in held if at <= last]
    if len(beating) < 4:  # a system without /proc, or a session of seconds
        return {}
    return memory_of(np.array(beating))


def memory_of(held: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> dict[str, float]:
    """Summarise resident memory over a run: start and end after warming up, peak, growth.

    Parameters
    ----------
    held
        Shape ``(k, 2)``: seconds, and MiB resident then; at least four rows.

    Returns
    -------
    The growth is the slope of a straight line through all that follows the first quarter, in
    percent of its start, for an hour: an extrapolation, where less than an hour was watched.
    """
    warm = held[held[:, 0] >= held[0, 0] + _WARM_UP * (held[-1, 0] - held[0, 0])]
    slope = float(np.polyfit(warm[:, 0] - warm[0, 0], warm[:, 1], 1)[0])
    return {
        "rss_mb": float(held[:, 1].max()),
        "rss_start_mb": float(warm[0, 1]),
        "rss_end_mb": float(warm[-1, 1]),
        "rss_growth_percent_an_hour": 100.0 * 3600.0 * slope / float(warm[0, 1]),
    }


def _resident_mb(pid: int) -> float | None:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB or None


def _first_decisions(root: Path) -> dict[str, str]:
    for frame in read_frames(root / "home" / "journal", Chain.LOOP.value, key=None):
        if frame.kind == CYCLE_KIND:
            rows = unbundle(frame.table())["governance_decisions"]
            names = (rows[column].to_pylist() for column in ("symbol", "decision"))
            return dict(zip(*names, strict=True))
    raise BenchFailed("the session decided nothing")


def _plain(
    root: Path, symbols: int, decided: dict[str, str], peer_seconds: float
) -> dict[str, Any]:
    taken: list[float] = []
    said: dict[str, str] = {}
    began = time.monotonic()
    is_late = False
    while len(taken) < _PLAIN_CYCLES and not is_late:
        worker, begun = _start("plain", root, symbols, len(taken)), time.perf_counter()
        try:
            worker.wait(timeout=max(peer_seconds - (time.monotonic() - began), 0.1))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.communicate()
            is_late = True
            break
        taken.append(1e3 * (time.perf_counter() - begun))
        told = _finished(worker, "the plain way")
        said = said or told["decided"]
        is_late = time.monotonic() - began > peer_seconds
    row: dict[str, Any] = {
        "cycles": len(taken),
        "timed_out": is_late,
        "note": "one process a cycle, the same night, quotes and gates",
    }
    if taken:
        row |= {
            "cycle_ms_p50": float(np.median(taken)),
            "cycle_ms_p99": float(np.quantile(taken, 0.99)),
            "cycle_ms_max": max(taken),
            "same_decisions": float(np.mean([said[s] == d for s, d in decided.items()])),
        }
    return row
