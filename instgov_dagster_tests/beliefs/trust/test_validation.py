"""Loss comparison and coverage against statsmodels and numbers by hand."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from instgov_dagster.beliefs.trust.validation import (
    diebold_mariano,
    is_worse_than_benchmark,
    kupiec_p_value,
    validation_sessions,
)


def overlapping(seed: int, n: int = 252, columns: int = 4) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_t(5, (n + 4, columns))
    return np.lib.stride_tricks.sliding_window_view(noise, 5, axis=0).sum(axis=-1)


@pytest.mark.roadmap("6.3", "6.4")
def test_the_statistic_is_that_of_statsmodels_with_a_rectangular_kernel() -> None:
    differences = overlapping(1)
    ours = diebold_mariano(differences, horizon=5)
    n = differences.shape[0]
    small_sample = np.sqrt((n + 1 - 10 + 5 * 4 / n) / n)
    for j in range(4):
        fit = sm.OLS(differences[:, j], np.ones(n)).fit(
            cov_type="HAC", cov_kwds={"maxlags": 4, "kernel": "uniform", "use_correction": False}
        )
        assert ours[j] == pytest.approx(small_sample * fit.tvalues[0], rel=1e-9)


def test_the_statistic_by_hand_for_one_session_ahead() -> None:
    # 1, 2, 3, 2: mean 2, variance (1 + 0 + 1 + 0) / 4 = .5, error sqrt(.5 / 4)
    # small sample factor sqrt((4 + 1 - 2 + 0) / 4)
    ours = diebold_mariano(np.array([[1.0], [2.0], [3.0], [2.0]]), horizon=1)
    assert ours[0] == pytest.approx(np.sqrt(3 / 4) * 2 / np.sqrt(0.5 / 4), rel=1e-12)


def test_where_the_equal_weights_fail_bartlett_weights_stand_in() -> None:
    # alternating signs: the rectangular long-run variance at lag one is negative
    differences = np.tile([[1.0], [-0.9]], (20, 1))
    centred = differences - differences.mean()
    first = (centred[1:] * centred[:-1]).mean() * 39 / 40
    assert (centred**2).mean() + 2 * first < 0
    statistic = diebold_mariano(differences, horizon=2)
    bartlett = (centred**2).mean() + first
    small_sample = np.sqrt((40 + 1 - 4 + 2 / 40) / 40)
    expected = small_sample * differences.mean() / np.sqrt(bartlett / 40)
    assert statistic[0] == pytest.approx(expected, rel=1e-9)


def test_a_difference_that_never_varies_decides_by_its_sign() -> None:
    constant = np.column_stack([np.full(40, 0.5), np.full(40, -0.5), np.zeros(40)])
    assert diebold_mariano(constant, horizon=5).tolist() == [np.inf, -np.inf, 0.0]
    worse = is_worse_than_benchmark(constant, horizon=5, significance=0.05)
    assert worse.tolist() == [True, False, False]


def test_a_record_with_a_gap_counts_as_worse() -> None:
    differences = np.full((40, 2), -1.0)
    differences[7, 0] = np.nan
    worse = is_worse_than_benchmark(differences, horizon=5, significance=0.05)
    assert worse.tolist() == [True, False]


@pytest.mark.roadmap("6.3")
def test_a_model_as_good_as_the_benchmark_is_rejected_about_once_in_twenty() -> None:
    rejected = is_worse_than_benchmark(
        overlapping(2, columns=2000), horizon=5, significance=0.05
    ).mean()
    assert 0.02 < rejected < 0.10


def test_too_few_losses_for_the_horizon_are_refused_and_one_more_is_enough() -> None:
    with pytest.raises(ValueError, match="more than 10"):
        diebold_mariano(np.ones((10, 1)), horizon=5)
    assert diebold_mariano(np.ones((11, 1)), horizon=5).tolist() == [np.inf]


@pytest.mark.parametrize("unit", [1e-6, 1e-2, 1e4])
def test_the_unit_of_the_loss_changes_no_statistic(unit: float) -> None:
    differences = overlapping(4)
    plain = diebold_mariano(differences, horizon=5)
    assert diebold_mariano(unit * differences, horizon=5) == pytest.approx(plain, rel=1e-9)


def test_where_the_equal_weights_cancel_exactly_bartlett_weights_stand_in() -> None:
    # mean .25, variance 2/8, first autocovariance -1/8: .25 - .25 = 0, and by Bartlett .125
    differences = 0.25 + np.array([[1.0], [-1.0], *[[0.0]] * 6])
    small_sample = np.sqrt((8 + 1 - 4 + 2 / 8) / 8)
    expected = small_sample * 0.25 / np.sqrt(0.125 / 8)
    assert diebold_mariano(differences, horizon=2)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.roadmap("6.3")
def test_the_statistic_is_read_as_student_t_with_one_degree_fewer_than_losses() -> None:
    differences = overlapping(5, n=30, columns=1)
    differences += 1.5 - differences.mean()
    statistic = float(diebold_mariano(differences, horizon=5)[0])
    chance = float(stats.t.sf(statistic, 29))
    assert 0.0 < chance < 0.4
    for size, is_worse in ((1.001 * chance, True), (0.999 * chance, False)):
        found = is_worse_than_benchmark(differences, horizon=5, significance=size)
        assert found.tolist() == [is_worse]


@pytest.mark.roadmap("6.5")
def test_kupiec_by_hand_and_its_size_by_the_exact_binomial() -> None:
    # 20 misses in 252 at 5 %: 2 (20 ln(20/12.6) + 232 ln(232/239.4)) = 3.9055
    statistic = 2 * (20 * np.log(20 / 12.6) + 232 * np.log(232 / 239.4))
    ours = kupiec_p_value(np.array([20]), 252, expected=0.05)
    assert ours[0] == pytest.approx(stats.chi2.sf(statistic, 1), rel=1e-9)
    all_counts = np.arange(253)
    p_values = kupiec_p_value(all_counts, 252, expected=0.05)
    size = stats.binom.pmf(all_counts, 252, 0.05)[p_values < 0.01].sum()
    assert 0.002 < size < 0.02


@pytest.mark.roadmap("6.5")
def test_an_interval_never_missed_is_as_wrong_as_one_missed_too_often() -> None:
    p_values = kupiec_p_value(np.array([0, 13, 60]), 252, expected=0.05)
    assert p_values[0] < 0.01
    assert p_values[1] > 0.5
    assert p_values[2] < 0.01


@pytest.mark.roadmap("6.4")
@settings(deadline=None)
@given(st.integers(0, 300), st.integers(1, 30))
def test_the_schedule_of_validations_does_not_move_with_the_window(start: int, every: int) -> None:
    dates = np.busday_offset("2020-01-01", np.arange(600), roll="forward")
    whole = dates[validation_sessions(dates, every=every)]
    held = dates[start:]
    kept = held[validation_sessions(held, every=every)]
    assert kept.tolist() == whole[whole > held[0]].tolist()
    assert all(np.diff(validation_sessions(dates, every=every)) == every)
