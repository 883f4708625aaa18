"""A session's minutes: every cycle is in exactly one of them, with its orders and fills."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from instgov_dagster.loop.live.leading.host import Host
from instgov_dagster.loop.live.report import Minute, Minutes, Tally
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.session import run_session
from instgov_dagster_tests.loop.homes import ASOF

START = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


class SteppingClock:
    """A clock that moves by a second each time it is looked at."""

    def __init__(self) -> None:
        self._now = START

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now

    def sleep_until(self, instant: datetime) -> None:
        self._now = max(self._now, instant)


@pytest.mark.roadmap("3.2")
def test_every_cycle_of_a_session_is_in_exactly_one_minute(platform: Platform) -> None:
    operations = replace(platform.policy.operations, observe_every_seconds=7.0)
    policy = replace(platform.policy, operations=operations)
    minutes: list[Minute] = []
    report = run_session(
        replace(platform, policy=policy, clock=SteppingClock()),
        ASOF,
        cycles=12,
        period_seconds=0.0,
        run_id="minutes",
        host=Host(tell=minutes.append),
    )
    assert len(minutes) > 1
    assert sum(minute.cycles for minute in minutes) == report.cycles == 12
    assert sum(minute.orders for minute in minutes) == report.orders > 0
    assert sum(minute.fills for minute in minutes) == report.fills > 0
    last = minutes[-1]
    assert (last.nav_usd, last.gross, last.cvar) == (report.nav_usd, report.gross, report.cvar)
    for minute in minutes:
        assert 0.0 < minute.cycle_ms_p50 <= minute.cycle_ms_p99 <= minute.cycle_ms_max
        assert minute.late == 0  # back to back nothing is due


def test_a_session_that_led_no_cycle_has_no_minute() -> None:
    told: list[Minute] = []
    minutes = Minutes(Tally(), told.append, every_seconds=60.0)
    minutes.passed(START, None)
    minutes.passed(START + timedelta(seconds=61), None)
    minutes.close()
    assert told == []
