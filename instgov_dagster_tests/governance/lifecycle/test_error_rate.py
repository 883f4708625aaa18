"""How often luck alone is promoted: the stated error rate of the first step, by simulation."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from instgov_dagster.governance.lifecycle import Trials, judge_stage, measure_strategy
from instgov_dagster.vocabulary.governance import StrategyLifecycle
from instgov_dagster_tests.governance.lifecycle.worlds import (
    CALENDAR,
    HURDLE,
    INCUBATING,
    POLICY,
    START,
    record,
)

pytestmark = [pytest.mark.roadmap("10.3"), pytest.mark.roadmap("TEST.10")]

STATED = 0.10  # SPEC 8: noise promoted at least once in five years
YEARS = 5
Vector = NDArray[np.float64]


def paths(n: int, *, sharpe: float = 0.0, dof: int | None = None, seed: int = 1) -> Vector:
    """Returns of strategies of one true annual Sharpe ratio, at the target volatility."""
    rng, sessions = np.random.default_rng(seed), YEARS * POLICY.sessions_per_year
    noise = rng.standard_normal((n, sessions))
    if dof is not None:
        noise = rng.standard_t(dof, (n, sessions)) * math.sqrt((dof - 2) / dof)
    per_session = POLICY.target_volatility_annual / math.sqrt(POLICY.sessions_per_year)
    drift = sharpe * POLICY.target_volatility_annual / POLICY.sessions_per_year
    return np.maximum(drift + per_session * noise, -1.0)


def first_promotions(returns: Vector) -> NDArray[np.int64]:
    """Sessions after which each path is promoted at a look; 0 where it never is.

    The rules of the first step for all paths at once, from running sums of powers.
    """
    rules, every = POLICY.promotion, POLICY.look_sessions
    value = np.cumprod(1.0 + returns, axis=1)
    peak = np.maximum.accumulate(np.maximum(value, 1.0), axis=1)
    fall = np.maximum.accumulate(1.0 - value / peak, axis=1)
    sums = [np.cumsum(returns**power, axis=1) for power in (1, 2, 3, 4)]
    found = np.zeros(returns.shape[0], dtype=np.int64)
    first = -(-rules.scaling_sessions // every) * every
    for n in range(first, returns.shape[1] + 1, every):
        m1, m2, m3, m4 = (total[:, n - 1] / n for total in sums)
        variance = m2 - m1**2
        skewness = (m3 - 3 * m1 * m2 + 2 * m1**3) / variance**1.5
        kurtosis = (m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4) / variance**2
        ratio = m1 / np.sqrt(variance * n / (n - 1))
        spread = np.sqrt(1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2)
        blocks = returns[:, n - rules.scaling_blocks * every : n]
        positive = blocks.reshape(-1, rules.scaling_blocks, every).sum(axis=2) > 0
        is_promoted = (
            (ndtr(ratio * math.sqrt(n - 1) / spread) >= rules.scaling_psr)
            & (positive.sum(axis=1) >= rules.scaling_positive_blocks)
            & (fall[:, n - 1] <= rules.scaling_max_drawdown)
        )
        found[(found == 0) & is_promoted] = n
    return found


def test_the_simulation_promotes_exactly_where_the_rules_do() -> None:
    returns = paths(12, sharpe=1.5, seed=8)[:, : POLICY.look_sessions * 24]
    wanted = first_promotions(returns)
    assert 0 < (wanted > 0).sum() < 12, "some of both"
    for path, first in zip(returns, wanted.tolist(), strict=True):
        stage, at = INCUBATING, 0
        for n in range(POLICY.look_sessions, path.size + 1, POLICY.look_sessions):
            told = record("s", path[:n])
            measured = measure_strategy(
                told, CALENDAR[:n], start=START, trials=Trials(count=1), policy=POLICY
            )
            moved = judge_stage(
                stage, measured, told, capital_decay=1.0, is_mass_drawdown=False, hurdle=HURDLE,
                policy=POLICY,
            )  # fmt: skip
            if moved.stage is StrategyLifecycle.SCALING:
                at = n
                break
        assert at == first


@pytest.mark.parametrize("dof", [None, 5])
def test_of_a_thousand_strategies_without_skill_fewer_than_stated_are_ever_promoted(
    dof: int | None,
) -> None:
    promoted = (first_promotions(paths(1000, dof=dof)) > 0).mean()
    assert 0.05 < promoted <= STATED


@pytest.mark.nightly
@pytest.mark.parametrize("dof", [None, 5])
def test_noise_is_promoted_less_often_than_stated_beyond_doubt(dof: int | None) -> None:
    n = 20_000
    rates = [
        (first_promotions(paths(n // 10, dof=dof, seed=seed)) > 0).mean() for seed in range(10)
    ]
    rate = float(np.mean(rates))
    assert rate + 3.0 * math.sqrt(rate * (1.0 - rate) / n) <= STATED


@pytest.mark.nightly
def test_skill_is_promoted_the_sooner_the_more_there_is() -> None:
    shares = [(first_promotions(paths(1000, sharpe=s)) > 0).mean() for s in (0, 0.5, 1, 2, 3)]
    assert shares == sorted(shares)
    assert shares[3] > 0.9
