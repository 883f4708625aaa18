"""The lattice, its causes and the events that move it."""

import itertools
from typing import Any

import pytest

from instgov_dagster.vocabulary.governance import (
    Cause,
    Chain,
    EventKind,
    StateEvent,
    SystemState,
    SystemStateName,
    least_state,
    state_code,
)
from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster.vocabulary.reasons import ReasonCode


def test_the_lattice_is_ordered_by_gravity_and_not_by_text() -> None:
    names = ["RUNNING", "REDUCE_ONLY", "HALT_SYSTEM", "STOP_SYSTEM"]
    assert [state.value for state in SystemStateName] == names
    for low, high in itertools.combinations(SystemStateName, 2):
        assert low < high
        assert low <= high
        assert high > low
        assert high >= low
        assert max(high, low) is high
        assert min(high, low) is low
        assert not high <= low
        assert not low >= high


def test_each_state_allows_no_more_than_the_milder_one() -> None:
    allowed = [(s.allows_increase, s.allows_reduction, s.allows_cancel) for s in SystemStateName]
    assert allowed == [
        (True, True, True),
        (False, True, True),
        (False, True, True),
        (False, False, False),
    ]
    assert [s.is_latched for s in SystemStateName] == [False, False, True, True]


def test_comparing_a_state_with_an_unknown_text_is_an_error_not_an_answer() -> None:
    with pytest.raises(ValueError, match="PAUSED"):
        assert SystemStateName.RUNNING < "PAUSED"


@pytest.mark.parametrize("code", list(ReasonCode))
def test_no_cause_is_milder_than_its_codes_severity(code: ReasonCode) -> None:
    least = least_state(code)
    expected = {
        Severity.STOP: SystemStateName.STOP_SYSTEM,
        Severity.HALT: SystemStateName.HALT_SYSTEM,
    }.get(code.severity, SystemStateName.REDUCE_ONLY)
    assert least is expected
    for state in SystemStateName:
        if SystemStateName.RUNNING < state < least:
            with pytest.raises(ValueError, match="at least"):
                Cause(state=state, reason_code=code, detail="x", is_latched=state.is_latched)


def test_a_cause_latches_exactly_where_only_an_operator_leads_out() -> None:
    for state, latched in itertools.product(list(SystemStateName)[1:], (True, False)):
        kwargs: dict[str, Any] = {
            "state": state,
            "reason_code": ReasonCode.STALE_DATA,
            "detail": "x",
            "is_latched": latched,
        }
        if latched == state.is_latched:
            assert Cause(**kwargs).state is state
        else:
            with pytest.raises(ValueError, match="is_latched"):
                Cause(**kwargs)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", SystemStateName.RUNNING),
        ("state", "HALT_SYSTEM"),
        ("detail", " "),
        ("symbols", ("B", "A")),
        ("symbols", ("A", "A")),
        ("reason_code", "STALE_DATA"),
    ],
)
def test_a_cause_that_says_nothing_or_says_it_wrong_cannot_exist(field: str, value: Any) -> None:
    kwargs: dict[str, Any] = {
        "state": SystemStateName.REDUCE_ONLY,
        "reason_code": ReasonCode.STALE_DATA,
        "detail": "x",
        "is_latched": False,
        field: value,
    }
    with pytest.raises(ValueError, match=field.split("_", maxsplit=1)[0]):
        Cause(**kwargs)


def test_a_state_is_the_gravest_of_its_causes_or_it_cannot_exist() -> None:
    cause = Cause(
        state=SystemStateName.HALT_SYSTEM,
        reason_code=ReasonCode.OPERATOR_HALT,
        detail="ann: test",
        is_latched=True,
    )
    state = SystemState(name=SystemStateName.HALT_SYSTEM, causes=(cause,))
    assert state.reason_codes == (ReasonCode.STATE_HALTED, ReasonCode.OPERATOR_HALT)
    assert (state.allows_increase, state.allows_reduction, state.allows_cancel) == (0, 1, 1)
    for name in (SystemStateName.RUNNING, SystemStateName.STOP_SYSTEM):
        with pytest.raises(ValueError, match="by its causes"):
            SystemState(name=name, causes=(cause,))


def test_each_state_has_its_own_code() -> None:
    assert len({state_code(name) for name in SystemStateName}) == len(SystemStateName)


def event(**changes: Any) -> StateEvent:
    base: dict[str, Any] = {
        "kind": EventKind.RESUMED,
        "chain": Chain.OPERATOR,
        "sequence": 3,
        "operator": "ann",
        "reason": "checked",
    }
    return StateEvent(**{**base, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"operator": " "},
        {"reason": None},
        {"chain": Chain.LOOP},
        {"kind": EventKind.RAISED},
        {"kind": "RESUMED"},
        {"sequence": -1},
        {"heads": ((Chain.LOOP, 1), (Chain.LOOP, 2))},
    ],
)
def test_a_resume_names_who_and_why_and_stands_in_the_operators_chain(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match=r".+"):
        event(**changes)


def test_an_event_has_seen_what_precedes_it_and_the_heads_it_names() -> None:
    resumed = event(heads=((Chain.LOOP, 7),))
    assert resumed.horizon(Chain.OPERATOR) == 2
    assert resumed.horizon(Chain.LOOP) == 7
    assert resumed.horizon(Chain.NIGHT) == -1
