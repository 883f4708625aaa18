"""A store and the lake compared row by row, by hashes of whole rows; nothing is written."""

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from instgov_dagster.adapters.lake.connection import Lake
from instgov_dagster.adapters.lake.parts import Division, divisions
from instgov_dagster.adapters.lake.push import stores
from instgov_dagster.adapters.lake.schema import history_tables
from instgov_dagster.adapters.runtime import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One table in two places: rows of the home, and how many of each side the other lacks."""

    table: str
    rows: int
    missing: int
    extra: int


def differences(lake: Lake, home: Home) -> tuple[Difference, ...]:
    """Compare every table of a home with the lake as it stands now.

    Raises
    ------
    InputError
        If the home has no warehouse.
    LakeUnavailable, WarehouseBusy
        If either cannot be read.
    """
    return tuple(_each(lake, home))


def _each(lake: Lake, home: Home) -> Iterator[Difference]:
    for schema, store in stores(home):
        with store.reader() as here, lake.reader(schema) as there:
            for division in divisions(history_tables(there, schema)):
                yield compare(here, there, division, named=f"{schema}.{division.table}")


def compare(
    here: duckdb.DuckDBPyConnection,
    there: duckdb.DuckDBPyConnection,
    division: Division,
    *,
    named: str,
) -> Difference:
    """Compare one table in two stores as bags of rows: a row that stands twice counts twice."""
    mine, theirs = row_hashes(here, division), row_hashes(there, division)
    with duckdb.connect() as con:
        con.register("mine", mine)
        con.register("theirs", theirs)
        missing, extra = (
            int(con.execute(query).fetchall()[0][0])
            for query in (
                "SELECT count(*) FROM (FROM mine EXCEPT ALL FROM theirs)",
                "SELECT count(*) FROM (FROM theirs EXCEPT ALL FROM mine)",
            )
        )
    return Difference(table=named, rows=mine.num_rows, missing=missing, extra=extra)


def row_hashes(con: duckdb.DuckDBPyConnection, division: Division) -> pa.Table:
    """Give one sha256 of each row of a table: its values in the order of the columns."""
    return con.execute(
        f"SELECT sha256(CAST(row({division.names}) AS VARCHAR)) AS row_sha256"  # noqa: S608  # names stand in the catalog
        f' FROM "{division.table}"'
    ).to_arrow_table()
