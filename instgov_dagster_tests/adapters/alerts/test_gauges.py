"""The gauges: ages by the machine's clock, whether a session is open, size, space, a write."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from instgov_dagster.adapters.alerts.gauges import loop_pulse, probe_write, store_space
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster_tests.adapters.store.projector.journals import (
    META,
    ended_meta,
    open_journal,
    state,
    write_cycle,
    write_session,
)

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def set_age(path: Path, seconds: float) -> None:
    os.utime(path, times=(NOW.timestamp() - seconds,) * 2)


def test_a_home_that_never_led_has_no_pulse(tmp_path: Path) -> None:
    pulse = loop_pulse(Home(tmp_path), now=NOW)
    assert (pulse.heartbeat_age_seconds, pulse.chain_age_seconds) == (None, None)
    assert (pulse.sequence, pulse.is_open) == (0, False)


def test_the_ages_are_those_of_the_heartbeat_and_of_the_chains_newest_segment(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    write_session(home, range(3), segment_bytes=2000)
    segments = sorted((home.journal_dir / "loop").glob("*.igj"))
    assert len(segments) > 1
    for place, path in enumerate(reversed(segments)):
        set_age(path, 7.0 + 100 * place)
    home.heartbeat.write_text("3/3 cycles")
    set_age(home.heartbeat, 2.5)
    pulse = loop_pulse(home, now=NOW)
    assert pulse.heartbeat_age_seconds == pytest.approx(2.5, abs=1e-3)
    assert pulse.chain_age_seconds == pytest.approx(7.0, abs=1e-3)
    assert pulse.sequence == 5


def test_a_session_is_open_from_its_first_frame_to_its_end_whatever_state_is_told_between(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    with open_journal(home) as journal:
        told = []
        for step in ("state", "started", "cycle", "state", "ended", "state"):
            if step == "cycle":
                write_cycle(journal, 1)
            elif step == "state":
                journal.append("state", state(), META)
            else:
                journal.append("session", pa.table({"n": [1]}), ended_meta(1) | {"event": step})
            told.append(loop_pulse(home, now=NOW).is_open)
    assert told == [False, True, True, True, False, False]


def test_a_segment_that_is_missing_is_not_read_over(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_session(home, range(3), segment_bytes=2000)
    min((home.journal_dir / "loop").glob("*.igj")).unlink()
    with pytest.raises(SystemHalt):
        loop_pulse(home, now=NOW)


def test_a_folder_holds_what_its_files_hold_at_any_depth(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(bytes(range(256)) * 4096 * 3)
    space = store_space(tmp_path)
    assert space.used_mib == pytest.approx(3.0, abs=0.1)
    assert space.free_mib is not None
    assert space.free_mib > 0
    assert store_space(tmp_path / "none").used_mib is None


def test_a_folder_is_writable_where_a_write_reaches_the_disk_and_nothing_is_left(
    tmp_path: Path,
) -> None:
    assert probe_write(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not probe_write(tmp_path / "none")
