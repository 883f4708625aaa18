"""The pictures: well-formed, small, true to their numbers, and silent about what is unknown."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.beliefs.evaluation.charts import (
    area_chart,
    line_chart,
    panel_chart,
    round_levels,
)
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


def nodes(svg: str, tag: str) -> list[ET.Element]:
    return [n for n in ET.fromstring(svg).iter() if n.tag.endswith("}" + tag)]  # noqa: S314  # ours


def lines_of(svg: str) -> list[str]:
    return [n.attrib["d"] for n in nodes(svg, "path") if n.attrib.get("fill") == "none"]


def words_of(svg: str) -> list[str]:
    return [node.text or "" for node in nodes(svg, "text")]


def test_a_line_runs_from_its_first_level_to_its_last_and_breaks_at_a_gap() -> None:
    x = np.arange(5.0)
    line = np.array([-1.0, 1.0, np.nan, 0.5, 0.5])
    svg = line_chart("t", x, {"a": line}, note="n", ticks=((0.0, "0"), (4.0, "4")))
    (path,) = lines_of(svg)
    assert path.count("M") == 2
    assert path.startswith("M46.0 254.0L163.0 48.0")
    assert {"t", "n", "a", "0", "4", "-1", "1"} <= set(words_of(svg))


def test_a_band_lies_around_zero_and_is_held_by_the_axis() -> None:
    x, flat = np.arange(3.0), {"a": np.zeros(3)}
    told = line_chart("t", x, flat, note="n", ticks=(), band=1.0)
    bands = [n.attrib for n in nodes(told, "rect") if n.attrib["fill"] == "#e6e9ee"]
    assert [(band["y"], band["height"]) for band in bands] == [("48.0", "206.0")]
    without = line_chart("t", x, flat, note="n", ticks=())
    assert not [n for n in nodes(without, "rect") if n.attrib["fill"] == "#e6e9ee"]


def test_panels_share_their_axes_and_each_names_its_line() -> None:
    x = np.arange(2.0)
    series = {name: np.array([0.0, level]) for name, level in zip("abc", (1, 2, 4), strict=True)}
    svg = panel_chart("t", x, series, note="n", ticks=((0.0, "begin"),))
    assert len(lines_of(svg)) == 3
    heights = []
    for path in lines_of(svg):
        first, last = (float(part.split(" ")[1]) for part in path[1:].split("L"))
        heights.append(first - last)
    assert heights == pytest.approx([21.0, 42.0, 84.0])
    words = words_of(svg)
    assert {"a", "b", "c"} <= set(words)
    assert words.count("begin") == 2, "under the lowest panel of each column"
    assert words.count("4") == 3


@pytest.mark.parametrize(
    ("low", "high", "most", "levels"),
    [
        (0.0, 1.0, 5, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (0.0, 1.0, 4, (0.0, 0.5, 1.0)),
        (-0.082, 0.124, 4, (-0.1, 0.0, 0.1, 0.2)),
        (-0.1, 0.1, 5, (-0.1, -0.05, 0.0, 0.05, 0.1)),
        (0.0, 0.0, 4, (0.0, 0.5, 1.0)),
        (0.0, 97.0, 5, (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)),
    ],
)
def test_levels_are_round_and_hold_the_values(
    low: float, high: float, most: int, levels: tuple[float, ...]
) -> None:
    assert round_levels(low, high, most=most) == levels


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6), st.integers(2, 8))
def test_levels_always_hold_the_values_and_are_no_more_than_asked_for(
    low: float, span: float, most: int
) -> None:
    levels = round_levels(low, low + span, most=most)
    slack = 1e-6 * (levels[1] - levels[0])
    assert levels[0] <= low + slack
    assert levels[-1] >= low + span - slack
    assert 2 <= len(levels) <= most + 1
    assert list(levels) == sorted(set(levels))


def test_stacked_shares_fill_the_whole_height_in_the_colours_they_are_told() -> None:
    half = np.full(3, 0.5)
    svg = area_chart(
        "t", np.arange(3.0), {"a": half, "b": half}, note="n", ticks=(),
        colours={"a": "#111111", "b": "#222222"},
    )  # fmt: skip
    areas = [n.attrib for n in nodes(svg, "path") if n.attrib["d"].endswith("Z")]
    assert [area["fill"] for area in areas] == ["#111111", "#222222"]
    assert areas[0]["d"].startswith("M46.0 151.0")
    assert areas[1]["d"].startswith("M46.0 48.0")
    assert words_of(svg)[-2:] == ["b", "a"], "the legend stands as the areas do"


def test_every_picture_says_what_stands_on_its_axes(drawn: Panel, drawn_walk: Walk) -> None:
    pictures = pictures_of(drawn, drawn_walk)["name", "svg"]
    told = {name: words_of(svg) for name, svg in pictures.rows()}
    years = {str(day)[:4] for day in drawn.dates.astype("datetime64[Y]")[1:]}
    judged = ["james_stein", "momentum", "reversal", "ridge", "combination", "defensive"]
    for name in ("decay", "rank_ic"):
        assert set(judged) <= set(told[name])
    for name in ("decay", "rank_ic", "regime"):
        assert len(years & set(told[name])) >= 2, "years are marked where they begin"
    assert any("sessions" in word and "5% test" in word for word in told["reliability"])
    assert {"NORMAL", "VOLATILE", "CRISIS"} <= set(told["regime"])
