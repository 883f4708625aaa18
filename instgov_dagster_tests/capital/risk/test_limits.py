import dataclasses
import math

import numpy as np
import pytest

from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.auction.settings import crashes
from instgov_dagster_tests.capital.risk.proposals import judge, proposal, reasons
from instgov_dagster_tests.capital.worlds import small_config

pytestmark = pytest.mark.roadmap("0.5", "5.4", "TEST.5")


def test_a_sale_that_frees_nothing_and_loses_is_refused_unless_a_cap_forces_it() -> None:
    hedge = np.zeros((60, 2))
    hedge[:3] = [-0.10, 0.05]
    made = proposal([0.1, 0.05], [0.1, 0.0], net_gain=np.array([0.0, -0.001]))
    assert reasons(judge(made, hedge), "S001") == (ReasonCode.CVAR_HURDLE_NOT_MET,)
    forced = dataclasses.replace(made, is_forced=np.array([False, True]))
    assert judge(forced, hedge).weights.tolist() == [0.1, 0.0]


def test_a_cap_forces_no_purchase() -> None:
    made = proposal([0.0], [0.05], net_gain=np.array([-0.1]), is_forced=np.array([True]))
    assert reasons(judge(made, crashes(0.1)), "S000") == (ReasonCode.CVAR_HURDLE_NOT_MET,)


def test_the_named_gates_of_the_book_say_what_binds_most() -> None:
    made = proposal(
        [0.2, 0.1, 0.0],
        [0.2, 0.1, 0.03],
        sectors=("TECH", "BANKS", "BANKS"),
        correlations=np.array([0.99, 0.1, 0.4]),
        drawdown=0.05,
    )
    verdict = judge(made, crashes(0.01, 0.01, 0.01))
    gates = {gate.name: gate for gate in verdict.book_gates}
    assert list(gates) == ["cvar", "leverage", "drawdown", "correlation", "sector"]
    assert gates["leverage"].value == pytest.approx(0.33)
    assert gates["drawdown"].value == 0.05
    assert gates["correlation"].value == 0.4
    assert (gates["sector"].value, gates["sector"].limit) == (pytest.approx(0.2), 0.25)
    assert all(gate.passed for gate in verdict.book_gates)


def test_sectors_that_hide_in_no_sector_are_uncapped_and_a_short_counts_as_gross() -> None:
    made = proposal([0.0, -0.2], [0.3, -0.25], sectors=("UNKNOWN", "TECH"))
    verdict = judge(made, crashes(0.001, 0.001))
    assert verdict.weights.tolist() == [0.3, -0.25]
    worse = proposal([0.0, -0.2], [0.3, -0.26], sectors=("UNKNOWN", "TECH"))
    assert reasons(judge(worse, crashes(0.001, 0.001)), "S001") == (ReasonCode.SECTOR_LIMIT,)


def test_what_leaves_one_sector_makes_no_room_in_another() -> None:
    made = proposal([0.2, 0.2], [0.1, 0.3], sectors=("TECH", "BANKS"))
    verdict = judge(made, crashes(0.001, 0.001))
    assert verdict.weights.tolist() == [0.1, 0.2]


def test_an_empty_proposal_and_an_empty_book_pass_with_nothing_to_do() -> None:
    still = judge(proposal([0.1], [0.1]), crashes(0.1))
    assert (still.sequence, still.orders) == ((), ())
    cash = judge(proposal([0.0], [0.0]), crashes(0.1))
    assert cash.risk_after.gate == 0.0
    assert all(gate.passed for gate in (*still.book_gates, *cash.book_gates))


def test_a_symbol_that_never_moves_is_bought_without_a_hurdle() -> None:
    verdict = judge(proposal([0.0], [0.2], net_gain=np.array([-0.01])), crashes(0.0))
    assert verdict.sequence == (0,)
    assert verdict.orders[0].delta_cvar == 0.0


def test_of_equals_the_order_is_by_name() -> None:
    verdict = judge(proposal([0.0] * 3, [0.01] * 3), crashes(0.1, 0.1, 0.1))
    assert verdict.sequence == (0, 1, 2)
    assert verdict.order("S009") is None


def test_a_turn_of_the_same_size_is_no_increase() -> None:
    made = proposal([0.05], [-0.05], drawdown=0.19, net_gain=np.array([0.01]))
    verdict = judge(made, crashes(0.01))
    assert verdict.weights.tolist() == [-0.05]


def test_a_sector_that_cannot_be_seen_is_the_one_the_book_is_told_of() -> None:
    made = proposal([0.01, math.nan], [0.01, 0.02], sectors=("BANKS", "TECH"))
    gates = {gate.name: gate for gate in judge(made, crashes(0.1, 0.1)).book_gates}
    assert not gates["sector"].passed
    assert gates["sector"].reason_codes == (ReasonCode.RISK_NOT_FINITE,)


def test_a_book_over_its_leverage_or_sector_may_always_shrink() -> None:
    thin = crashes(0.001, 0.001)
    geared = judge(proposal([0.8, 0.6], [0.75, 0.6]), thin)
    assert geared.weights.tolist() == [0.75, 0.6]
    crowded = judge(proposal([0.3, 0.2], [0.25, 0.2], sectors=("TECH", "TECH")), thin)
    assert crowded.weights.tolist() == [0.25, 0.2]
    grown = judge(proposal([0.8, 0.6], [0.8, 0.65]), thin)
    assert reasons(grown, "S001") == (ReasonCode.LEVERAGE_LIMIT,)


def test_of_all_that_grows_the_most_correlated_is_told() -> None:
    made = proposal([0.0] * 3, [0.01] * 3, correlations=np.array([0.1, 0.4, 0.2]))
    gates = {gate.name: gate for gate in judge(made, crashes(0.01, 0.01, 0.01)).book_gates}
    assert gates["correlation"].value == 0.4


def test_an_order_that_takes_the_book_exactly_to_its_limit_passes_and_is_told_so() -> None:
    # 2.5 times 0.125 is the limit, bit for bit: of the largest measure, not the current one.
    config = small_config(marginal_limit=1.0, portfolio_limit=0.3125)
    verdict = judge(proposal([0.0], [1.0]), crashes(0.125), config)
    assert verdict.sequence == (0,)
    prefix = verdict.orders[0].gates[-1]
    assert (prefix.name, prefix.value, prefix.headroom) == ("prefix_cvar", 0.3125, 0.0)


def test_in_a_breach_what_adds_nothing_stays() -> None:
    config = small_config(marginal_limit=1.0)
    verdict = judge(proposal([0.0, 0.0], [0.3, 0.1]), crashes(0.1, 0.0), config)
    assert verdict.sequence == (1,)
    assert reasons(verdict, "S000") == (ReasonCode.PORTFOLIO_CVAR_BREACH,)


def test_where_nothing_grows_no_correlation_is_told() -> None:
    made = proposal([0.05], [0.02], correlations=np.array([0.99]))
    gates = {gate.name: gate for gate in judge(made, crashes(0.1)).book_gates}
    assert gates["correlation"].value == 0.0
