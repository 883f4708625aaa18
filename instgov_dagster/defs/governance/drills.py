"""The fire drills as an asset: evidence a control, and a blocking check for each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from instgov_dagster.defs.graph import CODE_VERSION, DAYS, WAREHOUSE_POOL, Wing, day_of
from instgov_dagster.defs.halting import failing_closed
from instgov_dagster.defs.reporting import glance_facts, table_facts, verdict
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.loop.proving.drills.catalog import CATALOG
from instgov_dagster.vocabulary.governance import Phase

if TYPE_CHECKING:
    from instgov_dagster.loop.proving.drills.evidence import Evidence

_SHOWN = ("reason_code", "state", "expected_reason_code", "expected_state", "statistic", "detail")


# An asset and the job of the same name need an op of another name.
@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            "fire_drills",
            description="A fault per control in a scratch home, and what each control did (9.5).",
            group_name=Wing.GOVERNANCE.value,
            owners=Wing.GOVERNANCE.owners,
            kinds={"arrow", "duckdb"},
            tags={"instgov/phase": Phase.LIVE_TRADING.value},
            code_version=CODE_VERSION,
            partitions_def=DAYS,
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(
            f"{spec.name}_fires", asset="fire_drills", blocking=True, description=spec.control
        )
        for spec in CATALOG.values()
    ],
    pool=WAREHOUSE_POOL,
)
def held_drills(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Hold every drill and keep its evidence; a control that stays silent fails its check."""
    with failing_closed(platform):
        rows = hold_drills(context, platform)
    return dg.MaterializeResult(
        asset_key="fire_drills",
        metadata=drill_facts(rows),
        check_results=[firing_of(row) for row in rows],
    )


def drill_facts(rows: Sequence["Evidence"]) -> dict[str, Any]:
    """Tell how many controls fired, and show the evidence."""
    from instgov_dagster.loop.proving.drills.evidence import evidence_frame

    frame, fired = evidence_frame(rows), sum(row.fired for row in rows)
    return {
        **table_facts("fire_drills", frame),
        **glance_facts("fire_drills", frame),
        "fired": fired,
        "silent": len(rows) - fired,
    }


def hold_drills(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> tuple["Evidence", ...]:
    """Hold every drill under the installation's rules, in a process and a home of their own."""
    import os
    import tempfile
    from pathlib import Path

    from instgov_dagster.adapters.config import find_config_dir
    from instgov_dagster.loop.proving.drills.evidence import record_evidence
    from instgov_dagster.loop.proving.drills.run import drills_apart

    opened = platform.open()
    rules = find_config_dir(
        opened.settings.config_dir, environment=os.environ, working_dir=Path.cwd()
    ).resolve()
    with tempfile.TemporaryDirectory(prefix="instgov-drill-") as scratch:
        rows = drills_apart([], rules, Path(scratch))
    record_evidence(
        opened.home,
        rows,
        asof=day_of(context),
        run_id=context.run.run_id,
        recorded_at=opened.now(),
    )
    return rows


def firing_of(row: "Evidence") -> dg.AssetCheckResult:
    """Tell whether a control fired; one that stayed silent fails its check."""
    return verdict(
        name=f"{row.drill}_fires",
        passed=row.fired,
        value=int(row.fired),
        limit=1,
        sense=">=",
        **{name: getattr(row, name) for name in _SHOWN},
    )
