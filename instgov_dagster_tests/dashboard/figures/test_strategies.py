"""Strategies' figures: a stage is as long as it lasted, a grant above its cap is told."""

from datetime import date

import polars as pl
import pytest

from instgov_dagster.dashboard.figures.strategies import allocation_figure, gantt_figure
from instgov_dagster.dashboard.figures.theme import BLUE, VERMILION

DAY_MS = 86_400_000


def test_each_stage_is_a_bar_from_its_start_as_long_as_it_lasted() -> None:
    lives = pl.DataFrame(
        {
            "strategy_id": ["ridge", "ridge"],
            "stage": ["INCUBATING", "SCALING"],
            "start_date": [date(2024, 1, 1), date(2024, 7, 1)],
            "end_date": [date(2024, 7, 1), None],
        }
    )
    first, second = gantt_figure(lives, until=date(2024, 7, 31)).data
    assert (first.name, list(first.base), list(first.x)) == (
        "INCUBATING", ["2024-01-01"], [182 * DAY_MS],
    )  # fmt: skip
    assert (second.name, list(second.x)) == ("SCALING", [30 * DAY_MS])
    # A seventh of the picture holds no text, and at its right edge there is no room beside it.
    assert (list(first.textposition), list(second.textposition)) == (["inside"], ["none"])


def test_a_young_stage_has_its_text_beside_it() -> None:
    lives = pl.DataFrame(
        {
            "strategy_id": ["ridge"],
            "stage": ["INCUBATING"],
            "start_date": [date(2024, 1, 1)],
            "end_date": [None],
        },
        schema_overrides={"end_date": pl.Date},
    )
    (bar,) = gantt_figure(lives, until=date(2024, 1, 1)).data
    assert (list(bar.x), list(bar.text)) == ([DAY_MS], ["INCUBATING, 1 d"])
    assert list(bar.textposition) == ["outside"]


def test_a_grant_above_its_cap_is_coloured_as_a_breach() -> None:
    bars, marks = allocation_figure({"a": 0.019, "b": 0.03}, {"a": 2.0, "b": 2.0, "c": 5.0}).data
    assert list(bars.y) == pytest.approx([1.9, 3.0, 0.0])
    assert list(bars.marker.color) == [BLUE, VERMILION, BLUE]
    assert list(marks.y) == [2.0, 2.0, 5.0]
