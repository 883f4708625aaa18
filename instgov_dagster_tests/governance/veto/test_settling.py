"""A veto is raised once, stays for its term, is cleared by name, and survives its table."""

import dataclasses
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.governance.veto import (
    VetoIndex,
    findings_from_frame,
    findings_to_frame,
    settle_vetoes,
    spent_before,
    standing_vetoes,
    vetoes_from_frame,
    vetoes_on,
    vetoes_to_frame,
)
from instgov_dagster.vocabulary.governance import ALL, ScopedFinding, Veto, VetoFinding, VetoKey
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.governance.veto.worlds import POLICY

pytestmark = [pytest.mark.roadmap("9.2"), pytest.mark.roadmap("TEST.9")]

DAYS = np.arange(np.datetime64("2024-01-01"), np.datetime64("2025-12-31"))
SESSIONS = DAYS[np.is_busday(DAYS)]
PROFITS, DECAY = ReasonCode.VETO_UNEXPLAINED_PROFITS, ReasonCode.VETO_MODEL_DECAY
MEMORY = 250


def day(n: int) -> date:
    found: date = SESSIONS[n].item()
    return found


def finding(
    strategy: str = "momentum",
    symbol: str = ALL,
    code: ReasonCode = PROFITS,
    *,
    fired: bool = True,
    trigger: str = "unexplained_profits.level",
) -> ScopedFinding:
    return ScopedFinding(
        strategy_id=strategy,
        symbol=symbol,
        finding=VetoFinding(
            trigger=trigger, fired=fired, statistic=9.0, threshold=2.0, n=63, reason_code=code
        ),
    )


def settle(
    n: int, previous: tuple[Veto, ...], *findings: ScopedFinding, clears: Any = ()
) -> tuple[Veto, ...]:
    return settle_vetoes(
        previous,
        findings,
        clears,
        asof=day(n),
        sessions=SESSIONS,
        policy=POLICY,
        memory_sessions=MEMORY,
    )


def standing(n: int, vetoes: tuple[Veto, ...]) -> tuple[Veto, ...]:
    return standing_vetoes(vetoes, asof=day(n), sessions=SESSIONS, policy=POLICY)


def test_what_fires_again_while_it_stands_is_one_veto_of_the_first_day() -> None:
    first = settle(0, (), finding())
    again = settle(21, first, finding())
    assert again == first
    (veto,) = first
    assert (veto.raised_on, veto.trigger, veto.n) == (day(0), "unexplained_profits.level", 63)


def test_what_still_fires_when_its_term_is_over_is_a_new_veto() -> None:
    late = settle(22, settle(0, (), finding()), finding())
    assert [veto.raised_on for veto in late] == [day(0), day(22)]
    assert [veto.raised_on for veto in standing(22, late)] == [day(22)]


def test_what_does_not_fire_raises_nothing() -> None:
    assert settle(0, (), finding(fired=False)) == ()


def test_two_rules_of_one_code_are_one_veto_and_two_codes_are_two() -> None:
    wins = finding(code=ReasonCode.VETO_CORRELATED_WINS)
    raised = settle(0, (), finding(), finding(trigger="unexplained_profits.rank"), wins)
    assert sorted(veto.reason_code for veto in raised) == sorted(
        {PROFITS, *{w.finding.reason_code for w in (wins,)}}
    )


def test_a_cleared_veto_falls_on_the_night_that_hears_of_it() -> None:
    raised = settle(0, (), finding())
    cleared = settle(5, raised, clears={raised[0].key})
    assert cleared[0].cleared_on == day(5)
    assert standing(5, cleared) == ()
    assert standing(4, cleared), "the night before it still stood"
    later = settle(9, cleared, clears={raised[0].key})
    assert later[0].cleared_on == day(5), "cleared once"


def test_a_veto_cleared_on_its_own_day_stays_cleared_when_the_night_is_repeated() -> None:
    raised = settle(0, (), finding())
    (again,) = settle(0, (), finding(), clears={raised[0].key})
    assert again.cleared_on == day(0)
    assert standing(0, (again,)) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"strategy_id": "reversal"}, {"symbol": "SPY"}, {"raised_on": day(1)},
        {"reason_code": "VETO_CORRELATED_WINS"},
    ],
)  # fmt: skip
def test_a_clearing_reaches_only_the_veto_it_names(change: dict[str, Any]) -> None:
    raised = settle(0, (), finding())
    other = dataclasses.replace(raised[0].key, **change)
    assert settle(5, raised, clears={other}) == raised


def test_a_new_veto_after_a_clearing_stands_again() -> None:
    raised = settle(0, (), finding())
    cleared = settle(5, raised, clears={raised[0].key})
    again = settle(6, cleared, finding(), clears={raised[0].key})
    assert [veto.raised_on for veto in standing(6, again)] == [day(6)]


def test_a_condition_stands_on_its_own_night_and_no_act_clears_it() -> None:
    key = VetoKey(strategy_id="momentum", symbol=ALL, reason_code=DECAY.value, raised_on=day(0))
    raised = settle(0, (), finding(code=DECAY), clears={key})
    assert standing(0, raised) == raised
    assert standing(1, raised) == ()
    assert settle(1, raised) == ()


def test_an_old_veto_is_remembered_as_long_as_it_counts_and_no_longer() -> None:
    raised = settle(0, (), finding())
    assert settle(MEMORY, raised) == raised
    assert settle(MEMORY + 1, raised) == ()


def test_evidence_is_spent_by_the_last_clearing_of_the_same_scope_and_code() -> None:
    (veto,) = settle(0, (), finding())
    twice = [
        dataclasses.replace(veto, cleared_on=day(3)),
        dataclasses.replace(veto, raised_on=day(6), cleared_on=day(9)),
        dataclasses.replace(veto, symbol="SPY", cleared_on=day(20)),
        dataclasses.replace(veto, raised_on=day(12)),
    ]
    assert spent_before(twice, PROFITS, strategy_id="momentum") == day(9)
    assert spent_before(twice, PROFITS, strategy_id="momentum", symbol="SPY") == day(20)
    assert spent_before(twice, PROFITS) == date.min
    assert spent_before(twice, DECAY, strategy_id="momentum") == date.min


STRATEGIES, SYMBOLS = st.sampled_from(["a", "b", ALL]), st.sampled_from(["X", "Y", ALL])


@given(
    st.lists(st.tuples(STRATEGIES, SYMBOLS, st.sampled_from([PROFITS, DECAY])), max_size=8),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["X", "Y", "Z"]),
)
def test_the_index_finds_exactly_the_vetoes_that_touch_a_bid(
    scopes: list[tuple[str, str, ReasonCode]], strategy: str, symbol: str
) -> None:
    vetoes = settle(0, (), *(finding(k, s, code) for k, s, code in scopes))
    found = {veto.reason_code for veto in VetoIndex(vetoes).on(strategy, symbol)}
    assert found == set(vetoes_on(vetoes, strategy, symbol))


def test_a_bid_s_own_veto_is_named_before_the_wider_ones() -> None:
    scopes = [(ALL, ALL), (ALL, "X"), ("a", ALL), ("a", "X")]
    vetoes = settle(0, (), *(finding(k, s) for k, s in scopes))
    found = [(veto.strategy_id, veto.symbol) for veto in VetoIndex(vetoes).on("a", "X")]
    assert found == scopes[::-1]


def test_vetoes_survive_their_table_and_say_how_long_they_stand() -> None:
    raised = settle(0, (), finding(), finding("reversal", "SPY"), finding(code=DECAY))
    known = settle(4, raised, finding(code=DECAY), clears={raised[-1].key})
    frame = vetoes_to_frame(known, asof=day(4), sessions=SESSIONS, policy=POLICY)
    assert vetoes_from_frame(frame) == known
    assert set(vetoes_from_frame(frame, is_standing=True)) == set(standing(4, known))
    told = dict(zip(frame["reason_code"], frame["sessions_left"], strict=True))
    assert told[DECAY.value] == 0
    left = frame.filter(frame["is_standing"] & (frame["reason_code"] == PROFITS.value))
    assert left["sessions_left"].to_list() == [POLICY.sticky_sessions - 4]
    assert frame.filter(frame["cleared_on"].is_not_null())["sessions_left"].to_list() == [None]


def test_findings_survive_their_table_an_infinite_one_too() -> None:
    blind = finding()
    unmeasured = dataclasses.replace(
        blind, finding=dataclasses.replace(blind.finding, statistic=float("inf"))
    )
    rows = (unmeasured, finding("reversal", fired=False))
    assert set(findings_from_frame(findings_to_frame(rows))) == set(rows)


@pytest.mark.parametrize("blank", [{"strategy_id": ""}, {"symbol": ""}])
def test_a_finding_names_whom_it_is_about(blank: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="names a strategy and a symbol"):
        dataclasses.replace(finding(), **blank)
