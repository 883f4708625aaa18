"""The only gatherer: every asset, check, job, schedule, sensor and resource of the installation."""

import dagster as dg

from instgov_dagster.defs import bars, beliefs
from instgov_dagster.defs.automation.jobs import (
    after_session,
    fire_drills,
    governed_live_loop,
    ingest_shards,
    nightly_ingestion,
    prune_history,
    rebuild_projection,
    survival_replay,
)
from instgov_dagster.defs.automation.schedules import (
    after_session_schedule,
    fire_drills_schedule,
    nightly_schedule,
    prune_schedule,
)
from instgov_dagster.defs.automation.sensors import (
    halt_sensor,
    live_loop_sensor,
    run_failure_alerts,
)
from instgov_dagster.defs.automation.sharding import sharded_night_sensor, shards_schedule
from instgov_dagster.defs.automation.watchdog import loop_watchdog
from instgov_dagster.defs.automation.watching import health_sensor
from instgov_dagster.defs.capital import assets as capital
from instgov_dagster.defs.capital import rules as capital_rules
from instgov_dagster.defs.governance import (
    drills,
    live,
    nightly,
    proving,
    shipping,
    showing,
    surviving,
    vetoes,
)
from instgov_dagster.defs.resources import PlatformResource

_WINGS = (
    bars,
    beliefs,
    capital,
    capital_rules,
    nightly,
    vetoes,
    live,
    proving,
    showing,
    shipping,
    drills,
    surviving,
)


@dg.definitions
def defs() -> dg.Definitions:
    """Gather the code location; nothing is opened and no heavy library loads here."""
    return dg.Definitions(
        assets=dg.load_assets_from_modules(_WINGS),
        asset_checks=dg.load_asset_checks_from_modules(_WINGS),
        jobs=[
            nightly_ingestion,
            ingest_shards,
            governed_live_loop,
            after_session,
            fire_drills,
            rebuild_projection,
            prune_history,
            survival_replay,
        ],
        schedules=[
            nightly_schedule,
            shards_schedule,
            after_session_schedule,
            fire_drills_schedule,
            prune_schedule,
        ],
        sensors=[
            live_loop_sensor,
            sharded_night_sensor,
            run_failure_alerts,
            halt_sensor,
            health_sensor,
            loop_watchdog,
        ],
        resources={"platform": PlatformResource()},
        executor=dg.in_process_executor,
    )
