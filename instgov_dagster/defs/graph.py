"""What every asset and check of the graph shares: the day as partition, owners, code version."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from instgov_dagster.adapters.runtime import code_sha256
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


def market_day(instant: datetime) -> date:
    """Give the day in New York at an aware instant."""
    return instant.astimezone(ZoneInfo(MARKET_TIMEZONE)).date()


def night_asset(
    wing: Wing, phase: Phase, *, after: Sequence[str] = ()
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
