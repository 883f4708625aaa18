"""live.duckdb behind the journal: its file, its cursors, and the step from one to the other."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from instgov_dagster.adapters.journal import Frame, Position, read_frames
from instgov_dagster.adapters.runtime import Home, fsync_directory
from instgov_dagster.adapters.store.errors import WarehouseCorrupt
from instgov_dagster.adapters.store.projector.rows import CHAINS, LIVE_TABLES, rows_by_table
from instgov_dagster.adapters.store.warehouse import WarehouseResource, registered, transaction
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

# One transaction holds at most so much of the journal, however long that is.
_BATCH_FRAMES = 200
_BATCH_BYTES = 16 * 1024 * 1024
# What the database may hold in memory of a projection of any size; by itself it takes most of it.
_MEMORY_LIMIT = "256MB"


def live_store(home: Home) -> WarehouseResource:
    """Open the door to the projection's file."""
    return store_at(home.live)


def store_at(path: Path) -> WarehouseResource:
    """Open the door to a projection that lies elsewhere: one being made."""
    return WarehouseResource(
        database=str(path),
        schema_set="live",
        connection_config={"memory_limit": _MEMORY_LIMIT},
    )


def make_usable(home: Home, *, recorded_at: datetime) -> None:
    """Begin an empty projection where there is none that this version can go on with.

    Notes
    -----
    Rows of an older schema may lack what the new one asks of every frame, so nothing is migrated.
    """
    if _is_usable(home.live):
        return
    fresh = home.live.with_name(f".{home.live.name}.fresh")
    make_empty(fresh, recorded_at=recorded_at)
    swap_in(fresh, home.live)


def _is_usable(path: Path) -> bool:
    try:
        with store_at(path).reader():
            return True
    except WarehouseCorrupt:
        return False
    except SystemHalt as halt:
        if halt.reason_code is not ReasonCode.SCHEMA_MISMATCH:
            raise
        return False


def make_empty(path: Path, *, recorded_at: datetime) -> None:
    """Make an empty projection at a path, whatever is there."""
    for left in (path, _wal(path)):
        left.unlink(missing_ok=True)
    store_at(path).ensure_schema(applied_at=recorded_at, create=True)


def swap_in(made: Path, path: Path) -> None:
    """Put a projection, closed and whole, in another's place at once.

    Raises
    ------
    ValueError
        If the new one has work that is not yet in its file.
    """
    if _wal(made).exists():
        raise ValueError(f"{made} must be closed before it is used")
    # The log of the old file must not be replayed into the new one.
    _wal(path).unlink(missing_ok=True)
    made.replace(path)
    fsync_directory(path.parent)


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def cursors(con: duckdb.DuckDBPyConnection) -> dict[str, Position]:
    """Give how far each chain is projected."""
    found = con.execute('SELECT chain, segment, "offset", sequence, head FROM journal_cursor')
    at = {chain: Position.start(chain) for chain in CHAINS}
    for chain, segment, offset, sequence, head in found.fetchall():
        at[chain] = Position(
            segment=segment, offset=offset, sequence=sequence, head=bytes.fromhex(head)
        )
    return at


def follow(
    con: duckdb.DuckDBPyConnection,
    home: Home,
    *,
    recorded_at: datetime,
    key: bytes | None,
    until: Mapping[str, Position] | None = None,
) -> dict[str, int]:
    """Project what the journal holds beyond the cursors; give the rows added by table.

    Parameters
    ----------
    until
        Where to stop in each chain; at its end by default.

    Raises
    ------
    SystemHalt
        ``CHAIN_BROKEN`` at the first frame that does not verify.
    """
    totals = dict.fromkeys(LIVE_TABLES, 0)
    for chain, start in cursors(con).items():
        last = until[chain].sequence if until else None
        source = read_frames(home.journal_dir, chain, key=key, start=start)
        for batch in _batches(source, last):
            with transaction(con):
                for table, rows in rows_by_table(batch).items():
                    totals[table] += _insert(con, table, rows)
                _move_cursor(con, chain, Position.after(batch[-1]), recorded_at)
    return totals


def _batches(source: Iterator[Frame], last: int | None) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    held = 0
    for frame in source:
        if last is not None and frame.sequence > last:
            break
        batch.append(frame)
        held += len(frame.payload)
        if len(batch) >= _BATCH_FRAMES or held >= _BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _move_cursor(
    con: duckdb.DuckDBPyConnection, chain: str, at: Position, recorded_at: datetime
) -> None:
    con.execute("DELETE FROM journal_cursor WHERE chain = ?", [chain])
    con.execute(
        "INSERT INTO journal_cursor VALUES (?, ?, ?, ?, ?, ?)",
        [chain, at.segment, at.offset, at.sequence, at.head.hex(), recorded_at],
    )


def _insert(con: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> int:
    found = con.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [table]
    ).fetchall()
    unknown = set(rows.column_names) - {str(name) for (name,) in found}
    if unknown:
        raise ValueError(f"{table} has no columns {sorted(unknown)}")
    names = ", ".join(f'"{name}"' for name in rows.column_names)
    with registered(con, "frame_rows", rows):
        con.execute(f'INSERT INTO "{table}" ({names}) SELECT {names} FROM frame_rows')  # noqa: S608  # names stand in the catalog
    return int(rows.num_rows)
