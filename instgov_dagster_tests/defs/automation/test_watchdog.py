"""The watchdog over a register and a heartbeat as a hung leader leaves them."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.defs.automation.alerts import LOGGER
from instgov_dagster.defs.automation.watchdog import loop_watchdog
from instgov_dagster.loop.live.leading.processes import look_at
from instgov_dagster_tests.defs.conftest import DAY, Installation

JOB = "governed_live_loop"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as started:
        yield started


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for the leader's: it waits for its end."""
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield started
    started.kill()
    started.communicate()


class Case:
    """One home whose register names a leader, and the ticks of the watchdog on it."""

    def __init__(
        self, place: Installation, instance: dg.DagsterInstance, leader: subprocess.Popen[bytes]
    ) -> None:
        self.place, self.instance, self.leader = place, instance, leader
        run = create_run_for_test(instance, job_name=JOB, status=dg.DagsterRunStatus.STARTED)
        self.run_id = run.run_id
        self.cursor: str | None = None
        self.home = Home(place.home)
        self.home.sessions.mkdir(parents=True)

    def write(self, *, age: float, period: float = 1.0) -> None:
        seen = look_at(self.leader.pid)
        assert seen is not None
        body = {
            "role": "LEADER",
            "pid": self.leader.pid,
            "born": seen.born,
            "run_id": self.run_id,
            "asof": DAY,
            "since": "2025-03-12T12:00:00+00:00",
            "period_seconds": period,
        }
        (self.home.sessions / f"{self.leader.pid}.json").write_text(json.dumps(body))
        beat = self.home.heartbeat
        beat.write_text("7/600 cycles")
        now = beat.stat().st_mtime
        os.utime(beat, (now - age, now - age))

    def tick(self) -> dg.SensorResult | dg.SkipReason:
        resources = {"platform": self.place.platform()}
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources=resources
        ) as context:
            answer = loop_watchdog(context)
        assert isinstance(answer, dg.SensorResult | dg.SkipReason)
        if isinstance(answer, dg.SensorResult):
            self.cursor = answer.cursor
        return answer


@pytest.fixture
def case(
    fresh: Installation, instance: dg.DagsterInstance, leader: subprocess.Popen[bytes]
) -> Case:
    return Case(fresh, instance, leader)


def events(answer: dg.SensorResult | dg.SkipReason) -> list[tuple[str, str, bool]]:
    assert isinstance(answer, dg.SensorResult)
    found = [one for one in answer.asset_events if isinstance(one, dg.AssetCheckEvaluation)]
    return [(one.asset_key.to_user_string(), one.check_name, one.passed) for one in found]


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(r.getMessage()) for r in caplog.records if r.name == LOGGER.name]


def test_nobody_is_looked_for_where_nobody_leads(
    fresh: Installation, instance: dg.DagsterInstance
) -> None:
    with dg.build_sensor_context(
        instance=instance, resources={"platform": fresh.platform()}
    ) as context:
        answer = loop_watchdog(context)
    assert isinstance(answer, dg.SkipReason)
    assert answer.skip_message == "no paced session leads"


def test_a_heartbeat_within_its_limit_is_left_alone(case: Case) -> None:
    case.write(age=10.5)  # 10 s and the second between two beats
    answer = case.tick()
    assert isinstance(answer, dg.SkipReason)
    assert "the heartbeat is 10." in str(answer.skip_message)
    assert case.leader.poll() is None


def test_a_session_of_long_periods_is_not_taken_for_a_hung_one(case: Case) -> None:
    case.write(age=60.0, period=120.0)
    assert isinstance(case.tick(), dg.SkipReason)


@pytest.mark.roadmap("3.2")
def test_a_leader_that_hangs_is_told_asked_to_end_and_at_the_next_tick_ended(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=LOGGER.name)
    case.write(age=30.0)
    first = case.tick()
    assert events(first) == [("decision_journal", "leader_keeps_its_beat", False)]
    assert case.leader.poll() is None  # it was asked: it may still end by itself
    second = case.tick()
    assert events(second) == [("decision_journal", "leader_keeps_its_beat", False)]
    assert case.leader.wait() == -signal.SIGKILL
    assert [fact["event"] for fact in told(caplog)] == ["leader_hangs", "leader_killed"]
    assert {fact["run_id"] for fact in told(caplog)} == {case.run_id}
    third = case.tick()  # it is gone: the finding is over, and said so once
    assert events(third) == [("decision_journal", "leader_keeps_its_beat", True)]
    assert isinstance(case.tick(), dg.SkipReason)


def test_a_stopped_leader_can_answer_nothing_and_is_ended_unasked(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A launcher that asks a stopped process waits for its answer, and the watchdog with it.
    asked: list[str] = []
    monkeypatch.setattr(case.instance.run_launcher, "terminate", asked.append)
    case.write(age=30.0)
    os.kill(case.leader.pid, signal.SIGSTOP)
    os.waitpid(case.leader.pid, os.WUNTRACED)
    assert events(case.tick()) == [("decision_journal", "leader_keeps_its_beat", False)]
    assert case.leader.wait() == -signal.SIGKILL
    assert asked == []


def test_a_leader_that_recovers_before_the_next_tick_is_not_ended(case: Case) -> None:
    case.write(age=30.0)
    case.tick()
    case.write(age=0.0)
    assert events(case.tick()) == [("decision_journal", "leader_keeps_its_beat", True)]
    assert case.leader.poll() is None


def test_a_member_that_stands_by_is_never_ended(case: Case) -> None:
    case.write(age=99.0)
    path = next(case.home.sessions.glob("*.json"))
    path.write_text(path.read_text().replace("LEADER", "STANDBY"))
    assert isinstance(case.tick(), dg.SkipReason)
    assert case.leader.poll() is None
