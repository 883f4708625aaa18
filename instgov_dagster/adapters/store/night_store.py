"""A night's tables: written once per content, read back as the latest write of their date."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, cast

import duckdb
import polars as pl

from instgov_dagster.adapters.store.errors import WarehouseCorrupt
from instgov_dagster.adapters.store.warehouse import registered
from instgov_dagster.governance.audit import frame_sha256
from instgov_dagster.governance.lifecycle import LIFECYCLE_SCHEMA
from instgov_dagster.governance.veto import VETO_SCHEMA
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

#: Kept for one night only: the next one replaces it as a whole.
REPLACED_TABLES = frozenset({"price_history"})
#: Inputs of a night that are tables of earlier ones: all of them, and the last one's.
DATED: Final = {  # with the night each row was made in
    "past_provider_answers": "provider_answers",
    "past_risk_forecasts": "risk_forecasts",
}
REMEMBERED: Final = {
    "previous_sigma_fits": "sigma_fits",
    "previous_model_trials": "model_trials",
}
LATEST: Final = {
    "previous_lifecycle": ("strategy_lifecycle_log", LIFECYCLE_SCHEMA),
    "previous_vetoes": ("vetoes", VETO_SCHEMA),
}
#: What sessions left: each night adds the days that no night before it has read.
EVIDENCE: Final = ("session_accounts", "recorded_fills", "passive_orders")
_STAMPED = ("asof", "run_id", "recorded_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class NightWrite:
    """What one write did; ``rows_added`` is 0 where the content was already there."""

    table: str
    rows_added: int
    rows: int
    content_sha256: str


def write_night(
    con: duckdb.DuckDBPyConnection,
    table: str,
    frame: pl.DataFrame,
    *,
    asof: date,
    run_id: str,
    recorded_at: datetime,
) -> NightWrite:
    """Append a night's table unless its latest write of the date holds the same; in a transaction.

    Parameters
    ----------
    con
        A connection inside ``WarehouseResource.txn()``.
    table
        One of the tables of the schema that carry ``asof``, ``run_id`` and ``recorded_at``.
    frame
        Exactly the table's other columns, in any order; an ``asof`` of its own must agree.

    Raises
    ------
    ValueError
        If the table is unknown, the columns differ, an instant is naive, a row's ``asof``
        disagrees, or the run writes other content at the same instant.
    duckdb.ConstraintException
        If a row breaks a CHECK of the table.
    """
    content = _own_columns(frame, asof)
    columns = _columns(con, table)
    _require_columns(table, content, columns)
    content = content.select([name for name in columns if name not in _STAMPED])
    digest = frame_sha256(content)
    last = _latest(con, table, asof)
    is_held = last is not None and last.content_sha256 == digest
    if is_held and (table not in REPLACED_TABLES or _held_asof(con, table) == asof):
        return NightWrite(table=table, rows_added=0, rows=frame.height, content_sha256=digest)
    if last is not None and (last.run_id, last.recorded_at) == (run_id, recorded_at):
        raise ValueError(f"{table} of {asof} was already written by {run_id} at {recorded_at}")
    _insert(con, table, content, [asof, run_id, recorded_at])
    con.execute(
        'INSERT INTO night_writes (table_name, "asof", run_id, content_sha256, rows, recorded_at,'
        " sequence) SELECT ?, ?, ?, ?, ?, ?, coalesce(max(sequence), 0) + 1 FROM night_writes",
        [table, asof, run_id, digest, content.height, recorded_at],
    )
    return NightWrite(
        table=table, rows_added=content.height, rows=content.height, content_sha256=digest
    )


def read_night(con: duckdb.DuckDBPyConnection, table: str, *, asof: date) -> pl.DataFrame:
    """Read the rows of the latest write of a table for a date, as they were written.

    Raises
    ------
    ValueError
        If the table is unknown.
    SystemHalt
        ``PHASE_ORDER_VIOLATED`` if no night wrote the table for the date, or a later one
        replaced it.
    WarehouseCorrupt
        If rows of the write are missing.
    """
    columns = [name for name in _columns(con, table) if name not in _STAMPED]
    last = _latest(con, table, asof)
    if last is None:
        raise SystemHalt(ReasonCode.PHASE_ORDER_VIOLATED, f"{table} was not written for {asof}")
    names = ", ".join(f'"{name}"' for name in columns)
    found = con.execute(
        f'SELECT {names} FROM "{table}" WHERE "asof" = ? AND run_id = ? AND recorded_at = ?',  # noqa: S608  # names come from the catalog
        [asof, last.run_id, last.recorded_at],
    ).to_arrow_table()
    frame = cast("pl.DataFrame", pl.from_arrow(found))
    if frame.height != last.rows:
        if table in REPLACED_TABLES:
            raise SystemHalt(
                ReasonCode.PHASE_ORDER_VIOLATED, f"{table} of {asof} was replaced by another night"
            )
        raise WarehouseCorrupt(f"{table} of {asof} must have {last.rows} rows, had {frame.height}")
    return frame


def read_latest_before(
    con: duckdb.DuckDBPyConnection, table: str, *, before: date
) -> pl.DataFrame | None:
    """Read what the last night before a date wrote of a table; None where none did.

    Raises
    ------
    ValueError
        If the table is unknown.
    """
    asof = latest_asof(con, table, before=before)
    return None if asof is None else read_night(con, table, asof=asof)


def read_nights_before(con: duckdb.DuckDBPyConnection, table: str, *, before: date) -> pl.DataFrame:
    """Read the latest write of every date before one, with its ``asof``, in order of the dates.

    Raises
    ------
    ValueError
        If the table is unknown.
    """
    names = ", ".join(f't."{name}"' for name in _columns(con, table) if name not in _STAMPED)
    found = con.execute(
        f"""
        WITH latest AS (
            SELECT "asof", run_id, recorded_at FROM night_writes
            WHERE table_name = ? AND "asof" < ?
            QUALIFY row_number() OVER (PARTITION BY "asof" ORDER BY sequence DESC) = 1
        )
        SELECT t.* EXCLUDE (run_id, recorded_at)
        FROM "{table}" t SEMI JOIN latest USING ("asof", run_id, recorded_at)
        ORDER BY t."asof", {names}
        """,  # noqa: S608  # the names stand in the catalog
        [table, before],
    ).to_arrow_table()
    return cast("pl.DataFrame", pl.from_arrow(found))


def read_input(con: duckdb.DuckDBPyConnection, name: str, *, asof: date) -> pl.DataFrame:
    """Read what a step of a night is given by name: its own night's table, or what was before.

    Parameters
    ----------
    name
        A table of the night; one of `DATED` or `REMEMBERED`, all that earlier nights wrote of a
        table, with or without their dates;
        one of `LATEST`, what the last of them wrote; one of `EVIDENCE`, all up to and with tonight.

    Raises
    ------
    SystemHalt
        ``PHASE_ORDER_VIOLATED`` where tonight's table was never written, or was replaced.
    """
    if name in DATED:
        return read_nights_before(con, DATED[name], before=asof)
    if name in REMEMBERED:
        return read_nights_before(con, REMEMBERED[name], before=asof).drop("asof")
    if name in LATEST:
        table, schema = LATEST[name]
        found = read_latest_before(con, table, before=asof)
        return pl.DataFrame(schema=schema) if found is None else found
    if name in EVIDENCE:
        earlier = read_nights_before(con, name, before=asof).drop("asof")
        return pl.concat([earlier, read_night(con, name, asof=asof)])
    return read_night(con, name, asof=asof)


def last_day_of_evidence(con: duckdb.DuckDBPyConnection, *, before: date) -> date | None:
    """Give the last day whose sessions the nights before a date have read; None for no day."""
    days = read_nights_before(con, EVIDENCE[0], before=before)["date"]
    return cast("date | None", days.max())


def is_written(con: duckdb.DuckDBPyConnection, table: str, *, asof: date) -> bool:
    """Tell whether any night wrote the table for a date."""
    return _latest(con, table, asof) is not None


def written_sha256(con: duckdb.DuckDBPyConnection, table: str, *, asof: date) -> str | None:
    """Give the content hash of a table's latest write for a date, or None; no row is read."""
    last = _latest(con, table, asof)
    return None if last is None else last.content_sha256


def latest_asof(con: duckdb.DuckDBPyConnection, table: str, *, before: date) -> date | None:
    """Give the last date before ``before`` the table was written for, or None."""
    found = con.execute(
        'SELECT max("asof") FROM night_writes WHERE table_name = ? AND "asof" < ?', [table, before]
    ).fetchall()
    return cast("date | None", found[0][0])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Latest:
    run_id: str
    recorded_at: datetime
    content_sha256: str
    rows: int


def _latest(con: duckdb.DuckDBPyConnection, table: str, asof: date) -> _Latest | None:
    found = con.execute(
        "SELECT run_id, recorded_at, content_sha256, rows FROM night_writes"
        ' WHERE table_name = ? AND "asof" = ? ORDER BY sequence DESC LIMIT 1',
        [table, asof],
    ).fetchall()
    if not found:
        return None
    run_id, recorded_at, digest, rows = found[0]
    return _Latest(run_id=run_id, recorded_at=recorded_at, content_sha256=digest, rows=rows)


def _held_asof(con: duckdb.DuckDBPyConnection, table: str) -> date | None:
    found = con.execute(
        'SELECT arg_max("asof", sequence) FROM night_writes WHERE table_name = ?', [table]
    ).fetchall()
    return cast("date | None", found[0][0])


def _columns(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    rows = con.execute(
        "SELECT column_name, data_type FROM duckdb_columns()"
        " WHERE table_name = ? AND schema_name = current_schema()"
        " AND database_name = current_database() ORDER BY column_index",
        [table],
    ).fetchall()
    columns = {str(name): str(kind) for name, kind in rows}
    if not set(_STAMPED) <= set(columns) or table == "night_writes":
        raise ValueError(f"table must be one of a night's tables, was {table!r}")
    return columns


def _own_columns(frame: pl.DataFrame, asof: date) -> pl.DataFrame:
    if "asof" not in frame.columns:
        return frame
    others = frame.filter(pl.col("asof").ne_missing(asof)).height
    if others:
        raise ValueError(f"asof must be {asof} in every row, was another in {others} rows")
    return frame.drop("asof")


def _require_columns(table: str, frame: pl.DataFrame, columns: dict[str, str]) -> None:
    wanted = set(columns) - set(_STAMPED)
    missing, unknown = wanted - set(frame.columns), set(frame.columns) - wanted
    if missing or unknown:
        raise ValueError(
            f"{table} must have its own columns: missing {sorted(missing)}, unknown"
            f" {sorted(unknown)}"
        )
    for name, kind in columns.items():
        dtype = frame.schema.get(name)
        if "TIME ZONE" in kind and isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
            raise ValueError(f"{table}.{name} must be an aware instant, was naive")


def _insert(
    con: duckdb.DuckDBPyConnection, table: str, content: pl.DataFrame, stamp: list[object]
) -> None:
    if table in REPLACED_TABLES:
        con.execute(f'DELETE FROM "{table}"')  # noqa: S608  # the name stands in the catalog
    names = ", ".join(f'"{name}"' for name in content.columns)
    with registered(con, "night_rows", content.to_arrow()):
        con.execute(
            f'INSERT INTO "{table}" ({names}, "asof", run_id, recorded_at)'  # noqa: S608  # names come from the catalog
            f" SELECT {names}, ?, ?, ? FROM night_rows",
            stamp,
        )
