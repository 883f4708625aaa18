"""The scenarios a book is measured on: how they are made, pinned, stored and read back."""

from instgov_dagster.capital.scenarios.build import build_scenarios, with_missing_stress
from instgov_dagster.capital.scenarios.returns import base_prices, scenario_returns
from instgov_dagster.capital.scenarios.rows import (
    SCENARIO_SCHEMA,
    measure_sha256,
    scenarios_from_frame,
    scenarios_to_frame,
    symbols_hash,
)
from instgov_dagster.capital.scenarios.sets import ScenarioMeasure, ScenarioSet
from instgov_dagster.capital.scenarios.stress import HeldPrices

__all__ = [
    "SCENARIO_SCHEMA",
    "HeldPrices",
    "ScenarioMeasure",
    "ScenarioSet",
    "base_prices",
    "build_scenarios",
    "measure_sha256",
    "scenario_returns",
    "scenarios_from_frame",
    "scenarios_to_frame",
    "symbols_hash",
    "with_missing_stress",
]
