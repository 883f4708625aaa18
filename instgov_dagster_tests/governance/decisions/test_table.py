"""Each row of the truth table, by hand."""

import itertools
import math
from datetime import UTC, datetime
from typing import Any

import pytest

from instgov_dagster.governance.decisions import (
    decide_symbol,
    gate_of,
)
from instgov_dagster.vocabulary.governance import (
    Decision,
    Gate,
    GovernanceDecision,
    StrategyLifecycle,
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


@pytest.mark.roadmap("9.1")
def test_an_increase_that_nothing_blocks_is_executed_with_every_number_beside_it() -> None:
    made = decide_symbol(symbol_case(), cycle_case())
    assert made == GovernanceDecision(
        decision=Decision.EXECUTE,
        reason_codes=(
            Code.TARGET_INCREASE,
            Code.ALLOCATED,
            Code.CVAR_WITHIN_LIMITS,
            Code.NO_VETO,
            Code.STATE_RUNNING,
        ),
        mu=0.004,
        sigma=0.02,
        cvar=0.045,
        data_quality=0.95,
        model_confidence=0.8,
        cycle_id="2024-03-04-000001",
        timestamp=datetime(2024, 3, 4, 14, 30, tzinfo=UTC),
        symbol="SPY",
        position_size=0.02,
        expected_return=0.02 * 0.004,
        expected_risk=0.02 * 0.045,
        strategy_id="james_stein",
        strategy_stage=StrategyLifecycle.INCUBATING,
        cvar_limit_check=True,
        leverage_limit_check=True,
        drawdown_limit_check=True,
        correlation_limit_check=True,
        sector_limit_check=True,
        headroom=(
            ("cvar", 0.01),
            ("leverage", 0.01),
            ("drawdown", 0.01),
            ("correlation", 0.01),
            ("sector", 0.01),
            ("passing_size", 0.03),
        ),
    )


@pytest.mark.roadmap("9.3")
@pytest.mark.parametrize(
    ("changes", "cycle", "verb", "first"),
    [
        ({"target_weight": 0.005}, {}, Decision.REDUCE, Code.TARGET_DECREASE),
        ({"target_weight": 0.0, "is_forced_sell": True}, {}, Decision.REDUCE, Code.FORCED_SELL),
        ({"target_weight": 0.01}, {}, Decision.HOLD, Code.HOLD_AT_TARGET),
        ({"target_weight": 0.01005}, {}, Decision.HOLD, Code.ORDER_BELOW_MINIMUM),
        ({"target_weight": -0.02}, {}, Decision.EXECUTE, Code.TARGET_INCREASE),
        (
            {"held_weight": 0.0, "target_weight": 0.0, "has_bid": False, "auction_reasons": ()},
            {},
            Decision.HOLD,
            Code.NO_POSITION_NO_BID,
        ),
        (
            {"held_weight": 0.0, "target_weight": 0.0, "auction_reasons": (Code.PRICED_OUT,)},
            {},
            Decision.REJECT,
            Code.PRICED_OUT,
        ),
        ({"vetoes": (Code.VETO_CORRELATED_WINS,)}, {}, Decision.VETO, Code.VETO_CORRELATED_WINS),
        (
            {"vetoes": (Code.VETO_CORRELATED_WINS,), "target_weight": 0.0},
            {},
            Decision.REDUCE,
            Code.TARGET_DECREASE,
        ),
        ({"is_quote_valid": False}, {}, Decision.REJECT, Code.QUOTE_INVALID),
        (
            {"is_quote_valid": False, "quote_reason": Code.QUOTE_MISSING},
            {},
            Decision.REJECT,
            Code.QUOTE_MISSING,
        ),
        ({}, {"is_late": True}, Decision.HOLD, Code.LATE_CYCLE_HOLD),
        ({}, {"is_stale": True}, Decision.REJECT, Code.STALE_DATA),
        ({"has_bid": False}, {}, Decision.REJECT, Code.AUCTION_NOT_PASSED),
        ({"mu": math.nan}, {}, Decision.REJECT, Code.FORECAST_NOT_FINITE),
        ({"target_weight": math.nan}, {}, Decision.REJECT, Code.RISK_NOT_FINITE),
        ({}, {"book_gates": BOOK[1:]}, Decision.REJECT, Code.RISK_NOT_FINITE),
        (
            {"is_eligible": False, "eligibility_reasons": (Code.INVALID_DATA,)},
            {},
            Decision.INELIGIBLE,
            Code.INVALID_DATA,
        ),
        (
            {"has_route": False, "target_weight": 0.0, "eligibility_reasons": (Code.SIM_ONLY,)},
            {},
            Decision.INELIGIBLE,
            Code.SIM_ONLY,
        ),
    ],
)
def test_each_row_of_the_table_gives_its_verb_and_its_reason_first(
    changes: dict[str, Any], cycle: dict[str, Any], verb: Decision, first: Code
) -> None:
    made = decide_symbol(symbol_case(**changes), cycle_case(**cycle))
    assert (made.decision, made.reason_codes[0]) == (verb, first)


def test_a_held_symbol_that_turned_invalid_may_only_be_reduced() -> None:
    invalid = {"is_eligible": False, "eligibility_reasons": (Code.INVALID_DATA,)}
    for target, verb in ((0.0, Decision.REDUCE), (0.01, Decision.INELIGIBLE)):
        made = decide_symbol(symbol_case(target_weight=target, **invalid), cycle_case())
        assert made.decision is verb
        assert Code.INVALID_DATA in made.reason_codes


@pytest.mark.parametrize("name", [SystemStateName.REDUCE_ONLY, SystemStateName.HALT_SYSTEM])
def test_halted_or_reducing_the_system_sells_and_does_not_buy(name: SystemStateName) -> None:
    cycle = cycle_case(state=STATES[name])
    assert decide_symbol(symbol_case(target_weight=0.0), cycle).decision is Decision.REDUCE
    refused = decide_symbol(symbol_case(), cycle)
    assert refused.decision is Decision.REJECT
    assert set(STATES[name].reason_codes) <= set(refused.reason_codes)


def test_stopped_the_system_changes_nothing() -> None:
    cycle = cycle_case(state=STATES[SystemStateName.STOP_SYSTEM])
    for target in (0.0, 0.02):
        made = decide_symbol(symbol_case(target_weight=target), cycle)
        assert (made.decision, made.reason_codes[0]) == (Decision.REJECT, Code.STATE_STOPPED)
        assert made.position_size == 0.01, "what is held is held"
    assert decide_symbol(symbol_case(target_weight=0.01), cycle).decision is Decision.HOLD


def test_a_rejection_names_everything_that_blocks_and_not_only_the_first() -> None:
    made = decide_symbol(
        symbol_case(
            gates=(gate("sector", passed=False),), is_quote_valid=False, sigma=-1.0, has_bid=False
        ),
        cycle_case(is_stale=True, state=STATES[SystemStateName.HALT_SYSTEM]),
    )
    assert made.decision is Decision.REJECT
    assert set(made.reason_codes) == {
        Code.PORTFOLIO_CVAR_BREACH,
        Code.RISK_NOT_FINITE,
        Code.AUCTION_NOT_PASSED,
        Code.STATE_HALTED,
        Code.OPERATOR_HALT,
        Code.STALE_DATA,
        Code.QUOTE_INVALID,
        Code.FORECAST_NOT_FINITE,
    }
    assert made.sector_limit_check is False
    assert made.correlation_limit_check is None


def test_a_check_fails_where_either_the_symbols_or_the_books_gate_fails() -> None:
    for own, book in itertools.product((True, False), repeat=2):
        made = decide_symbol(
            symbol_case(gates=(*OWN, gate("cvar_last_in", passed=own))),
            cycle_case(book_gates=(*BOOK[1:], gate("joint", passed=book))),
        )
        assert made.cvar_limit_check is (own and book)
        assert (made.decision is Decision.EXECUTE) is (own and book)


def test_a_gate_without_a_named_check_must_pass_all_the_same() -> None:
    made = decide_symbol(symbol_case(gates=(*OWN, gate("impact", passed=False))), cycle_case())
    assert made.decision is Decision.REJECT
    assert set(made.limit_checks) == {True}


def test_numbers_that_are_missing_are_shown_at_their_worst() -> None:
    nan = dict.fromkeys(("mu", "sigma", "cvar", "data_quality", "model_confidence"), math.nan)
    made = decide_symbol(symbol_case(**nan, target_weight=0.0), cycle_case())
    assert made.decision is Decision.REDUCE
    numbers = (made.mu, made.sigma, made.cvar, made.data_quality, made.model_confidence)
    assert numbers == (0.0, 1.0, 1.0, 0.0, 0.0)
    assert Code.FORECAST_NOT_FINITE in made.reason_codes


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("cvar", Gate.CVAR),
        ("marginal_cvar", Gate.CVAR),
        ("joint", Gate.CVAR),
        ("last_in", Gate.CVAR),
        ("prefix", Gate.CVAR),
        ("Leverage", Gate.LEVERAGE),
        ("drawdown_limit", Gate.DRAWDOWN),
        ("correlation", Gate.CORRELATION),
        ("sector", Gate.SECTOR),
        ("impact", None),
    ],
)
def test_a_gate_is_known_by_a_word_of_its_name(name: str, named: Gate | None) -> None:
    assert gate_of(name) is named
