"""A decision that could not be true cannot exist."""

import dataclasses
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from instgov_dagster.vocabulary.governance import (
    Decision,
    Gate,
    GovernanceDecision,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

REQUIRED = ("decision", "reason_codes", "mu", "sigma", "cvar", "data_quality", "model_confidence")
OPTIONAL = (
    "vetoed",
    "veto_reason",
    "cycle_id",
    "timestamp",
    "symbol",
    "position_size",
    "expected_return",
    "expected_risk",
    "strategy_id",
    "strategy_stage",
    "cvar_limit_check",
    "leverage_limit_check",
    "drawdown_limit_check",
    "correlation_limit_check",
    "sector_limit_check",
    "veto_triggers",
)


def decision(**changes: Any) -> GovernanceDecision:
    given_fields: dict[str, Any] = {
        "decision": Decision.HOLD,
        "reason_codes": (ReasonCode.HOLD_AT_TARGET,),
        "mu": 0.01,
        "sigma": 0.02,
        "cvar": 0.03,
        "data_quality": 0.9,
        "model_confidence": 0.8,
    }
    return GovernanceDecision(**{**given_fields, **changes})


@pytest.mark.roadmap("9.1")
def test_a_decision_has_the_23_fields_of_the_roadmap_and_headroom() -> None:
    fields = dataclasses.fields(GovernanceDecision)
    assert tuple(f.name for f in fields) == (*REQUIRED, *OPTIONAL, "headroom")
    assert len(REQUIRED) + len(OPTIONAL) == 23
    has_default = {f.name for f in fields if f.default is not dataclasses.MISSING}
    assert has_default == {*OPTIONAL, "headroom"}


@pytest.mark.roadmap("9.1")
def test_the_verbs_are_the_six_and_two_of_them_trade() -> None:
    verbs = ["EXECUTE", "REDUCE", "HOLD", "REJECT", "VETO", "INELIGIBLE"]
    assert [verb.value for verb in Decision] == verbs
    assert [verb.value for verb in Decision if verb.is_tradable] == ["EXECUTE", "REDUCE"]


@pytest.mark.roadmap("0.10")
@pytest.mark.roadmap("9.3")
@pytest.mark.parametrize("codes", [(), [], ["HOLD_AT_TARGET"], ("HOLD_AT_TARGET",), None])
def test_a_decision_without_reason_codes_from_the_enum_cannot_exist(codes: Any) -> None:
    with pytest.raises(ValueError, match="reason code"):
        decision(reason_codes=codes)


@pytest.mark.roadmap("9.1")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", [*REQUIRED[2:], "position_size", "expected_return"])
def test_a_decision_with_a_number_that_is_not_finite_cannot_exist(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        decision(**{field: value})


def test_a_decision_refuses_headroom_that_is_not_finite() -> None:
    with pytest.raises(ValueError, match="headroom"):
        decision(headroom=(("cvar", math.nan),))


@pytest.mark.parametrize(
    ("field", "value"), [("sigma", -1e-9), ("data_quality", 1.1), ("model_confidence", -0.1)]
)
def test_a_decision_refuses_impossible_numbers(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        decision(**{field: value})


@pytest.mark.roadmap("9.4")
def test_a_veto_without_its_reason_cannot_exist() -> None:
    with pytest.raises(ValueError, match="veto_reason"):
        decision(decision=Decision.VETO, vetoed=True)
    with pytest.raises(ValueError, match="veto_reason"):
        decision(veto_reason=ReasonCode.VETO_CVAR)
    with pytest.raises(ValueError, match="veto_triggers"):
        decision(decision=Decision.VETO, vetoed=True, veto_reason=ReasonCode.VETO_CVAR)


@pytest.mark.roadmap("9.4")
@pytest.mark.parametrize("verb", list(Decision))
def test_vetoed_is_true_exactly_for_the_verb_veto(verb: Decision) -> None:
    vetoed = verb is not Decision.VETO
    code = ReasonCode.VETO_CVAR if vetoed else None
    with pytest.raises(ValueError, match="vetoed"):
        decision(
            decision=verb, vetoed=vetoed, veto_reason=code, veto_triggers=(ReasonCode.VETO_CVAR,)
        )


@pytest.mark.parametrize("gate", list(Gate))
def test_execute_cannot_stand_beside_a_failed_limit_check(gate: Gate) -> None:
    with pytest.raises(ValueError, match="failed limit check"):
        decision(decision=Decision.EXECUTE, **{f"{gate.value}_limit_check": False})
    held = decision(decision=Decision.REDUCE, **{f"{gate.value}_limit_check": False})
    assert held.limit_checks.count(False) == 1


def test_a_decision_is_timed_in_utc() -> None:
    paris = timezone(timedelta(hours=1))
    for instant in (datetime(2024, 1, 2, 3), datetime(2024, 1, 2, 3, tzinfo=paris)):  # noqa: DTZ001  # the naive one is the case
        with pytest.raises(ValueError, match="UTC"):
            decision(timestamp=instant)
    assert decision(timestamp=datetime(2024, 1, 2, 3, tzinfo=UTC)).timestamp is not None


def test_a_decision_never_changes() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        decision().mu = 1.0  # type: ignore[misc]
