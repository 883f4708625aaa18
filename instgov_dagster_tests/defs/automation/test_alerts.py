"""Alerts: one line of JSON, told at once in two places."""

import json
import logging

import pytest

from instgov_dagster.defs.automation.alerts import LOGGER, send_alert


def test_an_alert_is_one_line_of_json_in_the_ticks_log_and_in_the_processs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tick_log = logging.getLogger("a.tick")
    caplog.set_level(logging.INFO)
    line = send_alert(tick_log, logging.ERROR, "run_failed", job="a\nb", run_id="1")
    assert json.loads(line) == {"event": "run_failed", "job": "a\nb", "run_id": "1"}
    assert "\n" not in line
    told = [(record.name, record.levelno, record.getMessage()) for record in caplog.records]
    assert told == [(LOGGER.name, logging.ERROR, line), ("a.tick", logging.ERROR, line)]
