"""`prove` and `drill`: their fields, their exit codes, and whose home the evidence lands in."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.cli import app
from instgov_dagster.cli.commands.prove import drill_fields
from instgov_dagster.loop.proving.drills.catalog import CATALOG
from instgov_dagster_tests.cli.processes import CONFIG, copy_tree, instgov, told
from instgov_dagster_tests.loop.proving.drills.test_evidence import row_of


def test_one_silent_drill_is_enough_to_fail_and_none_at_all_is_no_proof() -> None:
    rows = (row_of("two_leaders", fired=True), row_of("disk_full", fired=False))
    fields = drill_fields(rows, is_recorded=True)
    assert fields["ok"] is False
    assert [row["fired"] for row in fields["drills"]] == [True, False]
    assert {"name", "control", "fired", "reason_code"} <= set(fields["drills"][0])
    assert drill_fields(rows[:1], is_recorded=True)["ok"] is True
    assert drill_fields((), is_recorded=True)["ok"] is False


def test_a_drill_that_does_not_exist_is_bad_input_and_writes_nothing(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["drill", "--name", "fire", "--home", str(tmp_path)])
    assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.roadmap("9.5")
def test_a_drill_leaves_its_evidence_in_the_home_and_nothing_else(
    ran: Path, tmp_path: Path
) -> None:
    home = copy_tree(ran, tmp_path) / "data"
    journal = {p: p.read_bytes() for p in (home / "journal").rglob("*") if p.is_file()}
    done = instgov(
        "drill", "--name", "two_leaders", "--home", str(home), "--config", str(CONFIG), "--json"
    )
    fields = told(done)
    assert done.returncode == 0, done.stderr
    assert (fields["ok"], fields["recorded"]) == (True, True)
    (row,) = fields["drills"]
    assert (row["name"], row["fired"], row["reason_code"]) == ("two_leaders", True, "LEASE_HELD")
    with WarehouseResource(database=str(home / "warehouse.duckdb")).reader() as con:
        kept = con.sql("SELECT drill, fired, reason_code FROM fire_drills").fetchall()
    assert kept == [("two_leaders", True, "LEASE_HELD")]
    after = {p: p.read_bytes() for p in (home / "journal").rglob("*") if p.is_file()}
    assert after == journal


@pytest.mark.nightly
@pytest.mark.roadmap("9.5")
def test_every_drill_fires_in_one_command(tmp_path: Path) -> None:
    done = instgov("drill", "--home", str(tmp_path / "data"), "--json")
    fields = told(done)
    assert [row["name"] for row in fields["drills"]] == list(CATALOG)
    assert [row["name"] for row in fields["drills"] if not row["fired"]] == []
    assert (done.returncode, fields["ok"], fields["recorded"]) == (0, True, False)


@pytest.mark.nightly
@pytest.mark.roadmap("9.4")
def test_prove_tells_what_was_proved_and_in_how_many_states() -> None:
    done = instgov("prove", "--json")
    fields = told(done)
    assert (done.returncode, fields["ok"]) == (0, True)
    assert fields["states_visited"] > 500_000
    for row in fields["invariants"]:
        assert row["states"] > 0
        assert row["violations"] == 0
