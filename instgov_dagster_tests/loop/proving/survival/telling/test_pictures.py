"""The pictures of a long walk: what is thinned out is never the worst day."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.beliefs.evaluation.charts import MOST_POINTS, PLOT
from instgov_dagster.loop.proving.survival.telling.pictures import (
    drawdown_chart,
    nearest_breaches,
)

SESSIONS = 5_040
TICKS = [(0.0, "2005-01-03"), (float(SESSIONS - 1), "2024-12-31")]


@pytest.mark.parametrize("day", [1, 7, 2_500, SESSIONS - 1])
def test_a_fall_of_one_day_in_twenty_years_is_drawn(day: int) -> None:
    steady = np.full(SESSIONS + 1, 100.0)
    fallen = steady.copy()
    fallen[day + 1] = 50.0
    svg = drawdown_chart({"steady": steady, "fallen": fallen}, TICKS)
    lowest = max(float(y) for y in re.findall(r"[ML][0-9.]+ ([0-9.]+)", svg))
    _, top, _, height = PLOT
    assert lowest == pytest.approx(top + height, abs=0.05)  # the axis ends at -.5
    assert "the lowest of every 12 sessions" in svg


def test_a_short_walk_is_drawn_day_by_day() -> None:
    svg = drawdown_chart({"one": np.array([1.0, 2.0, 1.0, 3.0])}, [(0.0, "a"), (2.0, "c")])
    assert "the lowest of" not in svg
    assert len(re.findall(r"[ML][0-9.]+ [0-9.]+", svg)) >= 3


@given(
    st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=3 * MOST_POINTS).map(np.array),
)
def test_the_night_furthest_beyond_its_forecast_is_always_shown(excess: np.ndarray) -> None:
    places = nearest_breaches(excess)
    assert places.size <= MOST_POINTS
    assert (np.diff(places) > 0).all()
    assert excess[places].max() == excess.max()
