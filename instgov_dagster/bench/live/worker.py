"""The processes of the live bench: the night, our session, one cycle the plain way."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from instgov_dagster.bench.live.world import LiveWorld, write_world
from instgov_dagster.loop.platform import Platform, Settings, open_platform
from instgov_dagster.vocabulary.bars import Market


def open_home(root: Path) -> Platform:
    """Open the installation of one bench."""
    settings = Settings(home=root / "home", market=Market.FILES, bars=root / "bars")
    return open_platform(settings, {})


def prepare(root: Path, world: LiveWorld) -> dict[str, Any]:
    """Write the market and publish its night; tell how long each took."""
    from instgov_dagster.bench.live.night import publish_night

    begun = time.perf_counter()
    write_world(root / "bars", world)
    written = time.perf_counter()
    publish_night(open_home(root), world.asof)
    return {"world_s": written - begun, "night_s": time.perf_counter() - written}


def lead(root: Path, world: LiveWorld, *, cycles: int, period_seconds: float) -> dict[str, Any]:
    """Lead one session of the true path and measure it.

    Returns
    -------
    Times in milliseconds. The first cycle is told apart: it loads and builds what stays hot. All
    others are in the percentiles, also those where the solver starts cold.
    """
    from instgov_dagster.bench.live.clocked import FRAMES, clocked
    from instgov_dagster.loop.session import run_session

    platform = clocked(open_home(root))
    report = run_session(
        platform, world.asof, cycles=cycles, period_seconds=period_seconds, run_id="bench"
    )
    first, *others = report.milliseconds
    taken = np.array(others)
    at, journal, sizes, cpu = (np.array(column) for column in zip(*FRAMES, strict=True))
    between, used = np.diff(at), np.diff(cpu)  # from frame to frame: everything is in it
    late = period_seconds if period_seconds > 0.0 else np.inf
    return {
        "cycles": report.cycles,
        "cold_ms": first,
        **{name: float(np.quantile(taken, q)) for name, q in _QUANTILES.items()},
        "cycle_ms_max": float(taken.max()),
        "journal_ms_p50": float(np.quantile(journal[1:], 0.5)),
        "journal_ms_p99": float(np.quantile(journal[1:], 0.99)),
        "frame_bytes": int(np.median(sizes)),
        "gaps": int((between[1:] > _GAP_PERIODS * late).sum()),
        "gap_s_max": float(between[1:].max()),
        "cpu_ms_p50": float(np.quantile(used, 0.5)),
        "cpu_ms_p99": float(np.quantile(used, 0.99)),
        "cpu_percent": float(used.sum() / between.sum() / 10.0),
        "state": report.state.name.value,
        "orders": report.orders,
        "fills": report.fills,
        "gross": report.gross,
        "cvar_gate": report.cvar_gate,
    }


_QUANTILES = {"cycle_ms_p50": 0.5, "cycle_ms_p99": 0.99, "cycle_ms_p999": 0.999}
# A frame later than one period and a half after the one before it is a gap.
_GAP_PERIODS = 1.5


def decide_plainly(root: Path, world: LiveWorld, number: int) -> dict[str, Any]:
    """Decide one cycle as a job would that starts anew every second: read, solve, insert, end.

    The same night, the same quotes, the same gates; the auction is written out in cvxpy, and the
    decisions go to DuckDB. The book is empty: what it held would have to be read as well.
    """
    from dataclasses import replace

    import duckdb

    from instgov_dagster.adapters.markets.quote_stream import SessionSpan
    from instgov_dagster.capital.auction.reference import ReferenceSolver
    from instgov_dagster.governance.decisions import decisions_to_frame
    from instgov_dagster.loop.cycle import decide, opening_state
    from instgov_dagster.loop.decision.book import fresh_book
    from instgov_dagster.loop.decision.rows import allocations_frame
    from instgov_dagster.loop.live.opening import open_quotes, open_snapshot

    platform = open_home(root)
    policy = platform.policy
    snapshot = open_snapshot(platform, world.asof)
    span = SessionSpan(
        day=world.asof,
        cycles=number + 1,
        seed=platform.settings.seed,
        day_cycles=policy.loop.day_cycles,
    )
    decision, _ = decide(
        snapshot,
        open_quotes(platform, snapshot, span).quotes_at(number),
        fresh_book(policy.nav_usd),
        replace(
            opening_state(snapshot), cycle_id=f"plain-{number}", timestamp=span.instant(number)
        ),
        policy,
        solver=ReferenceSolver(),
    )
    tables = {
        "decisions": decisions_to_frame(decision.decisions).to_arrow(),
        "allocations": allocations_frame(decision).to_arrow(),
    }
    with duckdb.connect(str(root / "plain.duckdb")) as con:
        for name, table in tables.items():
            con.register("rows", table)
            con.execute(f"CREATE TABLE IF NOT EXISTS {name} AS FROM rows LIMIT 0")
            con.execute(f"INSERT INTO {name} FROM rows")  # two names of our own
            con.unregister("rows")
    return {
        "status": decision.auction.status.value,
        "decided": {row.symbol: row.decision.value for row in decision.decisions},
    }


def main(arguments: list[str]) -> None:
    """Do what the command line names and print one JSON object."""
    what, root, n_symbols, cycles, period = arguments
    world = LiveWorld(n_symbols=int(n_symbols))
    folder = Path(root)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "prepare": lambda: prepare(folder, world),
        "lead": lambda: lead(folder, world, cycles=int(cycles), period_seconds=float(period)),
        "plain": lambda: decide_plainly(folder, world, int(cycles)),
    }
    stdout = os.dup(1)
    os.dup2(2, 1)  # some libraries print what they do
    os.write(stdout, json.dumps(parts[what]()).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
