"""Beliefs' figures: what the night published is what is drawn, the matrix by rows."""

import json

import polars as pl
import pytest

from instgov_dagster.dashboard.figures.beliefs import (
    curves_figure,
    regime_figure,
    scores_figure,
    transition_figure,
)

POINTS = json.dumps(
    {"x": ["2025-03-11", "2025-03-12"], "series": {"a": [0.2, None], "b": [0.8, 1.0]}}
)


def test_a_picture_is_drawn_from_its_points_with_its_gaps() -> None:
    made = curves_figure(POINTS, x_title="session", y_title="share")
    assert {line.name: list(line.y) for line in made.data} == {"a": [0.2, None], "b": [0.8, 1.0]}
    assert len({line.line.dash for line in made.data}) == 2


def test_the_regime_is_stacked_to_one() -> None:
    points = json.dumps({"x": ["2025-03-12"], "series": {"NORMAL": [0.7], "CRISIS": [0.3]}})
    made = regime_figure(points)
    assert sum(area.y[0] for area in made.data) == pytest.approx(1.0)
    assert {area.stackgroup for area in made.data} == {"regime"}
    assert list(made.layout.yaxis.range) == [0, 1]


def test_the_matrix_is_read_row_by_row_and_a_wrong_shape_is_refused() -> None:
    (cells,) = transition_figure([0.9, 0.1, 0.4, 0.6], ["CALM", "WILD"]).data
    assert [list(row) for row in cells.z] == [[0.9, 0.1], [0.4, 0.6]]
    with pytest.raises(ValueError, match="matrix must have 4 entries, had 3"):
        transition_figure([1.0, 0.0, 0.0], ["CALM", "WILD"])


def test_a_score_has_an_interval_of_1_96_of_its_own_error() -> None:
    scores = pl.DataFrame(
        {
            "metric": ["rank_ic", "rank_ic", "qlike"],
            "model_id": ["b", "a", "a"],
            "value": [0.1, 0.2, 9.0],
            "standard_error": [0.05, None, 1.0],
        }
    )
    (dots,) = scores_figure(scores, "rank_ic").data
    assert (list(dots.x), list(dots.y)) == (["a", "b"], [0.2, 0.1])
    assert list(dots.error_y.array) == pytest.approx([0.0, 0.098])
