"""A state as a row is the text that was worked out here, and any other text is a stop."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.governance.state import cause_of, fold_state, unknown_state
from instgov_dagster.governance.state.rows import (
    STATE_FRAME,
    cause_from_dict,
    cause_to_dict,
    causes_json,
    state_from_frame,
    state_to_frame,
)
from instgov_dagster.vocabulary.governance import Cause, SystemState, SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode

pytestmark = [pytest.mark.roadmap("0.6"), pytest.mark.roadmap("0.10")]

HISTORY = cause_of(ReasonCode.HISTORY_MISSING, "AAA lacks 40 sessions", symbols=("AAA", "BBB"))
REDUCE = cause_of(ReasonCode.REGIME_CRISIS_REDUCE_ONLY, "p_hit 0.61")
HISTORY_VALUES = {
    "state": "HALT_SYSTEM",
    "reason_code": "HISTORY_MISSING",
    "detail": "AAA lacks 40 sessions",
    "symbols": ["AAA", "BBB"],
}
HISTORY_TEXT = (
    '{"detail": "AAA lacks 40 sessions", "reason_code": "HISTORY_MISSING", '
    '"state": "HALT_SYSTEM", "symbols": ["AAA", "BBB"]}'
)
REDUCE_TEXT = (
    '{"detail": "p_hit 0.61", "reason_code": "REGIME_CRISIS_REDUCE_ONLY", '
    '"state": "REDUCE_ONLY", "symbols": []}'
)


def row(state: str, causes: str) -> pl.DataFrame:
    return pl.DataFrame({"state": [state], "causes": [causes]})


def stop(detail: str) -> SystemState:
    return unknown_state(detail)


def test_a_cause_is_four_plain_values() -> None:
    assert cause_to_dict(HISTORY) == HISTORY_VALUES
    assert json.loads(json.dumps(HISTORY_VALUES)) == cause_to_dict(HISTORY)


@pytest.mark.parametrize(("cause", "is_latched"), [(HISTORY, True), (REDUCE, False)])
def test_a_cause_read_back_is_latched_by_its_state(cause: Cause, *, is_latched: bool) -> None:
    read = cause_from_dict(cause_to_dict(cause))
    assert (read, read.is_latched) == (cause, is_latched)


@pytest.mark.parametrize("name", HISTORY_VALUES)
def test_a_cause_that_lacks_a_value_is_refused(name: str) -> None:
    values = {key: value for key, value in HISTORY_VALUES.items() if key != name}
    with pytest.raises(KeyError, match=name):
        cause_from_dict(values)


@pytest.mark.parametrize(
    "changes", [{"state": "PAUSED"}, {"reason_code": "NO_SUCH_CODE"}, {"state": "RUNNING"}]
)
def test_a_cause_of_no_known_word_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        cause_from_dict(HISTORY_VALUES | changes)


def test_the_row_of_a_state_is_its_name_and_its_causes_gravest_first() -> None:
    state = fold_state([REDUCE, HISTORY])
    assert causes_json(state) == f"[{HISTORY_TEXT}, {REDUCE_TEXT}]"
    frame = state_to_frame(state)
    assert frame.schema == STATE_FRAME == {"state": pl.String(), "causes": pl.String()}
    assert frame.rows() == [("HALT_SYSTEM", f"[{HISTORY_TEXT}, {REDUCE_TEXT}]")]
    assert state_to_frame(fold_state([])).rows() == [("RUNNING", "[]")]


def test_a_row_is_read_by_the_names_of_its_columns() -> None:
    frame = row("HALT_SYSTEM", f"[{HISTORY_TEXT}]").select("causes", "state")
    assert state_from_frame(frame.with_columns(asof=pl.lit("2024-01-05"))) == fold_state([HISTORY])


@pytest.mark.parametrize("height", [0, 2])
def test_more_or_less_than_one_row_is_a_stop_that_counts_them(height: int) -> None:
    frame = pl.concat([row("RUNNING", "[]")] * 2).head(height)
    assert state_from_frame(frame) == stop(f"the state must be one row, was {height}")


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ('[{"state": "HALT_SYSTEM"}]', "'reason_code'"),
        ('[{"state": "PAUSED"}]', "'PAUSED' is not a valid SystemStateName"),
        ("[1]", "'int' object is not subscriptable"),
        ("7", "'int' object is not iterable"),
    ],
)
def test_causes_that_cannot_be_read_are_a_stop_that_says_why(text: str, detail: str) -> None:
    wanted = stop(f"the causes of the state cannot be read: {detail}")
    assert state_from_frame(row("RUNNING", text)) == wanted


def test_a_name_its_causes_do_not_give_is_a_stop_that_shows_both() -> None:
    calm = state_from_frame(row("RUNNING", f"[{HISTORY_TEXT}]"))
    assert calm == stop("the state says 'RUNNING', its causes HALT_SYSTEM")
    grave = state_from_frame(row("STOP_SYSTEM", "[]"))
    assert grave == stop("the state says 'STOP_SYSTEM', its causes RUNNING")


@given(st.text(max_size=12), st.text(max_size=40))
def test_no_text_reads_as_running_but_the_one_that_says_so(name: str, causes: str) -> None:
    state = state_from_frame(row(name, causes))
    assert state.name is SystemStateName.STOP_SYSTEM or name == state.name.value
