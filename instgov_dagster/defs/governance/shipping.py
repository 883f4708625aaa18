"""History beyond this host, as an asset: what the lake lacks of the home, where there is a lake."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from instgov_dagster.defs.graph import CODE_VERSION, DAYS, WAREHOUSE_POOL, Wing
from instgov_dagster.defs.halting import failing_closed
from instgov_dagster.defs.reporting import show_facts
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.governance import Phase

if TYPE_CHECKING:
    from instgov_dagster.adapters.lake import PushReport


@dg.asset(
    group_name=Wing.GOVERNANCE.value,
    partitions_def=DAYS,
    deps=["dashboard_tables"],
    owners=Wing.GOVERNANCE.owners,
    kinds={"duckdb", "postgres", "parquet"},
    tags={"instgov/phase": Phase.LIVE_TRADING.value},
    code_version=CODE_VERSION,
    pool=WAREHOUSE_POOL,
    output_required=False,
)
def lake_history(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> Iterator[dg.MaterializeResult]:
    """Append bars, quality, beliefs and decisions to the lake; nothing where none is named."""
    with failing_closed(platform):
        report = shipped(platform)
    if report is None:
        context.log.info("INSTGOV_LAKE names no lake: history stays in the home")
        return
    yield dg.MaterializeResult(metadata=shipping_facts(report))


def shipping_facts(report: "PushReport") -> dict[str, Any]:
    """Tell what a push added to the lake, table by table, and its snapshot after it."""
    return {
        **show_facts("Rows added to the lake", report.added),
        "snapshot": report.snapshot,
        "dagster/row_count": sum(report.added.values()),
    }


def shipped(platform: PlatformResource) -> "PushReport | None":
    """Push the home into the lake of the environment; None where it names none."""
    opened = platform.open()
    if opened.lake is None:
        return None
    from instgov_dagster.adapters.lake import Lake, push

    return push(Lake(opened.lake), opened.home, pushed_at=opened.now())
