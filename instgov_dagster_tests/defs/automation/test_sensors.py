"""The sensors: when a session is asked for, why not, and what is told."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.test_utils import create_run_for_test

from instgov_dagster.adapters.runtime import Home, RealClock
from instgov_dagster.definitions import defs
from instgov_dagster.defs.automation import sensors
from instgov_dagster.defs.automation.alerts import LOGGER
from instgov_dagster.defs.automation.jobs import LIVE_SESSION_TAG
from instgov_dagster.defs.automation.sensors import (
    autostart_status,
    halt_sensor,
    live_loop_sensor,
    run_failure_alerts,
)
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.loop.live.latch import latch_stop
from instgov_dagster.loop.live.leading.register import Entry, Role
from instgov_dagster.loop.live.operator import act
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.defs.conftest import DAY, Installation
from instgov_dagster_tests.loop.homes import CONFIG

JOB = "governed_live_loop"
Answer = dg.SensorResult | dg.SkipReason


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as started:
        yield started


def tick(
    sensor: dg.SensorDefinition,
    instance: dg.DagsterInstance,
    platform: PlatformResource,
    cursor: str | None = None,
) -> Answer:
    resources = {"platform": platform}
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
        answer = sensor(context)
    assert isinstance(answer, Answer)
    return answer


def asked(answer: Answer) -> list[str | None]:
    assert isinstance(answer, dg.SensorResult)
    return [one.run_key for one in answer.run_requests or []]


def reason(answer: Answer) -> str:
    assert isinstance(answer, dg.SkipReason)
    assert answer.skip_message is not None
    return answer.skip_message


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[int, dict[str, Any]]]:
    mine = [record for record in caplog.records if record.name == LOGGER.name]
    return [(record.levelno, json.loads(record.getMessage())) for record in mine]


def halt(installation: Installation, *, is_halt: bool) -> None:
    act(Home(installation.home), None, operator="ann", reason="a drill", is_halt=is_halt)


@pytest.mark.roadmap("3.2")
def test_without_a_published_night_no_session_is_asked_for_and_the_job_to_run_is_named(
    instance: dg.DagsterInstance, fresh: Installation
) -> None:
    answer = tick(live_loop_sensor, instance, fresh.platform())
    assert reason(answer) == (
        f"no night is published in {fresh.home}: run the job nightly_ingestion"
    )


@pytest.mark.roadmap("3.2")
def test_a_leader_and_a_standby_are_asked_for_by_keys_that_never_come_back(
    instance: dg.DagsterInstance, published: Installation
) -> None:
    first = tick(live_loop_sensor, instance, published.platform())
    assert asked(first) == ["session-1", "session-2"]
    assert isinstance(first, dg.SensorResult)
    assert {one.partition_key for one in first.run_requests or []} == {DAY}
    second = tick(live_loop_sensor, instance, published.platform(), cursor=first.cursor)
    assert asked(second) == ["session-3", "session-4"]


def test_a_run_may_last_its_waiting_and_its_leading_before_dagster_ends_it(
    instance: dg.DagsterInstance, published: Installation
) -> None:
    answer = tick(live_loop_sensor, instance, published.platform())
    assert isinstance(answer, dg.SensorResult)
    # Two sessions of 600 s may be waited for, one is led, 300 s are left for all else.
    assert {one.tags["dagster/max_runtime"] for one in answer.run_requests or []} == {"2100"}


def test_a_cursor_that_was_reset_goes_on_after_the_sessions_that_ran(
    instance: dg.DagsterInstance, published: Installation
) -> None:
    for _ in range(4):
        create_run_for_test(instance, job_name=JOB, status=dg.DagsterRunStatus.SUCCESS)
    answer = tick(live_loop_sensor, instance, published.platform())
    assert asked(answer) == ["session-5", "session-6"]


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_one_session_in_flight_asks_for_one_more_and_two_are_enough(
    instance: dg.DagsterInstance, published: Installation, status: str
) -> None:
    create_run_for_test(instance, job_name=JOB, status=dg.DagsterRunStatus(status))
    answer = tick(live_loop_sensor, instance, published.platform())
    assert asked(answer) == ["session-2"]
    create_run_for_test(instance, job_name=JOB, status=dg.DagsterRunStatus(status))
    answer = tick(live_loop_sensor, instance, published.platform())
    assert reason(answer) == "2 sessions are in flight: a leader and a standby"


def test_the_instance_lets_two_sessions_run_at_once_and_no_pool_keeps_the_standby_out() -> None:
    settings = yaml.safe_load((CONFIG.parent / "dagster.yaml").read_text())["concurrency"]
    limits = {row["key"]: row["limit"] for row in settings["runs"]["tag_concurrency_limits"]}
    assert limits[LIVE_SESSION_TAG] == sensors.SESSIONS_IN_FLIGHT == 2
    session = defs().resolve_job_def(JOB)
    assert session.tags[LIVE_SESSION_TAG] == "true"
    assert set().union(*(node.definition.pools for node in session.nodes)) == set()


def test_three_failed_sessions_in_a_row_ask_for_a_person(
    instance: dg.DagsterInstance, published: Installation
) -> None:
    for _ in range(2):
        create_run_for_test(instance, job_name=JOB, status=dg.DagsterRunStatus.FAILURE)
    assert isinstance(tick(live_loop_sensor, instance, published.platform()), dg.SensorResult)
    create_run_for_test(instance, job_name=JOB, status=dg.DagsterRunStatus.FAILURE)
    answer = tick(live_loop_sensor, instance, published.platform())
    assert "the last 3 sessions failed" in reason(answer)
    # One that still runs says nothing yet: the failures are those of sessions that ended.
    create_run_for_test(instance, job_name=JOB, status=dg.DagsterRunStatus.STARTED)
    answer = tick(live_loop_sensor, instance, published.platform())
    assert "the last 3 sessions failed" in reason(answer)
    create_run_for_test(instance, job_name=JOB, status=dg.DagsterRunStatus.SUCCESS)
    assert isinstance(tick(live_loop_sensor, instance, published.platform()), dg.SensorResult)


def test_sessions_that_failed_before_the_present_leader_led_leave_it_its_standby(
    instance: dg.DagsterInstance, published: Installation
) -> None:
    home = Home(published.home)
    entry = Entry(home, run_id="r-4", asof=DAY, period_seconds=1.0)
    for _ in range(3):
        run = create_run_for_test(instance, job_name=JOB, status=dg.DagsterRunStatus.STARTED)
        instance.report_run_failed(run)
    now = RealClock().now()
    try:
        entry.tell(Role.STANDBY, at=now)
        answer = tick(live_loop_sensor, instance, published.platform())
        assert "the last 3 sessions failed" in reason(answer)
        entry.tell(Role.LEADER, at=now)
        assert len(asked(tick(live_loop_sensor, instance, published.platform()))) == 2
        # What fails while it leads counts: no standby that cannot get ready is asked for for ever.
        entry.tell(Role.LEADER, at=now - timedelta(minutes=5.0))
        answer = tick(live_loop_sensor, instance, published.platform())
        assert "the last 3 sessions failed" in reason(answer)
    finally:
        entry.withdraw()


def test_a_halt_still_asks_for_sessions_because_they_may_reduce(
    instance: dg.DagsterInstance, published: Installation
) -> None:
    halt(published, is_halt=True)
    assert isinstance(tick(live_loop_sensor, instance, published.platform()), dg.SensorResult)


def test_a_stop_forbids_sessions_until_an_operator_resumes(
    instance: dg.DagsterInstance, published: Installation
) -> None:
    opened = published.platform().open()
    latch_stop(opened, None, SystemHalt(ReasonCode.UNEXPECTED_FAILURE, "planted"))
    answer = tick(live_loop_sensor, instance, published.platform())
    assert "STOP_SYSTEM by UNEXPECTED_FAILURE" in reason(answer)
    assert "nightly_ingestion" in reason(answer)
    halt(published, is_halt=False)
    assert isinstance(tick(live_loop_sensor, instance, published.platform()), dg.SensorResult)


def test_the_night_of_another_market_is_not_traded_on(
    instance: dg.DagsterInstance, published: Installation
) -> None:
    config = published.config | {"market": "live"}
    answer = tick(live_loop_sensor, instance, PlatformResource(**config))
    assert "of the market simulated, not live" in reason(answer)


def test_a_night_of_other_code_is_not_traded_on(
    instance: dg.DagsterInstance, published: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "code_sha256", lambda: "0" * 64)
    answer = tick(live_loop_sensor, instance, published.platform())
    assert f"the code changed since the night of {DAY}" in reason(answer)


def test_a_damaged_pointer_is_told_with_the_job_that_mends_it(
    instance: dg.DagsterInstance, published: Installation
) -> None:
    pointer = published.home / "published" / "night" / "CURRENT.json"
    pointer.write_text(pointer.read_text().replace("simulated", "files"))
    answer = tick(live_loop_sensor, instance, published.platform())
    assert "SNAPSHOT_MISSING" in reason(answer)
    assert reason(answer).endswith("run the job nightly_ingestion")


@pytest.mark.parametrize(
    ("environment", "status"),
    [
        ({}, dg.DefaultSensorStatus.STOPPED),
        ({"INSTGOV_AUTOSTART": "1"}, dg.DefaultSensorStatus.RUNNING),
        ({"INSTGOV_AUTOSTART": "0"}, dg.DefaultSensorStatus.STOPPED),
        ({"INSTGOV_AUTOSTART": "yes"}, dg.DefaultSensorStatus.STOPPED),
    ],
)
def test_trading_starts_by_a_deliberate_act(
    environment: dict[str, str], status: dg.DefaultSensorStatus
) -> None:
    assert autostart_status(environment) is status


def test_every_change_of_the_state_is_told_once(
    instance: dg.DagsterInstance, published: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=LOGGER.name)
    quiet = tick(halt_sensor, instance, published.platform())
    assert reason(quiet) == "RUNNING: unchanged"
    halt(published, is_halt=True)
    loud = tick(halt_sensor, instance, published.platform())
    assert isinstance(loud, dg.SensorResult)
    assert loud.cursor == "HALT_SYSTEM OPERATOR_HALT"
    again = tick(halt_sensor, instance, published.platform(), cursor=loud.cursor)
    assert "unchanged" in reason(again)
    halt(published, is_halt=False)
    back = tick(halt_sensor, instance, published.platform(), cursor=loud.cursor)
    assert isinstance(back, dg.SensorResult)
    assert back.cursor == "RUNNING"
    assert [(level, fact["before"], fact["state"]) for level, fact in told(caplog)] == [
        (logging.ERROR, "RUNNING", "HALT_SYSTEM"),
        (logging.INFO, "HALT_SYSTEM OPERATOR_HALT", "RUNNING"),
    ]
    assert told(caplog)[0][1]["causes"] == ["OPERATOR_HALT: ann: a drill"]


@pytest.mark.roadmap("0.6")
def test_a_journal_that_does_not_verify_is_told_as_a_stop_and_stays_one(
    instance: dg.DagsterInstance, published: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    (segment,) = (published.home / "journal" / "night").glob("*.*")
    body = bytearray(segment.read_bytes())
    body[len(body) // 2] ^= 1
    segment.write_bytes(bytes(body))
    for _ in range(2):  # the reader that failed is not kept
        answer = tick(halt_sensor, instance, published.platform())
        assert isinstance(answer, dg.SensorResult)
        assert answer.cursor == "STOP_SYSTEM STATE_UNKNOWN"
    assert [level for level, _ in told(caplog)] == [logging.CRITICAL] * 2
    assert "STOP_SYSTEM" in reason(tick(live_loop_sensor, instance, published.platform()))


@pytest.mark.roadmap("0.10")
def test_a_failed_run_is_told_with_the_code_it_failed_by(
    instance: dg.DagsterInstance, fresh: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    result = fresh.run("nightly_ingestion", instance, assets=["auction_bids"])
    context = dg.build_run_status_sensor_context(
        sensor_name=run_failure_alerts.name,
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_failure_event(),
        partition_key=DAY,
    ).for_run_failure()
    run_failure_alerts(context)
    ((level, fact),) = told(caplog)
    assert level == logging.ERROR
    assert fact["event"] == "run_failed"
    assert fact["job"] == "nightly_ingestion"
    assert fact["run_id"] == result.run_id
    assert fact["partition"] == DAY
    assert any("PHASE_ORDER_VIOLATED" in step for step in fact["steps"])
