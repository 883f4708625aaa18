"""Migrations and the tables they make: the roadmap's columns, literally."""

from pathlib import Path

import duckdb
import polars as pl
import pytest

from instgov_dagster.adapters.store.schema import load_migrations, migrate, require_current
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.store.stores import NIGHT, warehouse

FIRST = "-- databases: warehouse live\nCREATE TABLE reason_codes (code VARCHAR, severity VARCHAR,"
FIRST += " sentence VARCHAR);"
SECOND = "-- databases: warehouse\nCREATE TABLE second (a INTEGER);"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WarehouseResource:
    """One migrated warehouse, only read from."""
    return warehouse(tmp_path_factory.mktemp("schema"))


def _columns(store: WarehouseResource, table: str) -> dict[str, str]:
    with store.reader() as con:
        return dict(
            con.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table]
            ).fetchall()
        )


@pytest.mark.roadmap("DB.1", "DB.2", "DB.3", "DB.4", "DB.5", "DB.6")
@pytest.mark.parametrize(
    ("table", "columns"),
    [
        pytest.param("price_history", {"asset_class": "VARCHAR"}),
        pytest.param("data_quality", {"quality_score": "DOUBLE"}),
        pytest.param(
            "model_decay_metrics",
            {
                "symbol": "VARCHAR",
                "date": "DATE",
                "model_age_days": "BIGINT",
                "rolling_error": "DOUBLE",
                "autocorr_flip": "BOOLEAN",
                "decay_factor": "DOUBLE",
            },
        ),
        pytest.param(
            "capital_allocations",
            {
                "cycle_id": "VARCHAR",
                "symbol": "VARCHAR",
                "strategy_id": "VARCHAR",
                "allocated_weight": "DOUBLE",
                "reason_codes": "VARCHAR[]",
            },
        ),
        pytest.param(
            "governance_decisions",
            {
                "cycle_id": "VARCHAR",
                "symbol": "VARCHAR",
                "decision": "VARCHAR",
                "reason_codes": "VARCHAR[]",
                "cvar": "DOUBLE",
                "mu": "DOUBLE",
                "sigma": "DOUBLE",
                "vetoed": "BOOLEAN",
                "veto_reason": "VARCHAR",
            },
        ),
        pytest.param(
            "strategy_lifecycle",
            {
                "strategy_id": "VARCHAR",
                "stage": "VARCHAR",
                "start_date": "DATE",
                "end_date": "DATE",
                "capital_pct": "DOUBLE",
                "performance_metrics": "VARCHAR",
            },
        ),
    ],
)
def test_the_table_has_the_columns_the_roadmap_names(
    store: WarehouseResource, table: str, columns: dict[str, str]
) -> None:
    assert columns.items() <= _columns(store, table).items()


@pytest.mark.parametrize("table", ["orders", "fills", "cash_ledger", "execution_plan"])
def test_money_is_decimal_with_eight_digits_after_the_point(
    store: WarehouseResource, table: str
) -> None:
    kinds = _columns(store, table)
    money = {"quantity", "price", "mid_price", "cost_usd", "amount_usd", "balance_usd"} & set(kinds)
    assert money
    assert {kinds[name] for name in money} == {"DECIMAL(20,8)"}


def _insert(con: duckdb.DuckDBPyConnection, table: str, **values: object) -> None:
    # Everything the table needs, then the values under test.
    kinds = con.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table]
    ).fetchall()
    plain = {
        "VARCHAR": "VALID",
        "VARCHAR[]": ["DATA_VALID"],
        "DOUBLE": 0.5,
        "BIGINT": 1,
        "BOOLEAN": False,
        "DATE": NIGHT.date(),
        "TIMESTAMP WITH TIME ZONE": NIGHT,
    }
    row = {name: plain[kind] for name, kind in kinds} | values
    names = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join("?" for _ in row)
    statement = f'INSERT INTO "{table}" ({names}) VALUES ({marks})'  # noqa: S608  # from the catalog
    con.execute(statement, list(row.values()))


@pytest.mark.parametrize(
    ("table", "good", "bad"),
    [
        ("data_quality", {"quality_score": 1.0}, {"quality_score": 1.01}),
        ("data_quality", {"quality_score": 0.0}, {"quality_score": float("nan")}),
        ("data_quality", {"status": "STALE"}, {"status": "FINE"}),
        ("data_quality", {"reason_codes": ["A"]}, {"reason_codes": []}),
        (
            "governance_decisions",
            {"decision": "VETO", "vetoed": True, "veto_reason": "VETO_CVAR"},
            {"decision": "VETO", "vetoed": True, "veto_reason": None},
        ),
        ("governance_decisions", {"decision": "HOLD"}, {"decision": "BUY"}),
        (
            "governance_decisions",
            {"decision": "HOLD"},
            {"decision": "HOLD", "reason_codes": []},
        ),
        ("capital_allocations", {}, {"reason_codes": []}),
        ("risk_verdicts", {"passed": False, "value": None}, {"passed": True, "value": None}),
    ],
)
@pytest.mark.roadmap("0.10")
def test_the_store_itself_refuses_what_no_governed_row_may_say(
    table: str, good: dict[str, object], bad: dict[str, object]
) -> None:
    con = duckdb.connect()
    migrate(con, "warehouse", applied_at=NIGHT)
    _insert(con, table, **good)
    with pytest.raises(duckdb.ConstraintException):
        _insert(con, table, **bad)
    con.close()


@pytest.mark.roadmap("0.10")
def test_every_reason_code_of_the_closed_list_stands_in_the_store(
    store: WarehouseResource,
) -> None:
    with store.reader() as con:
        rows = con.execute("SELECT code, severity, sentence FROM reason_codes").fetchall()
    assert set(rows) == {(c.value, c.severity.value, c.sentence) for c in ReasonCode}
    assert len(rows) == len(ReasonCode)


def test_a_reason_code_that_left_the_list_leaves_the_store_at_the_next_migration() -> None:
    con = duckdb.connect()
    migrate(con, "live", applied_at=NIGHT)
    con.execute("INSERT INTO reason_codes VALUES ('OLD', 'INFO', 'Gone.')")
    assert migrate(con, "live", applied_at=NIGHT) == ()
    assert con.execute("SELECT * FROM reason_codes WHERE code = 'OLD'").fetchall() == []
    con.close()


def _folder(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / f"set{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


def test_missing_migrations_are_applied_in_order_and_once(tmp_path: Path) -> None:
    con = duckdb.connect()
    one = _folder(tmp_path, **{"0001_first": FIRST})
    two = _folder(tmp_path, **{"0001_first": FIRST, "0002_second": SECOND})
    assert migrate(con, "warehouse", applied_at=NIGHT, folder=one) == (1,)
    assert migrate(con, "warehouse", applied_at=NIGHT, folder=two) == (2,)
    assert migrate(con, "warehouse", applied_at=NIGHT, folder=two) == ()
    require_current(con, "warehouse", folder=two)
    with pytest.raises(SystemHalt, match="must have 1 migrations, had 2"):
        require_current(con, "warehouse", folder=one)
    con.close()


def test_a_migration_for_another_database_is_not_applied(tmp_path: Path) -> None:
    folder = _folder(tmp_path, **{"0001_first": FIRST, "0002_second": SECOND})
    assert [m.version for m in load_migrations("live", folder)] == [1]


def test_a_migration_changed_after_it_was_applied_stops_the_system(tmp_path: Path) -> None:
    con = duckdb.connect()
    migrate(con, "live", applied_at=NIGHT, folder=_folder(tmp_path, **{"0001_first": FIRST}))
    changed = _folder(tmp_path, **{"0001_first": FIRST + "\n"})
    with pytest.raises(SystemHalt, match="SCHEMA_MISMATCH: migration 0001_first"):
        migrate(con, "live", applied_at=NIGHT, folder=changed)
    with pytest.raises(SystemHalt, match="SCHEMA_MISMATCH"):
        require_current(con, "live", folder=changed)
    con.close()


def test_a_migration_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    con = duckdb.connect()
    broken = SECOND + "\nCREATE TABLE second (b INTEGER);"
    folder = _folder(tmp_path, **{"0001_first": FIRST, "0002_broken": broken})
    with pytest.raises(duckdb.CatalogException):
        migrate(con, "warehouse", applied_at=NIGHT, folder=folder)
    assert con.execute("SHOW TABLES").fetchall() == []
    con.close()


def test_a_migration_that_does_not_say_where_it_belongs_is_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path, **{"0001_first": "CREATE TABLE a (a INTEGER);"})
    with pytest.raises(ValueError, match="databases"):
        load_migrations("warehouse", folder)
    with pytest.raises(ValueError, match="schema_set must be one of"):
        load_migrations("lake")


def _lifecycle(con: duckdb.DuckDBPyConnection, **values: object) -> None:
    _insert(
        con,
        "strategy_lifecycle_log",
        **({"strategy_id": "momentum", "capital_pct": 2.0, "run_id": "r"} | values),
    )
    _insert(
        con,
        "night_writes",
        table_name="strategy_lifecycle_log",
        asof=values["asof"],
        run_id=values.get("run_id", "r"),
        sequence=values.pop("sequence", 1),
    )


@pytest.mark.roadmap("DB.6")
def test_a_stage_ends_where_the_next_one_starts_and_the_last_one_has_no_end() -> None:
    con = duckdb.connect()
    migrate(con, "warehouse", applied_at=NIGHT)
    first, second = NIGHT.date().replace(month=1), NIGHT.date().replace(month=6)
    for night, stage, start, pct in (
        (first, "INCUBATING", first, 2.0),
        (first.replace(month=2), "INCUBATING", first, 1.5),
        (second, "SCALING", second, 5.0),
    ):
        _lifecycle(con, asof=night, stage=stage, start_date=start, capital_pct=pct)
    rows = pl.from_arrow(
        con.execute(
            "SELECT stage, start_date, end_date, capital_pct FROM strategy_lifecycle"
            " ORDER BY start_date"
        ).to_arrow_table()
    )
    con.close()
    assert isinstance(rows, pl.DataFrame)
    assert rows.rows() == [("INCUBATING", first, second, 1.5), ("SCALING", second, None, 5.0)]
