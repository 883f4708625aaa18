"""A veto stands for its sessions on whom it names."""

import dataclasses
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from instgov_dagster.governance.veto import (
    raise_vetoes,
    standing_vetoes,
    veto_limits,
    vetoes_on,
)
from instgov_dagster.vocabulary.governance import ALL, Veto
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.governance.veto.worlds import (
    POLICY,
    limits,
)

pytestmark = [pytest.mark.roadmap("9.2"), pytest.mark.roadmap("TEST.9")]


DAYS = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-06-30"))
SESSIONS = DAYS[np.is_busday(DAYS)]
RAISED = date(2024, 1, 2)


def standing(asof: date, **changes: Any) -> tuple[Veto, ...]:
    base = Veto(
        strategy_id="momentum",
        symbol="SPY",
        reason_code=ReasonCode.VETO_UNEXPLAINED_PROFITS,
        trigger="test.rule",
        raised_on=RAISED,
        statistic=1.0,
        threshold=0.5,
        n=20,
    )
    row = dataclasses.replace(base, **changes)
    return standing_vetoes([row], asof=asof, sessions=SESSIONS, policy=POLICY)


def test_a_veto_stands_for_twenty_one_sessions_after_the_day_it_was_raised() -> None:
    after = SESSIONS[np.datetime64(RAISED) < SESSIONS]
    assert standing(RAISED)
    assert standing(after[20].item())
    assert not standing(after[21].item())
    assert not standing(RAISED - timedelta(days=1)), "it had not been raised yet"


def test_a_cleared_veto_stands_until_the_day_it_is_cleared() -> None:
    cleared = date(2024, 1, 9)
    assert standing(date(2024, 1, 8), cleared_on=cleared)
    assert not standing(cleared, cleared_on=cleared)


def test_a_calendar_that_ends_early_makes_a_veto_stand_longer_never_shorter() -> None:
    row = standing(RAISED)
    short = SESSIONS[:10]
    assert standing_vetoes(row, asof=date(2024, 6, 1), sessions=short, policy=POLICY) == row


def test_findings_that_fired_become_one_veto_a_code() -> None:
    found = veto_limits([*limits(0.6), *limits(0.7)])
    raised = raise_vetoes(found, asof=RAISED, strategy_id="momentum")
    assert [(veto.reason_code, veto.statistic) for veto in raised] == [
        (ReasonCode.VETO_CVAR, 0.6),
        (ReasonCode.VETO_LEVERAGE, 0.6),
        (ReasonCode.VETO_DRAWDOWN, 0.6),
    ]
    assert {(veto.strategy_id, veto.symbol) for veto in raised} == {("momentum", ALL)}
    assert raise_vetoes(veto_limits(limits(0.5)), asof=RAISED) == ()


def test_a_bid_meets_the_vetoes_on_itself_on_its_strategy_on_its_symbol_and_on_all() -> None:
    def row(strategy: str, symbol: str, code: ReasonCode) -> Veto:
        return dataclasses.replace(
            standing(RAISED)[0], strategy_id=strategy, symbol=symbol, reason_code=code
        )

    rows = [
        row("momentum", "SPY", ReasonCode.VETO_CVAR),
        row("momentum", ALL, ReasonCode.VETO_DRAWDOWN),
        row(ALL, "SPY", ReasonCode.VETO_QUALITY),
        row(ALL, ALL, ReasonCode.VETO_CORRELATED_WINS),
        row(ALL, ALL, ReasonCode.VETO_CVAR),
    ]
    assert len(vetoes_on(rows, "momentum", "SPY")) == 4
    assert vetoes_on(rows, "momentum", "QQQ") == (
        ReasonCode.VETO_DRAWDOWN,
        ReasonCode.VETO_CORRELATED_WINS,
        ReasonCode.VETO_CVAR,
    )
    assert vetoes_on(rows, "other", "QQQ") == (
        ReasonCode.VETO_CORRELATED_WINS,
        ReasonCode.VETO_CVAR,
    )
    assert vetoes_on(rows[:1], None, "SPY") == (ReasonCode.VETO_CVAR,), "unknown is touched"
