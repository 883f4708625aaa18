"""`instgov bench shards`: a night's bars by several workers beside one, on a provider that is late.

Each process asks for as many symbols at a time as the policy says, and all of them together keep
the rate of the policy. The provider is this program's own on loopback; it counts by itself.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from instgov_dagster.adapters.runtime import RealClock
from instgov_dagster.adapters.runtime.shards import MAX_SHARDS, SHARDS_VARIABLE, all_shards
from instgov_dagster.bench.ingest.command import BenchFailed
from instgov_dagster.bench.ingest.shard_worker import NIGHT
from instgov_dagster.bench.ingest.wire import LateProvider, ProviderLimit
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy

DEFAULT_SIZES: Final = (5000,)
#: A Saturday, and an hour at which the live market may be ingested.
ASOF: Final = date(2025, 6, 28)
INSTANT: Final = datetime(2025, 6, 28, 7, tzinfo=UTC)
#: 80 a second, seen over ten: the policy's rate below leaves room for answers that bunch.
LIMIT: Final = ProviderLimit(requests=800, window_seconds=10.0)
_MODULE: Final = "instgov_dagster.bench.ingest.shard_worker"
_KEYS: Final = {
    "ALPACA_API_KEY_ID": "loopback",
    "ALPACA_API_SECRET_KEY": "loopback",
    "POLYGON_API_KEY": "loopback",
    "POLYGON_MAX_HISTORY_DAYS": "5000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One measurement: so many symbols, workers, and a provider so late.

    Attributes
    ----------
    rate
        Requests a minute that the policy allows all workers together.
    limit
        What the provider itself allows.
    """

    n_symbols: int
    workers: int = 4
    n_sessions: int = 252
    latency_seconds: float = 0.2
    rate: float = 4_500.0
    limit: ProviderLimit = LIMIT

    def __post_init__(self) -> None:
        if not 1 <= self.n_symbols <= 99_999:
            raise InputError(f"sizes must be from 1 to 99999, was {self.n_symbols}")
        if not 2 <= self.workers <= MAX_SHARDS:
            raise InputError(f"workers must be from 2 to {MAX_SHARDS}, were {self.workers}")


def bench_shards(
    sizes: Sequence[int] = DEFAULT_SIZES,
    *,
    workers: int = 4,
    latency_seconds: float = 0.2,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Measure one night's bars by one process and by several, for each size.

    Returns
    -------
    list[dict[str, Any]]
        Two rows a size, several workers first: engine, n, workers, fill_seconds (until the archive
        is full; None for one process, which appends as well), seconds (until the bars stand in the
        warehouse), rows, requests, refused (429), most_in_window, limit, and ratio (the one
        process's seconds over its own).

    Raises
    ------
    InputError
        If a size or the number of workers is out of its bounds.
    BenchFailed
        If a process ends with an error.
    """
    rows: list[dict[str, Any]] = []
    for n in sizes:
        wanted = Wanted(n_symbols=n, workers=workers, latency_seconds=latency_seconds)
        for row in compare(wanted):
            rows.append(row)
            if on_row is not None:
                on_row(row)
    return rows


def compare(wanted: Wanted) -> list[dict[str, Any]]:
    """Measure several workers, then one process, each on a home and a provider of its own."""
    several, one = (_measured(wanted, workers) for workers in (wanted.workers, 1))
    if several["rows"] != one["rows"]:
        raise BenchFailed(f"{several['rows']} bars came in shards, {one['rows']} by one process")
    return [row | {"ratio": round(one["seconds"] / row["seconds"], 2)} for row in (several, one)]


def _measured(wanted: Wanted, workers: int) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="instgov-bench-") as scratch,
        provider_of(wanted) as provider,
    ):
        crew = Crew.hired(Path(scratch), wanted, provider.url, shards=workers)
        started = time.perf_counter()
        filled: float | None = None
        if workers > 1:
            finish([crew.start(shard.key) for shard in all_shards(workers)])
            filled = round(time.perf_counter() - started, 3)
        ((night,),) = finish([crew.start(NIGHT)])
        seconds = round(time.perf_counter() - started, 3)
        return {
            "engine": "instgov-shards" if workers > 1 else "instgov-one-process",
            "n": wanted.n_symbols,
            "workers": workers,
            "fill_seconds": filled,
            "seconds": seconds,
            "rows": night["added"],
            "requests": len(provider.journal),
            "refused": provider.refused(),
            "most_in_window": provider.most_in_a_window(),
            "limit": wanted.limit.requests,
        }


def provider_of(wanted: Wanted) -> LateProvider:
    """Make the provider of a measurement."""
    return LateProvider(
        asof=ASOF,
        n_sessions=wanted.n_sessions,
        latency_seconds=wanted.latency_seconds,
        limit=wanted.limit,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """The workers of one home: their folder, their environment, their common clock."""

    folder: Path
    environment: dict[str, str]
    shift_seconds: float

    @classmethod
    def hired(cls, folder: Path, wanted: Wanted, url: str, *, shards: int) -> "Crew":
        """Write the rules of an installation that asks one provider, and set its clock."""
        rates = dict(ProviderPolicy().requests_per_minute) | {"polygon": wanted.rate}
        policy = {"providers": {"broker": "embedded", "requests_per_minute": rates}}
        universe = {
            "symbols": [
                {"symbol": f"S{place:05d}", "sector": "UNKNOWN"}
                for place in range(wanted.n_symbols)
            ]
        }
        config = folder / "config"
        config.mkdir(parents=True)
        for name, value in (("policy", policy), ("universe", universe)):
            (config / f"{name}.yaml").write_text(yaml.safe_dump(value), encoding="utf-8")
        own = {"INSTGOV_POLYGON_URL": url, SHARDS_VARIABLE: str(shards)}
        outer = {n: v for n, v in os.environ.items() if not n.startswith("INSTGOV_")}
        return cls(
            folder=folder,
            environment={**outer, **_KEYS, **own},
            shift_seconds=(INSTANT - RealClock().now()).total_seconds(),
        )

    def start(self, *whats: str) -> "subprocess.Popen[bytes]":
        """Start one worker on shards, or on the night."""
        words = [str(self.folder), ASOF.isoformat(), str(self.shift_seconds), *whats]
        return subprocess.Popen(  # noqa: S603  # our own module and words
            [sys.executable, "-m", _MODULE, *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def finish(workers: Sequence["subprocess.Popen[bytes]"]) -> list[list[dict[str, Any]]]:
    """Wait for workers and give what they told.

    Raises
    ------
    BenchFailed
        With the last line of one that failed, once all have ended.
    """
    told = [(worker, *worker.communicate()) for worker in workers]
    for worker, _, errors in told:
        if worker.returncode != 0:
            last = errors.decode(errors="replace").strip().splitlines()[-1:]
            raise BenchFailed(f"a worker failed with {worker.returncode}: {' '.join(last)}")
    return [json.loads(out) for _, out, _ in told]
