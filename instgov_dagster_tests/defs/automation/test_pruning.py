"""Pruning on a real SQLite instance: old session runs go with their files, all else stays."""

import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.test_utils import create_run_for_test

from instgov_dagster.adapters.runtime import Home, RealClock
from instgov_dagster.cli.instance import open_instance
from instgov_dagster.definitions import defs
from instgov_dagster.defs.automation.pruning import prune, prune_files
from instgov_dagster.vocabulary.policy.operations import OperationsPolicy
from instgov_dagster_tests.defs.conftest import Installation

JOB = "governed_live_loop"
SUCCESS, STARTED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.STARTED


@pytest.fixture
def instance(fresh: Installation) -> Iterator[dg.DagsterInstance]:
    with open_instance(fresh.home) as opened:
        yield opened


def shard(home: Path, run_id: str) -> Path:
    return home / "dagster" / "history" / "runs" / f"{run_id}.db"


def make_run(
    instance: dg.DagsterInstance, job: str = JOB, status: dg.DagsterRunStatus = SUCCESS
) -> str:
    """Leave a run with an event and a log, as a session does."""
    run = create_run_for_test(instance, job_name=job, status=status)
    instance.report_engine_event("a minute", run)
    logs = Path(instance.compute_log_manager._base_dir) / run.run_id / "compute_logs"  # type: ignore[attr-defined]  # the local one
    logs.mkdir(parents=True)
    (logs / "step.out").write_text("said")
    return run.run_id


def run_ids(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def test_a_pruned_run_leaves_no_row_no_events_no_file_and_no_log(
    instance: dg.DagsterInstance, fresh: Installation
) -> None:
    old, new = make_run(instance), make_run(instance)
    assert shard(fresh.home, old).exists()
    pruned = prune(
        instance, fresh.home / "dagster", before=RealClock().now() + timedelta(days=1), keep=1
    )
    assert pruned.runs == (old,)
    assert run_ids(instance) == {new}
    left = [path for path in (fresh.home / "dagster").rglob("*") if old in path.name]
    assert left == []
    with sqlite3.connect(fresh.home / "dagster" / "history" / "runs" / "index.db") as index:
        (count,) = index.execute("SELECT count(*) FROM event_logs WHERE run_id = ?", [old])
    assert count == (0,)
    assert shard(fresh.home, new).exists()
    assert pruned.before_mib is not None
    assert pruned.after_mib is not None
    assert pruned.after_mib < pruned.before_mib


def test_young_runs_running_ones_and_the_runs_of_nights_are_never_pruned(
    instance: dg.DagsterInstance, fresh: Installation
) -> None:
    folder, now = fresh.home / "dagster", RealClock().now()
    running = make_run(instance, status=STARTED)
    night = make_run(instance, "nightly_ingestion")
    old = [make_run(instance), make_run(instance, "after_session")]
    kept = [make_run(instance), make_run(instance, "after_session")]
    assert prune(instance, folder, before=now - timedelta(days=14), keep=1).runs == ()
    assert set(prune(instance, folder, before=now + timedelta(days=1), keep=1).runs) == set(old)
    assert run_ids(instance) == {running, night, *kept}


def test_an_anchor_is_of_no_run_and_survives_the_run_that_told_it(
    instance: dg.DagsterInstance, fresh: Installation
) -> None:
    key = dg.AssetKey("audit_chain")
    make_run(instance)
    instance.report_runless_asset_event(
        dg.AssetMaterialization(key, metadata={"head": "c0ffee"}, partition="2025-03-12")
    )
    make_run(instance)
    prune(instance, fresh.home / "dagster", before=RealClock().now() + timedelta(days=1), keep=1)
    told = instance.fetch_materializations(key, limit=10).records
    assert [row.asset_materialization.metadata["head"].value for row in told] == ["c0ffee"]  # type: ignore[union-attr]  # materializations


def test_the_job_prunes_by_the_policy_and_says_what_it_did(
    instance: dg.DagsterInstance, fresh: Installation
) -> None:
    made = [make_run(instance) for _ in range(3)]
    rules = fresh.folder / "config" / "policy.yaml"
    text = rules.read_text().replace("history_keep_runs: 20", "history_keep_runs: 2")
    rules.write_text(text)
    job = defs().resolve_job_def("prune_history")
    config = {"resources": {"platform": {"config": fresh.config}}}
    result = job.execute_in_process(instance=instance, run_config=config)
    assert result.success
    assert set(made) <= run_ids(instance)  # they are minutes old, the policy keeps days
    (event,) = [event for event in result.all_node_events if event.is_successful_output]
    assert event.step_output_data.metadata["runs"].value == 0


def check_rows(home: Path) -> list[tuple[str, str]]:
    """Give which run said what of a check last or before."""
    with sqlite3.connect(home / "dagster" / "history" / "runs" / "index.db") as index:
        found = index.execute("SELECT run_id, check_name FROM asset_check_executions ORDER BY id")
        return found.fetchall()


def evaluate(instance: dg.DagsterInstance, run_id: str, check: str) -> None:
    """Leave what a check of a session found, as the session's run does."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("decision_journal"), check_name=check, passed=True
    )
    event = DagsterEvent(
        event_type_value=DagsterEventType.ASSET_CHECK_EVALUATION.value,
        job_name=JOB,
        event_specific_data=evaluation,
    )
    instance.report_dagster_event(event, run_id)


def test_what_the_checks_of_pruned_runs_found_goes_too_but_for_the_last_word_on_each(
    instance: dg.DagsterInstance, fresh: Installation
) -> None:
    old, new, night = (
        make_run(instance), make_run(instance), make_run(instance, "nightly_ingestion"),
    )  # fmt: skip
    for run_id, check in ((old, "beat"), (old, "never_again"), (night, "beat"), (new, "beat")):
        evaluate(instance, run_id, check)
    before = RealClock().now() + timedelta(days=1)
    pruned = prune(instance, fresh.home / "dagster", before=before, keep=1)
    assert (pruned.runs, pruned.check_rows) == ((old,), 1)
    assert check_rows(fresh.home) == [(old, "never_again"), (night, "beat"), (new, "beat")]
    assert prune(instance, fresh.home / "dagster", before=before, keep=1).check_rows == 0


def test_shards_wait_for_their_night_as_long_as_runs_are_kept_and_payloads_longer(
    tmp_path: Path,
) -> None:
    home, policy = Home(tmp_path), OperationsPolicy(history_keep_days=14.0, raw_keep_days=100.0)
    now = datetime(2025, 3, 20, 9, tzinfo=UTC)
    for day in ("2025-03-05", "2025-03-06"):
        (home.shards / day / "01-of-02").mkdir(parents=True)
    for run, age in (("old", 101), ("young", 99)):
        file = home.raw / run / "KO_yahoo.json.gz"
        file.parent.mkdir(parents=True)
        file.touch()
        instant = (now - timedelta(days=age)).timestamp()
        os.utime(file, (instant, instant))
    assert prune_files(home, policy, now) == {"payloads": 1, "shard_days": 1}
    assert [path.name for path in home.shards.iterdir()] == ["2025-03-06"]
    assert [path.name for path in home.raw.iterdir()] == ["young"]
