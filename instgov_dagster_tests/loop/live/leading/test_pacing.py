"""When cycles are due: by the predecessor's rhythm, drift-free, none caught up on."""

import gc
import weakref
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.loop.live.leading.pacing import Pace, unpaused

NOON = datetime(2025, 3, 12, 12, tzinfo=UTC)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def pace(*, after: datetime | None = None, now: datetime = NOON) -> Pace:
    return Pace(period_seconds=1.0, late_after_seconds=1.0, now=now, after=after)


def test_the_first_leader_begins_at_once_and_the_beats_do_not_drift() -> None:
    beats = pace()
    assert beats.due == NOON
    for count in range(5):
        assert beats.due == NOON + seconds(count)
        beat = beats.begin(beats.due + seconds(0.3))  # each cycle begins a little late
        assert (beat.missed, beat.is_late) == (0, False)


@pytest.mark.roadmap("3.2")
def test_a_new_leader_begins_one_period_after_its_predecessor_s_last_beat() -> None:
    assert pace(after=NOON - seconds(0.2)).due == NOON + seconds(0.8)
    assert pace(after=NOON - seconds(0.9)).due == NOON + seconds(0.1)


def test_a_beat_long_past_is_not_waited_for_and_a_clock_set_back_does_not_stop_the_loop() -> None:
    assert pace(after=NOON - seconds(17.0)).due == NOON
    assert pace(after=NOON + seconds(3600.0)).due == NOON + seconds(1.0)


def test_a_process_stopped_for_thirty_seconds_decides_one_late_cycle_and_goes_on() -> None:
    beats = pace()
    beats.begin(NOON)
    late = beats.begin(NOON + seconds(31.4))  # due at +1, so 30.4 s behind
    assert (late.missed, late.is_late) == (30, True)
    assert beats.due == NOON + seconds(32.0)  # on the same rhythm, ahead of the clock
    assert beats.begin(beats.due).is_late is False
    assert beats.longest_gap_seconds == pytest.approx(31.4)


def test_a_cycle_is_late_beyond_the_limit_and_not_at_it() -> None:
    at, beyond = pace(), pace()
    assert at.begin(NOON + seconds(1.0)).is_late is False
    assert beyond.begin(NOON + seconds(1.001)).is_late is True


def test_a_beat_is_told_with_its_process() -> None:
    told = pace().begin(NOON + seconds(0.5)).facts(17)
    assert told == {
        "due": "2025-03-12T12:00:00+00:00",
        "began": "2025-03-12T12:00:00.500000+00:00",
        "missed": 0,
        "pid": 17,
    }


@given(st.lists(st.floats(0.0, 40.0), min_size=1, max_size=30))
def test_no_beat_is_given_twice_and_the_next_one_is_always_ahead(delays: list[float]) -> None:
    beats, given_out, now = pace(), [], NOON
    for delay in delays:
        now = max(now, beats.due) + seconds(delay)
        given_out.append(beats.begin(now).due)
        assert beats.due > now
        assert beats.due - given_out[-1] >= seconds(1.0)
    assert len(set(given_out)) == len(given_out)
    assert all((due - NOON) % seconds(1.0) == seconds(0.0) for due in given_out)


class Ring:
    """An object that only the collector can find to be garbage."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_loaded_is_set_aside_what_a_cycle_makes_is_collected() -> None:
    loaded, kept = Ring(), Ring()
    first, second = weakref.ref(loaded), weakref.ref(kept)
    del loaded
    with unpaused() as set_aside:
        made = weakref.ref(Ring())
        gc.collect()
        assert made() is None
        assert first() is not None  # nobody looks at it
        more = Ring()
        third = weakref.ref(more)
        set_aside()
        del more
        gc.collect()
        assert third() is not None  # nor at what the first cycle kept
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert (first(), third()) == (None, None)
    assert second() is kept


def test_a_session_that_fails_leaves_the_collector_as_it_was() -> None:
    with pytest.raises(RuntimeError, match="in the middle"), unpaused():
        raise RuntimeError("in the middle")
    assert gc.get_freeze_count() == 0
