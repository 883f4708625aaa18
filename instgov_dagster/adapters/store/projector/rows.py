"""Which rows of which table a frame of the journal holds; nothing is written here."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import pyarrow as pa

from instgov_dagster.adapters.journal import Frame, is_bundle, unbundle

CHAINS: Final = ("loop", "night", "operator")
LIVE_TABLES: Final = (
    "live_cycles",
    "governance_decisions",
    "capital_allocations",
    "orders",
    "fills",
    "cash_ledger",
    "system_states",
    "session_results",
)
# What a frame's kind says where it is not the table's own name.
_KINDS: Final[Mapping[str, str]] = {"state": "system_states"}
#: The chain whose cycles readers wait for.
LEADER: Final = "loop"
_CYCLE: Final = "cycle"
_SESSION: Final = "session"
_INSTANT: Final = pa.timestamp("us", "UTC")
_CYCLE_SCHEMA: Final = pa.schema(
    [
        ("cycle_id", pa.string()),
        ("session_id", pa.string()),
        ("timestamp", _INSTANT),
        ("state", pa.string()),
        ("is_late", pa.bool_()),
        ("is_stale", pa.bool_()),
        ("nav_usd", pa.float64()),
        ("gross", pa.float64()),
        ("drawdown", pa.float64()),
        ("cvar_current", pa.float64()),
        ("cvar_filtered", pa.float64()),
        ("cvar_stressed", pa.float64()),
        ("cvar_gate", pa.float64()),
        ("cvar_standard_error", pa.float64()),
        ("auction_status", pa.string()),
        ("hurdle", pa.float64()),
        ("lambda_star", pa.float64()),
        ("snapshot_id", pa.string()),
        ("inputs_hash", pa.string()),
        ("config_hash", pa.string()),
        ("code_hash", pa.string()),
        ("frame_sequence", pa.int64()),
        ("chain_head", pa.string()),
        ("night_head", pa.string()),
        ("operator_head", pa.string()),
    ]
)
_RESULT_SCHEMA: Final = pa.schema(
    [
        ("session_id", pa.string()),
        ("strategy_id", pa.string()),
        ("value_usd", pa.float64()),
        ("pnl", pa.float64()),
        ("gross", pa.float64()),
        ("volatility_annual", pa.float64()),
        ("frame_sequence", pa.int64()),
        ("chain_head", pa.string()),
    ]
)


def rows_by_table(batch: Sequence[Frame]) -> dict[str, pa.Table]:
    """Gather the rows of a batch of frames by table, in the order of the frames.

    Raises
    ------
    ValueError
        If a cycle's or a session's frame lacks a fact that its table holds.
    """
    rows: dict[str, list[pa.Table]] = {}
    for frame in batch:
        for name, table in _tables_of(frame):
            if table.num_rows:
                rows.setdefault(name, []).append(_stamped(table, frame))
    return {
        name: pa.concat_tables(tables, promote_options="default") for name, tables in rows.items()
    }


def _tables_of(frame: Frame) -> Iterator[tuple[str, pa.Table]]:
    # The night's own decisions stand in the warehouse; of it and of the operator only the state.
    name = _KINDS.get(frame.kind, frame.kind)
    if frame.chain != LEADER:
        if frame.kind in _KINDS:
            yield name, frame.table()
        return
    try:
        yield from _facts_of(frame)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{frame.name} must tell {error}, as every {frame.kind} does") from error
    table = frame.table()
    if name in LIVE_TABLES:
        yield name, table
    elif is_bundle(table):
        yield from ((n, t) for n, t in unbundle(table).items() if n in LIVE_TABLES)


def _facts_of(frame: Frame) -> Iterator[tuple[str, pa.Table]]:
    if frame.kind == _CYCLE:
        yield "live_cycles", pa.Table.from_pylist([_cycle_row(frame)], schema=_CYCLE_SCHEMA)
    if frame.kind == _SESSION and frame.meta["event"] == "ended":
        place = {"frame_sequence": frame.sequence, "chain_head": frame.head.hex()}
        rows = [
            {"session_id": frame.meta["session"], **result, **place}
            for result in frame.meta["results"]
        ]
        yield "session_results", pa.Table.from_pylist(rows, schema=_RESULT_SCHEMA)


def _cycle_row(frame: Frame) -> dict[str, Any]:
    meta, heads = frame.meta, frame.meta["heads"]
    cvar, auction = meta["cvar"], meta["auction"]
    same = (
        "cycle_id", "state", "is_late", "is_stale", "nav_usd", "gross", "drawdown", "cvar_gate",
        "cvar_standard_error", "snapshot_id", "inputs_hash", "config_hash", "code_hash",
    )  # fmt: skip
    return {
        **{name: meta[name] for name in same},
        "session_id": meta["session"],
        "timestamp": datetime.fromisoformat(meta["timestamp"]),
        "cvar_current": cvar.get("CURRENT"),
        "cvar_filtered": cvar.get("FILTERED"),
        "cvar_stressed": cvar.get("STRESSED"),
        "auction_status": auction["status"],
        "hurdle": auction["hurdle"],
        "lambda_star": auction["lambda_star"],
        "frame_sequence": frame.sequence,
        "chain_head": frame.head.hex(),
        "night_head": heads.get("night"),
        "operator_head": heads.get("operator"),
    }


def _stamped(table: pa.Table, frame: Frame) -> pa.Table:
    # What a row does not say about its own origin, its frame does.
    known: dict[str, Any] = {
        "asof": _date(frame.meta.get("asof"), frame.ts),
        "run_id": str(frame.meta.get("run_id", frame.name)),
        "recorded_at": frame.ts,
    }
    kinds = {"asof": pa.date32(), "run_id": pa.string(), "recorded_at": _INSTANT}
    bare = table.replace_schema_metadata(None)
    for name, value in known.items():
        if name not in bare.column_names:
            bare = bare.append_column(name, pa.array([value] * bare.num_rows, kinds[name]))
    return bare


def _date(value: Any, ts: datetime) -> date:
    return date.fromisoformat(value) if isinstance(value, str) else ts.date()
