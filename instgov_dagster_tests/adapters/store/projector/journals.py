"""Journals the projection's tests read: cycles with all their facts, on a clock that stands."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from instgov_dagster.adapters.journal import Journal, bundle_tables
from instgov_dagster.adapters.runtime import Home, VirtualClock
from instgov_dagster.adapters.store.projector import (
    ProjectionResult,
    TableDigest,
    digest_tables,
    live_store,
    project,
)

START = datetime(2024, 12, 6, 14, 30, tzinfo=UTC)
META = {"asof": "2024-12-06", "run_id": "session-1", "config_hash": "c0", "code_hash": "c1"}
_INSTANT = pa.timestamp("us", "UTC")


def cycle_meta(cycle: int) -> dict[str, Any]:
    """Give the facts of one cycle as its frame tells them."""
    return META | {
        "cycle_id": f"loop-{cycle}",
        "session": "live-1",
        "timestamp": (START + timedelta(seconds=cycle)).isoformat(),
        "snapshot_id": "00000001-0123456789ab",
        "inputs_hash": f"{cycle:064x}",
        "is_late": cycle % 7 == 0,
        "is_stale": False,
        "state": "RUNNING",
        "nav_usd": 10_000_000.0 + cycle,
        "gross": 0.07,
        "drawdown": 0.001,
        "cvar": {"CURRENT": 0.01, "FILTERED": 0.02},
        "cvar_gate": 0.02,
        "cvar_standard_error": 0.001,
        "auction": {"status": "OPTIMAL", "hurdle": 0.02, "lambda_star": 0.3},
        "heads": {"loop": "aa", "night": "bb", "operator": "cc"},
    }


def ended_meta(cycles: int) -> dict[str, Any]:
    """Give the facts of a session's end: two strategies, one that gained and one that lost."""
    rows = [
        {"strategy_id": name, "value_usd": 1e5, "pnl": pnl, "gross": 0.01, "volatility_annual": 0.2}
        for name, pnl in (("momentum", 1e-4 * cycles), ("reversal", -1e-5))
    ]
    return META | {"event": "ended", "session": "live-1", "results": rows}


def decisions(cycle: int, decision: str = "HOLD", n: int = 2) -> pa.Table:
    """Give a cycle's decisions on so many symbols."""
    return pa.table(
        {
            "cycle_id": [f"loop-{cycle}"] * n,
            "sequence": range(n),
            "symbol": [f"S{k}" for k in range(n)],
            "decision": [decision] * n,
            "reason_codes": [["HOLD_AT_TARGET", "NO_VETO"][: 1 + k % 2] for k in range(n)],
            "mu": [0.01 * (k + cycle) for k in range(n)],
            "sigma": [0.1] * n,
            "cvar": [0.03] * n,
            "data_quality": [1.0] * n,
            "model_confidence": [0.5] * n,
            "vetoed": [False] * n,
            "timestamp": pa.array([START + timedelta(seconds=cycle)] * n, _INSTANT),
            "veto_triggers": pa.array([[]] * n, pa.list_(pa.string())),
            "headroom": ["{}"] * n,
        }
    )


def fills(cycle: int) -> pa.Table:
    """Give the one fill of a cycle."""
    money = {
        name: pa.array([Decimal(value)], pa.decimal128(20, 8))
        for name, value in (
            ("quantity", "2.5"),
            ("price", "600.25"),
            ("mid_price", "600.2"),
            ("cost_usd", "0.75"),
        )
    }
    return pa.table(
        {
            "client_order_id": [f"c-{cycle}"],
            "cycle_id": [f"loop-{cycle}"],
            "symbol": ["S0"],
            "side": ["BUY"],
            "sequence": [0],
            "is_aggressive": [True],
            "filled_at": pa.array([START], _INSTANT),
        }
        | money
    )


def state(chain: str = "loop", sequence: int = 1) -> pa.Table:
    """Give one row of a state frame."""
    return pa.table(
        {"state": ["RUNNING"], "causes": ["[]"], "chain": [chain], "sequence": [sequence]}
    )


def open_journal(home: Home, chain: str = "loop", **options: Any) -> Journal:
    """Open a chain of the home on a clock that stands."""
    return Journal.open(home.journal_dir, chain, clock=VirtualClock(START), **options)


def write_cycle(journal: Journal, cycle: int, n: int = 2) -> None:
    """Append one cycle with its decisions and a fill."""
    tables = {"governance_decisions": decisions(cycle, n=n), "fills": fills(cycle)}
    journal.append("cycle", bundle_tables(tables | {"book": state()}), cycle_meta(cycle))


def write_session(home: Home, cycles: range, **options: Any) -> None:
    """Append one session: a state, its cycles, its end; ``len(cycles) + 2`` frames."""
    with open_journal(home, **options) as journal:
        journal.append("state", state(sequence=journal.sequence + 1), META)
        for cycle in cycles:
            write_cycle(journal, cycle)
        journal.append("session", pa.table({"n": [1]}), ended_meta(len(cycles)))


def run_project(home: Home, **options: Any) -> ProjectionResult:
    """Project a home; nobody else is at it."""
    words = {"recorded_at": START, "published_cycles": 600, "keep": 3} | options
    result = project(home, **words)
    assert result is not None
    return result


def digests(home: Home) -> dict[str, TableDigest]:
    """Digest the projection's tables as they stand."""
    with live_store(home).reader() as con:
        return digest_tables(con)


def count_rows(home: Home, table: str) -> int:
    """Count a projected table's rows."""
    with live_store(home).reader() as con:
        return int(con.execute(f'SELECT count(*) FROM "{table}"').fetchall()[0][0])  # noqa: S608  # a literal of the tests


def copy_journal(source: Home, folder: Path) -> Home:
    """Give another home with the same journal."""
    import shutil

    shutil.copytree(source.journal_dir, folder / "journal")
    return Home(folder)
