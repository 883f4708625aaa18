"""The loop's journal into live.duckdb, exactly once, and from there to Parquet for readers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast

import duckdb
import polars as pl
import pyarrow as pa

from instgov_dagster.adapters.journal import Frame, Position, is_bundle, read_frames, unbundle
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.published import publish, published_meta
from instgov_dagster.adapters.store.warehouse import WarehouseResource, transaction

LIVE_TABLES = (
    "governance_decisions",
    "capital_allocations",
    "orders",
    "fills",
    "cash_ledger",
    "system_states",
)
#: Asked of the tables when they are published, never written.
LIVE_VIEWS = ("execution_costs",)
_CYCLE_TABLES = ("governance_decisions", "capital_allocations")
# What a frame's kind says where it is not the table's own name.
_KINDS: Mapping[str, str] = {"state": "system_states"}
_BATCH_FRAMES = 200
_STAMPED = ("asof", "run_id", "recorded_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionResult:
    """What one projection did: frames read, rows added by table, where it stands."""

    frames: int
    rows: Mapping[str, int]
    sequence: int
    head: str
    snapshot_id: str | None


def project(
    home: Home,
    *,
    recorded_at: datetime,
    chain: str = "loop",
    key: bytes | None = None,
    published_cycles: int,
    keep: int,
) -> ProjectionResult:
    """Bring the projection up to the journal and publish it where it is not yet.

    Parameters
    ----------
    recorded_at
        When this runs, UTC; recorded with the cursor.
    key
        The journal's HMAC key.
    published_cycles
        How many of the last cycles' decisions and allocations are published; orders, fills,
        cash and states always are.
    keep
        How many published snapshots stay.

    Raises
    ------
    SystemHalt
        ``CHAIN_BROKEN`` at the first frame that does not verify; the frames before it in the
        same batch are not projected.
    ValueError
        If a frame's rows do not fit their table.

    Notes
    -----
    Rows and cursor move in one transaction, so a kill at any instant loses and repeats nothing.
    """
    live = live_store(home)
    live.ensure_schema(applied_at=recorded_at, create=True)
    with live.writer() as con:
        start = _cursor(con, chain)
        source = read_frames(home.journal_dir, chain, key=key, start=start)
        at, totals = _follow(con, chain, start, source, recorded_at)
        meta = {"chain": chain, "sequence": at.sequence, "head": at.head.hex()}
        # Asked of the pointer, not of ``frames``: a kill may have come between the two.
        is_current = published_meta(live_folder(home)) == meta
        tables = {} if is_current else _published_tables(con, published_cycles)
    snapshot_id = None
    if tables:
        snapshot_id = publish(live_folder(home), tables, meta=meta, keep=keep)
    return ProjectionResult(
        frames=at.sequence - start.sequence,
        rows=totals,
        sequence=at.sequence,
        head=at.head.hex(),
        snapshot_id=snapshot_id,
    )


def _follow(
    con: duckdb.DuckDBPyConnection,
    chain: str,
    at: Position,
    source: Iterator[Frame],
    recorded_at: datetime,
) -> tuple[Position, dict[str, int]]:
    totals = dict.fromkeys(LIVE_TABLES, 0)
    while batch := list(islice(source, _BATCH_FRAMES)):
        with transaction(con):
            for table, rows in _rows_by_table(batch).items():
                totals[table] += _insert(con, table, rows)
            at = Position.after(batch[-1])
            _move_cursor(con, chain, at, recorded_at)
    return at, totals


def rebuild_projection(
    home: Home,
    *,
    recorded_at: datetime,
    chain: str = "loop",
    key: bytes | None = None,
    published_cycles: int,
    keep: int,
) -> ProjectionResult:
    """Throw the projection away and make it again from the journal."""
    for path in (home.live, home.live.with_name(f"{home.live.name}.wal")):
        path.unlink(missing_ok=True)
    return project(
        home,
        recorded_at=recorded_at,
        chain=chain,
        key=key,
        published_cycles=published_cycles,
        keep=keep,
    )


def live_store(home: Home) -> WarehouseResource:
    """Open the door to the projection's file."""
    return WarehouseResource(database=str(home.live), schema_set="live")


def live_folder(home: Home) -> Path:
    """Name the folder in which the projection is published."""
    return home.published / "live"


def _cursor(con: duckdb.DuckDBPyConnection, chain: str) -> Position:
    found = con.execute(
        'SELECT segment, "offset", sequence, head FROM journal_cursor WHERE chain = ?'
        " ORDER BY sequence DESC LIMIT 1",
        [chain],
    ).fetchall()
    if not found:
        return Position.start(chain)
    segment, offset, sequence, head = found[0]
    return Position(segment=segment, offset=offset, sequence=sequence, head=bytes.fromhex(head))


def _move_cursor(
    con: duckdb.DuckDBPyConnection, chain: str, at: Position, recorded_at: datetime
) -> None:
    con.execute("DELETE FROM journal_cursor WHERE chain = ?", [chain])
    con.execute(
        "INSERT INTO journal_cursor VALUES (?, ?, ?, ?, ?, ?)",
        [chain, at.segment, at.offset, at.sequence, at.head.hex(), recorded_at],
    )


def _rows_by_table(batch: list[Frame]) -> dict[str, list[pa.Table]]:
    rows: dict[str, list[pa.Table]] = {}
    for frame in batch:
        for name, table in _tables_of(frame):
            if table.num_rows:
                rows.setdefault(name, []).append(_stamped(table, frame))
    return rows


def _tables_of(frame: Frame) -> Iterator[tuple[str, pa.Table]]:
    table = frame.table()
    name = _KINDS.get(frame.kind, frame.kind)
    if name in LIVE_TABLES:
        yield name, table
    elif is_bundle(table):
        yield from ((n, t) for n, t in unbundle(table).items() if n in LIVE_TABLES)


def _stamped(table: pa.Table, frame: Frame) -> pa.Table:
    # What a row does not say about its own origin, its frame does.
    known: dict[str, Any] = {
        "asof": _date(frame.meta.get("asof"), frame.ts),
        "run_id": str(frame.meta.get("run_id", frame.name)),
        "recorded_at": frame.ts,
    }
    kinds = {"asof": pa.date32(), "run_id": pa.string(), "recorded_at": pa.timestamp("us", "UTC")}
    bare = table.replace_schema_metadata(None)
    for name, value in known.items():
        if name not in bare.column_names:
            bare = bare.append_column(name, pa.array([value] * bare.num_rows, kinds[name]))
    return bare


def _date(value: Any, ts: datetime) -> date:
    return date.fromisoformat(value) if isinstance(value, str) else ts.date()


def _insert(con: duckdb.DuckDBPyConnection, table: str, rows: list[pa.Table]) -> int:
    merged = pa.concat_tables(rows, promote_options="default")
    found = con.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [table]
    ).fetchall()
    unknown = set(merged.column_names) - {str(name) for (name,) in found}
    if unknown:
        raise ValueError(f"{table} has no columns {sorted(unknown)}")
    names = ", ".join(f'"{name}"' for name in merged.column_names)
    con.register("frame_rows", merged)
    try:
        con.execute(f'INSERT INTO "{table}" ({names}) SELECT {names} FROM frame_rows')  # noqa: S608  # names stand in the catalog
    finally:
        con.unregister("frame_rows")
    return int(merged.num_rows)


def _published_tables(con: duckdb.DuckDBPyConnection, cycles: int) -> dict[str, pl.DataFrame]:
    con.execute(
        "CREATE OR REPLACE TEMP TABLE recent_cycles AS SELECT cycle_id FROM governance_decisions"
        " GROUP BY cycle_id ORDER BY max(recorded_at) DESC, cycle_id DESC LIMIT ?",
        [cycles],
    )
    tables = {}
    for name in (*LIVE_TABLES, *LIVE_VIEWS):
        query = f'SELECT * FROM "{name}"'  # noqa: S608  # this module's own names
        if name in _CYCLE_TABLES:
            query += " SEMI JOIN recent_cycles USING (cycle_id)"
        tables[name] = cast("pl.DataFrame", pl.from_arrow(con.execute(query).to_arrow_table()))
    return tables
