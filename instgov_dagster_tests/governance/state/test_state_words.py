"""A state that cannot be established says why, and an operator's act says who and for what."""

import pytest

from instgov_dagster.governance.state import (
    cause_of,
    fold_events,
    fold_state,
    halt_event,
    parse_state,
)
from instgov_dagster.vocabulary.governance import (
    Chain,
    EventKind,
    StateEvent,
    SystemState,
    SystemStateName,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

pytestmark = [pytest.mark.roadmap("0.10"), pytest.mark.roadmap("9.4")]
HALT = cause_of(ReasonCode.OPERATOR_HALT, "ann: drill")


def only_detail(state: SystemState) -> str:
    """Give the detail of the one cause of a state that is unknown."""
    (cause,) = state.causes
    assert (state.name, cause.reason_code) == (
        SystemStateName.STOP_SYSTEM, ReasonCode.STATE_UNKNOWN,
    )  # fmt: skip
    return cause.detail


def test_an_unknown_state_says_what_could_not_be_read() -> None:
    assert only_detail(fold_state(None)) == "the causes of the state could not be read"
    strange: list[object] = ["x"]
    assert only_detail(fold_state(strange)) == "not a cause: 'x'"  # type: ignore[arg-type]  # the point
    missing = fold_events((), heads={Chain.LOOP: 3})
    assert only_detail(missing) == "chains not read or not verified: night, operator"


@pytest.mark.parametrize(
    ("head", "told"), [(6, ["an event operator 7 claims operator 7 of 6"]), (7, [])]
)
def test_an_event_that_claims_what_was_not_read_is_named(head: int, told: list[str]) -> None:
    event = StateEvent(kind=EventKind.RAISED, chain=Chain.OPERATOR, sequence=7, cause=HALT)
    heads = {Chain.LOOP: -1, Chain.NIGHT: -1, Chain.OPERATOR: head}
    state = fold_events([event], heads=heads)
    unknown = [c.detail for c in state.causes if c.reason_code is ReasonCode.STATE_UNKNOWN]
    assert unknown == told


def test_an_operator_s_halt_says_who_and_why() -> None:
    event = halt_event(
        operator="ann", reason="drill", sequence=4, heads={Chain.LOOP: 9, Chain.OPERATOR: 3}
    )
    assert (event.operator, event.reason, event.cause) == ("ann", "drill", HALT)
    assert (event.sequence, event.heads) == (4, ((Chain.LOOP, 9),))


@pytest.mark.parametrize("text", [None, "", "XXXX", "running", "HALT"])
def test_a_text_that_names_no_state_is_stop(text: str | None) -> None:
    assert parse_state(text) is SystemStateName.STOP_SYSTEM


@pytest.mark.parametrize("name", SystemStateName)
def test_the_name_of_a_state_reads_as_that_state(name: SystemStateName) -> None:
    assert parse_state(name.value) is name
