"""The smaller spaces of the proof: approvals, gates, cancels."""

from dataclasses import replace
from typing import Any

import pytest

from instgov_dagster.governance.proof import mint_approved_order
from instgov_dagster.loop.proving.approvals import (
    HANDLING,
    prove_approvals,
    prove_cancels,
    prove_gates,
    small_spaces,
)
from instgov_dagster.loop.proving.enumeration import Mechanism
from instgov_dagster.loop.proving.factors import state_of
from instgov_dagster.loop.proving.wire import refused_forgeries
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster.vocabulary.reasons import ReasonCode


@pytest.mark.roadmap("9.4")
def test_every_small_space_holds_and_is_as_large_as_its_factors_say() -> None:
    told = {row.name: (row.states, row.violations) for row in small_spaces(Mechanism())}
    assert told == {
        # verbs x sides x symbol x decided x ordered x chains x covered x row x handling
        "approval_is_whole": (6 * 2 * 2 * 2 * 2 * 3 * 3 * 2 * len(HANDLING), 0),
        "joint_gate_is_exact": (4**3 * 4**3, 0),
        "every_gate_shuts": (12 * 3, 0),
        "stop_cancels_nothing": (5 * 2 * 2, 0),
    }


def test_a_mint_that_takes_any_chain_is_found() -> None:
    def lax(*words: Any, **told: Any) -> Any:
        order, decision, receipt = words
        return mint_approved_order(
            order, decision, replace(receipt, chain=Chain.LOOP.value), **told
        )

    found = prove_approvals(Mechanism(mint=lax))
    assert found.violations > 0
    assert "Chain.NIGHT" in " ".join(found.examples) or "Chain" in " ".join(found.examples)


def test_a_state_that_lets_a_stopped_system_cancel_is_found() -> None:
    found = prove_cancels(Mechanism(fold=lambda _: state_of("RUNNING")))
    assert found.violations == 8  # STOP_SYSTEM and the unknown state, two sides, heard or not


def test_the_gates_are_shown_numbers_on_their_very_limit() -> None:
    joint, every = prove_gates()
    assert (joint.violations, every.violations) == (0, 0)


@pytest.mark.roadmap("9.4")
def test_the_router_refuses_three_forgeries_and_sends_none() -> None:
    assert refused_forgeries() == {
        "minted with another key": (ReasonCode.ORDER_NOT_APPROVED, 0),
        "altered after minting": (ReasonCode.ORDER_NOT_APPROVED, 0),
        "never minted": (ReasonCode.ORDER_NOT_APPROVED, 0),
    }
