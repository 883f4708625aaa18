"""Data's figures: a penalty stands at its symbol and rule, a session where it was counted."""

import json

import polars as pl

from instgov_dagster.dashboard.figures.data_quality import (
    coverage_figure,
    quality_figure,
    score_figure,
)
from instgov_dagster.dashboard.figures.theme import BLUE, VERMILION

QUALITY = pl.DataFrame(
    {
        "symbol": ["A", "B", "C"],
        "quality_score": [0.55, 1.0, 0.98],
        "flags": [
            json.dumps({"PRICE_SPIKE": {"penalty": 0.45}}),
            "{}",
            json.dumps({"ZERO_VOLUME": {"penalty": 0.02}}),
        ],
    }
)


def test_the_heatmap_holds_each_penalty_and_leaves_out_who_has_no_flag() -> None:
    (cells,) = quality_figure(QUALITY).data
    assert (list(cells.y), list(cells.x)) == (["C", "A"], ["PRICE_SPIKE", "ZERO_VOLUME"])
    assert [list(row) for row in cells.z] == [[None, 0.02], [0.45, None]]


def test_scores_are_sorted_and_coloured_by_the_line() -> None:
    (bars,) = score_figure(QUALITY, invalid_below=0.6).data
    assert (list(bars.x), list(bars.y)) == (["A", "C", "B"], [0.55, 0.98, 1.0])
    assert list(bars.marker.color) == [VERMILION, BLUE, BLUE]


def test_sessions_held_expected_and_required_stand_side_by_side() -> None:
    coverage = pl.DataFrame(
        {
            "symbol": ["B", "A"],
            "expected": [1254, 1825],
            "rows": [700, 1825],
            "required": [1241, 1806],
            "passes": [False, True],
        }
    )
    expected, held, required = coverage_figure(coverage).data
    assert list(held.x) == ["A", "B"]
    assert (list(expected.y), list(held.y), list(required.y)) == (
        [1825, 1254], [1825, 700], [1806, 1241],
    )  # fmt: skip
    assert list(held.marker.color) == [BLUE, VERMILION]
