"""Health: each sign that is too old, too large or unseen is named; nothing else is."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.governance.health import Health, Vitals, judge_health
from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster.vocabulary.policy.operations import OperationsPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

POLICY = OperationsPolicy()
STALE = 11.0
WELL = Vitals(
    at=datetime(2025, 3, 12, 14, 30, tzinfo=UTC),
    state=SystemStateName.RUNNING,
    heartbeat_age_seconds=0.4,
    chain_age_seconds=0.4,
    chain_sequence=1200,
    is_session_open=True,
    session_wanted_seconds=9e5,
    daemon_age_seconds=28.0,
    projector_frames=5,
    projector_lag_seconds=4.0,
    event_log_mib=120.0,
    event_log_free_mib=50_000.0,
    is_event_log_writable=True,
    alerts_waiting=0,
)


def judged(**signs: Any) -> Health:
    return judge_health(replace(WELL, **signs), policy=POLICY, heartbeat_stale_seconds=STALE)


def codes(**signs: Any) -> list[str]:
    return [code.value for code in judged(**signs).reason_codes]


def test_a_platform_whose_every_sign_is_good_is_healthy_and_says_so() -> None:
    assert judged().is_healthy
    assert judged().reason_codes == (ReasonCode.HEALTHY,)


@pytest.mark.parametrize(
    ("signs", "reasons"),
    [
        ({"heartbeat_age_seconds": 11.0, "chain_age_seconds": 11.0}, ["HEALTHY"]),
        ({"heartbeat_age_seconds": 11.1, "chain_age_seconds": 11.1}, ["LEADER_SILENT"]),
        # It wrote its first frame a moment ago and has not beaten yet.
        ({"heartbeat_age_seconds": 900.0, "chain_age_seconds": 1.0}, ["HEALTHY"]),
        ({"chain_age_seconds": 11.1}, ["CHAIN_STANDS_STILL"]),
        ({"is_session_open": False, "heartbeat_age_seconds": 900.0}, ["HEALTHY"]),
        (
            {
                "is_session_open": False,
                "heartbeat_age_seconds": 900.0,
                "chain_age_seconds": 120.5,
            },
            ["SESSION_MISSING"],
        ),
        (
            {
                "is_session_open": False,
                "session_wanted_seconds": None,
                "heartbeat_age_seconds": 9e5,
                "chain_age_seconds": 9e5,
            },
            ["HEALTHY"],
        ),
        (
            {
                "is_session_open": False,
                "session_wanted_seconds": 120.0,
                "heartbeat_age_seconds": None,
                "chain_age_seconds": None,
            },
            ["HEALTHY"],
        ),
        (
            {
                "is_session_open": False,
                "session_wanted_seconds": 120.5,
                "heartbeat_age_seconds": None,
                "chain_age_seconds": None,
            },
            ["SESSION_MISSING"],
        ),
        ({"daemon_age_seconds": 120.5}, ["DAEMON_SILENT"]),
        ({"daemon_age_seconds": None}, ["DAEMON_SILENT"]),
        ({"projector_lag_seconds": 60.5}, ["PROJECTION_LAGS"]),
        ({"projector_lag_seconds": None}, ["PROJECTION_LAGS"]),
        ({"projector_lag_seconds": None, "projector_frames": 0}, ["HEALTHY"]),
        ({"event_log_mib": 4096.5}, ["EVENT_LOG_FULL"]),
        ({"event_log_free_mib": 511.5}, ["EVENT_LOG_FULL"]),
        ({"event_log_free_mib": None}, ["EVENT_LOG_FULL"]),
        ({"is_event_log_writable": False}, ["EVENT_LOG_UNWRITABLE"]),
        ({"is_event_log_writable": None}, ["HEALTHY"]),
        ({"alerts_waiting": 1}, ["ALERTS_UNDELIVERED"]),
        ({"alerts_waiting": None}, ["ALERTS_UNDELIVERED"]),
        (
            {"daemon_age_seconds": None, "is_event_log_writable": False},
            ["DAEMON_SILENT", "EVENT_LOG_UNWRITABLE"],
        ),
    ],
)
def test_what_is_wrong_is_named_at_its_bound(signs: dict[str, Any], reasons: list[str]) -> None:
    assert codes(**signs) == reasons


def test_nobody_is_missed_while_the_system_is_stopped_and_the_rest_is_judged() -> None:
    dead = {"heartbeat_age_seconds": 9e5, "chain_age_seconds": 9e5, "daemon_age_seconds": 9e5}
    assert codes(state=SystemStateName.STOP_SYSTEM, **dead) == ["DAEMON_SILENT"]
    assert codes(state=SystemStateName.HALT_SYSTEM, **dead) == ["LEADER_SILENT", "DAEMON_SILENT"]


def test_each_reason_carries_what_was_seen_and_the_bound() -> None:
    (row,) = judged(daemon_age_seconds=500.0).reasons
    assert (row.value, row.bound) == (500.0, POLICY.daemon_stale_seconds)


NUMBERS = (
    "heartbeat_age_seconds",
    "daemon_age_seconds",
    "projector_lag_seconds",
    "event_log_mib",
    "event_log_free_mib",
)


@given(
    name=st.sampled_from(NUMBERS), value=st.sampled_from([None, math.nan, math.inf, -math.inf, 1e9])
)
def test_a_sign_that_is_unseen_not_finite_or_huge_is_never_healthy(
    name: str, value: float | None
) -> None:
    if name == "event_log_free_mib" and value == 1e9:
        value = None
    signs: dict[str, Any] = {name: value}
    if name == "heartbeat_age_seconds":
        signs["chain_age_seconds"] = value
    assert not judged(**signs).is_healthy


@given(st.floats(0, 11), st.floats(0, 120), st.floats(0, 60), st.floats(0, 4096))
def test_within_every_bound_nothing_is_wrong(
    beat: float, daemon: float, lag: float, size: float
) -> None:
    health = judged(
        heartbeat_age_seconds=beat,
        daemon_age_seconds=daemon,
        projector_lag_seconds=lag,
        event_log_mib=size,
    )
    assert health.is_healthy
