"""The pictures of a long walk: what is thinned out is never the worst day."""

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.beliefs.evaluation.charts import MOST_POINTS, PLOT
from instgov_dagster.loop.proving.survival.telling.pictures import (
    drawdown_chart,
    evidence_chart,
    nearest_breaches,
    shaded_runs,
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


@pytest.mark.parametrize("day", [0, 13, SESSIONS - 1])
def test_one_night_beyond_the_limit_in_twenty_years_is_drawn_above_it(day: int) -> None:
    values = np.full(SESSIONS, 1.0)
    values[day] = 100.0
    values[(day + 200) % SESSIONS] = np.nan  # a night that did not come so far
    svg = evidence_chart({"governed": values}, limit=20.0, ticks=TICKS)
    lines = re.findall(r'<path d="(M[0-9.]+ [0-9.]+(?:L[0-9.]+ [0-9.]+)+)" fill="none"', svg)
    heights = [[float(y) for y in re.findall(r"[ML][0-9.]+ ([0-9.]+)", line)] for line in lines]
    of_limit = next(ys for ys in heights if len(ys) > 2 and len(set(ys)) == 1)
    # An axis grows downwards.
    assert min(min(ys) for ys in heights) < of_limit[0] < max(max(ys) for ys in heights)
    assert "the highest of every 12 sessions" in svg


def test_of_nothing_measured_no_evidence_is_drawn() -> None:
    nothing = np.full(10, np.nan)
    assert evidence_chart({"governed": nothing}, limit=20.0, ticks=TICKS) == ""
    assert evidence_chart({"governed": np.ones(1)}, limit=20.0, ticks=TICKS) == ""
    assert evidence_chart({}, limit=20.0, ticks=TICKS) == ""
    some = {"governed": np.ones(10), "governance_off": nothing}
    svg = evidence_chart(some, limit=20.0, ticks=TICKS)
    assert ("governed" in svg, "governance_off" in svg) == (True, False)


def test_every_run_of_sessions_that_is_not_simply_running_is_shaded() -> None:
    # A latched state outranks the night's own end, and that end outranks REDUCE_ONLY.
    rows = [
        ("RUNNING", None),
        ("RUNNING", "cvar_coverage"),
        ("REDUCE_ONLY", "cvar_coverage"),
        ("REDUCE_ONLY", None),
        ("HALT_SYSTEM", "night"),
        ("RUNNING", None),
        ("RUNNING", "cvar_coverage"),
    ]
    sessions = pl.DataFrame(rows, schema=["state", "halted_at"], orient="row")
    assert shaded_runs(sessions) == [
        ("ENDED", 1, 2),
        ("REDUCE_ONLY", 3, 1),
        ("HALT_SYSTEM", 4, 1),
        ("ENDED", 6, 1),
    ]


@given(
    st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=3 * MOST_POINTS).map(np.array),
)
def test_the_night_furthest_beyond_its_forecast_is_always_shown(excess: np.ndarray) -> None:
    places = nearest_breaches(excess)
    assert places.size <= MOST_POINTS
    assert (np.diff(places) > 0).all()
    assert excess[places].max() == excess.max()
