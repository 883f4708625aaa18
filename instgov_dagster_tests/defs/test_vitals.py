"""The event log of an instance on Postgres: as large as its database, and pruned in it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.instance.ref import InstanceRef
from dagster._core.test_utils import create_run_for_test

from instgov_dagster.adapters.runtime import Home, RealClock
from instgov_dagster.defs.automation.pruning import prune
from instgov_dagster.defs.vitals import event_log_space
from instgov_dagster_tests.adapters.runtime.leases.servers import postgres

JOB = "governed_live_loop"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with postgres() as url:
        pytest.importorskip("dagster_postgres")
        address = url.replace("postgresql://", "postgresql+psycopg2://")
        settings = {"storage": {"postgres": {"postgres_url": address}}}
        ref = InstanceRef.from_dir(str(tmp_path), overrides=settings)
        with dg.DagsterInstance.from_ref(ref) as opened:
            yield opened


def evaluate(instance: dg.DagsterInstance, run_id: str) -> None:
    event = DagsterEvent(
        event_type_value=DagsterEventType.ASSET_CHECK_EVALUATION.value,
        job_name=JOB,
        event_specific_data=dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("decision_journal"), check_name="beat", passed=True
        ),
    )
    instance.report_dagster_event(event, run_id)


def test_an_event_log_in_postgres_is_measured_and_pruned_there(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    home = Home(tmp_path / "data")
    space = event_log_space(home, instance)
    assert space.used_mib is not None
    assert 1.0 < space.used_mib < 200.0
    assert space.free_mib is not None
    assert space.free_mib > 0.0
    success = dg.DagsterRunStatus.SUCCESS
    runs = [create_run_for_test(instance, job_name=JOB, status=success) for _ in range(3)]
    for run in runs:
        evaluate(instance, run.run_id)
    before = RealClock().now() + timedelta(days=1)
    pruned = prune(instance, home.dagster, before=before, keep=1)
    assert set(pruned.runs) == {runs[0].run_id, runs[1].run_id}
    assert pruned.check_rows == 2
    assert prune(instance, home.dagster, before=before, keep=1).check_rows == 0
    assert [run.run_id for run in instance.get_runs()] == [runs[2].run_id]
