"""The drills through Dagster: their check a control, their hour, and one whole run of them."""

from datetime import datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.defs.automation.schedules import fire_drills_schedule
from instgov_dagster.defs.governance.drills import firing_of
from instgov_dagster.loop.proving.drills.catalog import CATALOG
from instgov_dagster_tests.defs.conftest import Installation, verdicts_of
from instgov_dagster_tests.loop.proving.drills.test_evidence import row_of


@pytest.mark.parametrize("fired", [True, False])
def test_a_control_that_stays_silent_fails_the_check_of_its_name(fired: bool) -> None:  # noqa: FBT001  # the case
    verdict = firing_of(row_of("two_leaders", fired=fired))
    assert (verdict.passed, verdict.check_name) == (fired, "two_leaders_fires")
    told = {name: verdict.metadata[name].value for name in ("value", "limit", "asks")}
    assert told == {"value": int(fired), "limit": 1, "asks": "value >= limit"}
    assert verdict.metadata["expected_reason_code"].value == "LEASE_HELD"


@pytest.mark.roadmap("9.5")
def test_the_drills_are_asked_for_once_a_day_two_hours_after_the_night() -> None:
    instant = datetime(2025, 3, 12, 4, 0, tzinfo=ZoneInfo("America/New_York"))
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_schedule_context(instance=instance, scheduled_execution_time=instant) as context,
    ):
        request = fire_drills_schedule(context)
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.run_key) == ("2025-03-12", "drills-2025-03-12")


@pytest.mark.nightly
@pytest.mark.roadmap("9.5")
def test_one_run_holds_every_drill_and_keeps_its_evidence(published: Installation) -> None:
    result = published.run("fire_drills", dg.DagsterInstance.ephemeral())
    assert result.success
    assert verdicts_of(result) == {("fire_drills", f"{name}_fires"): True for name in CATALOG}
    with WarehouseResource(database=str(published.home / "warehouse.duckdb")).reader() as con:
        kept = con.sql("SELECT drill FROM fire_drills WHERE fired").fetchall()
    assert {name for (name,) in kept} == set(CATALOG)
