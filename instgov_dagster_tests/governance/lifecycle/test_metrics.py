"""The numbers of a strategy agree with the papers they come from and with an outside library."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from skfolio.measures import (
    cvar,
    deflated_sharpe_ratio,
    expected_max_sharpe_ratio,
    probabilistic_sharpe_ratio,
)

from instgov_dagster.governance.lifecycle.metrics import (
    deflated_sharpe,
    drawdown_path,
    expected_best_sharpe,
    minimum_track_record,
    positive_blocks,
    probabilistic_sharpe,
    profit_factor,
    return_per_cvar,
    sharpe_odds,
    sharpe_ratio,
    track_record_needed,
    trials_deviation,
    unit_returns,
)

pytestmark = pytest.mark.roadmap("10.3")

Vector = NDArray[np.float64]
RETURNS = hnp.arrays(
    np.float64, st.integers(3, 80), elements=st.floats(-0.2, 0.2, allow_subnormal=False)
)


def test_the_probabilistic_sharpe_ratio_of_the_paper() -> None:
    # Bailey and Lopez de Prado (2012), section 4: 24 months, monthly Sharpe 0.458.
    normal = sharpe_odds(0.458, n=24, skewness=0.0, kurtosis=3.0, benchmark=0.0)
    skewed = sharpe_odds(0.458, n=24, skewness=-2.448, kurtosis=10.164, benchmark=0.0)
    assert normal == pytest.approx(0.982, abs=5e-4)
    assert skewed == pytest.approx(0.913, abs=5e-4)


def test_the_deflated_sharpe_ratio_of_the_paper() -> None:
    # Bailey and Lopez de Prado (2014), numerical example: annual Sharpe 2.5 over 5 years of 250
    # sessions, skewness -3, kurtosis 10, best of 100 trials of annual variance one half.
    best = expected_best_sharpe(100, math.sqrt(0.5 / 250))
    assert best == pytest.approx(0.1132, abs=5e-5)
    odds = sharpe_odds(2.5 / math.sqrt(250), n=1250, skewness=-3, kurtosis=10, benchmark=best)
    assert odds == pytest.approx(0.9004, abs=5e-5)


@given(RETURNS, st.floats(-0.2, 0.2))
def test_the_probabilistic_sharpe_ratio_is_skfolios(returns: Vector, benchmark: float) -> None:
    ours = probabilistic_sharpe(returns, benchmark)
    if ours is not None and np.ptp(returns) > 1e-6:
        oracle = probabilistic_sharpe_ratio(returns, benchmark_sharpe_ratio=benchmark)
        assert ours == pytest.approx(float(oracle), abs=1e-9)


@given(RETURNS, hnp.arrays(np.float64, st.integers(2, 30), elements=st.floats(-0.3, 0.3)))
def test_the_deflated_sharpe_ratio_is_skfolios(returns: Vector, trials: Vector) -> None:
    ours = deflated_sharpe(returns, trials.size, float(trials.std(ddof=1)))
    if ours is not None and np.ptp(returns) > 1e-6:
        assert ours == pytest.approx(float(deflated_sharpe_ratio(returns, trials)), abs=1e-9)


@given(st.integers(1, 5000), st.floats(0, 2))
def test_the_expected_best_of_many_trials_is_skfolios(n: int, deviation: float) -> None:
    oracle = expected_max_sharpe_ratio(n_trials=n, trial_sharpe_ratio_std=deviation)
    assert expected_best_sharpe(n, deviation) == pytest.approx(float(oracle), abs=1e-9)


@given(RETURNS, st.integers(1, 500), st.integers(0, 500), st.floats(0.0, 1.0))
def test_more_trials_never_make_a_strategy_look_better(
    returns: Vector, n: int, more: int, deviation: float
) -> None:
    first = deflated_sharpe(returns, n, deviation)
    second = deflated_sharpe(returns, n + more, deviation)
    if first is not None and second is not None:
        assert second <= first


@pytest.mark.parametrize(
    "returns", [np.zeros(0), np.array([0.1]), np.full(50, 0.001), np.zeros(50), np.full(3, 1e300)]
)
def test_what_does_not_vary_has_no_sharpe_ratio_instead_of_an_infinite_one(
    returns: Vector,
) -> None:
    assert sharpe_ratio(returns) is None
    assert probabilistic_sharpe(returns) is None
    assert deflated_sharpe(returns, 2, 0.1) is None
    assert minimum_track_record(returns, confidence=0.95) is None


def test_the_odds_do_not_depend_on_the_scale_of_returns() -> None:
    returns = np.array([0.01, -0.02, 0.03, 0.005])
    odds = probabilistic_sharpe(returns)
    for scale in (1e-90, 1e90):
        assert probabilistic_sharpe(returns * scale) == pytest.approx(odds, rel=1e-12)


def test_two_returns_have_a_ratio_and_no_odds() -> None:
    two = np.array([0.01, 0.03])
    assert sharpe_ratio(two) == pytest.approx(0.02 / (0.02 / math.sqrt(2)))
    assert probabilistic_sharpe(two) is None


@pytest.mark.parametrize(("n", "deviation"), [(0, 0.1), (3, math.nan), (3, math.inf)])
def test_trials_that_were_not_counted_deflate_nothing(n: int, deviation: float) -> None:
    assert deflated_sharpe(np.array([0.01, 0.02, -0.01, 0.03]), n, deviation) is None


def test_the_spread_of_the_trials_is_never_less_than_chance_alone_gives() -> None:
    assert trials_deviation(np.array([0.1, 0.1, 0.1]), 101) == pytest.approx(0.1)
    assert trials_deviation(np.array([-0.3, 0.3]), 101) == pytest.approx(0.3 * math.sqrt(2))
    assert trials_deviation(np.array([0.3]), 26) == pytest.approx(0.2)
    assert trials_deviation(np.zeros(0), 0) == 1.0


@pytest.mark.parametrize(
    ("per_year", "skewness", "kurtosis", "years"),
    [(250, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_minimum_track_record_of_the_paper(
    per_year: int, skewness: float, kurtosis: float, years: float
) -> None:
    # Bailey and Lopez de Prado (2012), section 5: an annual Sharpe ratio of 2 against one of 1 at
    # 95 %, daily, weekly, monthly, and monthly with the moments of a hedge fund index.
    root = math.sqrt(per_year)
    found = track_record_needed(
        2.0 / root, skewness=skewness, kurtosis=kurtosis, benchmark=1.0 / root, confidence=0.95
    )
    assert found is not None
    assert found / per_year == pytest.approx(years, abs=5e-3)


@given(
    st.floats(0.02, 1.0), st.floats(-2.0, 1.0), st.floats(0.0, 6.0), st.floats(-0.5, 0.9),
    st.sampled_from([0.9, 0.985, 0.995]),
)  # fmt: skip
def test_the_minimum_track_record_is_where_the_odds_reach_their_threshold(
    ratio: float, skewness: float, excess: float, share: float, confidence: float
) -> None:
    moments = {"skewness": skewness, "kurtosis": 1.0 + skewness**2 + excess}
    benchmark = share * ratio
    needed = track_record_needed(ratio, **moments, benchmark=benchmark, confidence=confidence)
    assert needed is not None
    for n, passes in ((math.ceil(needed) + 1, True), (math.floor(needed) - 1, False)):
        odds = sharpe_odds(ratio, n=n, **moments, benchmark=benchmark)
        if odds is not None:
            assert (odds >= confidence) is passes


def test_no_record_is_long_enough_for_a_ratio_at_its_benchmark_or_below() -> None:
    normal = {"skewness": 0.0, "kurtosis": 3.0, "confidence": 0.95}
    assert track_record_needed(0.1, benchmark=0.1, **normal) is None
    assert track_record_needed(-0.1, benchmark=0.0, **normal) is None
    assert (
        track_record_needed(1.0, skewness=2.0, kurtosis=5.0, benchmark=0.0, confidence=0.9) is None
    )
    falling = np.array([-0.01, -0.02, 0.005, -0.01])
    assert minimum_track_record(falling, confidence=0.9) is None


def test_the_track_record_of_returns_is_that_of_their_moments() -> None:
    returns = np.array([0.01, -0.02, 0.03, 0.005, 0.01])
    scaled = returns / 0.03
    centred = scaled - scaled.mean()
    variance = float((centred**2).mean())
    ratio = float(returns.mean() / returns.std(ddof=1))
    wanted = track_record_needed(
        ratio,
        skewness=float((centred**3).mean()) / variance**1.5,
        kurtosis=float((centred**4).mean()) / variance**2,
        benchmark=0.0,
        confidence=0.985,
    )
    assert minimum_track_record(returns, confidence=0.985) == pytest.approx(wanted)


def test_the_odds_fall_silent_where_their_standard_error_vanishes() -> None:
    # Skewness 2 and kurtosis 5 are those of a two-point law, whose error term is (1 - SR)^2.
    assert sharpe_odds(1.0, n=50, skewness=2.0, kurtosis=5.0, benchmark=0.0) is None


def test_a_return_is_profit_per_unit_of_gross_at_the_target_volatility() -> None:
    returns, deployed = unit_returns(
        np.array([0.0002, -0.0001, 0.5, -0.02]),
        np.array([0.02, 0.01, 0.0, 0.01]),
        np.array([0.16, 0.08, np.nan, 0.08]),
        target=0.08,
        least_gross=1e-6,
    )
    assert returns.tolist() == pytest.approx([0.005, -0.01, -1.0])
    assert deployed.tolist() == [True, True, False, True]


@given(RETURNS, st.floats(0.001, 1.0))
def test_the_cap_of_a_stage_moves_no_return(pnl: Vector, scale: float) -> None:
    n = pnl.size
    vol = np.full(n, 0.1)
    small, _ = unit_returns(pnl * scale, np.full(n, scale), vol, target=0.08, least_gross=1e-6)
    large, _ = unit_returns(pnl, np.ones(n), vol, target=0.08, least_gross=1e-6)
    assert small == pytest.approx(large, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("pnl", "gross", "vol"),
    [
        ([math.nan], [0.1], [0.1]),
        ([0.1], [math.nan], [0.1]),
        ([0.1], [0.1], [math.inf]),
        ([0.1], [0.1], [0.0]),
        ([0.1, 0.2], [0.1], [0.1]),
    ],
)
def test_a_deployed_session_with_an_impossible_number_is_refused(
    pnl: list[float], gross: list[float], vol: list[float]
) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unit_returns(np.array(pnl), np.array(gross), np.array(vol), target=0.08, least_gross=1e-6)


def test_a_drawdown_is_measured_from_the_start_as_well() -> None:
    falls = drawdown_path(np.array([-0.1, 0.2, -0.5, 1.0]))
    assert falls.tolist() == pytest.approx([0.1, 0.0, 0.5, 0.0])
    assert drawdown_path(np.array([-1.0, 0.5])).tolist() == [1.0, 1.0]
    assert drawdown_path(np.zeros(0)).size == 0


def test_the_profit_factor_is_gains_over_losses() -> None:
    assert profit_factor(np.array([0.03, -0.01, 0.01, -0.01])) == pytest.approx(2.0)
    assert profit_factor(np.array([0.03])) is None
    assert profit_factor(np.array([-0.03])) == 0.0


def test_blocks_are_counted_over_the_last_sessions_and_only_if_all_are_held() -> None:
    returns = np.concatenate([np.full(5, -1.0), np.repeat([1.0, -1.0, 1.0], 2)])
    assert positive_blocks(returns, blocks=3, length=2) == 2
    assert positive_blocks(returns[-5:], blocks=3, length=2) == 0


@given(hnp.arrays(np.float64, st.integers(20, 90), elements=st.floats(-0.1, 0.1)))
def test_the_tail_under_the_return_is_the_exact_one(returns: Vector) -> None:
    ratio = return_per_cvar(returns, horizon=5, confidence_level=0.95)
    sums = np.convolve(returns, np.ones(5), mode="valid")
    tail = float(cvar(sums, beta=0.95))
    if tail > 1e-9:
        assert ratio == pytest.approx(float(sums.mean()) / tail, rel=1e-6, abs=1e-9)


def test_a_return_without_a_losing_tail_is_infinitely_paid_and_none_at_all_is_not() -> None:
    assert return_per_cvar(np.full(20, 0.01), horizon=5, confidence_level=0.95) == math.inf
    assert return_per_cvar(np.zeros(20), horizon=5, confidence_level=0.95) == -math.inf
    assert return_per_cvar(np.full(4, 0.01), horizon=5, confidence_level=0.95) == -math.inf
