"""Alerts: one line of JSON each, in the tick's log, on the process's own, and over the channels."""

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.errors import InputError

if TYPE_CHECKING:
    from instgov_dagster.adapters.alerts import AlertDesk
    from instgov_dagster.vocabulary.policy.operations import OperationsPolicy

#: Whoever forwards alerts listens here; the level is the alert's gravity.
LOGGER = logging.getLogger("instgov.alerts")

#: The fact that names the installation an alert is of.
HOME_FACT = "home"


def send_alert(tick_log: logging.Logger, level: int, event: str, **facts: Any) -> str:
    """Tell what happened as one line of JSON, over every channel set up, and return the line.

    Parameters
    ----------
    tick_log
        The log of the sensor's tick, which the UI shows.
    level
        One of `logging`'s levels.
    event
        What happened, a word.
    facts
        JSON-able facts beside it. ``key`` tells two subjects of one event apart, ``home`` names
        the installation. Over the channels the same event of the same key is told once in
        ``operations.alert_repeat_minutes``, and again when a fact that is no number changes.

    Notes
    -----
    Nothing that goes wrong with a channel reaches the caller: it is logged, and what was not
    delivered is tried again by `retry_alerts` at the next tick.
    """
    line = json.dumps({"event": event, **facts}, sort_keys=True, default=str)
    LOGGER.log(level, line)
    try:
        _post(tick_log, level, event, facts)
        tick_log.log(level, line)
    except Exception as error:  # noqa: BLE001  # whoever tells must not fail by telling
        # A tick's log may be kept in the event log, which may be what cannot be written.
        LOGGER.warning("the alert was not told everywhere: %s", type(error).__name__)
    return line


def retry_alerts(tick_log: logging.Logger, home: Path) -> int | None:
    """Send what a channel did not take before; give how many wait, None where nobody can tell."""
    try:
        desk = alert_desk(tick_log, home)
        return desk.retry() if desk else 0
    except Exception as error:  # noqa: BLE001  # the tick has other work to do
        LOGGER.warning("the alerts that wait were not sent: %s", type(error).__name__)
        return None


def _post(tick_log: logging.Logger, level: int, event: str, facts: dict[str, Any]) -> None:
    from instgov_dagster.adapters.alerts import Alert, alert_settings
    from instgov_dagster.adapters.runtime import RealClock

    home = Path(facts.get(HOME_FACT) or PlatformResource().home_dir())
    desk = alert_desk(tick_log, home)
    if desk is not None and level >= alert_settings(os.environ).least_level:
        told = {HOME_FACT: str(home), **facts}
        desk.tell(Alert.of(event, level, told, at=RealClock().now()))


def alert_desk(tick_log: logging.Logger, home: Path) -> "AlertDesk | None":
    """Open the desk of a home; None where no channel is set up, or one is set up wrongly."""
    from instgov_dagster.adapters.alerts import AlertDesk, alert_settings, open_channels
    from instgov_dagster.adapters.runtime import RealClock

    try:
        channels = open_channels(alert_settings(os.environ))
    except InputError as error:
        tick_log.error("no alert is sent: %s", error)  # a setting, not a failure
        return None
    if not channels:
        return None
    return AlertDesk(
        home, channels, policy=operations(), clock=RealClock(), complain=tick_log.warning
    )


def operations(config_dir: Path | None = None) -> "OperationsPolicy":
    """Load the numbers of the watch; an installation with broken rules is watched by defaults."""
    from instgov_dagster.adapters.config import find_config_dir, load_policy
    from instgov_dagster.vocabulary.policy.operations import OperationsPolicy

    try:
        folder = find_config_dir(config_dir, environment=os.environ, working_dir=Path.cwd())
        return load_policy(folder).operations
    except InputError:
        return OperationsPolicy()
