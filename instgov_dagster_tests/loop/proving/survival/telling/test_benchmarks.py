"""Simple rules on the same costs: a purchase by hand, nothing lost where nothing costs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.loop.proving.survival.telling.benchmarks import (
    Field,
    _alone,
    benchmark_paths,
    equal_weight,
    hold,
    mean_variance,
)


def field_of(
    close: np.ndarray, *, half_spread: float = 0.0, depth: float = 0.0, first: int = 0
) -> Field:
    n = close.shape[1]
    return Field(
        dates=np.datetime64("2024-01-01") + np.arange(close.shape[0]),
        symbols=("SPY", "TLT", "XX")[:n],
        open=close.copy(),
        close=close,
        first=first,
        half_spread=np.full(n, half_spread),
        depth=np.full(n, depth),
    )


def test_buying_once_costs_half_a_spread_and_the_root_of_the_size() -> None:
    close = np.array([[100.0], [110.0]])
    free = hold(field_of(close), _alone("SPY"), nav_usd=1000.0, every=None)
    assert free == pytest.approx([1000.0, 1000.0, 1100.0])
    paid = hold(
        field_of(close, half_spread=0.01, depth=1e-3), _alone("SPY"), nav_usd=1000.0, every=None
    )
    # Of 1000, x is bought with x + x (0.01 + 0.001 sqrt(x)) <= 1000: about 960.3.
    cost = 1000.0 - paid[1]
    assert cost == pytest.approx(1000.0 * (0.01 + 1e-3 * np.sqrt(1000.0)), rel=0.06)
    assert paid[2] < 1100.0


@given(st.integers(0, 10_000))
def test_nothing_is_made_or_lost_by_trading_at_no_cost_on_prices_that_stand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    close = np.repeat(rng.uniform(1.0, 500.0, (1, 3)), 90, axis=0)
    for rule in (equal_weight, _alone("TLT")):
        path = hold(field_of(close, first=70), rule, nav_usd=1e6, every=7)
        assert path == pytest.approx(np.full(21, 1e6))


def test_a_rule_sees_nothing_of_the_session_it_trades_in() -> None:
    rng = np.random.default_rng(1)
    close = 100.0 * np.cumprod(1.0 + 0.01 * rng.standard_normal((300, 3)), axis=0)
    field = field_of(close, first=260)
    other = close.copy()
    other[260:] *= 3.0
    for rule in (equal_weight, mean_variance):
        assert rule(field, 260).tobytes() == rule(field_of(other, first=260), 260).tobytes()


def test_mean_variance_has_a_gross_of_one_and_every_benchmark_a_value_a_session() -> None:
    rng = np.random.default_rng(2)
    close = 100.0 * np.cumprod(1.0 + 0.01 * rng.standard_normal((300, 3)), axis=0)
    field = field_of(close, half_spread=1e-4, depth=1e-8, first=260)
    assert np.abs(mean_variance(field, 260)).sum() == pytest.approx(1.0)
    paths = benchmark_paths(field, nav_usd=1e7, market="SPY")
    assert set(paths) == {
        "spy_buy_and_hold", "sixty_forty", "equal_weight", "inverse_volatility", "mean_variance",
    }  # fmt: skip
    assert all(path.shape == (41,) and np.isfinite(path).all() for path in paths.values())
