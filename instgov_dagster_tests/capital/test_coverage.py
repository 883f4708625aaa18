import math
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from instgov_dagster.capital.coverage import (
    CoverageOutcomes,
    CoverageVerdict,
    acerbi_szekely,
    christoffersen,
    combine_p_values,
    conditional_coverage,
    e_process,
    e_statistics,
    interleaved_e_process,
    judge_coverage,
    kupiec,
)
from instgov_dagster.capital.cvar import cvar, value_at_risk
from instgov_dagster.vocabulary.capital import CoverageTest
from instgov_dagster.vocabulary.policy.capital import CVaRConfig

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")
CONFIG = CVaRConfig()
FLAGS = arrays(np.bool_, st.integers(2, 200))
TAIL = 0.05


def outcomes(losses: Any, edge: Any = 0.02, tail: Any = 0.03, **fields: Any) -> CoverageOutcomes:
    """One outcome a day from 2020 on."""
    losses = np.asarray(losses, dtype=float)
    n = losses.size
    defaults: dict[str, Any] = {
        "ends": np.datetime64("2020-01-01") + np.arange(n),
        "places": np.arange(n),
        "value_at_risk": np.broadcast_to(np.asarray(edge, dtype=float), (n,)),
        "cvar": np.broadcast_to(np.asarray(tail, dtype=float), (n,)),
        "losses": losses,
    }
    return CoverageOutcomes(**{**defaults, **fields})


def flags(n: int, *hits: int) -> NDArray[np.bool_]:
    found = np.zeros(n, dtype=bool)
    found[list(hits)] = True
    return found


def test_seven_exceedances_of_a_hundred_at_five_percent_by_hand() -> None:
    # 2 (7 ln(.07/.05) + 93 ln(.93/.95)) = 0.7530; chi-squared with one degree: p = 0.386.
    found = kupiec(flags(100, *range(7)), probability=TAIL)
    by_hand = 2 * (7 * math.log(0.07 / 0.05) + 93 * math.log(0.93 / 0.95))
    assert found.statistic == pytest.approx(by_hand)
    assert found.statistic == pytest.approx(0.7530, abs=1e-4)
    assert found.p_value == pytest.approx(0.3855, abs=1e-4)


def test_no_exceedance_at_all_is_evidence_too() -> None:
    found = kupiec(flags(100), probability=TAIL)
    assert found.statistic == pytest.approx(-200 * math.log(0.95))
    assert kupiec(flags(20, 3), probability=TAIL).statistic == 0.0
    assert kupiec(np.ones(10, dtype=bool), probability=TAIL).p_value < 1e-12


@given(FLAGS, st.floats(0.01, 0.3))
def test_kupiec_is_twice_the_log_ratio_of_binomial_chances(
    exceeded: NDArray[np.bool_], probability: float
) -> None:
    n, x = exceeded.size, int(exceeded.sum())
    ratio = stats.binom.logpmf(x, n, x / n) - stats.binom.logpmf(x, n, probability)
    found = kupiec(exceeded, probability=probability)
    assert found.statistic == pytest.approx(2 * ratio, abs=1e-8)
    assert found.p_value == pytest.approx(stats.chi2.sf(max(2 * ratio, 0), 1), abs=1e-6)


def test_exceedances_in_a_row_are_not_independent_by_hand() -> None:
    # Nine pairs of F F F F F T T T T F: FF 4, FT 1, TT 3, TF 1.
    exceeded = flags(10, 5, 6, 7, 8)
    seen = 4 * math.log(4 / 5) + math.log(1 / 5) + 3 * math.log(3 / 4) + math.log(1 / 4)
    alone = 4 * math.log(4 / 9) + 5 * math.log(5 / 9)
    found = christoffersen(exceeded)
    assert found.statistic == pytest.approx(2 * (seen - alone))
    both = conditional_coverage(exceeded, probability=TAIL)
    rate = kupiec(exceeded, probability=TAIL)
    assert both.statistic == pytest.approx(rate.statistic + found.statistic)
    assert both.p_value == pytest.approx(math.exp(-both.statistic / 2))  # two degrees of freedom


@given(FLAGS)
def test_christoffersen_is_the_g_test_of_the_table_of_transitions(
    exceeded: NDArray[np.bool_],
) -> None:
    before, after = exceeded[:-1], exceeded[1:]
    table = np.array(
        [[np.sum((before == a) & (after == b)) for b in (False, True)] for a in (False, True)]
    )
    found = christoffersen(exceeded)
    if (table.sum(axis=0) == 0).any() or (table.sum(axis=1) == 0).any():
        assert found.statistic == pytest.approx(0.0, abs=1e-9)
        return
    wanted = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    assert found.statistic == pytest.approx(wanted.statistic, abs=1e-8)
    assert found.p_value == pytest.approx(wanted.pvalue, abs=1e-6)


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, math.nan])
def test_an_impossible_probability_is_refused(probability: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        kupiec(flags(10), probability=probability)
    with pytest.raises(ValueError, match="probability"):
        acerbi_szekely(outcomes([0.1]), probability=probability)
    with pytest.raises(ValueError, match="probability"):
        e_statistics(outcomes([0.1]), probability=probability, slack=0.0)


def test_tests_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        kupiec(np.zeros(0, dtype=bool), probability=TAIL)
    with pytest.raises(ValueError, match="at least two"):
        christoffersen(np.zeros(1, dtype=bool))
    with pytest.raises(ValueError, match="positive CVaR"):
        acerbi_szekely(outcomes([0.1], 0.0, 0.0), probability=TAIL)


def test_z2_by_hand_is_one_less_the_losses_beyond_in_units_of_their_forecast() -> None:
    # 40 outcomes, 2 beyond VaR, of 1 and 3 times the forecast CVaR: 1 - 4 / (40 * 0.05) = -1.
    losses = np.zeros(40)
    losses[[3, 9]] = [0.03, 0.09]
    assert acerbi_szekely(outcomes(losses), probability=TAIL) == pytest.approx(-1.0)
    assert acerbi_szekely(outcomes(np.zeros(40)), probability=TAIL) == 1.0


def test_z2_counts_no_outcome_without_a_positive_forecast() -> None:
    losses = np.array([0.03, 0.09, 0.0, 0.0])
    told = outcomes(losses, 0.02, np.array([0.03, -0.01, 0.03, 0.03]))
    assert acerbi_szekely(told, probability=0.5) == pytest.approx(1 - 1 / (3 * 0.5))


def test_z2_is_about_nothing_where_the_forecast_is_right() -> None:
    rng = np.random.default_rng(0)
    sample = rng.standard_t(5, 2_000_000)
    edge, tail = (f(sample, confidence_level=0.95) for f in (value_at_risk, cvar))
    drawn = rng.standard_t(5, 400_000)
    right = acerbi_szekely(outcomes(drawn, edge, tail), probability=TAIL)
    low = acerbi_szekely(outcomes(drawn, 0.8 * edge, 0.8 * tail), probability=TAIL)
    assert right == pytest.approx(0.0, abs=0.02)
    assert low < -0.7


def test_an_e_statistic_by_hand_is_the_loss_beyond_var_in_units_of_what_was_expected() -> None:
    # (0.04 - 0.02) / (0.05 * (0.03 - 0.02)) = 40; nothing beyond VaR is 0.
    made = e_statistics(outcomes([0.04, 0.02, -0.5]), probability=TAIL, slack=1e-9)
    assert made == pytest.approx([40.0, 0.0, 0.0])


def test_where_cvar_hardly_exceeds_var_there_is_no_evidence() -> None:
    told = outcomes([0.5, 0.5, 0.5], 0.02, np.array([0.02, 0.01, 0.02 + 2e-9]))
    made = e_statistics(told, probability=TAIL, slack=1e-9)
    assert made[:2].tolist() == [1.0, 1.0]
    assert made[2] > 1e6


def test_an_e_statistic_of_the_empirical_tail_is_one_on_average() -> None:
    sample = np.random.default_rng(1).standard_t(4, 1260)
    edge, tail = (f(sample, confidence_level=0.95) for f in (value_at_risk, cvar))
    made = e_statistics(outcomes(sample, edge, tail), probability=TAIL, slack=1e-9)
    assert made.mean() == pytest.approx(1.0, abs=1e-9)


def test_wealth_by_hand_follows_the_bets_of_what_came_before() -> None:
    # e = 3, 3, 0: no bet first; then 2 / 4 = 0.5 -> 1 + 0.5 * 2 = 2; then (2+2)/(4+4) = 0.5.
    wealth = e_process(np.array([3.0, 3.0, 0.0]), max_bet=0.9)
    assert wealth == pytest.approx([1.0, 2.0, 1.0])
    held = e_process(np.array([3.0, 3.0]), max_bet=0.25)
    assert held == pytest.approx([1.0, 1.5])


@given(arrays(np.float64, st.integers(0, 60), elements=st.floats(0.0, 60.0)))
def test_wealth_is_never_lost_whole_and_no_bet_knows_the_future(
    statistics: NDArray[np.float64],
) -> None:
    wealth = e_process(statistics, max_bet=0.5)
    assert (wealth > 0.0).all()
    cut = statistics.size // 2
    assert np.array_equal(e_process(statistics[:cut], max_bet=0.5), wealth[:cut])
    if statistics.size:
        assert wealth[0] == 1.0


def test_five_lanes_are_fed_in_turn_and_averaged() -> None:
    statistics, places = np.array([3.0] * 4), np.array([10, 11, 15, 20])
    # Lane 0 gets the first, third and fourth (1, 2, 4), lane 1 the second (1), the others none.
    path = interleaved_e_process(statistics, places, lanes=5, max_bet=0.5)
    assert path == pytest.approx([1.0, 1.0, (2 + 4) / 5, (4 + 4) / 5])


def test_sessions_that_are_missing_leave_the_lanes_as_they_are() -> None:
    rng = np.random.default_rng(2)
    statistics, places = rng.uniform(0.0, 4.0, 50), np.arange(50)
    whole = interleaved_e_process(statistics, places, lanes=5, max_bet=0.5)
    kept = places % 5 != 3
    gone = interleaved_e_process(statistics[kept], places[kept], lanes=5, max_bet=0.5)
    lane = e_process(statistics[places % 5 == 3], max_bet=0.5)
    assert whole[-1] * 5 == pytest.approx(gone[-1] * 5 - 1.0 + lane[-1])


def paths(n_paths: int, n: int, understated: float) -> tuple[int, int]:
    """How many paths of overlapping losses reach 20: by five lanes, by one process."""
    rng = np.random.default_rng(3)
    sample = rng.standard_t(5, (400_000, 5)).sum(axis=1)
    edge, tail = (f(sample, confidence_level=0.95) for f in (value_at_risk, cvar))
    lanes = single = 0
    for _ in range(n_paths):
        losses = np.convolve(rng.standard_t(5, n + 4), np.ones(5), "valid")
        told = outcomes(losses, edge * understated, tail * understated)
        made = e_statistics(told, probability=TAIL, slack=1e-9)
        path = interleaved_e_process(made, told.places, lanes=5, max_bet=0.5)
        lanes += bool(path.max() >= 20.0)
        single += bool(e_process(made, max_bet=0.5).max() >= 20.0)
    return lanes, single


def test_a_right_forecast_is_rarely_blocked_however_long_it_is_watched() -> None:
    lanes, single = paths(200, 1000, 1.0)
    assert lanes <= 10  # at most one in twenty
    assert single > 2 * lanes + 10  # one process on overlapping losses has no such promise


def test_a_forecast_of_half_the_tail_is_found_out() -> None:
    lanes, _ = paths(40, 750, 0.5)
    assert lanes >= 38


def test_p_values_that_depend_on_each_other_are_doubled_and_averaged() -> None:
    assert combine_p_values([0.01, 0.03]) == pytest.approx(0.04)
    assert combine_p_values([0.9, 0.8]) == 1.0


def by_test(verdicts: tuple[CoverageVerdict, ...]) -> dict[CoverageTest, CoverageVerdict]:
    assert [told.test for told in verdicts] == list(CoverageTest)
    return {told.test: told for told in verdicts}


def test_with_no_outcome_nothing_is_judged_and_nothing_fails() -> None:
    told = by_test(judge_coverage(outcomes([]), asof=date(2024, 1, 15), config=CONFIG))
    assert not any(verdict.is_judged for verdict in told.values())
    assert all(verdict.passed for verdict in told.values())
    assert told[CoverageTest.E_PROCESS].value == 1.0
    assert {verdict.outcomes for verdict in told.values()} == {0}
    assert told[CoverageTest.KUPIEC].value is None


def test_too_few_outcomes_are_counted_and_not_judged_but_for_the_e_value() -> None:
    made = outcomes(np.full(62, 0.05))
    told = by_test(judge_coverage(made, asof=date(2020, 6, 1), config=CONFIG))
    assert told[CoverageTest.E_PROCESS].is_judged
    for test in (CoverageTest.KUPIEC, CoverageTest.CHRISTOFFERSEN, CoverageTest.ACERBI_SZEKELY):
        assert (told[test].outcomes, told[test].is_judged, told[test].passed) == (62, False, True)
        assert told[test].exceedances == 62
    more = outcomes(np.full(63, 0.05))
    enough = by_test(judge_coverage(more, asof=date(2020, 6, 1), config=CONFIG))
    assert all(verdict.is_judged for verdict in enough.values())


def test_a_tail_that_was_far_too_small_fails_every_test_it_can() -> None:
    losses = np.zeros(250)
    losses[::4] = 0.06
    made = outcomes(losses)
    told = by_test(judge_coverage(made, asof=date(2020, 12, 1), config=CONFIG))
    assert not any(verdict.passed for verdict in told.values())
    e_value = told[CoverageTest.E_PROCESS]
    assert e_value.highest is not None
    assert e_value.value is not None
    assert e_value.highest >= e_value.value >= e_value.limit == 20.0
    assert told[CoverageTest.ACERBI_SZEKELY].limit == -0.7
    assert told[CoverageTest.KUPIEC].p_value == told[CoverageTest.KUPIEC].value


def test_a_tail_that_was_right_passes_every_test() -> None:
    rng = np.random.default_rng(4)
    sample = rng.standard_t(5, (400_000, 5)).sum(axis=1)
    edge, tail = (f(sample, confidence_level=0.95) for f in (value_at_risk, cvar))
    losses = np.convolve(rng.standard_t(5, 754), np.ones(5), "valid")
    made = outcomes(losses, edge, tail)
    told = by_test(judge_coverage(made, asof=date(2022, 12, 1), config=CONFIG))
    assert all(verdict.passed and verdict.is_judged for verdict in told.values())
    assert 0 < told[CoverageTest.KUPIEC].exceedances < 100


def test_the_monthly_tests_see_whole_months_and_the_e_value_every_night() -> None:
    made = outcomes(np.zeros(120))  # to 2020-04-29
    told = by_test(judge_coverage(made, asof=date(2020, 4, 30), config=CONFIG))
    assert told[CoverageTest.E_PROCESS].outcomes == 120
    assert told[CoverageTest.E_PROCESS].last_session == date(2020, 4, 29)
    assert told[CoverageTest.KUPIEC].outcomes == 91
    assert told[CoverageTest.KUPIEC].last_session == date(2020, 3, 31)


@pytest.mark.parametrize("field", ["value_at_risk", "cvar", "losses"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_outcome_that_is_not_finite_is_refused(field: str, bad: float) -> None:
    broken = np.array([0.1, bad])
    with pytest.raises(ValueError, match=f"{field} must hold 2 finite"):
        replace(outcomes([0.1, 0.1]), **{field: broken})


def test_outcomes_out_of_order_or_of_two_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="ascend"):
        outcomes([0.1, 0.1], places=np.array([1, 1]))
    with pytest.raises(ValueError, match="places"):
        outcomes([0.1, 0.1], places=np.array([1]))


def test_what_ended_on_the_day_itself_is_not_before_it() -> None:
    made = outcomes(np.zeros(10))
    day = date(2020, 1, 1) + timedelta(days=4)
    assert made.until(day).losses.size == 4
    assert made.until(day).places.tolist() == [0, 1, 2, 3]
