"""The truth table against a second telling of it, on every case there is."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.governance.decisions import (
    CycleCase,
    SymbolCase,
    decide_symbol,
)
from instgov_dagster.vocabulary.governance import (
    Decision,
    SystemStateName,
)
from instgov_dagster.vocabulary.reasons import ReasonCode as Code
from instgov_dagster_tests.governance.decisions.worlds import (
    BOOK,
    OWN,
    STATES,
    cycle_case,
    gate,
    symbol_case,
)

MOVES: dict[str, dict[str, Any]] = {
    "increase": {"held_weight": 0.01, "target_weight": 0.02},
    "open": {"held_weight": 0.0, "target_weight": 0.02},
    "flip": {"held_weight": 0.01, "target_weight": -0.005},
    "decrease": {"held_weight": 0.02, "target_weight": 0.01},
    "close": {"held_weight": 0.02, "target_weight": 0.0},
    "small up": {"held_weight": 0.02, "target_weight": 0.02005},
    "small down": {"held_weight": 0.02, "target_weight": 0.01995},
    "at target": {"held_weight": 0.02, "target_weight": 0.02},
    "empty": {"held_weight": 0.0, "target_weight": 0.0},
    "unknown": {"held_weight": math.nan, "target_weight": 0.02},
}
GATES = {
    "pass": (OWN, BOOK),
    "own fails": (None, BOOK),
    "book fails": (OWN, None),
    "none": ((), ()),
}
UP = ("increase", "open", "flip")
DOWN = ("decrease", "close")


def lattice() -> Iterator[tuple[dict[str, Any], SymbolCase, CycleCase]]:
    failed_own, failed_book = (
        (*OWN[:1], gate("sector", passed=False)),
        (*BOOK[:2], gate("drawdown", passed=False)),
    )
    axes: dict[str, Any] = {
        "move": MOVES,
        "route": (True, False),
        "eligible": (True, False),
        "state": tuple(SystemStateName),
        "quote": (True, False),
        "gates": GATES,
        "vetoed": (False, True),
        "late": (False, True),
        "stale": (False, True),
        "finite": (True, False),
        "bid": (True, False),
    }
    for values in itertools.product(*axes.values()):
        on = dict(zip(axes, values, strict=True))
        own, book = GATES[on["gates"]]
        case = symbol_case(
            **MOVES[on["move"]],
            has_route=on["route"],
            is_eligible=on["eligible"],
            eligibility_reasons=(Code.INSUFFICIENT_HISTORY,),
            is_quote_valid=on["quote"],
            gates=failed_own if own is None else own,
            vetoes=(Code.VETO_STANDING,) if on["vetoed"] else (),
            mu=0.01 if on["finite"] else math.inf,
            has_bid=on["bid"],
        )
        cycle = cycle_case(
            state=STATES[on["state"]],
            is_late=on["late"],
            is_stale=on["stale"],
            book_gates=failed_book if book is None else book,
        )
        yield on, case, cycle


def told_again(on: dict[str, Any]) -> Decision:  # noqa: PLR0911  # one return a row
    """Say the verb from the named circumstances alone, not from the numbers."""
    move, is_stopped = on["move"], on["state"] is SystemStateName.STOP_SYSTEM
    if not on["route"] or (not on["eligible"] and move not in DOWN):
        return Decision.INELIGIBLE
    wants = move in (*UP, "small up") or (move in ("empty", "unknown") and on["bid"])
    if on["vetoed"] and wants:
        return Decision.VETO
    if move == "unknown" or (is_stopped and move in (*UP, *DOWN)):
        return Decision.REJECT
    if on["late"]:
        return Decision.HOLD
    if move in DOWN:
        return Decision.REDUCE
    if move in UP:
        clear = on["quote"] and on["finite"] and on["bid"] and on["gates"] == "pass"
        may = clear and not on["stale"] and on["state"] is SystemStateName.RUNNING
        return Decision.EXECUTE if may else Decision.REJECT
    return Decision.REJECT if move == "empty" and on["bid"] else Decision.HOLD


@pytest.mark.roadmap("9.1")
@pytest.mark.roadmap("9.3")
@pytest.mark.roadmap("9.4")
@pytest.mark.roadmap("TEST.9")
def test_every_case_of_the_lattice_is_decided_as_the_table_says() -> None:
    seen: dict[Decision, int] = dict.fromkeys(Decision, 0)
    for on, case, cycle in lattice():
        made = decide_symbol(case, cycle)
        assert made.decision is told_again(on), on
        assert made.reason_codes, on
        assert len(set(made.reason_codes)) == len(made.reason_codes), on
        assert made.vetoed is (made.decision is Decision.VETO)
        if made.decision is Decision.EXECUTE:
            assert on["route"]
            assert on["eligible"]
            assert on["gates"] == "pass"
            assert on["quote"]
            assert on["state"] is SystemStateName.RUNNING
            assert not on["vetoed"]
            assert on["bid"]
            assert on["finite"]
            assert not on["late"]
            assert not on["stale"]
            assert set(made.limit_checks) == {True}
        if made.decision is Decision.REDUCE:
            assert on["state"] is not SystemStateName.STOP_SYSTEM
            assert abs(made.position_size or 0.0) < abs(case.held_weight)
        seen[made.decision] += 1
    assert sum(seen.values()) == 10 * 2**9 * 4**2 // 2
    assert all(seen.values()), seen


@given(
    st.floats(allow_nan=True),
    st.floats(allow_nan=True),
    st.lists(st.floats(allow_nan=True), min_size=5, max_size=5),
    st.sampled_from(list(SystemStateName)),
)
def test_no_number_whatever_buys_where_the_state_or_a_nan_forbids(
    held: float, target: float, numbers: list[float], name: SystemStateName
) -> None:
    fields = ("mu", "sigma", "cvar", "data_quality", "model_confidence")
    case = symbol_case(
        held_weight=held, target_weight=target, **dict(zip(fields, numbers, strict=True))
    )
    made = decide_symbol(case, cycle_case(state=STATES[name]))
    if made.decision is Decision.EXECUTE:
        assert name is SystemStateName.RUNNING
        assert all(map(math.isfinite, (held, target, *numbers)))
        assert abs(target) > abs(held) or target * held < 0
    if made.decision is Decision.REDUCE:
        assert abs(target) < abs(held)


@given(st.integers(1, 6))
def test_no_expected_return_turns_a_failed_gate_into_an_order(power: int) -> None:
    case = symbol_case(mu=10.0**power, gates=(*OWN, gate("cvar", passed=False)))
    assert decide_symbol(case, cycle_case()).decision is Decision.REJECT
