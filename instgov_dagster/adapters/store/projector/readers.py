"""The projection as readers get it: the last cycles as a published snapshot, tables as digests."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from instgov_dagster.adapters.journal import Position
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.projector.rows import LIVE_TABLES
from instgov_dagster.adapters.store.published import publish, published_meta
from instgov_dagster.capital.execution.costs import execution_costs

# The last rows of what no cycle owns; the states' last ones are those of each chain.
_LAST: Final = {
    "live_cycles": 'SELECT * FROM "live_cycles" ORDER BY frame_sequence DESC LIMIT ?',
    "session_results": 'SELECT * FROM "session_results" ORDER BY rowid DESC LIMIT ?',
    "system_states": 'SELECT * FROM "system_states" QUALIFY'
    " row_number() OVER (PARTITION BY chain ORDER BY sequence DESC) <= ?"
    " ORDER BY chain DESC, sequence DESC",
}
# Rows come in the order they were inserted, the chain's; the states come from three chains.
_ORDERS: Final = {"system_states": "chain, sequence"}
_ROW_GROUP: Final = 65_536


def live_folder(home: Home) -> Path:
    """Name the folder in which the projection is published."""
    return home.published / "live"


def publish_live(
    con: duckdb.DuckDBPyConnection,
    home: Home,
    positions: Mapping[str, Position],
    *,
    cycles: int,
    keep: int,
    is_remade: bool = False,
) -> str | None:
    """Publish the last cycles of the projection, where the last snapshot is not of this position.

    Parameters
    ----------
    positions
        How far each chain is projected; the snapshot's meta says it.
    cycles
        How many of the last cycles are published: their facts, decisions, allocations, orders,
        fills and cash, and what the orders cost; and at most so many of each chain's last states
        and of the results.
    is_remade
        The projection is another one than the last snapshot was taken of: publish in any case.

    Returns
    -------
    The id of the new snapshot, or None.
    """
    chains = {
        name: {"sequence": at.sequence, "head": at.head.hex()} for name, at in positions.items()
    }
    # Asked of the pointer, not of what was read: a kill may have come between the two.
    if not is_remade and published_meta(live_folder(home)) == {"chains": chains}:
        return None
    con.execute(
        "CREATE OR REPLACE TEMP TABLE recent_cycles AS SELECT cycle_id, recorded_at"
        " FROM live_cycles ORDER BY frame_sequence DESC LIMIT ?",
        [cycles],
    )
    tables = {name: _recent(con, name, cycles) for name in LIVE_TABLES}
    tables["execution_costs"] = execution_costs(tables["orders"], tables["fills"])
    return publish(live_folder(home), tables, meta={"chains": chains}, keep=keep)


def _recent(con: duckdb.DuckDBPyConnection, name: str, cycles: int) -> pl.DataFrame:
    if name in _LAST:
        found = con.execute(_LAST[name], [cycles]).to_arrow_table()
        return cast("pl.DataFrame", pl.from_arrow(found)).reverse()
    # What was written before the oldest of them belongs to none of them: those blocks are skipped.
    query = (
        f'SELECT rows.* FROM "{name}" AS rows SEMI JOIN recent_cycles USING (cycle_id)'  # noqa: S608  # this module's own names
        " WHERE rows.recorded_at >= (SELECT min(recorded_at) FROM recent_cycles)"
        " ORDER BY rows.rowid"
    )
    return cast("pl.DataFrame", pl.from_arrow(con.execute(query).to_arrow_table()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDigest:
    """One table of the projection: its rows, and the sha256 of its Parquet file."""

    rows: int
    sha256: str


def digest_tables(con: duckdb.DuckDBPyConnection) -> dict[str, TableDigest]:
    """Digest every table of the projection as the Parquet file it makes.

    Notes
    -----
    Equal rows in equal order make equal bytes: the row groups have one size and the rows the
    journal's order, whatever batches they came in. The file is hashed as it is written, never
    kept, so a table of any size takes the memory of one row group.
    """
    return {name: _digest(con, name) for name in LIVE_TABLES}


def _digest(con: duckdb.DuckDBPyConnection, name: str) -> TableDigest:
    order = f" ORDER BY {_ORDERS[name]}" if name in _ORDERS else ""
    reader = con.sql(f'SELECT * FROM "{name}"{order}').to_arrow_reader(_ROW_GROUP)  # noqa: S608  # this module's own names
    sink, rows = _HashingSink(), 0
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), reader.schema, compression="zstd") as out:
        for group in _row_groups(reader):
            out.write_table(group, row_group_size=_ROW_GROUP)
            rows += group.num_rows
    return TableDigest(rows=rows, sha256=sink.hexdigest())


def _row_groups(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    held = reader.schema.empty_table()
    for batch in reader:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while held.num_rows >= _ROW_GROUP:
            yield held.slice(0, _ROW_GROUP).combine_chunks()
            held = held.slice(_ROW_GROUP)
    if held.num_rows:
        yield held.combine_chunks()


class _HashingSink:
    """A file that keeps nothing but its digest and its length."""

    closed = False

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._length = 0

    def write(self, body: Any) -> int:
        view = memoryview(body)
        self._digest.update(view)
        self._length += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self._length

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def writable(self) -> bool:
        return True

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
