"""The warehouse: one writer, closed whatever happens, never half-written."""

import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from instgov_dagster.adapters.store.errors import WarehouseCorrupt
from instgov_dagster.adapters.store.warehouse import WarehouseResource, transaction
from instgov_dagster.vocabulary.errors import SystemHalt, WarehouseBusy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.store.stores import NIGHT, closed_warehouse, warehouse

INSERT = "INSERT INTO symbol_classes VALUES (?, ?, ?, DATE '2024-12-06', 'run')"
# Another program on the same file: plain DuckDB, which starts in a fraction of a second.
HOLD = """
import sys, duckdb
con = duckdb.connect(sys.argv[1] + "/warehouse.duckdb", read_only=sys.argv[2] == "reader")
print("held", flush=True)
sys.stdin.readline()
"""
HALF_WAY = """
import sys
from pathlib import Path
from instgov_dagster_tests.adapters.store.stores import closed_warehouse
with closed_warehouse(Path(sys.argv[1])).txn() as con:
    con.execute("INSERT INTO symbol_classes SELECT 'S' || range, 'STOCKS', false,"
                " DATE '2024-12-06', 'run' FROM range(100000)")
    print("held", flush=True)
    sys.stdin.readline()
"""
FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster_tests.adapters.store.stores import closed_warehouse
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = closed_warehouse(Path(sys.argv[1]))
size = store.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 65536, size + 65536))
try:
    with store.txn() as con:
        con.execute("INSERT INTO symbol_classes SELECT hash(range) || 'S' || range, 'STOCKS',"
                    " false, DATE '2024-12-06', 'run' FROM range(400000)")
except SystemHalt as stopped:
    print(stopped.reason_code)
"""


def _count(store: WarehouseResource) -> int:
    with store.reader() as con:
        return int(con.execute("SELECT count(*) FROM symbol_classes").fetchall()[0][0])


def _hold(folder: Path, mode: str, script: str = HOLD) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_transaction_that_ends_well_is_there_for_the_next_reader(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    with store.txn() as con:
        con.execute(INSERT, ["SPY", "STOCKS", False])
    assert _count(store) == 1


def test_a_transaction_whose_body_raises_leaves_nothing_and_lets_the_error_through(
    tmp_path: Path,
) -> None:
    store = warehouse(tmp_path)

    def careless() -> None:
        with store.txn() as con:
            con.execute(INSERT, ["SPY", "STOCKS", False])
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        careless()
    assert _count(store) == 0


@pytest.mark.roadmap("0.6")
def test_a_commit_after_a_swallowed_error_is_refused_instead_of_silently_discarded(
    tmp_path: Path,
) -> None:
    store = warehouse(tmp_path)

    def careless() -> None:
        with store.txn() as con:
            con.execute(INSERT, ["SPY", "STOCKS", False])
            with pytest.raises(duckdb.ConstraintException):
                con.execute(INSERT, ["SPY", "BONDS", False])

    with pytest.raises(duckdb.TransactionException, match="aborted"):
        careless()
    assert _count(store) == 0


def test_a_body_that_commits_by_itself_is_refused(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    for statements in ("COMMIT", "ROLLBACK; BEGIN TRANSACTION"):
        with pytest.raises(duckdb.TransactionException, match="by itself"), store.txn() as con:
            con.execute(statements)


def test_the_file_is_free_again_after_the_body_raised(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    with pytest.raises(RuntimeError), store.writer():
        raise RuntimeError
    other = subprocess.run(
        [sys.executable, "-c", HOLD, str(tmp_path), "writer"],
        input="\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout == "held\n"


@pytest.mark.parametrize(("holder", "mine"), [("writer", "reader"), ("reader", "txn")])
def test_a_file_held_by_another_process_is_busy_after_the_wait(
    tmp_path: Path, holder: str, mine: str
) -> None:
    warehouse(tmp_path)
    store = closed_warehouse(tmp_path, busy_wait_seconds=2.0)
    process = _hold(tmp_path, holder)
    with pytest.raises(WarehouseBusy, match="2 s") as busy, getattr(store, mine)():
        pytest.fail("the file was opened")
    process.communicate("\n")
    assert "Could not set lock" in str(busy.value)
    assert (store._clock.now() - NIGHT).total_seconds() == pytest.approx(2.0, abs=0.2)
    assert _count(store) == 0


def test_two_modes_in_one_process_are_busy_not_a_crash(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    with store.reader(), pytest.raises(WarehouseBusy), store.writer():
        pytest.fail("the file was opened twice")


def test_a_writer_killed_inside_a_transaction_leaves_no_row_of_it(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    with store.txn() as con:
        con.execute(INSERT, ["SPY", "STOCKS", False])
    process = _hold(tmp_path, "txn", HALF_WAY)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert _count(store) == 1
    with store.txn() as con:
        con.execute(INSERT, ["QQQ", "STOCKS", False])
    assert _count(store) == 2


def test_a_full_disk_stops_the_system_and_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [ReasonCode.DISK_FULL]
    assert _count(store) == 0
    with store.txn() as con:
        con.execute(INSERT, ["QQQ", "STOCKS", False])


@pytest.mark.parametrize("mode", ["reader", "writer", "txn", "get_connection"])
def test_a_missing_file_halts_and_is_not_made_anew(tmp_path: Path, mode: str) -> None:
    store = closed_warehouse(tmp_path)
    with pytest.raises(WarehouseCorrupt, match="WAREHOUSE_CORRUPT"), getattr(store, mode)():
        pytest.fail("the file was opened")
    with pytest.raises(WarehouseCorrupt):
        store.ensure_schema(applied_at=NIGHT, create=False)
    assert not store.path.exists()


@pytest.mark.parametrize("mode", ["reader", "writer"])
@pytest.mark.parametrize("damage", ["garbage", "empty", "cut", "flipped"])
def test_a_damaged_file_halts(tmp_path: Path, mode: str, damage: str) -> None:
    store = warehouse(tmp_path)
    body = bytearray(store.path.read_bytes())
    match damage:
        case "garbage":
            body[:4096] = b"x" * 4096
        case "empty":
            body.clear()
        case "cut":
            del body[8192:]
        case _:
            body[12288 + 100] ^= 0xFF
    store.path.write_bytes(body)
    with pytest.raises(WarehouseCorrupt) as halted, getattr(store, mode)():
        pytest.fail("the file was opened")
    assert halted.value.reason_code is ReasonCode.WAREHOUSE_CORRUPT


def test_an_error_that_is_not_about_the_file_passes_as_it_is(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    with pytest.raises(duckdb.CatalogException), store.reader() as con:
        con.execute("SELECT * FROM nowhere")


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    store = warehouse(tmp_path)
    with pytest.raises(duckdb.InvalidInputException, match="read-only"), store.reader() as con:
        con.execute(INSERT, ["SPY", "STOCKS", False])


def test_instants_are_utc_whatever_the_machine_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    store = warehouse(tmp_path)
    with store.reader() as con:
        assert con.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
        found = con.execute("SELECT DISTINCT applied_at FROM schema_version").fetchall()
    assert found == [(NIGHT,)]


def test_the_resource_serves_a_dagster_asset_with_the_configuration_of_its_parent(
    tmp_path: Path,
) -> None:
    store = warehouse(tmp_path)

    @dg.asset
    def symbol_classes(warehouse: WarehouseResource) -> None:
        with warehouse.txn() as con:
            con.execute(INSERT, ["SPY", "STOCKS", False])

    resource = WarehouseResource(database=store.database, connection_config={"threads": 1})
    assert dg.materialize([symbol_classes], resources={"warehouse": resource}).success
    assert _count(store) == 1


def test_a_rollback_on_a_dead_connection_hides_no_error(tmp_path: Path) -> None:
    store = warehouse(tmp_path)

    def careless() -> None:
        with store.writer() as con, transaction(con):
            con.close()
            raise KeyError("the body's own error")

    with pytest.raises(KeyError, match="own error"):
        careless()
    assert _count(store) == 0


def test_a_store_that_was_never_migrated_stops_the_system(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "warehouse.duckdb")).close()
    with pytest.raises(SystemHalt, match="SCHEMA_MISMATCH"), closed_warehouse(tmp_path).reader():
        pytest.fail("the file was opened")
