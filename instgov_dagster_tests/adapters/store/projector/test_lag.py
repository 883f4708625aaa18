"""How far the projection is behind: counted in frames, and in seconds of the machine's clock."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.projector import lag, projection_lag
from instgov_dagster_tests.adapters.store.projector.journals import run_project, write_session

STEP = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
LATER = STEP + timedelta(seconds=90)


def test_a_projection_that_stands_at_the_head_does_not_lag_however_long_ago(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    run_project(home, recorded_at=STEP)
    seen = projection_lag(home, now=LATER)
    assert (seen.frames, seen.seconds) == ({"loop": 0, "night": 0, "operator": 0}, 0.0)


def test_frames_that_wait_are_as_old_as_the_last_step_at_most(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    run_project(home, recorded_at=STEP)
    write_session(home, range(3, 7))
    seen = projection_lag(home, now=LATER)
    assert (seen.frames["loop"], seen.seconds) == (6, 90.0)
    run_project(home, recorded_at=LATER)
    assert projection_lag(home, now=LATER).frames["loop"] == 0


def test_what_a_new_leader_journals_is_no_older_than_its_lease(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    run_project(home, recorded_at=STEP - timedelta(days=3))
    write_session(home, range(3, 5))
    home.lease.write_text("pid 1")
    os.utime(home.lease, times=((LATER - timedelta(seconds=20)).timestamp(),) * 2)
    assert projection_lag(home, now=LATER).seconds == pytest.approx(20.0, abs=1e-3)


def test_where_nothing_says_since_when_the_lag_is_unknown_and_not_zero(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    seen = projection_lag(home, now=LATER)
    assert (seen.frames["loop"], seen.seconds) == (5, None)


def test_the_projector_says_how_far_it_is_after_each_step(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    run_project(home, recorded_at=STEP)
    told = json.loads(lag.progress_path(home).read_bytes())
    assert told == {"at": STEP.isoformat(), "sequences": {"loop": 5, "night": 0, "operator": 0}}


def test_a_word_that_cannot_be_read_is_no_word(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(3))
    lag.progress_path(home).write_text("{")
    with pytest.raises(ValueError, match="Expecting property name"):
        projection_lag(home, now=LATER)
