"""The state is the gravest cause; halts and stops outlive everything but an operator."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from instgov_dagster.governance.state import (
    OCCURRENCES,
    cause_of,
    conditions_standing,
    fold_events,
    fold_state,
    halt_event,
    observe_causes,
    parse_state,
    resume_event,
    standing_causes,
    unknown_state,
)
from instgov_dagster.vocabulary.errors import ResumeRefused
from instgov_dagster.vocabulary.governance import (
    Cause,
    Chain,
    EventKind,
    StateEvent,
    SystemStateName,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

REDUCE = cause_of(ReasonCode.REGIME_CRISIS_REDUCE_ONLY, "p_hit 0.61")
HISTORY = cause_of(ReasonCode.HISTORY_MISSING, "AAA lacks 40 sessions", symbols=("AAA",))
HALT = cause_of(ReasonCode.OPERATOR_HALT, "ann: drill")
BROKEN = cause_of(ReasonCode.CHAIN_BROKEN, "loop frame 7")
CRASH = cause_of(ReasonCode.UNEXPECTED_FAILURE, "ZeroDivisionError")
CAUSES = (REDUCE, HISTORY, HALT, BROKEN, CRASH)
HEADS = dict.fromkeys(Chain, 100)


def event(
    kind: EventKind,
    cause: Cause | None,
    chain: Chain,
    sequence: int,
    heads: Mapping[Chain, int] | None = None,
) -> StateEvent:
    is_resume = kind is EventKind.RESUMED
    return StateEvent(
        kind=kind,
        chain=chain,
        sequence=sequence,
        heads=tuple((heads or {}).items()),
        cause=cause,
        operator="ann" if is_resume else None,
        reason="checked" if is_resume else None,
    )


def raised(cause: Cause, chain: Chain = Chain.LOOP, sequence: int = 1) -> StateEvent:
    return event(EventKind.RAISED, cause, chain, sequence)


def cleared(cause: Cause, chain: Chain, sequence: int, **heads: int) -> StateEvent:
    return event(EventKind.CLEARED, cause, chain, sequence, _heads(heads))


def resumed(sequence: int, **heads: int) -> StateEvent:
    return event(EventKind.RESUMED, None, Chain.OPERATOR, sequence, _heads(heads))


def _heads(heads: Mapping[str, int]) -> dict[Chain, int]:
    return {Chain(name): head for name, head in heads.items()}


def state_of(*events: StateEvent) -> SystemStateName:
    return fold_events(events, heads=HEADS).name


# --- causes ----------------------------------------------------------------------------------


def test_no_cause_is_running_and_unreadable_causes_are_a_stop() -> None:
    assert fold_state([]).name is SystemStateName.RUNNING
    for unreadable in (None, ["HALT"], [HALT, None]):
        state = fold_state(unreadable)  # type: ignore[arg-type]
        assert state.name is SystemStateName.STOP_SYSTEM
        assert state.causes[0].reason_code is ReasonCode.STATE_UNKNOWN


@given(st.lists(st.sampled_from(CAUSES)))
def test_the_state_is_the_maximum_over_causes_in_any_order_and_number(causes: list[Cause]) -> None:
    state = fold_state(causes)
    wanted = max((cause.state for cause in causes), default=SystemStateName.RUNNING)
    assert state.name is wanted
    assert set(state.causes) == set(causes)
    assert state == fold_state([*reversed(causes), *causes])
    assert [c.state.rank for c in state.causes] == sorted(
        (c.state.rank for c in state.causes), reverse=True
    )


@given(st.lists(st.sampled_from(CAUSES)), st.sampled_from(CAUSES))
def test_one_more_cause_never_allows_more(causes: list[Cause], more: Cause) -> None:
    before, after = fold_state(causes), fold_state([*causes, more])
    assert after.name >= before.name
    for act in ("allows_increase", "allows_reduction", "allows_cancel"):
        assert getattr(before, act) or not getattr(after, act)


@given(st.one_of(st.none(), st.text(), st.sampled_from([s.value for s in SystemStateName])))
def test_a_persisted_name_that_is_not_a_state_reads_as_a_stop(text: str | None) -> None:
    state = parse_state(text)
    assert state.value == text or state is SystemStateName.STOP_SYSTEM


def test_a_cause_takes_its_state_from_the_codes_severity_unless_a_graver_one_is_asked() -> None:
    assert [cause.state.rank for cause in CAUSES] == [1, 2, 2, 3, 3]
    graver = cause_of(ReasonCode.STALE_DATA, "age 61 min", state=SystemStateName.HALT_SYSTEM)
    assert graver.is_latched
    with pytest.raises(ValueError, match="at least"):
        cause_of(ReasonCode.CHAIN_BROKEN, "x", state=SystemStateName.HALT_SYSTEM)
    assert unknown_state("no journal").name is SystemStateName.STOP_SYSTEM


# --- events, by hand -------------------------------------------------------------------------


def test_reduce_only_clears_by_itself() -> None:
    assert state_of(raised(REDUCE)) is SystemStateName.REDUCE_ONLY
    assert state_of(raised(REDUCE), cleared(REDUCE, Chain.LOOP, 2)) is SystemStateName.RUNNING
    again = (raised(REDUCE), cleared(REDUCE, Chain.LOOP, 2), raised(REDUCE, sequence=3))
    assert state_of(*again) is SystemStateName.REDUCE_ONLY


def test_a_halt_persists_after_its_condition_is_gone_until_an_operator_resumes() -> None:
    night = raised(HISTORY, Chain.NIGHT, 4)
    gone = cleared(HISTORY, Chain.NIGHT, 9)
    assert state_of(night, gone) is SystemStateName.HALT_SYSTEM
    assert state_of(night, gone, resumed(1, night=9)) is SystemStateName.RUNNING


def test_a_resume_lifts_nothing_while_the_condition_stands() -> None:
    night = raised(HISTORY, Chain.NIGHT, 4)
    assert state_of(night, resumed(1, night=4)) is SystemStateName.HALT_SYSTEM
    late = (night, resumed(1, night=4), cleared(HISTORY, Chain.NIGHT, 5))
    assert state_of(*late) is SystemStateName.HALT_SYSTEM, "the clear came after the resume"
    assert state_of(*late, resumed(2, night=5)) is SystemStateName.RUNNING


def test_a_resume_lifts_only_what_its_operator_can_have_seen() -> None:
    crash = raised(CRASH, Chain.LOOP, 8)
    assert state_of(crash, resumed(1, loop=7)) is SystemStateName.STOP_SYSTEM
    assert state_of(crash, resumed(1)) is SystemStateName.STOP_SYSTEM
    assert state_of(crash, resumed(1, loop=8)) is SystemStateName.RUNNING
    assert state_of(crash, resumed(1, loop=8), raised(CRASH, sequence=9)) is (
        SystemStateName.STOP_SYSTEM
    )


def test_an_operators_own_halt_is_lifted_by_a_later_resume_and_not_by_an_earlier_one() -> None:
    halt = raised(HALT, Chain.OPERATOR, 5)
    assert state_of(halt, resumed(4)) is SystemStateName.HALT_SYSTEM
    assert state_of(halt, resumed(5)) is SystemStateName.HALT_SYSTEM
    assert state_of(halt, resumed(6)) is SystemStateName.RUNNING


def test_a_check_and_the_resume_resting_on_it_may_share_one_frame() -> None:
    broken = raised(BROKEN, Chain.LOOP, 3)
    check = cleared(BROKEN, Chain.OPERATOR, 2, loop=3)
    assert state_of(broken, check, resumed(2, loop=3)) is SystemStateName.RUNNING


@pytest.mark.parametrize("missing", [{chain} for chain in Chain] + [set(Chain)])
def test_a_chain_that_was_not_read_is_a_stop(missing: set[Chain]) -> None:
    heads = {chain: 0 for chain in Chain if chain not in missing}
    state = fold_events([], heads=heads)
    assert state.name is SystemStateName.STOP_SYSTEM
    assert state.causes[0].reason_code is ReasonCode.STATE_UNKNOWN
    assert all(chain.value in state.causes[0].detail for chain in missing)
    assert fold_events([], heads=dict.fromkeys(Chain, -1)).name is SystemStateName.RUNNING


def test_an_event_that_claims_to_have_seen_the_future_is_a_stop() -> None:
    prophet = resumed(1, loop=10**6)
    state = fold_events([prophet], heads=HEADS)
    assert state.name is SystemStateName.STOP_SYSTEM
    assert "claims loop 1000000 of 100" in state.causes[0].detail
    assert fold_events([raised(REDUCE, sequence=101)], heads=HEADS).name is (
        SystemStateName.STOP_SYSTEM
    )


def test_occurrences_are_latched_and_none_is_merely_a_warning() -> None:
    assert all(cause_of(code, "x").is_latched for code in OCCURRENCES)


# --- the acts --------------------------------------------------------------------------------


def test_a_halt_and_a_resume_by_an_operator_are_events_with_a_name_and_a_reason() -> None:
    halt = halt_event(operator="ann", reason="drill", sequence=1, heads=HEADS)
    assert fold_events([halt], heads=HEADS).causes == (HALT,)
    act = resume_event([halt], operator="bob", reason="done", sequence=2, heads=HEADS)
    assert fold_events([halt, act], heads=HEADS).name is SystemStateName.RUNNING
    for kwargs in ({"operator": " ", "reason": "x"}, {"operator": "ann", "reason": ""}):
        with pytest.raises(ValueError, match=r"operator|reason"):
            halt_event(sequence=1, heads=HEADS, **kwargs)
        with pytest.raises(ValueError, match=r"operator|reason"):
            resume_event([halt], sequence=2, heads=HEADS, **kwargs)


def test_a_resume_is_refused_while_a_condition_stands_and_names_it() -> None:
    events = [raised(HISTORY, Chain.NIGHT, 4), raised(BROKEN, Chain.LOOP, 2), raised(CRASH)]
    assert conditions_standing(events) == (BROKEN, HISTORY)
    with pytest.raises(ResumeRefused, match=r"CHAIN_BROKEN.*HISTORY_MISSING") as refused:
        resume_event(events, operator="ann", reason="x", sequence=1, heads=HEADS)
    assert [code for code, _ in refused.value.causes] == [
        ReasonCode.CHAIN_BROKEN,
        ReasonCode.HISTORY_MISSING,
    ]


def test_a_resume_needs_the_head_of_every_chain() -> None:
    with pytest.raises(ValueError, match="night"):
        resume_event([], operator="a", reason="b", sequence=1, heads={Chain.LOOP: 1})


def observe(events: Iterable[StateEvent], found: Iterable[Cause], sequence: int) -> Any:
    return observe_causes(
        events,
        found,
        domain={ReasonCode.HISTORY_MISSING, ReasonCode.REGIME_CRISIS_REDUCE_ONLY},
        chain=Chain.NIGHT,
        sequence=sequence,
        heads={Chain.LOOP: 0, Chain.OPERATOR: 0, Chain.NIGHT: sequence - 1},
    )


def test_a_check_that_finds_the_same_again_writes_nothing() -> None:
    first = observe([], [HISTORY, REDUCE], 1)
    assert {e.kind for e in first} == {EventKind.RAISED}
    assert observe(first, [REDUCE, HISTORY], 2) == ()


def test_a_check_clears_what_it_speaks_for_and_nothing_else() -> None:
    events = [*observe([], [HISTORY, REDUCE], 1), raised(CRASH, Chain.NIGHT, 1)]
    second = observe(events, [], 2)
    assert [(e.kind, e.cause) for e in second] == [
        (EventKind.CLEARED, HISTORY),
        (EventKind.CLEARED, REDUCE),
    ]
    assert standing_causes([*events, *second]) == (CRASH, HISTORY), "both latched ones stay"
    with pytest.raises(ValueError, match="domain"):
        observe([], [BROKEN], 1)


def test_what_remains_of_a_code_is_raised_again_when_part_of_it_clears() -> None:
    other = cause_of(ReasonCode.HISTORY_MISSING, "BBB lacks 3 sessions", symbols=("BBB",))
    first = observe([], [HISTORY, other], 1)
    second = observe(first, [other], 2)
    assert [e.kind for e in second] == [EventKind.CLEARED, EventKind.RAISED]
    assert conditions_standing([*first, *second]) == (other,)


def test_a_check_clears_nothing_that_another_chain_raised() -> None:
    heads = {Chain.LOOP: 5, Chain.OPERATOR: 0, Chain.NIGHT: 1}
    events = [raised(HISTORY, Chain.LOOP, 5), raised(REDUCE, Chain.LOOP, 5)]
    assert observe(events, [], 1) == ()
    both = [*events, *observe(events, [HISTORY, REDUCE], 1)]
    domain = {ReasonCode.HISTORY_MISSING, ReasonCode.REGIME_CRISIS_REDUCE_ONLY}
    cleared_own = observe_causes(
        both, [], domain=domain, chain=Chain.NIGHT, sequence=2, heads=heads
    )
    assert [row.kind for row in cleared_own] == [EventKind.CLEARED, EventKind.CLEARED]
    after = [*both, *cleared_own]
    assert conditions_standing(after) == (HISTORY,), "the loop's own stands"
    assert REDUCE in standing_causes(after)


def test_an_order_whose_outcome_is_unknown_is_lifted_by_the_operator_alone() -> None:
    assert ReasonCode.ORDER_UNKNOWN_OUTCOME in OCCURRENCES


@given(st.lists(st.sets(st.sampled_from((HISTORY, REDUCE))), max_size=6))
def test_after_each_check_what_stands_uncleared_is_what_the_check_found(
    findings: list[set[Cause]],
) -> None:
    events: list[StateEvent] = []
    for sequence, found in enumerate(findings, start=1):
        events += observe(events, found, sequence)
        assert observe(events, found, sequence + 1) == ()
        assert set(conditions_standing(events)) == found & {HISTORY}
        assert (REDUCE in standing_causes(events)) == (REDUCE in found)


# --- every interleaving ----------------------------------------------------------------------


class Chains(RuleBasedStateMachine):
    """Writers that see everything before them, against a plain simulation in real time."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = dict.fromkeys(Chain, 0)
        self.events: list[StateEvent] = []
        self.standing: dict[tuple[Chain, Cause], bool] = {}  # -> is cleared

    def _write(self, kind: EventKind, cause: Cause | None, chain: Chain) -> None:
        others = {c: n for c, n in self.heads.items() if c is not chain}
        self.heads[chain] += 1
        self.events.append(event(kind, cause, chain, self.heads[chain], others))

    @rule(cause=st.sampled_from(CAUSES), chain=st.sampled_from(Chain))
    def raise_cause(self, cause: Cause, chain: Chain) -> None:
        self._write(EventKind.RAISED, cause, chain)
        self.standing[chain, cause] = False

    @rule(cause=st.sampled_from(CAUSES), chain=st.sampled_from(Chain))
    def clear_code(self, cause: Cause, chain: Chain) -> None:
        self._write(EventKind.CLEARED, cause, chain)
        for key in list(self.standing):
            if key[1].reason_code is cause.reason_code:
                self.standing[key] = True
                if not key[1].is_latched:
                    del self.standing[key]

    @rule()
    def resume(self) -> None:
        self._write(EventKind.RESUMED, None, Chain.OPERATOR)
        for key, is_cleared in list(self.standing.items()):
            if key[1].is_latched and (is_cleared or key[1].reason_code in OCCURRENCES):
                del self.standing[key]

    @rule(order=st.randoms(use_true_random=False))
    def read_in_another_order(self, order: Any) -> None:
        order.shuffle(self.events)

    @invariant()
    def the_fold_agrees_with_the_simulation(self) -> None:
        state = fold_events(self.events, heads=self.heads)
        assert set(state.causes) == {cause for _, cause in self.standing}

    @invariant()
    def a_resume_is_written_exactly_where_no_condition_stands(self) -> None:
        waiting = {
            key[1]
            for key, is_cleared in self.standing.items()
            if key[1].is_latched and not is_cleared and key[1].reason_code not in OCCURRENCES
        }
        assert set(conditions_standing(self.events)) == waiting


TestChains = Chains.TestCase


def test_every_small_history_is_as_grave_in_every_order_of_reading() -> None:
    history = (
        raised(HISTORY, Chain.NIGHT, 1),
        raised(HALT, Chain.OPERATOR, 1),
        cleared(HISTORY, Chain.NIGHT, 2),
        resumed(2, night=2),
        raised(REDUCE, Chain.LOOP, 1),
    )
    states = {fold_events(order, heads=HEADS) for order in itertools.permutations(history)}
    assert {state.name for state in states} == {SystemStateName.REDUCE_ONLY}
    assert len(states) == 1
