"""Alerts: one line of JSON each, in the tick's log and on the process's own; no channel yet."""

import json
import logging
from typing import Any

#: Whoever forwards alerts listens here; the level is the alert's gravity.
LOGGER = logging.getLogger("instgov.alerts")


def send_alert(tick_log: logging.Logger, level: int, event: str, **facts: Any) -> str:
    """Tell what happened as one line of JSON, and return the line.

    Parameters
    ----------
    tick_log
        The log of the sensor's tick, which the UI shows.
    level
        One of `logging`'s levels.
    event
        What happened, a word.
    facts
        JSON-able facts beside it.
    """
    line = json.dumps({"event": event, **facts}, sort_keys=True, default=str)
    LOGGER.log(level, line)
    tick_log.log(level, line)
    return line
