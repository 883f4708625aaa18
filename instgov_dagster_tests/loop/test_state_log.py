"""The state of a home is read against the anchors of its chains, so that a cut lifts nothing."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from instgov_dagster.adapters.journal import Journal, append_anchor, read_frames
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.governance.state import cause_of, fold_state, halt_event, unknown_state
from instgov_dagster.governance.state.rows import state_from_frame, state_to_frame
from instgov_dagster.loop.state_log import StateLog, append_anchored, write_events
from instgov_dagster.vocabulary.governance import Chain, SystemState, SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.journal.chains import bytes_read

ROWS = pa.table({"n": [1]})
RUNNING = fold_state(())


def halted(root: Path) -> Home:
    """A home on which two notes and then an operator's halt were written."""
    home = Home(root)
    log = StateLog(home, None)
    with Journal.open(home.journal_dir, Chain.OPERATOR.value) as journal:
        for _ in range(2):
            append_anchored(home, journal, "note", ROWS, {})
        log.refresh()
        halt = halt_event(operator="ann", reason="drill", sequence=3, heads=log.heads)
        assert write_events(home, journal, log, [halt]).name is SystemStateName.HALT_SYSTEM
    return home


def segment(home: Home) -> Path:
    return next((home.journal_dir / Chain.OPERATOR.value).glob("*.igj"))


def cut(home: Home) -> None:
    last = list(read_frames(home.journal_dir, Chain.OPERATOR.value))[-1]
    with segment(home).open("r+b") as stream:
        stream.truncate(last.offset)


def delete(home: Home) -> None:
    segment(home).unlink()


def rewrite(home: Home) -> None:
    segment(home).unlink()
    with Journal.open(home.journal_dir, Chain.OPERATOR.value) as journal:
        for _ in range(3):
            journal.append("note", ROWS, {"other": True})


@pytest.mark.roadmap("0.6")
@pytest.mark.parametrize("harm", [cut, delete, rewrite])
def test_no_harm_to_the_operator_s_chain_lifts_a_halt(
    tmp_path: Path, harm: Callable[[Home], None]
) -> None:
    home = halted(tmp_path)
    harm(home)
    state = StateLog(home, None).refresh()
    assert state.name is SystemStateName.STOP_SYSTEM
    (cause,) = state.causes
    assert cause.reason_code is ReasonCode.STATE_UNKNOWN
    assert ReasonCode.ANCHOR_MISMATCH in cause.detail


def test_a_frame_is_read_before_and_after_its_anchor_is_written(tmp_path: Path) -> None:
    home = Home(tmp_path)
    early, late = StateLog(home, None), StateLog(home, None)
    with Journal.open(home.journal_dir, Chain.LOOP.value) as journal:
        for number in range(1, 8):
            journal.append("note", ROWS, {})
            assert early.refresh() == RUNNING
            if number % 3 == 0:
                append_anchor(home.anchors, journal.anchor())
                assert early.refresh() == RUNNING
                assert late.refresh() == RUNNING
    assert early.heads == late.heads | {Chain.LOOP: 7}


def test_a_reader_under_way_notices_an_anchor_of_another_frame(tmp_path: Path) -> None:
    home, other = Home(tmp_path / "a"), Home(tmp_path / "b")
    log = StateLog(home, None)
    with Journal.open(home.journal_dir, Chain.LOOP.value) as journal:
        journal.append("note", ROWS, {})
    assert log.refresh() == RUNNING
    with Journal.open(other.journal_dir, Chain.LOOP.value) as journal:
        journal.append("note", ROWS, {"other": True})
        append_anchor(home.anchors, journal.anchor())
    for _ in range(2):  # asked again, it still does not believe
        assert log.refresh().name is SystemStateName.STOP_SYSTEM
    assert StateLog(home, None).refresh().name is SystemStateName.STOP_SYSTEM


def test_a_reader_stops_again_and_again_on_a_frame_that_is_not_the_anchored_one(
    tmp_path: Path,
) -> None:
    home, other = Home(tmp_path / "a"), Home(tmp_path / "b")
    with Journal.open(other.journal_dir, Chain.LOOP.value) as journal:
        for _ in range(2):
            journal.append("note", ROWS, {"other": True})
        append_anchor(home.anchors, journal.anchor())
    log = StateLog(home, None)
    with Journal.open(home.journal_dir, Chain.LOOP.value) as journal:
        for _ in range(4):
            state = log.refresh()
            assert state.name is SystemStateName.STOP_SYSTEM
            assert ReasonCode.ANCHOR_MISMATCH in state.causes[0].detail
            journal.append("note", ROWS, {})


def test_anchors_that_were_cut_under_a_reader_stop_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    log = StateLog(home, None)
    with Journal.open(home.journal_dir, Chain.LOOP.value) as journal:
        for _ in range(3):
            append_anchored(home, journal, "note", ROWS, {})
    assert log.refresh() == RUNNING
    path = home.anchors / "loop.jsonl"
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
    assert log.refresh().name is SystemStateName.STOP_SYSTEM


def test_a_refresh_reads_what_is_new_however_long_the_journal_and_its_anchors_are(
    tmp_path: Path,
) -> None:
    home, log = Home(tmp_path), StateLog(Home(tmp_path), None)
    costs = []
    with Journal.open(home.journal_dir, Chain.LOOP.value, segment_bytes=4000) as journal:
        for _ in range(60):
            journal.append("note", ROWS, {})
            append_anchor(home.anchors, journal.anchor())
            before = bytes_read()
            assert log.refresh() == RUNNING
            costs.append(bytes_read() - before)
    assert len(list((home.journal_dir / "loop").glob("*.igj"))) > 5
    assert max(costs[10:]) <= max(costs[:10]) + 8  # a number or two grows by a digit
    assert min(costs) > 0
    assert sum(len(frames) for frames in log._unanchored.values()) <= 1


@pytest.mark.parametrize(
    "state",
    [
        RUNNING,
        fold_state([cause_of(ReasonCode.REGIME_CRISIS_REDUCE_ONLY, "p_hit 0.61")]),
        fold_state([cause_of(ReasonCode.HISTORY_MISSING, "40 sessions", symbols=("AAA", "BBB"))]),
        unknown_state("no chain"),
    ],
)
def test_a_state_survives_being_laid_out_as_a_row(state: SystemState) -> None:
    assert state_from_frame(state_to_frame(state)) == state


@pytest.mark.parametrize(
    ("name", "causes"),
    [("RUNNING", "{"), ("HALT_SYSTEM", "[]"), ("nonsense", "[]"), ("RUNNING", '[{"state": 1}]')],
)
def test_a_row_that_cannot_be_read_is_a_stop(name: str, causes: str) -> None:
    frame = pl.DataFrame({"state": [name], "causes": [causes]})
    assert state_from_frame(frame).name is SystemStateName.STOP_SYSTEM
    assert state_from_frame(frame.clear()).name is SystemStateName.STOP_SYSTEM
