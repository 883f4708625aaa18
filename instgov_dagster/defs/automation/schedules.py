"""The night's schedule: 02:00 in New York, every day, for crypto has no weekend."""

from datetime import datetime

import dagster as dg

from instgov_dagster.defs.automation.jobs import nightly_ingestion
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


def _is_window_open(instant: datetime, platform: PlatformResource) -> bool:
    from instgov_dagster.bars.calendars import is_ingestion_open

    return is_ingestion_open(instant, platform.rules().history)
