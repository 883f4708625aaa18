"""Panels folded side by side: each walk bit for bit the one it is alone."""

from dataclasses import replace

import numpy as np
import pytest

from instgov_dagster.beliefs.hot.lanes import walk_lanes
from instgov_dagster.beliefs.hot.tape import _median_known
from instgov_dagster.beliefs.hot.walk import MarketPanel, Walk, walk
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy
from instgov_dagster_tests.beliefs.conftest import drawn_panel, market_of
from instgov_dagster_tests.beliefs.hot.test_fold import fits_through

FORECAST = ModelPolicy().forecast
WHOLE = drawn_panel(seed=5, sessions=420, symbols=9)


def cut(first: int, sessions: int) -> MarketPanel:
    rows = slice(first, first + sessions)
    panel = WHOLE._replace(dates=WHOLE.dates[rows], prices=WHOLE.prices[rows].copy())
    panel.prices[:70, 4] = np.nan
    panel.prices[200:, 2] *= 0.05  # low enough for the floor of the base to bind
    return market_of(panel, fits=fits_through(panel, sessions - 1, symbols=("S01", "S03")))


def same(one: Walk, other: Walk) -> bool:
    rows = ("prices", "bases", "daily", "sigma", "trust")
    pairs = [(getattr(one, name), getattr(other, name)) for name in rows]
    pairs += [(one.sigmas[name], other.sigmas[name]) for name in one.sigmas]
    pairs += [(one.mus[name], other.mus[name]) for name in one.mus]
    equal = all(a.tobytes() == b.tobytes() for a, b in pairs)
    return equal and one.fold.pack() == other.fold.pack()


@pytest.fixture(scope="module")
def panels() -> list[MarketPanel]:
    return [cut(0, 400), cut(3, 401), cut(7, 398)]


def test_a_lane_says_what_its_panel_says_alone_to_the_last_bit(panels: list[MarketPanel]) -> None:
    lanes = walk_lanes(panels, policy=FORECAST, horizon=5)
    for lane, panel in zip(lanes, panels, strict=True):
        assert same(lane.walk, walk(panel, policy=FORECAST, horizon=5))


def test_another_last_session_is_what_the_whole_walk_with_it_says(
    panels: list[MarketPanel],
) -> None:
    lane = walk_lanes(panels, policy=FORECAST, horizon=5)[1]
    panel = panels[1]
    close = panel.close.copy()
    close[-1] = close[-2]
    carried = replace(panel, close=close)
    last = len(panel.dates) - 1
    assert same(lane.ending(carried.bars(last)), walk(carried, policy=FORECAST, horizon=5))
    assert same(lane.walk, walk(panel, policy=FORECAST, horizon=5))  # left as it was


def test_panels_of_different_widths_are_refused(panels: list[MarketPanel]) -> None:
    narrow = market_of(drawn_panel(seed=1, sessions=50, symbols=2))
    with pytest.raises(ValueError, match="one number of symbols"):
        walk_lanes([panels[0], narrow], policy=FORECAST, horizon=5)


def test_the_median_of_what_is_known_is_numpys() -> None:
    rng = np.random.default_rng(0)
    for rows in range(1, 12):
        values = rng.standard_normal((rows, 5))
        values[rng.random(values.shape) < 0.4] = np.nan
        values[0] = 1.0
        assert np.array_equal(_median_known(values), np.nanmedian(values, axis=0))
