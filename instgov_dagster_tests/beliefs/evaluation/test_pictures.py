"""The pictures: well-formed, small, true to their numbers, and silent about what is unknown."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from instgov_dagster.beliefs.evaluation.charts import area_chart, line_chart
from instgov_dagster.beliefs.evaluation.pictures import PICTURE_SCHEMA, belief_pictures
from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.beliefs.regime import believe_regime
from instgov_dagster.beliefs.signals import market_signals
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy, RegimePolicy
from instgov_dagster_tests.beliefs.conftest import Panel, drawn_panel, walked


def pictures_of(panel: Panel, found: Walk):  # noqa: ANN201  # a frame, used as is
    regime = RegimePolicy()
    signals = market_signals(panel.dates, panel.spy, panel.vix, panel.prices, policy=regime)
    return belief_pictures(found, believe_regime(signals, regime).path, ModelPolicy())


@pytest.mark.roadmap("7.2")
def test_four_pictures_are_drawn_and_each_is_a_small_well_formed_svg(
    drawn: Panel, drawn_walk: Walk
) -> None:
    frame = pictures_of(drawn, drawn_walk)
    assert frame.schema == PICTURE_SCHEMA
    assert frame["name"].to_list() == ["decay", "rank_ic", "regime", "reliability"]
    for svg in frame["svg"]:
        root = ET.fromstring(svg)  # noqa: S314  # our own text
        assert root.tag.endswith("svg")
        assert len(svg) < 60_000
        assert "nan" not in svg


def test_a_history_too_short_for_any_record_is_drawn_without_a_line() -> None:
    panel = drawn_panel(seed=71, sessions=40, symbols=3)
    for svg in pictures_of(panel, walked(panel))["svg"]:
        ET.fromstring(svg)  # noqa: S314  # our own text
        assert "nan" not in svg


def test_a_line_runs_from_its_first_level_to_its_last_and_breaks_at_a_gap() -> None:
    x = np.arange(5.0)
    svg = line_chart(
        "t", x, {"a": np.array([0.0, 1.0, np.nan, 0.5, 0.5])}, ticks=("0", "4"), bounds=(0.0, 1.0)
    )
    path = next(
        node.attrib["d"]
        for node in ET.fromstring(svg).iter()  # noqa: S314  # our own text
        if node.attrib.get("fill") == "none"
    )
    assert path.count("M") == 2
    assert path.startswith("M46.0 232.0L157.0 30.0")


def test_stacked_shares_fill_the_whole_height() -> None:
    half = np.full(3, 0.5)
    svg = area_chart("t", np.arange(3.0), {"a": half, "b": half}, ticks=("0", "2"))
    areas = [
        node.attrib["d"]
        for node in ET.fromstring(svg).iter()  # noqa: S314  # our own text
        if node.attrib.get("d", "").endswith("Z")
    ]
    assert len(areas) == 2
    assert areas[0].startswith("M46.0 131.0")
    assert areas[1].startswith("M46.0 30.0")
