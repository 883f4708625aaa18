"""What is asked beside the cycles, on a virtual clock: the run, and the published night."""

from datetime import UTC, datetime, timedelta

import pytest

from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.loop.live.leading.watches import (
    Background,
    RunWatch,
    SnapshotWatch,
    Standing,
)
from instgov_dagster.vocabulary.config import LoopPolicy
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

NOON = datetime(2025, 3, 12, 12, tzinfo=UTC)
POLICY = LoopPolicy()  # asked every 5 s, blind after 60; verified every 30 min, TTL 60, halt at 120


class Answers:
    """Answers what it is told to, and counts how often it was asked."""

    def __init__(self, *, answer: bool | Exception = True) -> None:
        self.answer = answer
        self.asked = 0

    def ask(self) -> bool:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def verify(self) -> None:
        self.ask()


def later(**words: float) -> datetime:
    return NOON + timedelta(**words)


def test_a_run_is_asked_for_every_five_seconds_and_no_more_often() -> None:
    answers = Answers()
    watch = RunWatch(answers.ask, POLICY, now=NOON)
    for second in range(21):
        watch.ask_if_due(later(seconds=second))
    assert answers.asked == 4
    assert watch.fault(later(seconds=20)) is None


def test_a_run_the_platform_gave_up_stays_given_up() -> None:
    answers = Answers(answer=False)
    watch = RunWatch(answers.ask, POLICY, now=NOON)
    watch.ask_if_due(later(seconds=5))
    answers.answer = True
    watch.ask_if_due(later(seconds=10))
    assert watch.fault(later(seconds=10)) == "its run is no longer one the platform believes to run"


def test_a_platform_that_answers_nothing_is_believed_for_a_minute() -> None:
    answers = Answers(answer=OSError("database is locked"))
    watch = RunWatch(answers.ask, POLICY, now=NOON)
    for second in range(62):
        watch.ask_if_due(later(seconds=second))
    assert watch.fault(later(seconds=60)) is None
    assert watch.fault(later(seconds=61)) == "nobody told for 61 s whether its run goes on"
    answers.answer = True
    watch.ask_if_due(later(seconds=66))
    assert watch.fault(later(seconds=67)) is None


@pytest.mark.roadmap("3.3")
def test_the_night_is_fresh_for_an_hour_stale_for_another_and_expired_then() -> None:
    answers = Answers(answer=OSError("the disk does not answer"))
    watch = SnapshotWatch(answers.verify, POLICY, now=NOON)
    told = []
    for minutes in (0, 60, 60.01, 120, 120.01):
        watch.ask_if_due(later(minutes=minutes))
        told.append(watch.standing(later(minutes=minutes)))
    assert told == [
        Standing.FRESH,
        Standing.FRESH,
        Standing.STALE,
        Standing.STALE,
        Standing.EXPIRED,
    ]
    assert watch.age_minutes(later(minutes=90)) == 90.0


@pytest.mark.roadmap("3.3")
def test_a_check_every_half_hour_keeps_the_night_fresh_all_day() -> None:
    answers = Answers()
    watch = SnapshotWatch(answers.verify, POLICY, now=NOON)
    for minute in range(8 * 60):
        watch.ask_if_due(later(minutes=minute))
        assert watch.standing(later(minutes=minute)) is Standing.FRESH
    assert answers.asked == 15


def test_a_check_that_succeeds_again_ends_the_staleness() -> None:
    answers = Answers(answer=OSError("gone"))
    watch = SnapshotWatch(answers.verify, POLICY, now=NOON)
    watch.ask_if_due(later(minutes=70))
    assert watch.standing(later(minutes=70)) is Standing.STALE
    answers.answer = True
    watch.ask_if_due(later(minutes=100))
    assert watch.standing(later(minutes=100)) is Standing.FRESH


def test_damage_that_a_check_finds_is_raised_in_the_next_cycle() -> None:
    damage = SystemHalt(ReasonCode.SNAPSHOT_MISSING, "a table does not hash to its manifest")
    watch = SnapshotWatch(Answers(answer=damage).verify, POLICY, now=NOON)
    watch.ask_if_due(later(minutes=30))
    with pytest.raises(SystemHalt) as halt:
        watch.standing(later(minutes=30))
    assert halt.value is damage


def test_where_no_thread_asks_the_cycle_does() -> None:
    answers, clock = Answers(), VirtualClock(NOON)
    watch = RunWatch(answers.ask, POLICY, now=NOON)
    with Background([watch], clock, is_threaded=False) as background:
        background.look()
        assert answers.asked == 0
        clock.advance(timedelta(seconds=5))
        background.look()
    assert answers.asked == 1


def test_where_a_thread_asks_the_cycle_does_not() -> None:
    answers, clock = Answers(), VirtualClock(NOON)
    watch = RunWatch(answers.ask, POLICY, now=NOON)
    with Background([watch], clock, is_threaded=True) as background:
        clock.advance(timedelta(seconds=5))
        background.look()
        assert answers.asked == 0
