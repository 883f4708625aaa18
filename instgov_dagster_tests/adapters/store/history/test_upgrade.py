"""A store of any earlier schema, with rows in every table, upgraded to this version's."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from instgov_dagster.adapters.store import schema
from instgov_dagster.adapters.store.schema import load_migrations, migrate, require_current
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster_tests.adapters.store.stores import NIGHT

LATER = datetime(2025, 6, 1, tzinfo=UTC)
#: A value of each type, and by column name where a constraint asks for one of a few.
PLAIN: dict[str, Any] = {
    "VARCHAR": "VALID",
    "VARCHAR[]": ["DATA_VALID"],
    "DOUBLE": 0.1 + 0.2,  # no short decimal: a value that is rounded anywhere shows
    "DOUBLE[]": [0.1 + 0.2],
    "BIGINT": 2**53 + 1,
    "BIGINT[]": [2**53 + 1],
    "INTEGER": 7,
    "SMALLINT": 7,
    "BOOLEAN": False,
    "BLOB": b"\x00\xff",
    "DATE": NIGHT.date(),
    "TIMESTAMP WITH TIME ZONE": NIGHT.replace(microsecond=123456),
    "DECIMAL(20,8)": Decimal("123456789012.12345678"),
}
NAMED: dict[tuple[str, str], Any] = {
    ("asset_class", "VARCHAR"): "STOCKS",
    ("decision", "VARCHAR"): "HOLD",
    ("dof", "DOUBLE"): 5.0,
    ("family", "VARCHAR"): "mu",
    ("packed_sha256", "VARCHAR"): "0" * 64,
    ("reason_code", "VARCHAR"): "VETO_CVAR",
    ("regime", "VARCHAR"): "CALM",
    ("side", "DOUBLE"): -1.0,
    ("side", "VARCHAR"): "BUY",
    ("stage", "VARCHAR"): "SCALING",
    ("state", "VARCHAR"): "RUNNING",
    ("step", "BIGINT"): 7,
    ("test", "VARCHAR"): "kupiec",
    ("transition_matrix", "DOUBLE[]"): [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0],
}
OF_THE_STORE = {"schema_version", "reason_codes"}
CASES = [(name, step.version) for name in schema.SCHEMA_SETS for step in load_migrations(name)[:-1]]


def older_store(path: Path, name: str, version: int) -> None:
    """Make a store as the version of that migration left it, a row in each of its tables."""
    with duckdb.connect(str(path)) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(schema._VERSION_TABLE)
        for step in load_migrations(name):
            if step.version > version:
                break
            con.execute(step.sql)
            told = [step.version, step.name, step.sha256, NIGHT]
            con.execute("INSERT INTO schema_version VALUES (?, ?, ?, ?)", told)
        for table, columns in tables_of(con).items():
            if table in OF_THE_STORE:
                continue
            row = [NAMED.get((n, kind), PLAIN[kind]) for n, kind in columns.items()]
            marks = ", ".join("?" * len(row))
            con.execute(f'INSERT INTO "{table}" VALUES ({marks})', row)  # noqa: S608  # from the catalog


def tables_of(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    rows = con.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal AND"
        " table_name IN (SELECT table_name FROM duckdb_tables()) ORDER BY table_name, column_index"
    ).fetchall()
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found


def rows_of(con: duckdb.DuckDBPyConnection, columns: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Read each table's columns, in the order told."""
    con.execute("SET TimeZone = 'UTC'")
    return {
        table: con.execute(
            f'SELECT {", ".join(f"""{chr(34)}{name}{chr(34)}""" for name in names)} FROM "{table}"'  # noqa: S608
        ).fetchall()
        for table, names in columns.items()
        if table not in OF_THE_STORE
    }


@pytest.mark.parametrize(("name", "version"), CASES)
def test_a_store_of_each_earlier_schema_is_upgraded_with_every_row_as_it_was(
    tmp_path: Path, name: str, version: int
) -> None:
    path = tmp_path / "store.duckdb"
    older_store(path, name, version)
    with duckdb.connect(str(path)) as con:
        older, before = tables_of(con), rows_of(con, tables_of(con))
        assert all(len(rows) == 1 for rows in before.values())
        done = migrate(con, name, applied_at=LATER)
    assert done == tuple(s.version for s in load_migrations(name) if s.version > version)
    with duckdb.connect(str(path)) as con:
        require_current(con, name)
        assert rows_of(con, older) == before
        fresh = duckdb.connect()
        migrate(fresh, name, applied_at=LATER)
        assert tables_of(con) == tables_of(fresh)
        assert _views(con) == _views(fresh)
        for view in _views(con):
            con.execute(f'SELECT * FROM "{view}"').fetchall()  # noqa: S608  # from the catalog
        applied = con.execute("SELECT version, applied_at FROM schema_version").fetchall()
    assert {row[0] for row in applied if row[1] == NIGHT} == {
        s.version for s in load_migrations(name) if s.version <= version
    }
    fresh.close()


def _views(con: duckdb.DuckDBPyConnection) -> list[str]:
    rows = con.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1")
    return [name for (name,) in rows.fetchall()]


@pytest.mark.parametrize("name", schema.SCHEMA_SETS)
def test_an_upgrade_that_breaks_off_leaves_the_older_store_as_it_was(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_migrations(name)[0].version
    path = tmp_path / "store.duckdb"
    older_store(path, name, first)
    with duckdb.connect(str(path)) as con:
        older, before = tables_of(con), rows_of(con, tables_of(con))
    monkeypatch.setattr(schema, "_seed_reason_codes", _break_off)
    with duckdb.connect(str(path)) as con, pytest.raises(KeyboardInterrupt):
        migrate(con, name, applied_at=LATER)
    with duckdb.connect(str(path)) as con:
        assert tables_of(con) == older
        assert rows_of(con, older) == before
        with pytest.raises(SystemHalt, match="SCHEMA_MISMATCH"):
            require_current(con, name)


def _break_off(_: duckdb.DuckDBPyConnection) -> None:
    raise KeyboardInterrupt


def test_a_warehouse_of_an_earlier_schema_is_upgraded_when_an_installation_opens_it(
    tmp_path: Path,
) -> None:
    first, *later = load_migrations("warehouse")
    older_store(tmp_path / "warehouse.duckdb", "warehouse", first.version)
    store = WarehouseResource(database=str(tmp_path / "warehouse.duckdb"))
    # Until then nobody reads it by mistake.
    with pytest.raises(SystemHalt, match="SCHEMA_MISMATCH"), store.reader():
        pass
    done = store.ensure_schema(applied_at=LATER, create=False)
    assert done == tuple(step.version for step in later)
    with store.reader() as con:
        assert con.execute("SELECT count(*) FROM bar_versions").fetchall() == [(1,)]
