"""The schedules, in New York: what follows the day, the night, the drills and the pruning."""

from datetime import datetime, timedelta

import dagster as dg

from instgov_dagster.defs.automation.jobs import (
    after_session,
    fire_drills,
    nightly_ingestion,
    prune_history,
)
from instgov_dagster.defs.graph import MARKET_TIMEZONE, SHARDS, market_day
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster.vocabulary.reasons import ReasonCode


@dg.schedule(
    job=nightly_ingestion,
    cron_schedule="0 2 * * *",
    execution_timezone=MARKET_TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks for the night of the day that has just begun in New York.",
)
def nightly_schedule(
    context: dg.ScheduleEvaluationContext, platform: PlatformResource
) -> dg.RunRequest | dg.SkipReason:
    """Ask for tonight's partition; the live market is ingested in its window only (2.1)."""
    if len(SHARDS) > 1:
        return dg.SkipReason("the night follows its shards: sharded_night_sensor asks for it")
    instant = context.scheduled_execution_time
    closed = closed_window(instant, platform)
    if closed is not None:
        return closed
    day = market_day(instant).isoformat()
    return dg.RunRequest(run_key=f"night-{day}", partition_key=day)


@dg.schedule(
    job=after_session,
    cron_schedule="30 1 * * *",
    execution_timezone=MARKET_TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks for what follows the day that has just ended in New York: its parity first.",
)
def after_session_schedule(
    context: dg.ScheduleEvaluationContext, platform: PlatformResource
) -> dg.RunRequest | dg.SkipReason:
    """Ask for yesterday's audit, reconciliation, parity and report card, where it was traded."""
    if not (platform.layout().journal_dir / Chain.LOOP).is_dir():
        return dg.SkipReason("no session was ever led on this home: nothing follows it")
    day = (market_day(context.scheduled_execution_time) - timedelta(days=1)).isoformat()
    return dg.RunRequest(run_key=f"after-{day}", partition_key=day)


@dg.schedule(
    job=fire_drills,
    cron_schedule="0 4 * * *",
    execution_timezone=MARKET_TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks for the fire drills of the day, two hours after its night.",
)
def fire_drills_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Ask for today's drills: no control goes a day without having been seen to fire (9.5)."""
    day = market_day(context.scheduled_execution_time).isoformat()
    return dg.RunRequest(run_key=f"drills-{day}", partition_key=day)


prune_schedule = dg.ScheduleDefinition(
    name="prune_schedule",
    job=prune_history,
    cron_schedule="0 4 * * *",
    execution_timezone=MARKET_TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks for the pruning of old session runs, when the night is done.",
)


def closed_window(instant: datetime, platform: PlatformResource) -> dg.SkipReason | None:
    """Say why the live market may not be ingested at an instant; None where it may be."""
    if platform.settings().market is not Market.LIVE:
        return None
    from instgov_dagster.bars.calendars import is_ingestion_open

    if is_ingestion_open(instant, platform.rules().history):
        return None
    return dg.SkipReason(
        f"{ReasonCode.INGESTION_WINDOW_CLOSED}: {instant:%Y-%m-%d %H:%M %Z} lies outside the "
        "close of the New York exchange and its next open"
    )
