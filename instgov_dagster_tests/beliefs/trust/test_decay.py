"""Age, error and flip: by hand, against statsmodels, and never won back without a pass."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from statsmodels.tsa.stattools import acf

from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.beliefs.trust.decay import (
    age_factor,
    autocorrelation_path,
    decay_state,
    error_factor,
    error_ratio_path,
    flip_path,
    rolling_sum,
    session_errors,
)
from instgov_dagster.vocabulary.policy.beliefs import HealthPolicy

Floats = NDArray[np.float64]
POLICY = HealthPolicy()
WINDOWS = {"recent": 63, "reference": 252}


def walked_of(daily: Floats, sigma: Floats) -> Walk:
    ones = np.ones(daily.shape)
    return Walk(
        dates=np.busday_offset("2024-01-01", np.arange(len(daily)), roll="forward"),
        symbols=("A",),
        horizon=5,
        prices=ones,
        bases=ones,
        daily=daily,
        sigma=sigma,
        trust=ones,
        sigmas={},
        mus={},
        fold=None,  # type: ignore[arg-type]  # a record needs no fold
    )


def autoregressive(rho: float, n: int, seed: int) -> Floats:
    noise = np.random.default_rng(seed).standard_normal(n)
    path = np.zeros(n)
    for t in range(1, n):
        path[t] = rho * path[t - 1] + noise[t] * np.sqrt(1 - rho**2)
    return path


@pytest.mark.roadmap("6.4", "0.4", "TEST.6")
def test_age_costs_nothing_for_thirty_days_and_half_every_180_after() -> None:
    ages = np.array([0, 30, 31, 210, 390])
    expected = [1.0, 1.0, 2 ** (-1 / 180), 0.5, 0.25]
    assert age_factor(ages, POLICY) == pytest.approx(expected, rel=1e-15)


@pytest.mark.roadmap("6.3", "TEST.6")
def test_half_as_much_error_again_costs_a_factor_of_e_and_an_unknown_error_everything() -> None:
    ratios = np.array([0.2, 1.0, 1.5, 2.0, np.nan])
    expected = [1.0, 1.0, np.exp(-1.0), np.exp(-2.0), 0.0]
    assert error_factor(ratios, POLICY) == pytest.approx(expected, abs=1e-300)


@given(
    npst.arrays(
        np.float64,
        npst.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=12),
        elements=st.one_of(st.floats(-1e6, 1e6), st.just(np.nan)),
    ),
    st.integers(1, 14),
)
def test_a_rolling_sum_is_the_difference_of_running_sums_to_the_last_bit(
    values: Floats, window: int
) -> None:
    told = values.copy()
    running = np.cumsum(np.nan_to_num(values), axis=0)
    expected = running.copy()
    expected[window:] = running[window:] - running[:-window]
    assert (rolling_sum(values, window) == expected).all()
    assert np.array_equal(values, told, equal_nan=True), "what is summed is left as it was"


@pytest.mark.roadmap("6.3")
def test_the_error_ratio_compares_the_last_63_sessions_with_the_252_before() -> None:
    errors = np.concatenate([np.full(252, 1.0), np.full(63, 2.0)])[:, None]
    path = error_ratio_path(errors, **WINDOWS)
    assert path[-1, 0] == pytest.approx(4.0, rel=1e-12)
    assert np.isnan(path[:-1]).all()


def test_an_error_window_with_a_gap_has_no_ratio() -> None:
    errors = np.ones((400, 1))
    errors[50] = np.nan
    path = error_ratio_path(errors, **WINDOWS)
    # the two windows span 315 sessions: the gap leaves them at session 50 + 315
    assert np.isnan(path[:365]).all()
    assert path[365:, 0].tolist() == [1.0] * 35


@pytest.mark.parametrize(
    ("before", "now", "ratio"), [(1.0, 0.0, 0.0), (1e-5, 1.0, 1e6), (2.0, 1.0, 0.25)]
)
def test_the_error_ratio_reaches_from_nothing_to_a_million(
    before: float, now: float, ratio: float
) -> None:
    errors = np.concatenate([np.full(252, before), np.full(63, now)])[:, None]
    assert error_ratio_path(errors, **WINDOWS)[-1, 0] == pytest.approx(ratio, rel=1e-9, abs=1e-12)


def test_a_model_that_never_erred_keeps_its_ratio_until_it_errs() -> None:
    silent = np.zeros((315, 1))
    assert error_ratio_path(silent, **WINDOWS)[-1, 0] == 1.0
    silent[-1] = 0.5
    assert error_factor(error_ratio_path(silent, **WINDOWS)[-1], POLICY)[0] == 0.0


@pytest.mark.roadmap("6.3")
def test_the_autocorrelation_is_that_of_statsmodels_on_every_window() -> None:
    errors = np.column_stack([autoregressive(0.5, 300, 1), autoregressive(-0.3, 300, 2)])
    ours = autocorrelation_path(errors, 63)
    for end in (63, 64, 200, 300):
        for j in range(2):
            theirs = acf(errors[end - 63 : end, j], nlags=1, fft=False)[1]
            assert ours[end - 1, j] == pytest.approx(theirs, abs=1e-10)
    assert (ours[:62] == 0).all()


@pytest.mark.roadmap("6.3", "TEST.6")
def test_residuals_that_turn_from_trending_to_reverting_are_a_flip() -> None:
    errors = np.concatenate([autoregressive(0.4, 252, 3), autoregressive(-0.5, 63, 4)])
    flips = flip_path(errors[:, None], critical_z=1.96, **WINDOWS)
    assert flips[-1, 0]
    stays = np.concatenate([autoregressive(0.4, 252, 3), autoregressive(0.4, 63, 4)])
    assert not flip_path(stays[:, None], critical_z=1.96, **WINDOWS)[-1, 0]


@pytest.mark.roadmap("6.3", "TEST.6")
def test_noise_is_called_a_flip_in_less_than_two_of_a_hundred_cases() -> None:
    noise = np.random.default_rng(5).standard_t(5, (315, 4000))
    assert flip_path(noise, critical_z=1.96, **WINDOWS)[-1].mean() < 0.02


def test_the_flip_by_fishers_z_by_hand() -> None:
    errors = np.concatenate([autoregressive(0.3, 252, 8), autoregressive(-0.2, 63, 9)])
    before = acf(errors[:252], nlags=1, fft=False)[1]
    now = acf(errors[252:], nlags=1, fft=False)[1]
    z_change = abs(np.arctanh(now) - np.arctanh(before)) / np.sqrt(1 / 60 + 1 / 249)
    z_before = abs(np.arctanh(before)) * np.sqrt(249)
    expected = now * before < 0 and z_change > 1.96 and z_before > 1.96
    assert bool(flip_path(errors[:, None], critical_z=1.96, **WINDOWS)[-1, 0]) is bool(expected)
    # the same errors with a critical value above the change are no flip
    above = max(z_change, z_before) + 0.01
    assert not flip_path(errors[:, None], critical_z=above, **WINDOWS)[-1, 0]


def test_session_errors_are_read_at_the_scale_of_one_session() -> None:
    daily = np.array([[np.nan], [0.02], [-0.01]])
    sigma = np.full((3, 1), 0.05)
    errors = session_errors(walked_of(daily, sigma), np.full((3, 1), 0.005))
    assert np.isnan(errors[0, 0])
    assert errors[1, 0] == pytest.approx((0.02 - 0.001) / (0.05 / np.sqrt(5)), rel=1e-12)


def test_each_session_is_held_against_what_was_said_the_session_before_it() -> None:
    daily = np.array([[np.nan], [0.02], [-0.01]])
    sigma, mu = np.array([[0.05], [0.10], [0.90]]), np.array([[0.005], [-0.010], [0.700]])
    errors = session_errors(walked_of(daily, sigma), mu)[:, 0]
    assert errors[1] == pytest.approx((0.02 - 0.001) * np.sqrt(5) / 0.05, rel=1e-12)
    assert errors[2] == pytest.approx((-0.01 + 0.002) * np.sqrt(5) / 0.10, rel=1e-12)


@pytest.mark.roadmap("6.3", "6.4", "TEST.6")
def test_the_final_weight_is_the_product_of_age_error_and_flip() -> None:
    quiet = autoregressive(0.4, 252, 3)
    turned = autoregressive(-0.5, 63, 4) * 1.2
    errors = np.concatenate([quiet, turned])[:, None]
    state = decay_state(errors, np.array([314]), np.array([210]), POLICY)
    ratio = (turned**2).mean() / (quiet**2).mean()
    expected = 0.5 * np.exp(-2 * max(0.0, ratio - 1)) * 0.5
    assert state.has_flipped[0]
    assert state.rolling_error[0] == pytest.approx(ratio, rel=1e-9)
    assert state.final_factor[0] == pytest.approx(expected, rel=1e-9)


histories = npst.arrays(np.float64, (360, 3), elements=st.floats(-4, 4))


@pytest.mark.roadmap("6.3", "6.4", "TEST.6")
@settings(max_examples=40, deadline=None)
@given(histories, st.integers(314, 340), st.floats(0.0, 3.0))
def test_the_weight_never_rises_without_a_validation_pass(
    errors: Floats, passed: int, late_scale: float
) -> None:
    errors = errors.copy()
    errors[330:] *= late_scale
    last_pass = np.full(3, passed)
    weights = [
        decay_state(
            errors[: end + 1], last_pass, np.full(3, 7 * (end - passed) // 5), POLICY
        ).final_factor
        for end in range(passed, 360, 3)
    ]
    assert (np.diff(np.array(weights), axis=0) <= 1e-12).all()
    assert ((np.array(weights) >= 0) & (np.array(weights) <= 1)).all()


@pytest.mark.roadmap("6.3")
def test_a_pass_wins_back_what_a_bad_month_cost() -> None:
    errors = np.ones((600, 1))
    errors[330:350] = 4.0
    before = decay_state(errors, np.array([314]), np.array([20]), POLICY)
    after = decay_state(errors, np.array([599]), np.array([20]), POLICY)
    assert before.final_factor[0] < 0.01
    assert after.final_factor[0] == 1.0


@pytest.mark.roadmap("6.3", "6.4")
def test_what_one_symbol_errs_costs_no_other_its_trust() -> None:
    errors = np.random.default_rng(5).standard_normal((400, 3))
    errors[330:380, 1] *= 6.0
    errors[:, 2] = np.concatenate([autoregressive(0.4, 337, 3), autoregressive(-0.5, 63, 4)])
    passes, ages = np.array([320, 320, 320]), np.array([40, 300, 5])
    together = decay_state(errors, passes, ages, POLICY)
    for j in range(3):
        mine = slice(j, j + 1)
        alone = decay_state(errors[:, mine], passes[mine], ages[mine], POLICY)
        assert [float(part[j]) for part in together] == [float(part[0]) for part in alone]
    assert together.final_factor[1] < 0.1 < together.final_factor[0]
    assert together.has_flipped.tolist() == [False, False, True]


def test_without_a_filled_window_there_is_no_trust() -> None:
    state = decay_state(np.ones((100, 1)), np.array([-1]), np.array([366]), POLICY)
    assert np.isnan(state.rolling_error[0])
    assert state.final_factor[0] == 0.0


@given(npst.arrays(np.float64, (30, 2), elements=st.floats(-1e3, 1e3)), st.integers(1, 30))
def test_a_rolling_sum_is_the_sum_of_its_window(values: Floats, window: int) -> None:
    ours = rolling_sum(values, window)
    for t in range(30):
        expected = values[max(0, t - window + 1) : t + 1].sum(axis=0)
        assert ours[t] == pytest.approx(expected, abs=1e-8)
