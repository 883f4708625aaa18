"""The sensor that looks at the platform's vital signs and tells what changed."""

from typing import TYPE_CHECKING

import dagster as dg

from instgov_dagster.defs.automation.states import STATES
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.defs.vitals import judge, read_vitals, tell_health, waiting_alerts

if TYPE_CHECKING:
    from instgov_dagster.governance.health import Health

#: The daemons' own heartbeats come every thirty seconds.
LOOK_SECONDS = 30


@dg.sensor(
    minimum_interval_seconds=LOOK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells a silent leader, a lagging projection, a full event log, and their end.",
)
def health_sensor(
    context: dg.SensorEvaluationContext, platform: PlatformResource
) -> dg.SensorResult | dg.SkipReason:
    """Look, tell what changed, and remember it; a dead daemon is for `instgov health --serve`."""
    health = look(context, platform)
    now = tell_health(context.log, platform.home_dir(), health, context.cursor)
    return dg.SensorResult(cursor=now, skip_reason=now)


def look(context: dg.SensorEvaluationContext, platform: PlatformResource) -> "Health":
    """Try a write, send what waits, read every sign and judge."""
    from instgov_dagster.adapters.alerts.gauges import probe_write
    from instgov_dagster.adapters.runtime import RealClock

    home = platform.layout()
    vitals = read_vitals(
        home,
        context.instance,
        STATES.read(platform),
        at=RealClock().now(),
        is_writable=probe_write(home.dagster) if home.dagster.is_dir() else None,
        waiting=waiting_alerts(context.log, home.root),
        config_dir=platform.settings().config_dir,
    )
    return judge(vitals, platform.settings().config_dir)
