"""Every finding of every veto rule, whole: its name, its numbers, its code, at the edges too."""

import dataclasses
import math

import numpy as np
import pytest

from instgov_dagster.governance.veto import (
    FillSample,
    LimitReading,
    veto_correlated_wins,
    veto_data_dependency,
    veto_limits,
    veto_passive_fills,
    veto_too_perfect_execution,
    veto_unexplained_profits,
)
from instgov_dagster.vocabulary.governance import VetoFinding
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.governance.veto.worlds import (
    POLICY,
    Vector,
    by_rule,
    explained_book,
    fills,
    strategies,
)

pytestmark = [pytest.mark.roadmap("9.2"), pytest.mark.roadmap("TEST.9")]

PROFITS = ReasonCode.VETO_UNEXPLAINED_PROFITS
PERFECT = ReasonCode.VETO_TOO_PERFECT_EXECUTION
DEPENDENCY = ReasonCode.VETO_DATA_DEPENDENCY
WINS = ReasonCode.VETO_CORRELATED_WINS
NAN = math.nan


def unmeasured(trigger: str, threshold: float, n: int, code: ReasonCode) -> VetoFinding:
    """Give the finding of an input that is not finite."""
    return VetoFinding(
        trigger=trigger, fired=True, statistic=math.inf, threshold=threshold, n=n, reason_code=code
    )


def spoilt(values: Vector) -> Vector:
    """Give the values with the first one not a number."""
    return np.concatenate([[NAN], values[1:]])


def test_what_cannot_be_measured_fires_under_its_own_name() -> None:
    realised, explained, costs = explained_book()
    assert veto_unexplained_profits(spoilt(realised), explained, costs, POLICY) == (
        unmeasured("unexplained_profits.level", 2e-4, 300, PROFITS),
        unmeasured("unexplained_profits.rank", 0.70, 300, PROFITS),
    )
    perfect = (
        unmeasured("too_perfect_execution.bar", 0.0, 40, PERFECT),
        unmeasured("too_perfect_execution.better_than_mid", 0.95, 40, PERFECT),
        unmeasured("too_perfect_execution.slippage_deviation", 0.1, 40, PERFECT),
    )
    assert veto_too_perfect_execution(fills(price=spoilt(fills().price)), POLICY) == perfect
    worthless = fills(mid=np.concatenate([[0.0], fills().mid[1:]]))
    assert veto_too_perfect_execution(worthless, POLICY) == perfect
    filled, markout = np.ones(20, bool), spoilt(np.zeros(20))
    assert veto_passive_fills(filled, markout, POLICY) == unmeasured(
        "too_perfect_execution.passive", 0.95, 20, PERFECT
    )
    weights, is_stale = np.array([NAN, 0.1]), np.zeros(2, bool)
    assert veto_data_dependency(weights, {"yahoo": np.zeros(2)}, is_stale, POLICY) == (
        unmeasured("data_dependency.yahoo", 0.45, 2, DEPENDENCY),
        unmeasured("data_dependency.stale_gross", 0.20, 2, DEPENDENCY),
    )
    returns = strategies(0.9)
    returns[0, 0] = NAN
    assert veto_correlated_wins(returns, POLICY) == (
        unmeasured("correlated_wins.correlation", 0.7, 4, WINS),
        unmeasured("correlated_wins.effective_bets", 2.0, 4, WINS),
    )


def test_every_finding_names_its_rule_and_carries_its_code() -> None:
    found = (
        *veto_unexplained_profits(*explained_book(), POLICY),
        *veto_too_perfect_execution(fills(), POLICY),
        veto_passive_fills(np.ones(20, bool), np.zeros(20), POLICY),
        *veto_data_dependency(np.ones(2), {"x": np.ones(2)}, np.zeros(2, bool), POLICY),
        *veto_correlated_wins(strategies(0.9), POLICY),
    )
    assert [(f.trigger, f.reason_code) for f in found] == [
        ("unexplained_profits.level", PROFITS),
        ("unexplained_profits.rank", PROFITS),
        ("too_perfect_execution.bar", PERFECT),
        ("too_perfect_execution.better_than_mid", PERFECT),
        ("too_perfect_execution.slippage_deviation", PERFECT),
        ("too_perfect_execution.passive", PERFECT),
        ("data_dependency.x", DEPENDENCY),
        ("data_dependency.stale_gross", DEPENDENCY),
        ("correlated_wins.correlation", WINS),
        ("correlated_wins.effective_bets", WINS),
    ]


def test_a_limit_s_finding_carries_the_reading_s_own_words() -> None:
    reading = LimitReading(
        trigger="cvar", reason_code=ReasonCode.VETO_CVAR, statistic=0.07, threshold=0.06, n=1260
    )
    (finding,) = veto_limits([reading])
    assert finding == VetoFinding(
        trigger="cvar",
        fired=True,
        statistic=0.07,
        threshold=0.06,
        n=1260,
        reason_code=ReasonCode.VETO_CVAR,
    )
    (blind,) = veto_limits([dataclasses.replace(reading, statistic=NAN)])
    assert blind == unmeasured("cvar", 0.06, 1260, ReasonCode.VETO_CVAR)


def test_exactly_at_the_floor_is_not_beyond_it() -> None:
    realised, zero = np.zeros(64), np.zeros(64)
    realised[-1] = 2 / 10_000
    level = by_rule(veto_unexplained_profits(realised, zero, zero, POLICY))["level"]
    assert (level.fired, level.statistic, level.threshold) == (False, 2e-4, 2e-4)


def test_a_book_without_a_past_has_the_floor_alone() -> None:
    none, one = np.zeros(0), np.array([0.5])
    level = by_rule(veto_unexplained_profits(none, none, none, POLICY))["level"]
    assert (level.statistic, level.threshold, level.n) == (0.0, 2e-4, 0)
    level = by_rule(veto_unexplained_profits(one, np.zeros(1), np.zeros(1), POLICY))["level"]
    assert (level.statistic, level.threshold, level.n) == (0.5, 2e-4, 0)


def rank_of(realised: list[float], explained: list[float]) -> float:
    """Give the rank correlation of a short book."""
    zero = np.zeros(len(realised))
    found = veto_unexplained_profits(np.array(realised), np.array(explained), zero, POLICY)
    return by_rule(found)["rank"].statistic


def test_the_rank_of_the_shortest_books_worked_by_hand() -> None:
    assert rank_of([], []) == 0.0
    assert rank_of([0.1], [0.1]) == 0.0
    assert rank_of([0.1, 0.2], [0.3, 0.4]) == pytest.approx(1.0)
    assert rank_of([0.1, 0.2], [0.4, 0.3]) == pytest.approx(-1.0)
    assert rank_of([0.1, 0.1], [0.2, 0.2]) == 1.0
    assert rank_of([0.1, 0.1], [0.2, 0.3]) == 0.0


@pytest.mark.parametrize(
    ("price", "outside"), [(98.99, 0), (98.995, 0), (98.985, 1), (101.01, 0), (101.005, 0)]
)
def test_half_the_spread_is_added_to_both_ends_of_the_bar(price: float, outside: int) -> None:
    prices = fills().price.copy()
    prices[3] = price
    bar = by_rule(veto_too_perfect_execution(fills(price=prices), POLICY))["bar"]
    assert (bar.statistic, bar.threshold, bar.fired) == (outside, 0.0, outside > 0)


def test_a_fill_at_the_mid_is_not_better_than_it() -> None:
    even = fills(20, price=fills(20).mid, cost_bps=np.zeros(20))
    mid = by_rule(veto_too_perfect_execution(even, POLICY))["better_than_mid"]
    assert (mid.statistic, mid.fired) == (0.0, False)


def deviation_of(slippage: list[float], modelled: list[float]) -> VetoFinding:
    """Give the finding on the spread of some fills' slippage."""
    n = len(slippage)
    mid = np.full(n, 100.0)
    sample = fills(n, mid=mid, price=mid, side=np.ones(n), cost_bps=np.array(slippage),
                   modelled_bps=np.array(modelled))  # fmt: skip
    return by_rule(veto_too_perfect_execution(sample, POLICY))["slippage_deviation"]


def test_the_spread_of_one_two_and_twenty_fills() -> None:
    assert (deviation_of([5.0], [5.0]).statistic, deviation_of([5.0], [5.0]).threshold) == (0, 0)
    two = deviation_of([1.0, 3.0], [10.0, 30.0])  # deviations sqrt(2) and 10 sqrt(2)
    assert two.statistic == pytest.approx(math.sqrt(2))
    assert two.threshold == pytest.approx(math.sqrt(2))
    assert deviation_of([2.0] * 20, [1.0, 3.0] * 10).fired
    same = deviation_of([2.0] * 20, [2.0] * 20)
    assert (same.statistic, same.threshold, same.fired) == (0.0, 0.0, False)


def test_no_passive_order_has_no_rate() -> None:
    nothing = veto_passive_fills(np.zeros(0, bool), np.zeros(0), POLICY)
    assert (nothing.statistic, nothing.threshold) == (0.0, 0.95)


def test_the_share_on_stale_bars_is_of_gross_whatever_gross_is() -> None:
    weights, stale = np.array([0.2, -0.3]), np.array([True, False])
    (found,) = veto_data_dependency(weights, {}, stale, POLICY)
    assert (found.statistic, found.fired, found.n) == (pytest.approx(0.4), True, 2)


def test_two_winners_of_unlike_gains_correlate_as_they_move() -> None:
    base = strategies(0.5, n=2)
    base[:, 1] += 0.02
    correlation, bets = veto_correlated_wins(base, POLICY)
    oracle = float(np.corrcoef(base, rowvar=False)[0, 1])
    assert (correlation.n, correlation.statistic) == (2, pytest.approx(oracle))
    shares = np.array([1 + oracle, 1 - oracle]) / 2
    assert bets.statistic == pytest.approx(float(np.exp(-(shares * np.log(shares)).sum())))


def test_one_winner_is_one_bet_none_is_no_bet_and_nothing_earned_is_no_win() -> None:
    alone = strategies(0.0, n=1)
    correlation, bets = veto_correlated_wins(alone, POLICY)
    assert (correlation.statistic, bets.statistic, bets.n) == (0.0, 1.0, 1)
    correlation, bets = veto_correlated_wins(-alone, POLICY)
    assert (correlation.statistic, bets.statistic, bets.n) == (0.0, 0.0, 0)
    flat = np.hstack([alone, np.zeros((63, 1))])
    assert veto_correlated_wins(flat, POLICY)[0].n == 1


def test_a_single_session_says_nothing_and_two_sessions_say_all() -> None:
    one = np.array([[0.1, 0.2]])
    assert [f.statistic for f in veto_correlated_wins(one, POLICY)] == [0.0, 2.0]
    two = np.array([[0.1, 0.2], [0.2, 0.4]])
    correlation, bets = veto_correlated_wins(two, POLICY)
    assert (correlation.statistic, bets.statistic) == (pytest.approx(1.0), pytest.approx(1.0))


def test_a_sample_of_fills_is_told_by_its_columns() -> None:
    assert [f.name for f in dataclasses.fields(FillSample)] == [
        "side", "price", "mid", "low", "high", "half_spread", "cost_bps", "modelled_bps",
    ]  # fmt: skip
