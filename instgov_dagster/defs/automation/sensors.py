"""The sensors: one asks for live sessions, one tells failed runs, one tells a changed state."""

import logging
import math
import os
from collections.abc import Mapping

import dagster as dg

from instgov_dagster.adapters.runtime import code_sha256
from instgov_dagster.defs.automation.alerts import retry_alerts, send_alert
from instgov_dagster.defs.automation.jobs import governed_live_loop, nightly_ingestion
from instgov_dagster.defs.automation.states import STATES
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import SystemState, SystemStateName

#: Dagster ticks no faster than every five seconds.
TICK_SECONDS = 5

#: Sessions kept in flight, from queued to stopping: a leader and a warm standby.
SESSIONS_IN_FLIGHT = 2

#: So many failed sessions in a row ask for a person, not for another session.
FAILURES_IN_A_ROW = 3

#: A deployed instance may start with the loop's sensor on; nothing else turns it on.
AUTOSTART_VARIABLE = "INSTGOV_AUTOSTART"

#: Ends a run that outlives it, its waiting as a standby included.
MAX_RUNTIME_TAG = "dagster/max_runtime"

_IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_LEVELS = {
    SystemStateName.RUNNING: logging.INFO,
    SystemStateName.REDUCE_ONLY: logging.WARNING,
    SystemStateName.HALT_SYSTEM: logging.ERROR,
    SystemStateName.STOP_SYSTEM: logging.CRITICAL,
}


def autostart_status(environment: Mapping[str, str]) -> dg.DefaultSensorStatus:
    """Say how the loop's sensor starts: trading begins by a deliberate act."""
    is_on = environment.get(AUTOSTART_VARIABLE, "").strip() == "1"
    return dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED


@dg.sensor(
    job=governed_live_loop,
    minimum_interval_seconds=TICK_SECONDS,
    default_status=autostart_status(os.environ),
    description="Keeps a leader and a warm standby in flight while night, market and state allow.",
)
def live_loop_sensor(
    context: dg.SensorEvaluationContext, platform: PlatformResource
) -> dg.SensorResult | dg.SkipReason:
    """Ask for the sessions that are missing, or say in a sentence why not and what to do."""
    obstacle = (
        _sessions_obstacle(context.instance, platform)
        or _state_obstacle(STATES.read(platform))
        or _snapshot_obstacle(platform)
        or _hours_obstacle(platform)
    )
    if obstacle:
        return dg.SkipReason(obstacle)
    return _ask_for_the_missing(context, platform)


def _ask_for_the_missing(
    context: dg.SensorEvaluationContext, platform: PlatformResource
) -> dg.SensorResult:
    # A run key is spent for ever: where the cursor was reset, the count of runs goes on.
    last = int(context.cursor) if context.cursor else _count(context.instance)
    missing = SESSIONS_IN_FLIGHT - _count(context.instance, *_IN_FLIGHT)
    day, tags = _published(platform)["asof"], {MAX_RUNTIME_TAG: str(_longest_run(platform))}
    requests = [
        dg.RunRequest(run_key=f"session-{number}", partition_key=day, tags=tags)
        for number in range(last + 1, last + missing + 1)
    ]
    return dg.SensorResult(run_requests=requests, cursor=str(last + missing))


def _longest_run(platform: PlatformResource) -> int:
    # Dagster counts a run from its start, waiting included: a shorter limit ends healthy leaders.
    loop = platform.rules().loop
    sessions = 1.0 + loop.standby_waits_sessions
    return math.ceil(sessions * loop.cycles * loop.period_seconds + loop.session_slack_seconds)


def _count(instance: dg.DagsterInstance, *statuses: dg.DagsterRunStatus) -> int:
    wanted = dg.RunsFilter(job_name=governed_live_loop.name, statuses=list(statuses))
    return instance.get_runs_count(wanted)


def _sessions_obstacle(instance: dg.DagsterInstance, platform: PlatformResource) -> str | None:
    if _count(instance, *_IN_FLIGHT) >= SESSIONS_IN_FLIGHT:
        return f"{SESSIONS_IN_FLIGHT} sessions are in flight: a leader and a standby"
    ended = dg.RunsFilter(job_name=governed_live_loop.name, statuses=_ENDED)
    # Whoever leads now is proof against what failed before it led; what fails under it counts.
    led_since = _led_since(platform)
    failed = [
        record.dagster_run.run_id
        for record in instance.get_run_records(ended, limit=FAILURES_IN_A_ROW)
        if record.dagster_run.status is dg.DagsterRunStatus.FAILURE
        and (record.end_time or math.inf) > led_since
    ]
    if len(failed) < FAILURES_IN_A_ROW:
        return None
    return (
        f"the last {len(failed)} sessions failed: find out why in run {failed[0]}, "
        f"then launch the job {governed_live_loop.name} by hand"
    )


def _led_since(platform: PlatformResource) -> float:
    from instgov_dagster.loop.live.leading.register import Role, members

    seen = members(platform.layout())
    return max(
        (one.since.timestamp() for one in seen if one.role is Role.LEADER), default=-math.inf
    )


def _state_obstacle(state: SystemState) -> str | None:
    if state.name.allows_reduction:
        return None
    codes = ", ".join(dict.fromkeys(cause.reason_code for cause in state.causes))
    return (
        f"{state.name} by {codes}: remove the cause, run the job {nightly_ingestion.name}, "
        "then resume as an operator"
    )


def _published(platform: PlatformResource) -> Mapping[str, str]:
    from instgov_dagster.adapters.store.published import published_meta

    return published_meta(platform.night_folder()) or {}


def _snapshot_obstacle(platform: PlatformResource) -> str | None:
    action = f"run the job {nightly_ingestion.name}"
    try:
        told = _published(platform)
    except SystemHalt as halt:
        return f"{halt}: {action}"
    market = platform.settings().market.value
    if not told:
        return f"no night is published in {platform.home_dir()}: {action}"
    if told["market"] != market:
        return f"the night published is of the market {told['market']}, not {market}: {action}"
    if told["code_hash"] != code_sha256():
        return f"the code changed since the night of {told['asof']} was published: {action}"
    return None


def _hours_obstacle(platform: PlatformResource) -> str | None:
    # A virtual clock begins at an open of the day; only the real one may find all markets closed.
    if platform.settings().market is not Market.LIVE:
        return None
    from instgov_dagster.adapters.runtime import RealClock
    from instgov_dagster.bars.calendars import is_market_open

    classes = platform.classes()
    now = RealClock().now()
    if any(is_market_open(one, now) for one in classes):
        return None
    return f"every market of {', '.join(sorted(classes))} is closed: a session waits for an open"


@dg.run_failure_sensor(
    name="run_failure_alerts",
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells a failed run at once, with the reason code it failed by.",
)
def run_failure_alerts(context: dg.RunFailureSensorContext) -> None:
    """Send one alert for a failed run."""
    failures = [event.step_failure_data for event in context.get_step_failure_events()]
    told = [row.user_failure_data.description for row in failures if row.user_failure_data]
    send_alert(
        context.log,
        logging.ERROR,
        "run_failed",
        key=context.dagster_run.run_id,
        job=context.dagster_run.job_name,
        run_id=context.dagster_run.run_id,
        partition=context.partition_key,
        message=context.failure_event.message,
        steps=told,
    )


@dg.sensor(
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells every change of the system's state: reduce only, halt, stop, resume.",
)
def halt_sensor(
    context: dg.SensorEvaluationContext, platform: PlatformResource
) -> dg.SensorResult | dg.SkipReason:
    """Send one alert for each change of the state or of what causes it."""
    retry_alerts(context.log, platform.home_dir())
    state = STATES.read(platform)
    codes = sorted({cause.reason_code.value for cause in state.causes})
    now = " ".join([state.name.value, *codes])
    before = context.cursor or SystemStateName.RUNNING.value
    if now == before:
        return dg.SkipReason(f"{now}: unchanged")
    facts = {
        "home": str(platform.home_dir()),
        "before": before,
        "state": state.name.value,
        "causes": [f"{cause.reason_code}: {cause.detail}" for cause in state.causes],
    }
    send_alert(context.log, _LEVELS[state.name], "state_changed", **facts)
    return dg.SensorResult(cursor=now, skip_reason=f"{before} became {now}")
