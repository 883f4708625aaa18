"""What every asset and check of the graph shares: the day as partition, owners, code version."""

import os
from collections.abc import Callable, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from instgov_dagster.adapters.runtime import code_sha256
from instgov_dagster.adapters.runtime.shards import Shard, all_shards, shard_count
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import Phase

#: Where a day begins and ends, and where the night's schedule ticks.
MARKET_TIMEZONE = "America/New_York"

#: The first day whose whole history window lies inside the exchange calendars (1990 onwards).
FIRST_DAY = date(1995, 1, 1)

#: One partition a day, the day traded; today's is open from its own midnight on.
DAYS = dg.DailyPartitionsDefinition(
    start_date=FIRST_DAY.isoformat(), timezone=MARKET_TIMEZONE, end_offset=1
)

#: The shards of a night, by the environment the code location starts in: partitions are named then.
SHARDS = all_shards(shard_count(os.environ))

#: Day by shard: assets of one job share their partitions, so the shards are a job of their own.
DATE_DIMENSION, SHARD_DIMENSION = "date", "shard"
SHARDED_DAYS = dg.MultiPartitionsDefinition(
    {
        DATE_DIMENSION: DAYS,
        SHARD_DIMENSION: dg.StaticPartitionsDefinition([shard.key for shard in SHARDS]),
    }
)

#: Runs that write the warehouse queue behind one another; <home>/night.lock is what protects it.
WAREHOUSE_POOL = "warehouse"

#: A change of any source makes every asset outdated: a session refuses a night of other code.
CODE_VERSION = code_sha256()[:16]

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext
CheckFunction = Callable[..., dg.AssetCheckResult]


class Wing(StrEnum):
    """The four wings; each is a group of the graph."""

    BARS = "bars"
    BELIEFS = "beliefs"
    CAPITAL = "capital"
    GOVERNANCE = "governance"

    @property
    def owners(self) -> list[str]:
        """The team that answers for the wing's assets."""
        return [f"team:{self.value}"]


def day_of(context: Context) -> date:
    """Read the day traded from the partition a step runs for.

    Raises
    ------
    InputError
        If the run has no partition: a night without a day is none.
    """
    if not context.has_partition_key:
        raise InputError("a step runs for one day: launch it with a partition, was without")
    return date.fromisoformat(context.partition_key)


def shard_of(context: dg.AssetExecutionContext) -> tuple[date, Shard]:
    """Read day and shard from the partition a step runs for.

    Raises
    ------
    InputError
        If the run has no such partition.
    """
    key = context.partition_key if context.has_partition_key else None
    if not isinstance(key, dg.MultiPartitionKey):
        raise InputError(f"a shard must be launched with a day and a shard, was with {key!r}")
    parts = key.keys_by_dimension
    return date.fromisoformat(parts[DATE_DIMENSION]), Shard.named(parts[SHARD_DIMENSION])


def market_day(instant: datetime) -> date:
    """Give the day in New York at an aware instant."""
    return instant.astimezone(ZoneInfo(MARKET_TIMEZONE)).date()


def night_asset(
    wing: Wing, phase: Phase, *, after: Sequence[str | dg.AssetDep] = ()
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Declare a table of the night; its sentence is the function's docstring.

    Parameters
    ----------
    phase
        The phase of the roadmap's execution order that the step belongs to.
    after
        The assets it stands on.
    """
    return dg.asset(
        group_name=wing.value,
        partitions_def=DAYS,
        deps=list(after),
        owners=wing.owners,
        kinds={"polars", "duckdb"},
        tags={"instgov/phase": phase.value},
        code_version=CODE_VERSION,
        pool=WAREHOUSE_POOL,
    )


def rule(
    asset: str, *, blocking: bool = True
) -> Callable[[CheckFunction], dg.AssetChecksDefinition]:
    """Declare a rule of the roadmap on an asset of the graph; its sentence is the docstring.

    Parameters
    ----------
    blocking
        Whether the line stops where the rule is broken. It stops this run only: every later step
        verifies the stamps by itself.
    """
    return dg.asset_check(asset=asset, blocking=blocking)
