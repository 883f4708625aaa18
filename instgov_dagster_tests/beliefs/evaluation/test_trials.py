"""The trials ledger: each variant once, a changed parameter is another one."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from instgov_dagster.beliefs.evaluation.trials import TRIALS_SCHEMA, record_trials
from instgov_dagster.beliefs.models import MODELS
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy, RegimePolicy

FORECAST, REGIME = ForecastPolicy(), RegimePolicy()
NONE = pl.DataFrame(schema=TRIALS_SCHEMA)
DAY = date(2024, 12, 5)


def trials(known: pl.DataFrame, forecast: ForecastPolicy = FORECAST) -> pl.DataFrame:
    return record_trials(known, forecast=forecast, regime=REGIME, evaluated=DAY)


@pytest.mark.roadmap("10.3")
def test_the_first_night_counts_every_model_and_the_regime_once() -> None:
    first = trials(NONE)
    assert first.schema == TRIALS_SCHEMA
    assert set(first["model_id"]) == {*MODELS, "regime_filter"}
    assert first["trial_number"].to_list() == list(range(1, len(MODELS) + 2))
    assert trials(first).is_empty()


@pytest.mark.roadmap("10.3")
def test_a_changed_parameter_is_a_new_trial_of_the_models_it_forms_and_of_no_other() -> None:
    first = trials(NONE)
    second = trials(first, replace(FORECAST, reversal_sessions=10))
    assert second["model_id"].to_list() == ["reversal"]
    assert second["trial_number"].to_list() == [first.height + 1]
    third = trials(pl.concat([first, second]), replace(FORECAST, signal_limit=2.0))
    assert set(third["model_id"]) == {"momentum", "reversal", "ridge"}
    # going back to what was tried before is no new trial
    assert trials(pl.concat([first, second, third])).is_empty()


def test_every_parameter_a_card_names_is_a_number_of_the_rules() -> None:
    from instgov_dagster.beliefs.evaluation.trials import _field

    for card in MODELS.values():
        for name in card.parameters:
            assert _field(FORECAST, name) is not None
