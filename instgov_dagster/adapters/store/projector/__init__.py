"""The journal into live.duckdb, exactly once, and from there to Parquet for readers."""

from instgov_dagster.adapters.store.projector.follow import live_store
from instgov_dagster.adapters.store.projector.lag import ProjectionLag, projection_lag
from instgov_dagster.adapters.store.projector.readers import (
    TableDigest,
    digest_tables,
    live_folder,
)
from instgov_dagster.adapters.store.projector.rebuild import RebuildResult, rebuild_projection
from instgov_dagster.adapters.store.projector.rows import CHAINS, LIVE_TABLES
from instgov_dagster.adapters.store.projector.step import ProjectionResult, project

__all__ = [
    "CHAINS",
    "LIVE_TABLES",
    "ProjectionLag",
    "ProjectionResult",
    "RebuildResult",
    "TableDigest",
    "digest_tables",
    "live_folder",
    "live_store",
    "project",
    "projection_lag",
    "rebuild_projection",
]
