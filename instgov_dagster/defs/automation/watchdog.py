"""The watchdog: a leader whose heartbeat stands still is told, its run ended, its process too."""

import logging
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg

from instgov_dagster.defs.automation.alerts import send_alert
from instgov_dagster.defs.automation.sensors import TICK_SECONDS
from instgov_dagster.defs.resources import PlatformResource

if TYPE_CHECKING:
    from instgov_dagster.loop.live.leading.register import Member

#: What the watchdog's finding is an evaluation of; the session itself evaluates it at its end.
ASSET, CHECK = "decision_journal", "leader_keeps_its_beat"


@dg.sensor(
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends the run of a leader that hangs, so that the standby leads on.",
)
def loop_watchdog(
    context: dg.SensorEvaluationContext, platform: PlatformResource
) -> dg.SensorResult | dg.SkipReason:
    """Look at the leader's heartbeat; end what hangs: its run first, then its process."""
    from instgov_dagster.adapters.runtime import RealClock

    leader, asked = leader_of(platform), context.cursor or ""
    if leader is None:
        return _quiet("no paced session leads", asked)
    return _look_at(leader, asked, context, platform, now=RealClock().now())


def _look_at(
    leader: "Member",
    asked: str,
    context: dg.SensorEvaluationContext,
    platform: PlatformResource,
    *,
    now: datetime,
) -> dg.SensorResult | dg.SkipReason:
    age = heartbeat_age(platform, now)
    limit = platform.rules().loop.heartbeat_stale_seconds + leader.period_seconds
    facts: dict[str, str | float] = {
        "run_id": leader.run_id,
        "pid": leader.pid,
        "age_seconds": age,
        "limit": limit,
    }
    if age <= limit:
        return _quiet(f"the heartbeat is {age:.1f} s old", asked)
    if asked != leader.run_id:
        send_alert(context.log, logging.CRITICAL, "leader_hangs", **facts)
    # A stopped process hears no request, and whoever passes it on waits for its answer: it is ended
    # at once. Any other has a tick to end by itself.
    if leader.is_stopped() or asked == leader.run_id:
        leader.kill()
        send_alert(context.log, logging.CRITICAL, "leader_killed", **facts)
    else:
        _end_run(context, leader)
    words = f"the leader of run {leader.run_id} hangs since {age:.0f} s"
    return dg.SensorResult(
        asset_events=[_evaluation(passed=False, **facts)], cursor=leader.run_id, skip_reason=words
    )


def leader_of(platform: PlatformResource) -> "Member | None":
    """Give the paced session that leads, if one does."""
    from instgov_dagster.loop.live.leading.register import Role, members

    found = [one for one in members(platform.layout()) if one.role is Role.LEADER]
    return next((one for one in found if one.period_seconds > 0.0), None)


def heartbeat_age(platform: PlatformResource, now: datetime) -> float:
    """Give the age of the leader's last heartbeat, seconds."""
    return now.timestamp() - platform.layout().heartbeat.stat().st_mtime


def _quiet(words: str, asked: str) -> dg.SensorResult | dg.SkipReason:
    if not asked:
        return dg.SkipReason(words)
    # What was found before is over: the check says so, once.
    events = [_evaluation(passed=True, run_id=asked)]
    return dg.SensorResult(asset_events=events, cursor="", skip_reason=words)


def _evaluation(*, passed: bool, **facts: str | float) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(ASSET), check_name=CHECK, passed=passed, metadata=facts
    )


def _end_run(context: dg.SensorEvaluationContext, leader: "Member") -> None:
    run = context.instance.get_run_by_id(leader.run_id)
    if run is None or run.is_finished:
        return  # the platform gave it up before: only the process is left to end
    try:
        context.instance.run_launcher.terminate(leader.run_id)
    except Exception:
        # A launcher that cannot ask does not keep the process from being ended.
        context.log.exception("the run %s could not be asked to end", leader.run_id)
