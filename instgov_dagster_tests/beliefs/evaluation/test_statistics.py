"""Estimates and their errors: by hand, and against libraries nobody here wrote."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import stats

from instgov_dagster.beliefs.evaluation.statistics import (
    clark_west,
    lags_for,
    mean_estimate,
    newey_west_error,
    out_of_sample_r2,
    rank_correlations,
    session_means,
    shares_below,
    uniform_distance,
)
from instgov_dagster.beliefs.predictive import standard_law


def as_stated(levels: np.ndarray) -> np.ndarray:
    return levels


def dependent(seed: int, n: int = 400) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(n + 4)
    return noise[4:] + noise[3:-1] + 0.5 * noise[:-4] + 0.3


def test_the_error_of_a_mean_by_hand_with_one_lag() -> None:
    # values 1, 2, 4: mean 7/3; autocovariances 14/9 and (4/9 - 5/9) / 3; Bartlett weight 1/2
    values = np.array([1.0, 2.0, 4.0])
    variance = 14 / 9 + 2 * 0.5 * ((-4 / 3) * (-1 / 3) + (-1 / 3) * (5 / 3)) / 3
    assert newey_west_error(values, lags=1) == pytest.approx(math.sqrt(variance / 3), rel=1e-12)


@pytest.mark.parametrize("lags", [0, 4, 12])
def test_the_error_of_a_mean_agrees_with_statsmodels(lags: int) -> None:
    values = dependent(1)
    kinds = {"maxlags": lags, "use_correction": False}
    theirs = sm.OLS(values, np.ones(values.size)).fit(cov_type="HAC", cov_kwds=kinds).bse[0]
    assert newey_west_error(values, lags=lags) == pytest.approx(theirs, rel=1e-10)


def test_a_mean_is_tested_against_what_is_expected_and_gaps_are_left_out() -> None:
    values = dependent(2)
    gaps = np.insert(values, [10, 200], [np.nan, np.inf])
    found = mean_estimate(gaps, horizon=5, expected=0.3)
    assert found.n == 400
    assert found.value == pytest.approx(values.mean(), rel=1e-12)
    error = newey_west_error(values, lags=lags_for(400, horizon=5))
    assert found.statistic == pytest.approx((values.mean() - 0.3) / error, rel=1e-12)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(found.statistic)), rel=1e-10)


def test_the_lags_are_the_overlap_and_the_rule_where_that_is_more() -> None:
    assert lags_for(100, horizon=5) == 4
    assert lags_for(100, horizon=10) == 9
    assert lags_for(10_000, horizon=5) == int(4 * 100 ** (2 / 9)) == 11


def test_a_constant_has_no_statistic_and_one_value_no_estimate() -> None:
    assert math.isnan(mean_estimate(np.ones(50), horizon=5).statistic)
    assert mean_estimate(np.ones(50), horizon=5).standard_error == 0.0
    assert math.isnan(mean_estimate(np.array([1.0, np.nan]), horizon=5).value)


@given(
    npst.arrays(np.float64, (6, 7), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0, np.nan])),
    npst.arrays(np.float64, (6, 7), elements=st.sampled_from([-2.0, 1.0, 3.0, np.nan])),
)
def test_rank_correlations_with_ties_and_gaps_agree_with_scipy(
    x: np.ndarray, y: np.ndarray
) -> None:
    ours = rank_correlations(x, y, min_symbols=3)
    for t in range(6):
        both = np.isfinite(x[t]) & np.isfinite(y[t])
        a, b = x[t, both], y[t, both]
        if both.sum() < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
            assert np.isnan(ours[t])
        else:
            assert ours[t] == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_a_session_of_too_few_symbols_has_no_mean() -> None:
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 5.0]])
    assert session_means(values, min_symbols=2)[0] == 2.0
    assert np.isnan(session_means(values, min_symbols=2)[1])


def test_the_out_of_sample_r2_by_hand_and_its_error_by_the_bootstrap() -> None:
    rng = np.random.default_rng(3)
    signal = rng.standard_normal(4000)
    outcome = 0.3 * signal + rng.standard_normal(4000)
    a, b = (outcome - 0.3 * signal) ** 2, outcome**2
    found = out_of_sample_r2(a, b, horizon=1)
    assert found.value == pytest.approx(1 - a.sum() / b.sum(), rel=1e-12)
    draws = rng.integers(0, 4000, (400, 4000))
    spread = (1 - a[draws].mean(axis=1) / b[draws].mean(axis=1)).std()
    assert found.standard_error == pytest.approx(spread, rel=0.15)


def test_clark_west_gives_the_noise_of_the_larger_model_back_and_is_one_sided() -> None:
    rng = np.random.default_rng(4)
    outcome, guess = rng.standard_normal(900), 0.5 * rng.standard_normal(900)
    a, b, spread = (outcome - guess) ** 2, outcome**2, guess**2
    found = clark_west(a, b, spread, horizon=5)
    adjusted = b - a + spread
    error = newey_west_error(adjusted, lags=lags_for(900, horizon=5))
    assert found.value == pytest.approx(adjusted.mean(), rel=1e-12)
    assert found.statistic == pytest.approx(adjusted.mean() / error, rel=1e-12)
    assert found.p_value == pytest.approx(stats.norm.sf(found.statistic), rel=1e-9)
    # a worthless guess loses by its own noise, and by nothing once that is given back
    assert (a - b).mean() > 0.2
    assert abs(found.statistic) < 2.0


def test_the_distance_from_uniform_is_scipys_and_n_counts_sessions() -> None:
    levels = np.random.default_rng(5).beta(1.2, 1.0, 3000)
    theirs = stats.kstest(levels, "uniform")
    found = uniform_distance(levels, as_stated, n=3000)
    assert found.value == pytest.approx(theirs.statistic, rel=1e-12)
    assert found.p_value == pytest.approx(theirs.pvalue, rel=0.1)
    assert uniform_distance(levels, as_stated, n=300).p_value > found.p_value
    assert found.standard_error * math.sqrt(3000) == pytest.approx(0.2603, abs=1e-4)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([2, 3, 255, 256, 257, 258, 513, 2000]),
    st.sampled_from([0.5, 1.0, 1.4]),
    st.sampled_from([1, 6]),
)
def test_the_distance_from_a_law_is_that_of_every_level_to_the_last_bit(
    seed: int, m: int, spread: float, decimals: int
) -> None:
    law = standard_law(5.0)
    errors = np.random.default_rng(seed).normal(0.1, spread, m).round(decimals)
    levels = np.sort(law.levels(errors))
    steps = np.arange(m + 1) / m
    every = max((steps[1:] - levels).max(), (levels - steps[:-1]).max())
    told = np.append(errors, [np.nan, np.nan])
    assert uniform_distance(told, law.levels, n=50).value == every


@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.sampled_from([1, 6]))
def test_the_share_below_a_level_is_that_of_all_levels_in_order(
    seed: int, m: int, decimals: int
) -> None:
    law = standard_law(5.0)
    errors = np.random.default_rng(seed).standard_normal(m).round(decimals)
    asked = np.array([0.0, 0.1, 0.5, law.levels(np.zeros(1))[0], 0.9, 1.0])
    found = shares_below(np.append(errors, np.nan), law.levels, asked)
    if not m:
        assert np.isnan(found).all()
        return
    counts = np.searchsorted(np.sort(law.levels(errors)), asked, side="right")
    assert (found == counts / m).all()


def test_shares_by_hand() -> None:
    values = np.array([0.4, 0.1, 0.2, 0.2])
    asked = np.array([0.0, 0.1, 0.2, 0.3, 1.0])
    assert shares_below(values, as_stated, asked).tolist() == [0.0, 0.25, 0.75, 0.75, 1.0]
