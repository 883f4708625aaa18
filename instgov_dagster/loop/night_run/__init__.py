"""A night at work: its lock, its ingestion or the shards of it, its steps, what it publishes."""

from instgov_dagster.loop.night_run.ingest import bring_night_shard
from instgov_dagster.loop.night_run.run import PROVED_BY_PUBLISHING, NightRun
from instgov_dagster.loop.steps.reports import IngestReport, PublishReport, StepOutcome

__all__ = [
    "PROVED_BY_PUBLISHING",
    "IngestReport",
    "NightRun",
    "PublishReport",
    "StepOutcome",
    "bring_night_shard",
]
