"""The schedules: the night at 02:00 in New York, every day, and the pruning after it."""

import os
from datetime import datetime
from pathlib import Path

import dagster as dg

from instgov_dagster.defs.automation.jobs import nightly_ingestion, prune_history
from instgov_dagster.defs.graph import MARKET_TIMEZONE, market_day
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.bars import Market
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
    instant = context.scheduled_execution_time
    if platform.settings().market is Market.LIVE and not _is_window_open(instant, platform):
        return dg.SkipReason(
            f"{ReasonCode.INGESTION_WINDOW_CLOSED}: {instant:%Y-%m-%d %H:%M %Z} lies outside the "
            "close of the New York exchange and its next open"
        )
    day = market_day(instant).isoformat()
    return dg.RunRequest(run_key=f"night-{day}", partition_key=day)


prune_schedule = dg.ScheduleDefinition(
    name="prune_schedule",
    job=prune_history,
    cron_schedule="0 4 * * *",
    execution_timezone=MARKET_TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks for the pruning of old session runs, when the night is done.",
)


def _is_window_open(instant: datetime, platform: PlatformResource) -> bool:
    from instgov_dagster.adapters.config import find_config_dir, load_policy
    from instgov_dagster.bars.calendars import is_ingestion_open

    chosen = platform.settings().config_dir
    folder = find_config_dir(chosen, environment=os.environ, working_dir=Path.cwd())
    return is_ingestion_open(instant, load_policy(folder).history)
