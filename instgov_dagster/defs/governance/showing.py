"""What people look at, as assets: the published tables of the pages, the static report."""

import os
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from instgov_dagster.defs.governance.live import SESSION_TAGS
from instgov_dagster.defs.graph import CODE_VERSION, DAYS, Wing, day_of, night_asset
from instgov_dagster.defs.halting import failing_closed
from instgov_dagster.defs.reporting import plain, show_facts, verdict
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.governance import Phase

if TYPE_CHECKING:
    from pathlib import Path

#: A page that is larger opens slowly and is refused by mail.
MOST_BYTES = 6_000_000


@night_asset(
    Wing.GOVERNANCE,
    Phase.LIVE_TRADING,
    after=["published_snapshot", "model_evaluation", "belief_pictures", "model_trials"],
)
def dashboard_tables(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Publish what the pages show of a night beside what the loop stands on; no store is shared."""
    with failing_closed(platform):
        snapshot_id, rows = publish_pages(platform, day_of(context))
    facts = {"snapshot_id": snapshot_id, "tables": rows, "dagster/row_count": sum(rows.values())}
    facts |= show_facts("Rows published, by table", rows)
    return dg.MaterializeResult(
        metadata={name: plain(value) for name, value in facts.items()},
        data_version=dg.DataVersion(snapshot_id),
    )


def publish_pages(platform: PlatformResource, day: date) -> tuple[str, dict[str, int]]:
    """Publish the tables of the pages for the night of a day."""
    from instgov_dagster.dashboard.reading.publishing import publish_tables

    return publish_tables(platform.open(), day)


@dg.asset(
    group_name=Wing.GOVERNANCE.value,
    partitions_def=DAYS,
    deps=["report_card", "reconciliation", "audit_chain"],
    owners=Wing.GOVERNANCE.owners,
    kinds={"plotly", "html"},
    tags=SESSION_TAGS,
    code_version=CODE_VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "report_is_whole",
            asset="governance_report",
            description="The report stands alone in one file of at most 6 MB.",
        )
    ],
)
def governance_report(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Write the day's report: every page of the dashboard in one file that needs no server."""
    with failing_closed(platform):
        snapshot_id, _ = publish_pages(platform, shown_day(platform, day_of(context)))
        path, size = report_of(platform)
    check = verdict(name="report_is_whole", passed=size <= MOST_BYTES, value=size, limit=MOST_BYTES)
    facts: dict[str, Any] = {
        "path": dg.MetadataValue.path(str(path)),
        "bytes": size,
        "snapshot_id": snapshot_id,
        **show_facts("The report's bytes", {"bytes": size, "most allowed": MOST_BYTES}),
    }
    return dg.MaterializeResult(metadata=facts, check_results=[check])


def shown_day(platform: PlatformResource, day: date) -> date:
    """Give the day of the published night, which the pages show; the run's where there is none."""
    from instgov_dagster.adapters.store.published import published_meta

    meta = published_meta(platform.night_folder())
    return day if meta is None else date.fromisoformat(meta["asof"])


def report_of(platform: PlatformResource) -> tuple["Path", int]:
    """Write the report of the home as it stands now."""
    from instgov_dagster.adapters.journal import key_from
    from instgov_dagster.dashboard.report import write_report

    return write_report(platform.layout(), platform.rules(), key=key_from(os.environ))
