"""The platform's vital signs, gathered from a home and its Dagster instance, and told."""

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._core.storage.event_log import SqlEventLogStorage

from instgov_dagster.defs.automation.alerts import retry_alerts, send_alert
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode

if TYPE_CHECKING:
    from instgov_dagster.adapters.alerts.gauges import StoreSpace
    from instgov_dagster.adapters.runtime import Home
    from instgov_dagster.governance.health import Health, Vitals

#: The daemons without which no night is asked for and no sensor ticks.
NEEDED_DAEMONS = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR")

#: The sensor that asks for sessions.
LOOP_SENSOR = "live_loop_sensor"

_MIB = 1024 * 1024
_DATABASE_BYTES = "SELECT pg_database_size(current_database())"

_LEVELS = {
    ReasonCode.PROJECTION_LAGS: logging.WARNING,
    ReasonCode.ALERTS_UNDELIVERED: logging.WARNING,
    ReasonCode.HEALTHY: logging.INFO,
}


def read_vitals(
    home: "Home",
    instance: dg.DagsterInstance,
    state: SystemState,
    *,
    at: datetime,
    is_writable: bool | None,
    waiting: int | None,
    config_dir: Path | None,
) -> "Vitals":
    """Read every vital sign; what cannot be read is told as unseen, which is judged as bad.

    Parameters
    ----------
    is_writable
        Whether the event log's folder took a write just now; None where none was tried.
    waiting
        Undelivered alerts; None where nobody can tell.
    config_dir
        The rules' folder, which names the universe; None for the usual one.
    """
    from instgov_dagster.adapters.alerts.gauges import LoopPulse, loop_pulse
    from instgov_dagster.adapters.store.projector import ProjectionLag, projection_lag
    from instgov_dagster.adapters.store.projector.rows import LEADER
    from instgov_dagster.governance.health import Vitals

    try:
        pulse, lag = loop_pulse(home, now=at), projection_lag(home, now=at)
    except (SystemHalt, OSError, ValueError, KeyError):
        pulse = LoopPulse(
            heartbeat_age_seconds=None, chain_age_seconds=None, sequence=0, is_open=True
        )
        lag = ProjectionLag(frames={LEADER: 1}, seconds=None)
    space = event_log_space(home, instance)
    return Vitals(
        at=at,
        state=state.name,
        heartbeat_age_seconds=pulse.heartbeat_age_seconds,
        chain_age_seconds=pulse.chain_age_seconds,
        chain_sequence=pulse.sequence,
        is_session_open=pulse.is_open,
        session_wanted_seconds=session_wanted(home, instance, state, at, config_dir),
        daemon_age_seconds=daemon_age(instance, at),
        projector_frames=lag.frames[LEADER],
        projector_lag_seconds=lag.seconds,
        event_log_mib=space.used_mib,
        event_log_free_mib=space.free_mib,
        is_event_log_writable=is_writable,
        alerts_waiting=waiting,
    )


def event_log_space(home: "Home", instance: dg.DagsterInstance) -> "StoreSpace":
    """Measure the event log: its folder, or the database that keeps it.

    Of a database server's disk nothing is known here: what is free is told of the home's own.
    """
    from instgov_dagster.adapters.alerts.gauges import StoreSpace, store_space

    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        with storage.index_connection() as connection:
            if connection.dialect.name == "postgresql":
                size = connection.execute(sa.text(_DATABASE_BYTES)).scalar_one()
                place = next(one for one in (home.root, *home.root.parents) if one.is_dir())
                free = shutil.disk_usage(place).free
                return StoreSpace(used_mib=int(size) / _MIB, free_mib=free / _MIB)
    return store_space(home.dagster)


def daemon_age(instance: dg.DagsterInstance, at: datetime) -> float | None:
    """Give the age of the oldest heartbeat that is needed, seconds; None where one is missing."""
    try:
        told = instance.get_daemon_heartbeats()
    except Exception:  # noqa: BLE001  # whatever a storage that cannot be read raises
        return None
    if any(name not in told for name in NEEDED_DAEMONS):
        return None
    oldest = min(float(told[name].timestamp) for name in NEEDED_DAEMONS)
    return max(at.timestamp() - oldest, 0.0)


def session_wanted(
    home: "Home",
    instance: dg.DagsterInstance,
    state: SystemState,
    at: datetime,
    config_dir: Path | None = None,
) -> float | None:
    """Give for how long sessions have been asked for, seconds; None where they are not.

    They are where the sensor is on, a night is published, the state lets orders go and, in the
    market `live`, some market of the universe trades: since the last of these began to hold, as
    far as it left a trace (an operator's word does).
    """
    if not state.name.allows_reduction:
        return None
    pointer = home.published / "night" / "CURRENT.json"
    started = _sensor_started(instance)
    if started is None or not pointer.exists():
        return None
    opened = _opened(home, config_dir, at)
    if opened is None:
        return None
    words = (home.journal_dir / "operator").glob("*")
    since = [started, opened, *(path.stat().st_mtime for path in (pointer, *words))]
    return max(at.timestamp() - max(since), 0.0)


def _opened(home: "Home", config_dir: Path | None, at: datetime) -> float | None:
    # Since when some market trades, 0 where hours do not count; None while all are closed.
    from instgov_dagster.adapters.store.published import published_meta
    from instgov_dagster.bars.calendars import open_since
    from instgov_dagster.defs.resources import traded_classes

    try:
        told = published_meta(home.published / "night") or {}
    except (SystemHalt, OSError, ValueError, KeyError):
        return 0.0  # a session is missed rather than a damaged pointer believed
    if told.get("market") != Market.LIVE.value:
        return 0.0
    opens = [open_since(one, at) for one in traded_classes(config_dir)]
    return min((one.timestamp() for one in opens if one is not None), default=None)


def _sensor_started(instance: dg.DagsterInstance) -> float | None:
    # When the sensor was turned on, 0 where nobody can tell; None where it is off.
    try:
        sensors = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    except Exception:  # noqa: BLE001  # a session is missed rather than a storage believed
        return 0.0
    for row in sensors:
        if row.instigator_name == LOOP_SENSOR and row.status is not InstigatorStatus.STOPPED:
            started = getattr(row.instigator_data, "last_sensor_start_timestamp", None)
            return float(started or 0.0)
    return None


def judge(vitals: "Vitals", config_dir: Path | None) -> "Health":
    """Judge the vital signs by the installation's own numbers."""
    from instgov_dagster.adapters.config import find_config_dir, load_policy
    from instgov_dagster.governance.health import judge_health

    folder = find_config_dir(config_dir, environment=os.environ, working_dir=Path.cwd())
    policy = load_policy(folder)
    stale = policy.loop.heartbeat_stale_seconds + policy.loop.period_seconds
    return judge_health(vitals, policy=policy.operations, heartbeat_stale_seconds=stale)


def tell_health(log: logging.Logger, home: Path, health: "Health", before: str | None) -> str:
    """Alert what changed since the last look, and give the words to remember this look by.

    An illness that stands is told again by itself, as often as the alerts' memory lets it be.
    """
    now = " ".join(code.value for code in health.reason_codes)
    if health.is_healthy and before in (None, now):
        return now
    level = max(_LEVELS.get(code, logging.ERROR) for code in health.reason_codes)
    send_alert(log, level, "health", **{"home": str(home), **facts(health)})
    return now


def facts(health: "Health") -> dict[str, Any]:
    """Write a verdict as plain JSON values: what is wrong with its numbers, and every sign."""
    return {
        "is_healthy": health.is_healthy,
        "reasons": [code.value for code in health.reason_codes],
        "numbers": {
            row.reason_code.value: {"value": row.value, "bound": row.bound}
            for row in health.reasons
        },
        "message": " ".join(code.sentence for code in health.reason_codes),
    }


def signs(vitals: "Vitals") -> Mapping[str, Any]:
    """Write the vital signs as plain JSON values."""
    return {**asdict(vitals), "at": vitals.at.isoformat(), "state": vitals.state.value}


def waiting_alerts(log: logging.Logger, home: Path) -> int | None:
    """Try what waits again and give how many alerts still wait; None where nobody can tell."""
    from instgov_dagster.adapters.alerts import alert_settings
    from instgov_dagster.vocabulary.errors import InputError

    try:
        alert_settings(os.environ)
    except InputError:
        return None
    return retry_alerts(log, home)
