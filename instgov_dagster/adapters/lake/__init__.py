"""History beyond one host: a DuckLake of the same tables, its catalog in Postgres."""

from instgov_dagster.adapters.lake.address import LakeAddress, lake_from
from instgov_dagster.adapters.lake.connection import Lake
from instgov_dagster.adapters.lake.pull import PullReport, pull
from instgov_dagster.adapters.lake.push import PushReport, push
from instgov_dagster.adapters.lake.verify import Difference, differences

__all__ = [
    "Difference",
    "Lake",
    "LakeAddress",
    "PullReport",
    "PushReport",
    "differences",
    "lake_from",
    "pull",
    "push",
]
