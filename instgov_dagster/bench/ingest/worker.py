"""One engine in a process of its own, so that its memory and its time are nobody else's."""

import importlib
import json
import os
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from instgov_dagster.adapters.runtime.processes.memory import peak_rss_mb

OURS = "instgov"
PEER = "pandas-sqlite"
ENGINES = (OURS, PEER)
_MODULES = {OURS: "ours", PEER: "peer"}


def measure(engine: str, folder: Path, home: Path, *, asof: date) -> dict[str, Any]:
    """Run two nights on the same bars and report time, processor, memory and rows.

    Raises
    ------
    ValueError
        If the engine is not one of `ENGINES`.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, was {engine!r}")
    # Only the engine's own module is loaded: the other's libraries are not its memory.
    module = importlib.import_module(f"instgov_dagster.bench.ingest.{_MODULES[engine]}")
    before = time.process_time()
    first = module.run_night(folder, home, asof=asof, run_id="night-1")
    cpu_seconds = time.process_time() - before
    second = module.run_night(folder, home, asof=asof, run_id="night-2")
    row: dict[str, Any] = {
        "seconds": round(first.seconds, 3),
        "second_seconds": round(second.seconds, 3),
        "rows": first.rows_added,
        "second_rows": second.rows_added,
        "cpu_seconds": round(cpu_seconds, 3),
        "rss_mb": round(peak_rss_mb(), 1),
        "matrix_ms": None,
    }
    if engine == OURS:
        whole = sorted(name for name, score in first.scores.items() if score == 1.0)
        row["matrix_ms"] = round(module.time_matrix(home, whole, asof=asof), 1)
    return row


def main(arguments: list[str]) -> None:
    """Measure what the command line names and print one JSON object."""
    engine, folder, home, asof = arguments
    report = measure(engine, Path(folder), Path(home), asof=date.fromisoformat(asof))
    os.write(1, json.dumps(report).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
