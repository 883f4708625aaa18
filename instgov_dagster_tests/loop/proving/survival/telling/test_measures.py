"""Numbers of a path: by hand, as properties, and beside skfolio."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skfolio.measures import get_drawdowns

from instgov_dagster.loop.proving.survival.telling.measures import (
    max_drawdown,
    measure_path,
    worst_loss,
)

PATHS = st.lists(st.floats(0.5, 2.0), min_size=8, max_size=40).map(np.array)


def test_the_worst_five_sessions_and_the_deepest_fall_by_hand() -> None:
    nav = np.array([100.0, 110.0, 105.0, 99.0, 100.0, 101.0, 88.0])
    assert worst_loss(nav, sessions=5) == pytest.approx(1.0 - 88.0 / 110.0)
    assert max_drawdown(nav) == pytest.approx(0.2)
    found = measure_path(nav, trials=1)
    assert found.n == 6
    assert found.total_return == pytest.approx(-0.12)


def test_a_path_that_only_rises_lost_nothing() -> None:
    nav = np.linspace(100.0, 130.0, 12)
    assert worst_loss(nav, sessions=5) == 0.0
    assert max_drawdown(nav) == 0.0


@given(PATHS, st.floats(0.01, 100.0))
def test_no_measure_depends_on_the_unit_of_value(nav: np.ndarray, unit: float) -> None:
    assert max_drawdown(nav * unit) == pytest.approx(max_drawdown(nav), abs=1e-12)
    assert worst_loss(nav * unit, sessions=5) == pytest.approx(
        worst_loss(nav, sessions=5), abs=1e-12
    )
    assert 0.0 <= worst_loss(nav, sessions=5) <= 1.0


@given(PATHS)
def test_the_deepest_fall_is_skfolios(nav: np.ndarray) -> None:
    # skfolio's value begins with the first return: a session of none stands for the beginning.
    returns = np.concatenate([[0.0], nav[1:] / nav[:-1] - 1.0])
    falls = get_drawdowns(returns, compounded=True)
    assert max_drawdown(nav) == pytest.approx(float(-falls.min()), abs=1e-9)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_value_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite and > 0"):
        measure_path(np.array([1.0, bad, 1.0]), trials=1)


def test_more_trials_make_a_ratio_less_believable() -> None:
    rng = np.random.default_rng(3)
    nav = 100.0 * np.cumprod(1.0 + 0.001 + 0.005 * rng.standard_normal(300))
    few, many = measure_path(nav, trials=1), measure_path(nav, trials=50)
    assert few.psr == pytest.approx(few.dsr)
    assert many.dsr is not None
    assert few.dsr is not None
    assert many.dsr < few.dsr
    assert few.sharpe_error == pytest.approx(np.sqrt(252 / 299), rel=0.2)
