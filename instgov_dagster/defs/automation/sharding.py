"""A night in shards: a run a shard at two o'clock, and the night itself once all have arrived."""

import dagster as dg

from instgov_dagster.adapters.runtime import RealClock
from instgov_dagster.adapters.runtime.shards import SHARDS_VARIABLE
from instgov_dagster.defs.automation.jobs import ingest_shards, nightly_ingestion
from instgov_dagster.defs.automation.schedules import closed_window
from instgov_dagster.defs.graph import DATE_DIMENSION, MARKET_TIMEZONE, SHARDS, market_day
from instgov_dagster.defs.graph import SHARD_DIMENSION as SHARD
from instgov_dagster.defs.resources import PlatformResource

_ONE = f"{SHARDS_VARIABLE} is 1: the night asks for its bars by itself"
_LOOK_SECONDS = 30
# Dagster tags a run with each dimension of its partition.
_PARTITION = "dagster/partition"


@dg.schedule(
    job=ingest_shards,
    cron_schedule="0 2 * * *",
    execution_timezone=MARKET_TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks for the shards of the day that has just begun in New York, a run each.",
)
def shards_schedule(
    context: dg.ScheduleEvaluationContext, platform: PlatformResource
) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for every shard of tonight, where there are several (2.1)."""
    if len(SHARDS) == 1:
        return dg.SkipReason(_ONE)
    instant = context.scheduled_execution_time
    closed = closed_window(instant, platform)
    if closed is not None:
        return closed
    day = market_day(instant).isoformat()
    return [
        dg.RunRequest(
            run_key=f"shard-{day}-{shard.key}",
            partition_key=dg.MultiPartitionKey({DATE_DIMENSION: day, SHARD: shard.key}),
        )
        for shard in SHARDS
    ]


@dg.sensor(
    job=nightly_ingestion,
    minimum_interval_seconds=_LOOK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for the night once each of its shards has arrived; it waits for them all.",
)
def sharded_night_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask for tonight when the last shard is in; the night itself proves them again."""
    if len(SHARDS) == 1:
        return dg.SkipReason(_ONE)
    day = market_day(RealClock().now()).isoformat()
    arrived = _brought(context.instance, day)
    late = [shard.key for shard in SHARDS if shard.key not in arrived]
    if late:
        return dg.SkipReason(f"{day} waits for its shards {', '.join(late)}")
    return dg.RunRequest(run_key=f"night-{day}", partition_key=day)


def _brought(instance: dg.DagsterInstance, day: str) -> set[str]:
    # What the runs say, without opening anything: the night proves the shards themselves.
    done = instance.get_runs(
        dg.RunsFilter(
            job_name=ingest_shards.name,
            tags={f"{_PARTITION}/{DATE_DIMENSION}": day},
            statuses=[dg.DagsterRunStatus.SUCCESS],
        )
    )
    return {run.tags.get(f"{_PARTITION}/{SHARD}", "") for run in done}
