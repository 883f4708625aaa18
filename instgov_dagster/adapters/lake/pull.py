"""The lake back into a warehouse: made beside its place, compared row by row, moved at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from instgov_dagster.adapters.lake.connection import Lake
from instgov_dagster.adapters.lake.parts import Division, divisions
from instgov_dagster.adapters.lake.schema import history_tables, market_of
from instgov_dagster.adapters.lake.verify import compare
from instgov_dagster.adapters.markets.binding import binding_path
from instgov_dagster.adapters.runtime import FileLock, Home, fsync_directory, replace_durably
from instgov_dagster.adapters.store.warehouse import WarehouseResource, registered, transaction
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

_BATCH_ROWS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReport:
    """A warehouse made of the lake; ``tables`` are rows by table, every one of them compared."""

    tables: Mapping[str, int]


def pull(
    lake: Lake, home: Home, *, pulled_at: datetime, at: datetime | int | None = None
) -> PullReport:
    """Make the warehouse of a home that has none out of the lake.

    Parameters
    ----------
    pulled_at
        When this runs, UTC.
    at
        The lake as it stood: after a snapshot, or at an aware instant; None for now.

    Raises
    ------
    InputError
        If the home has a warehouse, or belongs to another market than the lake.
    LakeUnavailable
        If the lake cannot be reached, or there was nothing then.
    SystemHalt
        ``WAREHOUSE_CORRUPT`` if a row of the lake breaks a CHECK of the store or did not arrive
        as it was; nothing is left.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    with FileLock(home.night_lock), lake.reader(at=at) as there:
        if home.warehouse.exists():
            raise InputError(f"--home must have no warehouse yet, had {home.warehouse}")
        _bind(home, market_of(there))
        made = home.warehouse.with_name(f".{home.warehouse.name}.pulled")
        try:
            tables = _fill(made, there, pulled_at)
            made.chmod(0o600)
            made.rename(home.warehouse)
            fsync_directory(home.root)
        finally:
            made.unlink(missing_ok=True)
    return PullReport(tables=tables)


def _bind(home: Home, binding: str) -> None:
    path = binding_path(home)
    if not path.exists():
        replace_durably(path, f"{binding}\n".encode())
    held = path.read_text(encoding="utf-8").strip()
    if held != binding:
        raise InputError(f"the lake belongs to the market {binding}, the home to {held}")


def _fill(made: Path, there: duckdb.DuckDBPyConnection, pulled_at: datetime) -> dict[str, int]:
    store = WarehouseResource(database=str(made))
    store.ensure_schema(applied_at=pulled_at, create=True)
    kept = divisions(history_tables(there, "warehouse"))
    with store.writer() as con:
        for division in kept:
            with transaction(con):
                _copy(there, con, division)
        return {division.table: _proved(con, there, division) for division in kept}


def _copy(
    there: duckdb.DuckDBPyConnection, con: duckdb.DuckDBPyConnection, division: Division
) -> None:
    rows = there.execute(
        f'SELECT {division.names} FROM "{division.table}" ORDER BY {division.order}'  # noqa: S608  # names stand in the catalog
    ).to_arrow_reader(_BATCH_ROWS)
    try:
        with registered(con, "pulled", rows):
            con.execute(
                f'INSERT INTO "{division.table}" ({division.names}) SELECT * FROM pulled'  # noqa: S608  # names stand in the catalog
            )
    except duckdb.ConstraintException as error:
        raise SystemHalt(
            ReasonCode.WAREHOUSE_CORRUPT, f"the lake's {division.table}: {error}"
        ) from error


def _proved(
    con: duckdb.DuckDBPyConnection, there: duckdb.DuckDBPyConnection, division: Division
) -> int:
    found = compare(con, there, division, named=division.table)
    if found.missing or found.extra:
        raise SystemHalt(
            ReasonCode.WAREHOUSE_CORRUPT,
            f"{division.table} must be the lake's rows: {found.missing} were never there,"
            f" {found.extra} did not arrive",
        )
    return found.rows
