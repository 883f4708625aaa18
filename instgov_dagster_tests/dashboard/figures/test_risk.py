"""Risk's figures: the numbers of the tables are the numbers of the traces."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.dashboard.figures.risk import (
    alarm_colour,
    contribution_figure,
    cvar_figure,
    limits_figure,
    loss_figure,
    nav_figure,
    used_share,
)
from instgov_dagster.dashboard.figures.theme import GREEN, ORANGE, VERMILION

START = datetime(2025, 3, 12, 13, 30, tzinfo=UTC)
CYCLES = pl.DataFrame(
    {
        "timestamp": [START + timedelta(seconds=k) for k in range(3)],
        "nav_usd": [10.0, 11.0, 9.5],
        "cvar_current": [0.01, 0.02, 0.03],
        "cvar_filtered": [0.02, 0.01, None],
        "cvar_stressed": [0.05, 0.05, 0.055],
    }
)


def test_the_value_line_is_the_values() -> None:
    (line,) = nav_figure(CYCLES).data
    assert list(line.y) == [10.0, 11.0, 9.5]
    assert list(line.x) == CYCLES["timestamp"].to_list()


def test_each_measure_is_a_line_of_its_own_dash_and_the_limit_is_drawn_across() -> None:
    made = cvar_figure(CYCLES, limit=0.06)
    assert {line.name: list(line.y) for line in made.data} == {
        "current": [0.01, 0.02, 0.03],
        "filtered": [0.02, 0.01, None],
        "stressed": [0.05, 0.05, 0.055],
    }
    assert len({line.line.dash for line in made.data}) == 3
    assert [shape.y0 for shape in made.layout.shapes] == [0.06]


def test_shares_of_limits_are_bars_and_what_nobody_knows_has_none() -> None:
    rows = [
        {"name": "CVaR", "value": 0.03, "limit": 0.06},
        {"name": "gross", "value": None, "limit": 1.0},
        {"name": "drawdown", "value": 0.2, "limit": 0.18},
    ]
    (bar,) = limits_figure(rows).data
    assert list(bar.y) == ["CVaR", "drawdown"]
    assert list(bar.x) == pytest.approx([0.5, 0.2 / 0.18])
    assert list(bar.marker.color) == [GREEN, VERMILION]
    assert limits_figure([]).data[0].x == ()


@given(st.floats(0.0, 10.0), st.floats(0.0, 10.0))
def test_an_alarm_is_raised_exactly_at_the_limit(value: float, limit: float) -> None:
    share = used_share(value, limit)
    assert share >= 0.0
    is_alarmed = alarm_colour(share) == VERMILION
    if limit > 0.0:
        assert is_alarmed == (value / limit >= 1.0)
    else:
        assert is_alarmed == (value > 0.0)


def test_a_warning_comes_before_the_alarm() -> None:
    assert [alarm_colour(share) for share in (0.79, 0.8, 0.99, 1.0)] == [
        GREEN, ORANGE, ORANGE, VERMILION,
    ]  # fmt: skip


def test_contributions_are_drawn_from_the_largest_and_none_is_lost() -> None:
    rows = pl.DataFrame({"symbol": ["A", "B", "C"], "cvar_contribution": [0.1, 0.0, -0.2]})
    (bar,) = contribution_figure(rows).data
    assert list(bar.x) == ["A", "C"]
    assert sum(bar.y) == pytest.approx(-0.1)


def test_every_scenario_is_in_the_histogram_and_the_tail_is_marked() -> None:
    losses = np.linspace(-1.0, 1.0, 41).tolist()
    made = loss_figure(losses, cvar=0.9, quantile=0.8)
    assert list(made.data[0].x) == losses
    assert [shape.x0 for shape in made.layout.shapes] == [0.8, 0.9]
