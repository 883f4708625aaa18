"""Vetoes, findings and stamps refuse what makes no sense."""

import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.vocabulary.governance import (
    ALL,
    Phase,
    PhaseStamp,
    Veto,
    VetoFinding,
)
from instgov_dagster.vocabulary.reasons import ReasonCode


def veto(**changes: Any) -> Veto:
    base: dict[str, Any] = {
        "strategy_id": "momentum",
        "symbol": "SPY",
        "reason_code": ReasonCode.VETO_CVAR,
        "trigger": "cvar",
        "raised_on": date(2024, 1, 2),
        "statistic": 1.0,
        "threshold": 0.5,
        "n": 20,
    }
    return Veto(**{**base, **changes})


@given(st.sampled_from(["momentum", ALL]), st.sampled_from(["SPY", ALL]))
def test_a_veto_touches_what_it_names_and_whatever_is_unknown(strategy: str, symbol: str) -> None:
    row = veto(strategy_id=strategy, symbol=symbol)
    assert row.touches("momentum", "SPY")
    assert row.touches(None, None)
    assert row.touches("other", "SPY") == (strategy == ALL)
    assert row.touches("momentum", "QQQ") == (symbol == ALL)


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy_id": ""},
        {"symbol": ""},
        {"reason_code": ReasonCode.PRICED_OUT},
        {"cleared_on": date(2024, 1, 1)},
    ],
)
def test_a_veto_that_makes_no_sense_cannot_exist(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        veto(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"trigger": ""},
        {"n": -1},
        {"statistic": math.nan},
        {"threshold": math.nan},
        {"statistic": math.inf},
    ],
)
def test_a_finding_fires_on_what_it_cannot_measure(changes: dict[str, Any]) -> None:
    base: dict[str, Any] = {
        "trigger": "x.y",
        "fired": False,
        "statistic": 1.0,
        "threshold": 2.0,
        "n": 3,
        "reason_code": ReasonCode.VETO_CVAR,
    }
    with pytest.raises(ValueError, match=r".+"):
        VetoFinding(**{**base, **changes})
    assert VetoFinding(**{**base, "statistic": math.inf, "fired": True}).fired


def test_the_phases_are_the_seven_steps_of_the_execution_order() -> None:
    assert [(phase.step, phase.value) for phase in Phase] == [
        (1, "ingestion"),
        (2, "db_verification"),
        (3, "data_governance"),
        (4, "capital_competition"),
        (5, "cvar_risk_gates"),
        (6, "execution_simulation"),
        (7, "live_trading"),
    ]


def test_a_stamp_without_a_hash_cannot_exist() -> None:
    kwargs: dict[str, Any] = {
        "phase": Phase.INGESTION,
        "asof": date(2024, 1, 2),
        "output_hash": "a",
        "parents": (),
        "stamp_hash": "b",
    }
    assert PhaseStamp(**kwargs).step == 1
    for field in ("output_hash", "stamp_hash"):
        with pytest.raises(ValueError, match=field):
            PhaseStamp(**{**kwargs, field: ""})
