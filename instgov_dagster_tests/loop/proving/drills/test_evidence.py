"""Evidence in the warehouse and among what is published."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.published import read_snapshot
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.loop.proving.drills.evidence import (
    Evidence,
    evidence_from_dict,
    evidence_to_dict,
    record_evidence,
)

AT = datetime(2025, 3, 12, 8, 0, tzinfo=UTC)


def row_of(drill: str, *, fired: bool, at: datetime = AT) -> Evidence:
    return Evidence(
        drill=drill,
        control="One session leads.",
        injected="another holder keeps the lease",
        expected_reason_code="LEASE_HELD",
        expected_state="RUNNING",
        fired=fired,
        reason_code="LEASE_HELD" if fired else None,
        state="RUNNING",
        statistic=0.0,
        detail="held",
        at=at,
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home(tmp_path)
    warehouse = WarehouseResource(database=str(place.warehouse))
    warehouse.ensure_schema(applied_at=AT, create=True)
    return place


def recorded(home: Home, *rows: Evidence, run_id: str = "run-1", at: datetime = AT) -> bool:
    return record_evidence(home, rows, asof=date(2025, 3, 12), run_id=run_id, recorded_at=at)


def test_evidence_reads_back_as_it_was_written() -> None:
    row = row_of("two_leaders", fired=True)
    assert evidence_from_dict(evidence_to_dict(row)) == row


@pytest.mark.roadmap("9.5")
def test_evidence_is_appended_and_the_last_row_of_each_drill_is_published(home: Home) -> None:
    later = AT + timedelta(days=1)
    assert recorded(home, row_of("two_leaders", fired=True), row_of("disk_full", fired=True))
    again = row_of("two_leaders", fired=False, at=later)
    assert recorded(home, again, run_id="run-2", at=later)
    with WarehouseResource(database=str(home.warehouse)).reader() as con:
        rows = con.sql('SELECT drill, fired FROM fire_drills ORDER BY "at", drill').fetchall()
    assert rows == [("disk_full", True), ("two_leaders", True), ("two_leaders", False)]
    table = read_snapshot(home.published / "drills").tables["fire_drills"]
    assert table.select("drill", "fired").rows() == [("disk_full", True), ("two_leaders", False)]
    assert {"drill", "control", "fired", "reason_code", "at"} <= set(table.columns)


def test_a_home_without_a_warehouse_is_left_as_it_is(tmp_path: Path) -> None:
    assert not recorded(Home(tmp_path), row_of("two_leaders", fired=True))
    assert list(tmp_path.iterdir()) == []


def test_the_table_takes_no_firing_without_its_code(home: Home) -> None:
    wrong = evidence_from_dict(
        {**evidence_to_dict(row_of("two_leaders", fired=True)), "reason_code": "DISK_FULL"}
    )
    with pytest.raises(duckdb.ConstraintException):
        recorded(home, wrong)
