"""The lake's tables: the columns of the migrated store, made and widened; no CHECK, no key."""

from datetime import datetime
from typing import Final, TypeAlias

import duckdb

from instgov_dagster.adapters.store.schema import load_migrations, migrate
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

Columns: TypeAlias = dict[str, str]
Tables: TypeAlias = dict[str, Columns]

# Of one process or one version, and never history.
NOT_HISTORY: Final = frozenset({"journal_cursor", "reason_codes", "schema_version"})
_COLUMNS: Final = """
SELECT c.table_name, c.column_name, c.data_type
FROM duckdb_columns() c SEMI JOIN duckdb_tables() USING (database_name, schema_name, table_name)
WHERE database_name = ? AND schema_name = ? ORDER BY c.table_name, c.column_index
"""
_VIEWS: Final = "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY view_oid"


def columns_of(con: duckdb.DuckDBPyConnection, database: str, schema: str) -> Tables:
    """Give the columns of every table of a schema, with their types."""
    tables: Tables = {}
    for table, column, kind in con.execute(_COLUMNS, [database, schema]).fetchall():
        tables.setdefault(str(table), {})[str(column)] = str(kind)
    return tables


def history_tables(con: duckdb.DuckDBPyConnection, schema: str) -> Tables:
    """Give the tables of history that the lake has in a schema."""
    return _history(columns_of(con, "lake", schema))


def _history(tables: Tables) -> Tables:
    return {name: columns for name, columns in tables.items() if name not in NOT_HISTORY}


def _migrated(schema_set: str, applied_at: datetime) -> tuple[Tables, dict[str, str]]:
    with duckdb.connect() as con:
        migrate(con, schema_set, applied_at=applied_at)
        views = {str(name): str(sql) for name, sql in con.execute(_VIEWS).fetchall()}
        return _history(columns_of(con, "memory", "main")), views


def ensure_lake_schema(
    con: duckdb.DuckDBPyConnection, schema: str, *, applied_at: datetime
) -> Tables:
    """Make what the lake lacks of a schema and give its tables; call it in a transaction.

    Notes
    -----
    CHECKs and NOT NULL stay with the stores that the rows come from and go back to: DuckLake has
    no CHECK. A lake that a newer version widened is refused.

    Raises
    ------
    SystemHalt
        ``SCHEMA_MISMATCH`` if the lake has a column, a type or a migration that this version
        does not know.
    """
    con.execute(f'CREATE SCHEMA IF NOT EXISTS lake."{schema}"')
    con.execute(f'USE lake."{schema}"')
    con.execute(
        "CREATE TABLE IF NOT EXISTS schema_version"
        " (version INTEGER, name VARCHAR, sha256 VARCHAR, applied_at TIMESTAMPTZ)"
    )
    wanted, views = _migrated(schema, applied_at)
    held = history_tables(con, schema)
    for table, columns in wanted.items():
        _widen(con, table, columns, held.get(table))
    if _say_version(con, schema, applied_at):
        for name, statement in views.items():
            con.execute(f'DROP VIEW IF EXISTS "{name}"')
            con.execute(statement)
    return wanted


def require_same_market(con: duckdb.DuckDBPyConnection, binding: str) -> None:
    """Hold the lake to the market of the first home that pushed; call it in a transaction.

    Raises
    ------
    InputError
        If the lake belongs to another market.
    """
    con.execute("CREATE TABLE IF NOT EXISTS lake.main.market (binding VARCHAR)")
    found = con.execute("SELECT binding FROM lake.main.market").fetchall()
    if not found:
        con.execute("INSERT INTO lake.main.market VALUES (?)", [binding])
    elif found != [(binding,)]:
        raise InputError(f"the lake belongs to the market {found[0][0]}, the home to {binding}")


def market_of(con: duckdb.DuckDBPyConnection) -> str:
    """Give the market that the lake belongs to, as a home's ``market.json`` says it."""
    return str(con.execute("SELECT binding FROM lake.main.market").fetchall()[0][0])


def _widen(
    con: duckdb.DuckDBPyConnection, table: str, wanted: Columns, held: Columns | None
) -> None:
    if held is None:
        columns = ", ".join(f'"{name}" {kind}' for name, kind in wanted.items())
        con.execute(f'CREATE TABLE "{table}" ({columns})')
        return
    for name, kind in held.items():
        if wanted.get(name) != kind:
            raise SystemHalt(
                ReasonCode.SCHEMA_MISMATCH,
                f"the lake's {table}.{name} must be {wanted.get(name, 'no column')}, was {kind}",
            )
    for name, kind in wanted.items():
        if name not in held:
            con.execute(f'ALTER TABLE "{table}" ADD COLUMN "{name}" {kind}')


def _say_version(con: duckdb.DuckDBPyConnection, schema: str, applied_at: datetime) -> bool:
    known = load_migrations(schema)
    found = con.execute("SELECT version, sha256 FROM schema_version ORDER BY version").fetchall()
    if found != [(step.version, step.sha256) for step in known[: len(found)]]:
        raise SystemHalt(
            ReasonCode.SCHEMA_MISMATCH,
            f"the lake's {schema} has {len(found)} migrations, of which this version does not"
            " know each one",
        )
    for step in known[len(found) :]:
        con.execute(
            "INSERT INTO schema_version VALUES (?, ?, ?, ?)",
            [step.version, step.name, step.sha256, applied_at],
        )
    return len(found) < len(known)
