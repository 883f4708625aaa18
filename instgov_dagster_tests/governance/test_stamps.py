"""No step of the execution order runs before the steps it stands on."""

import dataclasses
import itertools
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.governance.stamps import (
    PHASES,
    STAMP_SCHEMA,
    find_violations,
    phase_of,
    require_stamps,
    stamp_phase,
    stamps_from_frame,
    stamps_to_frame,
)
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Phase, PhaseStamp
from instgov_dagster.vocabulary.reasons import ReasonCode

ASOF = date(2024, 3, 4)
YESTERDAY = ASOF - timedelta(days=1)


def full_night(asof: date = ASOF, salt: str = "") -> tuple[PhaseStamp, ...]:
    stamps: list[PhaseStamp] = []
    for phase in PHASES:
        stamps.append(stamp_phase(phase, asof, {f"table_{phase.step}": f"hash{salt}"}, stamps))
    return tuple(stamps)


def test_a_night_in_order_may_run_every_step() -> None:
    night = full_night()
    assert [stamp.step for stamp in night] == [1, 2, 3, 4, 5, 6, 7]
    for phase in PHASES:
        assert require_stamps(night, phase, ASOF) == night[: phase.step - 1]
        assert require_stamps(night, phase.step, ASOF) == night[: phase.step - 1]
        assert night[phase.step - 1].parents == tuple(
            stamp.stamp_hash for stamp in night[: phase.step - 1]
        )


@pytest.mark.parametrize("present", list(itertools.product((True, False), repeat=6)))
def test_live_trading_starts_only_where_all_six_steps_left_their_stamp(
    present: tuple[bool, ...],
) -> None:
    night = full_night()[:6]
    kept = [stamp for stamp, is_kept in zip(night, present, strict=True) if is_kept]
    if all(present):
        assert require_stamps(kept, Phase.LIVE_TRADING, ASOF) == night
        return
    with pytest.raises(SystemHalt, match="missing for 2024-03-04") as halt:
        require_stamps(kept, Phase.LIVE_TRADING, ASOF)
    assert halt.value.reason_code is ReasonCode.PHASE_ORDER_VIOLATED
    for stamp, is_kept in zip(night, present, strict=True):
        assert (f"{stamp.phase}: missing" in halt.value.detail) is not is_kept


@pytest.mark.parametrize("phase", PHASES[1:])
def test_a_step_cannot_be_stamped_before_the_steps_before_it(phase: Phase) -> None:
    with pytest.raises(SystemHalt, match="ingestion: missing"):
        stamp_phase(phase, ASOF, {"t": "h"}, [])


def test_yesterdays_stamps_are_stale_today() -> None:
    with pytest.raises(SystemHalt, match="ingestion: stale, stamped for 2024-03-03"):
        require_stamps(full_night(YESTERDAY), 2, ASOF)


@given(
    st.integers(0, 5),
    st.sampled_from(["asof", "output_hash", "parents", "stamp_hash"]),
    st.text("0123456789abcdef", min_size=1, max_size=64),
)
def test_a_stamp_changed_in_any_field_is_noticed(place: int, field: str, text: str) -> None:
    night = full_night()
    stamp = night[place]
    values = {"asof": YESTERDAY, "parents": (*stamp.parents, text)}
    forged = dataclasses.replace(stamp, **{field: values.get(field, text)})
    if forged == stamp:
        return
    changed = [*night[:place], forged, *night[place + 1 :]]
    with pytest.raises(SystemHalt, match=stamp.phase.value):
        require_stamps(changed, Phase.LIVE_TRADING, ASOF)


def test_a_forged_stamp_is_called_forged() -> None:
    first = full_night()[0]
    forged = dataclasses.replace(first, output_hash="0" * 64)
    assert find_violations([forged], 2, ASOF) == (
        "ingestion: forged, its hash is not that of its content",
    )


def test_a_step_run_again_makes_every_later_stamp_stale() -> None:
    night, other = full_night(), full_night(salt="2")
    mixed = (other[0], *night[1:])
    violations = find_violations(mixed, Phase.LIVE_TRADING, ASOF)
    assert len(violations) == 5
    assert violations[0] == "db_verification: stale, it stands on other stamps than those before it"


def test_two_different_stamps_of_one_step_are_ambiguous_and_twice_the_same_is_not() -> None:
    night, other = full_night(), full_night(salt="2")
    with pytest.raises(SystemHalt, match="ingestion: 2 different stamps"):
        require_stamps([night[0], other[0]], 2, ASOF)
    assert require_stamps([night[0], night[0]], 2, ASOF) == (night[0],)


def test_a_table_rewritten_after_its_stamp_makes_the_stamp_stale() -> None:
    night = full_night()
    now = {Phase.INGESTION: {"table_1": "hash"}}
    assert find_violations(night, 2, ASOF, now) == ()
    changed = {Phase.INGESTION: {"table_1": "other"}}
    assert find_violations(night, 2, ASOF, changed) == (
        "ingestion: stale, its outputs changed after it was stamped",
    )


def test_a_stamp_names_the_hash_of_each_output() -> None:
    for outputs in ({}, {"bars": ""}):
        with pytest.raises(ValueError, match="each output"):
            stamp_phase(1, ASOF, outputs, [])


@pytest.mark.parametrize("step", [0, 8, -1, True])
def test_there_is_no_step_beyond_the_seven(step: int) -> None:
    with pytest.raises(ValueError, match="1 to 7"):
        phase_of(step)


def test_the_same_night_leaves_the_same_stamps() -> None:
    assert full_night() == full_night()
    hashes = {stamp.stamp_hash for stamp in (*full_night(), *full_night(YESTERDAY))}
    assert len(hashes) == 14


def test_stamps_survive_the_table_and_its_further_columns() -> None:
    night = full_night()
    frame = stamps_to_frame(night)
    assert frame.schema == STAMP_SCHEMA
    assert stamps_from_frame(frame.with_columns(run_id=pl.lit("r"))) == night
    assert stamps_from_frame(stamps_to_frame([])) == ()


def test_a_row_that_names_no_phase_is_a_stop() -> None:
    frame = stamps_to_frame(full_night()[:1]).with_columns(phase=pl.lit("lunch"))
    with pytest.raises(SystemHalt, match="lunch"):
        stamps_from_frame(frame)
