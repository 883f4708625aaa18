"""A night in shards through Dagster: partitions, schedule, and the sensor that waits for all."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.adapters.runtime.shards import Shard, all_shards
from instgov_dagster.defs.automation import schedules, sharding
from instgov_dagster.defs.bars import raw_bar_shards
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster_tests.defs.conftest import DAY, Installation
from instgov_dagster_tests.repository.roadmap import ROOT

TWO = datetime(2025, 3, 12, 2, tzinfo=ZoneInfo("America/New_York"))
# A code location of two shards: the environment names its partitions when it loads.
PROGRAM = """
import json, sys
import dagster as dg
from instgov_dagster.definitions import defs
config = {"resources": {"platform": {"config": json.loads(sys.argv[1])}}}
told = {}
with dg.DagsterInstance.ephemeral() as instance:
    def run(job, key, assets=None):
        return defs().resolve_job_def(job).execute_in_process(
            instance=instance, partition_key=key, run_config=config, raise_on_error=False,
            asset_selection=[dg.AssetKey(name) for name in assets] if assets else None)
    def failure(result):
        found = [e for e in result.all_events if e.is_step_failure]
        return found[0].step_failure_data.user_failure_data.metadata["reason_code"].value
    def night():
        return run("nightly_ingestion", "2025-03-12", ["raw_bars"])
    def shard(name):
        key = dg.MultiPartitionKey({"date": "2025-03-12", "shard": name})
        return run("ingest_shards", key).success
    told["first"] = shard("01-of-02")
    told["early"] = failure(night())
    told["second"] = shard("02-of-02")
    last = night()
    told["night"] = last.success
    (event,) = last.get_asset_materialization_events()
    facts = event.step_materialization_data.materialization.metadata
    told |= {name: facts[name].value for name in ("symbols", "added", "archive")}
print(json.dumps(told))
"""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as started:
        yield started


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> tuple[Shard, ...]:
    """Let the schedules and the sensor know of two shards."""
    for module in (sharding, schedules):
        monkeypatch.setattr(module, "SHARDS", all_shards(2))
    return all_shards(2)


def ask(instance: dg.DagsterInstance) -> object:
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=TWO, resources={"platform": PlatformResource()}
    ) as context:
        return sharding.shards_schedule(context)


def ask_night(instance: dg.DagsterInstance) -> object:
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=TWO, resources={"platform": PlatformResource()}
    ) as context:
        return schedules.nightly_schedule(context)


def look(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sharding, "RealClock", lambda: VirtualClock(TWO.astimezone(UTC)))
    with dg.build_sensor_context(instance=instance) as context:
        return sharding.sharded_night_sensor(context)


def record(instance: dg.DagsterInstance, shard: str, *, day: str = DAY, status: str) -> None:
    instance.create_run_for_job(
        job_def=dg.GraphDefinition(name="ingest_shards", node_defs=[]).to_job(),
        status=dg.DagsterRunStatus[status],
        tags={"dagster/partition/date": day, "dagster/partition/shard": shard},
    )


def test_one_shard_leaves_the_night_to_ask_by_itself(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer in (ask(instance), look(instance, monkeypatch)):
        assert isinstance(answer, dg.SkipReason)
        assert (
            answer.skip_message
            == "INSTGOV_INGEST_SHARDS is 1: the night asks for its bars by itself"
        )
    assert isinstance(ask_night(instance), dg.RunRequest)


@pytest.mark.roadmap("2.1")
def test_two_shards_are_asked_for_at_two_and_the_night_is_not(
    instance: dg.DagsterInstance, two: tuple[Shard, ...]
) -> None:
    requests = ask(instance)
    assert isinstance(requests, list)
    assert [(one.partition_key, one.run_key) for one in requests] == [
        (f"{DAY}|{shard.key}", f"shard-{DAY}-{shard.key}") for shard in two
    ]
    assert isinstance(ask_night(instance), dg.SkipReason)


def test_the_live_market_is_asked_for_in_its_window_only_by_shards_as_well(
    instance: dg.DagsterInstance, two: tuple[Shard, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    del two
    monkeypatch.setenv("INSTGOV_MARKET", "live")
    monkeypatch.setattr("instgov_dagster.bars.calendars.is_ingestion_open", lambda *_: False)
    answer = ask(instance)
    assert isinstance(answer, dg.SkipReason)
    assert answer.skip_message is not None
    assert answer.skip_message.startswith("INGESTION_WINDOW_CLOSED")


@pytest.mark.usefixtures("two")
def test_the_night_is_asked_for_once_the_last_shard_is_in(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(instance, "01-of-02", status="SUCCESS")
    record(instance, "02-of-02", status="FAILURE")
    record(instance, "02-of-02", status="SUCCESS", day="2025-03-11")
    answer = look(instance, monkeypatch)
    assert isinstance(answer, dg.SkipReason)
    assert answer.skip_message == f"{DAY} waits for its shards 02-of-02"
    record(instance, "02-of-02", status="SUCCESS")
    answer = look(instance, monkeypatch)
    assert isinstance(answer, dg.RunRequest)
    # The key of the schedule: whoever asks, a day has one night.
    assert (answer.partition_key, answer.run_key) == (DAY, f"night-{DAY}")


def test_a_shard_without_its_partition_is_refused(fresh: Installation) -> None:
    context = dg.build_asset_context(partition_key=DAY)
    with pytest.raises(dg.Failure, match="a shard must be launched with a day and a shard"):
        raw_bar_shards(context, fresh.platform())


@pytest.mark.nightly
@pytest.mark.roadmap("2.1", "2.6")
def test_two_runs_fill_the_archive_and_the_night_appends_once(fresh: Installation) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(fresh.config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "INSTGOV_INGEST_SHARDS": "2", "DAGSTER_DISABLE_TELEMETRY": "1"},
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["early"] == "SHARDS_INCOMPLETE"
    assert (told["first"], told["second"], told["night"]) == (True, True, True)
    assert told["symbols"] == 11
    assert told["added"] > 11 * 1000
    assert told["archive"] == f"runtime/shards/{DAY}"
