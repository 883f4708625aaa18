"""The op of the projection: it makes no asset, live.duckdb is a copy of what the journal says."""

import os
from typing import TYPE_CHECKING

import dagster as dg

from instgov_dagster.defs.halting import failing_closed
from instgov_dagster.defs.resources import PlatformResource

if TYPE_CHECKING:
    from instgov_dagster.adapters.store.projector import RebuildResult


@dg.op(out=dg.Out(dg.Nothing), description="Make live.duckdb again from the journal's chains.")
def rebuilt_projection(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    """Rebuild the projection; fail where the old one said what the journal does not."""
    with failing_closed(platform):
        result = rebuild(platform)
    rows = {name: table.rows for name, table in result.tables.items()}
    context.add_output_metadata({"frames": result.frames, "rows": dg.MetadataValue.json(rows)})
    if result.differing:
        raise dg.Failure(f"the old projection differed in {result.differing}", allow_retries=False)


def rebuild(platform: PlatformResource) -> "RebuildResult":
    """Rebuild with the rules of the installation; the journal is all it reads of it."""
    from instgov_dagster.adapters.journal import key_from
    from instgov_dagster.adapters.runtime import RealClock
    from instgov_dagster.adapters.store.projector import rebuild_projection

    loop = platform.rules().loop
    return rebuild_projection(
        platform.layout(),
        recorded_at=RealClock().now(),
        key=key_from(os.environ),
        published_cycles=loop.published_cycles,
        keep=loop.published_snapshots,
    )
