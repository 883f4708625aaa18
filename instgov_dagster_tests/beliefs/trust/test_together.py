"""Many walks judged at once, and a walk with another last session: each bit for bit as alone."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from instgov_dagster.beliefs.forecast import forecast_models, forecast_walks
from instgov_dagster.beliefs.health import HEALTH_SCHEMA, HealthCase, assess_cases, assess_health
from instgov_dagster.beliefs.hot.walk import Walk, walk
from instgov_dagster.beliefs.models import BENCHMARK
from instgov_dagster.beliefs.trust.record import (
    Trail,
    judge_trail,
    last_validation_pass,
    trail_ending,
    trail_of,
)
from instgov_dagster.beliefs.trust.validation import validation_sessions
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy
from instgov_dagster_tests.beliefs.conftest import Panel, drawn_panel, market_of
from instgov_dagster_tests.beliefs.hot.test_fold import fits_through

MODELS = ModelPolicy()
IDS = MODELS.model_ids
EVERY = MODELS.health.validation_every_sessions
WHOLE = drawn_panel(seed=23, sessions=760, symbols=5)


def cut(sessions: int) -> Panel:
    prices = WHOLE.prices[:sessions].copy()
    prices[:120, 1] = np.nan
    prices[-1, 3] = np.nan
    return WHOLE._replace(dates=WHOLE.dates[:sessions], prices=prices)


def walk_of(panel: Panel) -> Walk:
    fits = fits_through(panel, len(panel.dates) - 3, symbols=("S00", "S02"))
    return walk(market_of(panel, fits=fits), policy=MODELS.forecast, horizon=5)


def with_last(panel: Panel, moved: float) -> Panel:
    prices = panel.prices.copy()
    prices[-1] = prices[-2] * moved
    return panel._replace(prices=prices)


def last_validated() -> int:
    """Count the sessions up to and with the last one on which models are validated."""
    return int(validation_sessions(WHOLE.dates, every=EVERY)[-1]) + 1


def case_of(walked: Walk, forecasts: pl.DataFrame, quality: float) -> HealthCase:
    asof = walked.dates[-1].item() + timedelta(days=1)
    trail = trail_of(walked, IDS, MODELS)
    return HealthCase(
        walked=walked.ending(1),
        record=judge_trail(trail, walked.dates, asof, MODELS),
        forecasts=forecasts,
        data_quality=dict.fromkeys(walked.symbols, quality),
        asof=asof,
    )


def same(one: Trail, other: Trail, walked: Walk) -> bool:
    asof = walked.dates[-1].item() + timedelta(days=1)
    records = [judge_trail(trail, walked.dates, asof, MODELS) for trail in (one, other)]
    parts = [(*record.decay, record.is_covered) for record in records]
    is_equal = all(a.tobytes() == b.tobytes() for a, b in zip(*parts, strict=True))
    return is_equal and np.array_equal(one.last_pass, other.last_pass)


@pytest.mark.roadmap("6.1", "6.3", "6.5", "TEST.6")
def test_walks_forecast_and_judged_together_say_what_each_says_alone() -> None:
    walks = [walk_of(cut(sessions)) for sessions in (760, 500, 741)]
    narrow = drawn_panel(seed=4, sessions=700, symbols=3)
    walks.append(walk(market_of(narrow), policy=MODELS.forecast, horizon=5))
    forecasts = forecast_walks([walked.ending(1) for walked in walks], MODELS)
    for walked, frame in zip(walks, forecasts, strict=True):
        assert frame.equals(forecast_models(walked, MODELS))
    qualities = (1.0, 0.4, 0.9, 0.7)
    found = assess_cases(
        [case_of(*given) for given in zip(walks, forecasts, qualities, strict=True)], MODELS
    )
    for walked, frame, quality, health in zip(walks, forecasts, qualities, found, strict=True):
        alone = assess_health(
            walked,
            frame,
            data_quality=dict.fromkeys(walked.symbols, quality),
            policy=MODELS,
            asof=walked.dates[-1].item() + timedelta(days=1),
        )
        assert health.schema == HEALTH_SCHEMA
        assert health.equals(alone)
    assert found[0]["model_disagreement_var"].max() > 0.0


@pytest.mark.roadmap("6.5")
def test_a_walk_without_symbols_among_others_has_a_health_without_rows() -> None:
    walked = walk_of(cut(500))
    (frame,) = forecast_walks([walked], MODELS)
    full = case_of(walked, frame, 1.0)
    none = replace(full, walked=replace(full.walked, symbols=()), forecasts=frame.clear())
    found = assess_cases([none, full, none], MODELS)
    assert [health.height for health in found] == [0, frame.height, 0]
    assert found[1].equals(assess_cases([full], MODELS)[0])
    assert all(health.schema == HEALTH_SCHEMA for health in found)
    assert [health.height for health in assess_cases([none], MODELS)] == [0]


@pytest.mark.roadmap("6.2", "6.3", "TEST.6")
@pytest.mark.parametrize("past_validation", [0, 1, 5])
def test_a_trail_with_another_last_session_is_that_of_the_whole_walk_with_it(
    past_validation: int,
) -> None:
    panel = cut(last_validated() + past_validation)
    trail = trail_of(walk_of(panel), IDS, MODELS)
    for moved in (1.0, 0.6, 1.7):
        other = walk_of(with_last(panel, moved))
        found = trail_ending(trail, other, IDS, MODELS)
        assert same(found, trail_of(other, IDS, MODELS), other)
    mine = walk_of(panel)
    assert same(trail, trail_of(mine, IDS, MODELS), mine)  # left as it was


@pytest.mark.roadmap("6.2")
def test_a_trail_holds_the_last_passes_of_its_models_one_after_another() -> None:
    walked = walk_of(cut(700))
    trail = trail_of(walked, IDS, MODELS)
    zero = walked.mus[BENCHMARK]
    passes = [last_validation_pass(walked, walked.mus[n], zero, MODELS.health) for n in IDS]
    assert np.array_equal(trail.last_pass, np.concatenate(passes))
    assert trail.last_pass.max() > 0


def test_the_end_of_a_walk_holds_its_last_sessions_and_no_other_memory() -> None:
    walked = walk_of(cut(500))
    end = walked.ending(2)
    assert np.array_equal(end.dates, walked.dates[-2:])
    pairs = [(end.mus[name], walked.mus[name]) for name in walked.mus]
    pairs += [(end.sigmas[name], walked.sigmas[name]) for name in walked.sigmas]
    rows = ("prices", "bases", "daily", "sigma", "trust")
    pairs += [(getattr(end, name), getattr(walked, name)) for name in rows]
    for kept, whole in pairs:
        assert kept.tobytes() == whole[-2:].tobytes()
        assert kept.base is None
