"""Alerts: one line of JSON, told at once in two logs and over every channel that is set up."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instgov_dagster.defs.automation.alerts import LOGGER, retry_alerts, send_alert
from instgov_dagster_tests.adapters.alerts.servers import Listeners, Mood, listening

TICK = logging.getLogger("a.tick")


@pytest.fixture
def listeners(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listeners]:
    with listening() as both:
        for name, value in both.environment.items():
            monkeypatch.setenv(name, value)
        yield both


def hang(tmp_path: Path, **facts: Any) -> None:
    facts = {"home": str(tmp_path), "reasons": ["LEADER_SILENT"], "age_seconds": 31.0} | facts
    send_alert(TICK, logging.ERROR, "leader_hung", **facts)


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


def test_an_alert_arrives_at_the_mail_server_and_at_the_webhook_with_its_content(
    listeners: Listeners, tmp_path: Path
) -> None:
    hang(tmp_path)
    hang(tmp_path, age_seconds=36.0)  # the next tick: the same is not told again
    assert listeners.events() == [("leader_hung", ["LEADER_SILENT"])]
    (post,) = listeners.hook.posts
    assert post["facts"] == {
        "age_seconds": 31.0,
        "home": str(tmp_path),
        "reasons": ["LEADER_SILENT"],
    }
    (mail,) = listeners.mailbox.mails
    assert mail["Subject"].startswith("[instgov] ERROR leader_hung")


def test_a_channel_that_fails_reaches_neither_the_caller_nor_the_other_channel(
    listeners: Listeners, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listeners.mailbox.mood = Mood.REFUSES
    hang(tmp_path)
    assert (len(listeners.mailbox.mails), len(listeners.hook.posts)) == (0, 1)
    assert "the channel smtp failed" in caplog.text
    assert "T0KEN" not in caplog.text
    assert retry_alerts(TICK, tmp_path) == 1


def test_below_the_level_that_is_asked_for_only_the_logs_are_told(
    listeners: Listeners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTGOV_ALERT_LEVEL", "CRITICAL")
    hang(tmp_path)
    assert listeners.events() == []


def test_a_setting_that_cannot_work_is_logged_and_the_caller_goes_on(
    listeners: Listeners,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("INSTGOV_ALERT_TO", "nobody")
    hang(tmp_path)
    assert listeners.events() == []
    assert "no alert is sent: INSTGOV_ALERT_TO" in caplog.text


def test_a_tick_log_that_cannot_be_written_does_not_keep_the_alert_back(
    listeners: Listeners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TICK, "log", full)
    hang(tmp_path)
    assert listeners.events() == [("leader_hung", ["LEADER_SILENT"])]
