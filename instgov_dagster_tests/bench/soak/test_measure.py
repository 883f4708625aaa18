"""What a soak is judged by, on journals written by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from instgov_dagster.bench.soak.incidents import Incident, Kind, plan
from instgov_dagster.bench.soak.measure import (
    Cycle,
    Turn,
    find_gaps,
    is_passed,
    shared_seconds,
)
from instgov_dagster.bench.soak.page import table_of

NOON = datetime(2025, 3, 12, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def cycle(seconds: float, *, session: str = "a", pid: int = 1, is_late: bool = False) -> Cycle:
    return Cycle(
        cycle_id=f"{session}-{seconds}",
        session=session,
        pid=pid,
        began=at(seconds),
        is_late=is_late,
        orders=0,
    )


def done(kind: Kind, seconds: float) -> Incident:
    return Incident(kind=kind, at=at(seconds), pid=1, had_standby=True)


READY = {"a": Turn(), "b": Turn(ready=at(-5.0))}
ENDED = {"a": Turn(has_ended=True), "b": Turn(ready=at(-5.0))}


def test_a_second_in_which_two_processes_lead_is_named() -> None:
    alone = [cycle(0.2), cycle(1.2), cycle(2.2, session="b", pid=2)]
    assert shared_seconds(alone) == ()
    both = [*alone, cycle(2.9, pid=1)]
    assert shared_seconds(both) == ("2025-03-12T12:00:02+00:00",)


@pytest.mark.parametrize(("seconds", "ok"), [(1.5, True), (1.51, False)])
def test_a_planned_hand_over_with_a_ready_standby_takes_a_second_and_a_half_at_most(
    seconds: float, *, ok: bool
) -> None:
    (gap,) = find_gaps([cycle(0.0), cycle(seconds, session="b", pid=2)], ENDED, [])
    assert (gap.why, gap.limit, gap.ok) == ("planned", 1.5, ok)


@pytest.mark.parametrize(("seconds", "ok"), [(3.0, True), (3.01, False)])
def test_a_killed_leader_is_followed_within_three_seconds(seconds: float, *, ok: bool) -> None:
    killed = [done(Kind.KILL_LEADER, 0.4)]
    (gap,) = find_gaps([cycle(0.0), cycle(seconds, session="b", pid=2)], READY, killed)
    assert (gap.why, gap.limit, gap.ok) == ("kill -9 of the leader", 3.0, ok)


def test_what_nothing_explains_fails_however_short_it_is() -> None:
    (gap,) = find_gaps([cycle(0.0), cycle(1.0, session="b", pid=2)], READY, [])
    assert (gap.why, gap.ok) == ("", False)


def test_without_a_standby_that_was_ready_in_time_nothing_is_promised_and_it_is_said() -> None:
    late = {"a": Turn(has_ended=True), "b": Turn(ready=at(4.0))}
    (gap,) = find_gaps([cycle(0.0), cycle(6.0, session="b", pid=2)], late, [])
    assert (gap.why, gap.limit, gap.ok) == ("planned, no standby ready yet", None, True)


def test_a_late_cycle_of_one_leader_is_listed_and_explained_by_its_record() -> None:
    (gap,) = find_gaps([cycle(0.0), cycle(1.2), cycle(4.0, is_late=True)], READY, [])
    assert (gap.seconds, gap.why) == (pytest.approx(2.8), "a late cycle, recorded, which held")


def test_every_incident_between_two_cycles_is_named() -> None:
    met = [done(Kind.RESTART_DAEMON, 0.5), done(Kind.RESTART, 2.0), done(Kind.KILL_LEADER, 99.0)]
    (gap,) = find_gaps([cycle(0.0), cycle(30.0, session="b", pid=2)], READY, met)
    assert gap.why == "the daemon killed, dagster dev started again, dagster dev started again"
    assert gap.limit is None


def test_a_soak_does_three_kills_one_stop_and_ends_daemon_and_code_server() -> None:
    kinds = [kind for _, kind in plan(300.0)]
    assert kinds.count(Kind.KILL_LEADER) == 3
    assert set(kinds) == set(Kind) - {Kind.RESTART}
    instants = [seconds for seconds, _ in plan(300.0)]
    assert instants == sorted(instants)
    assert 0.0 < instants[0] < instants[-1] < 300.0
    assert plan(100.0, ["stop"]) == ((20.0, Kind.STOP_LEADER),)


def facts(**changed: Any) -> dict[str, Any]:
    whole = {
        "seconds": 300.0,
        "symbols": 60,
        "cycles": 290,
        "sessions": 6,
        "beat_p50": 1.0,
        "beat_p99": 1.02,
        "late_cycles": 0,
        "shared_seconds": [],
        "duplicate_cycle_ids": 0,
        "chains": {"loop": True, "night": True, "operator": True},
        "replay_identical": True,
        "replayed": 290,
        "reconciled": True,
        "stopped_leader": "went on",
        "orphans": [],
        "gone_seconds_after_dev": 46.0,
        "moved_after_the_end": False,
        "undone": [],
        "passed": True,
        "gaps": [
            {"at": at(0.0).isoformat(), "seconds": 1.0, "why": "planned", "limit": 1.5, "ok": True}
        ],
    }
    return {**whole, **changed}


@pytest.mark.parametrize(
    "changed",
    [
        {"cycles": 0},
        {"shared_seconds": ["12:00:01"]},
        {"duplicate_cycle_ids": 1},
        {"chains": {"loop": False}},
        {"replay_identical": False},
        {"reconciled": False},
        {"orphans": ["session 7"]},
        {"moved_after_the_end": True},
        {"gaps": [{"ok": False}]},
    ],
)
def test_a_soak_passes_only_where_everything_was_shown(changed: dict[str, Any]) -> None:
    assert is_passed(facts())
    assert not is_passed(facts(**changed))


def test_the_table_tells_every_gap_beside_what_was_promised() -> None:
    text = table_of(facts())
    assert "| 12:00:00 | 1.000 | planned | 1.5 | True |" in text
    assert "| symbols, cycles, sessions | 60, 290, 6 |" in text
