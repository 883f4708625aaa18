"""dagster.yaml starts an instance, and every folder of it lands under data/dagster."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance

from instgov_dagster_tests.repository.roadmap import ROOT


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with DagsterInstance.from_config(str(tmp_path)) as started:
        yield started


def test_the_instance_writes_only_below_data_dagster(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    assert instance.get_runs_count() == 0
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    home = Path("data", "dagster")
    assert {path for path in written if home not in path.parents} == {Path("dagster.yaml")}
    assert home / "history" / "runs.db" in written


def test_the_instance_lets_a_leader_and_a_standby_run_and_retries_nothing(
    instance: DagsterInstance,
) -> None:
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.tag_concurrency_limits == [{"key": "instgov/live_session", "limit": 2}]
    assert queue.max_concurrent_runs > 2
    assert instance.run_retries_max_retries == 0


def test_the_instance_is_patient_at_the_start_and_tells_nobody(instance: DagsterInstance) -> None:
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_start_timeout_seconds >= 120
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled


def test_no_setting_of_the_instance_depends_on_the_environment() -> None:
    text = (ROOT / "dagster.yaml").read_text(encoding="utf-8")
    assert "env:" not in text  # an unset variable would break every command


def test_the_workspace_names_the_gatherer() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    (place,) = workspace["load_from"]
    assert place["python_module"]["module_name"] == "instgov_dagster.definitions"
