"""The large space of the proof: what it visits, that it holds, and that sabotage is found."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instgov_dagster.governance.decisions import CycleCase, SymbolCase, compose_decisions
from instgov_dagster.governance.proof import mint_approved_order
from instgov_dagster.loop.proving.enumeration import (
    Mechanism,
    Walk,
    cycles,
    places,
)
from instgov_dagster.loop.proving.factors import (
    MOVES,
    STATES,
    book_gates,
    circumstances,
    order_gates,
    patterns,
    state_of,
    subsets,
)
from instgov_dagster.loop.proving.proof import prove
from instgov_dagster.vocabulary.governance import GovernanceDecision, SystemState, SystemStateName


def walked(folder: Path, mechanism: Mechanism | None = None) -> Walk:
    """Walk a slice: every circumstance and cycle, gates open, shut or not given."""
    walk = Walk(folder, mechanism or Mechanism())
    gates, (open_book, *others) = order_gates(), list(patterns(book_gates()))
    answers = (next(patterns(gates)), tuple(v.shut for v in gates.values()), ())
    at = places(itertools.product(circumstances(), answers))
    walk.over(cycles([open_book, others[0], ()]), at)
    return walk


def broken(walk: Walk) -> set[str]:
    return {name for name, row in walk.invariants.items() if row.violations}


def test_the_space_is_as_large_as_its_factors_say() -> None:
    # Moves x quote x forecast x eligibility x bid x veto, and state x late x stale.
    assert len(list(circumstances())) == len(MOVES) * 2 * 2 * 3 * 2 * 2 == 432
    assert len(cycles([()])) == len(STATES) * 2 * 2 == 20
    gates = order_gates()
    assert len(list(patterns(gates))) == 2 + 2 * len(gates) == 26
    assert len(list(subsets(gates))) == 2 ** len(gates) == 4096


def test_each_state_of_the_space_is_folded_from_events() -> None:
    told = {name: state_of(name).name for name in STATES}
    assert told == {
        "RUNNING": SystemStateName.RUNNING,
        "REDUCE_ONLY": SystemStateName.REDUCE_ONLY,
        "HALT_SYSTEM": SystemStateName.HALT_SYSTEM,
        "STOP_SYSTEM": SystemStateName.STOP_SYSTEM,
        "UNKNOWN": SystemStateName.STOP_SYSTEM,
    }


@pytest.mark.roadmap("9.4")
def test_a_slice_of_the_space_holds_every_invariant_and_moves(tmp_path: Path) -> None:
    walk = walked(tmp_path)
    assert walk.visited == 20 * 3 * 432 * 3
    assert broken(walk) == set()
    assert all(row.states > 0 for row in walk.invariants.values())


def deaf(cases: Iterable[SymbolCase], cycle: CycleCase) -> tuple[GovernanceDecision, ...]:
    """Decide as if the system always ran."""
    return compose_decisions(cases, replace(cycle, state=state_of("RUNNING")))


def blind(cases: Iterable[SymbolCase], cycle: CycleCase) -> tuple[GovernanceDecision, ...]:
    """Decide as if every gate of an order were open."""
    opened = [
        replace(case, gates=tuple(replace(gate, passed=True) for gate in case.gates))
        for case in cases
    ]
    return compose_decisions(opened, cycle)


def lenient(cases: Iterable[SymbolCase], cycle: CycleCase) -> tuple[GovernanceDecision, ...]:
    """Decide as if nothing were vetoed."""
    return compose_decisions([replace(case, vetoes=()) for case in cases], cycle)


def frozen(cases: Iterable[SymbolCase], cycle: CycleCase) -> tuple[GovernanceDecision, ...]:
    """Decide as if the system were stopped: safe, and good for nothing."""
    return compose_decisions(cases, replace(cycle, state=state_of("STOP_SYSTEM")))


def careless(*words: Any, **told: Any) -> Any:
    """Mint on any receipt there is."""
    order, decision, receipt = words
    covering = replace(receipt, cycle_id=told["cycle_id"])
    return mint_approved_order(order, decision, covering, **told)


def hopeful(name: str) -> SystemState:
    """Take an unknown state for a running one."""
    return state_of("RUNNING" if name == "UNKNOWN" else name)


@pytest.mark.roadmap("9.4")
@pytest.mark.parametrize(
    ("mechanism", "found"),
    [
        (Mechanism(compose=deaf), {"stop_sends_nothing", "halt_only_reduces"}),
        (Mechanism(compose=blind), {"purchase_passed_everything"}),
        (Mechanism(compose=lenient), {"purchase_passed_everything"}),
        (Mechanism(compose=frozen), {"allowed_is_sent"}),
        (Mechanism(mint=careless), {"unaudited_sends_nothing"}),
        (Mechanism(fold=hopeful), {"stop_sends_nothing", "purchase_passed_everything"}),
    ],
    ids=["deaf", "blind", "lenient", "frozen", "careless", "hopeful"],
)
def test_a_sabotaged_rule_is_found_and_the_state_is_named(
    tmp_path: Path, mechanism: Mechanism, found: set[str]
) -> None:
    walk = Walk(tmp_path, mechanism)
    open_book = next(patterns(book_gates()))
    gates = order_gates()
    answers = (next(patterns(gates)), tuple(v.shut for v in gates.values()))
    at = [c for c in circumstances() if c.has_quote and c.is_forecast and c.has_bid]
    walk.over(cycles([open_book]), places(itertools.product(at, answers)))
    assert broken(walk) >= found
    assert all(walk.invariants[name].examples for name in found)


@pytest.mark.nightly
@pytest.mark.roadmap("0.5", "0.6", "9.4")
def test_nothing_is_sent_past_governance_in_half_a_million_states(tmp_path: Path) -> None:
    proof = prove(tmp_path)
    assert proof.ok
    assert proof.states_visited > 500_000
    told = proof.to_dict()
    assert [row["name"] for row in told["invariants"] if not row["ok"]] == []
    assert [row["target"] for row in told["sources"] if not row["ok"]] == []
