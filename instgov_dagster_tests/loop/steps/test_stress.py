from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from instgov_dagster.bars.calendars import history_window
from instgov_dagster.capital.cvar import cvar
from instgov_dagster.capital.scenarios import scenarios_from_frame
from instgov_dagster.loop.night_run.run import NightRun
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.steps.context import NightContext
from instgov_dagster.loop.steps.stress import build_stress, held_prices, scenario_symbols
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")
NEEDS = ("price_history", "data_governance", "portfolio", "bars", "stress_bars")


@pytest.fixture(scope="module")
def tables(night_platform: Platform) -> dict[str, pl.DataFrame]:
    with NightRun(night_platform, ASOF, run_id="reader") as run:
        return {name: run.table(name) for name in NEEDS}


@pytest.fixture(scope="module")
def context(night_platform: Platform) -> NightContext:
    return night_platform.context(ASOF)


def stressed_rows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("measure") == RiskMeasure.STRESSED.value)


def test_the_simulated_crisis_before_the_window_is_the_stress_set(
    tables: dict[str, pl.DataFrame], context: NightContext
) -> None:
    rows = stressed_rows(build_stress(tables, context))
    start, _ = history_window(ASOF, context.policy.history)
    assert rows.height == context.policy.cvar.stress_sessions
    assert rows["window_start"][0] < start
    assert rows["window_end"][0] == rows["scenario_date"].max()
    symbols = scenario_symbols(tables)
    read = scenarios_from_frame(build_stress(tables, context), symbols, config=context.policy.cvar)
    assert [measure.name for measure in read.measures] == list(RiskMeasure)
    assert read.measures[1].end_dates.size == read.current.end_dates.size
    market = np.full(len(symbols), 1.0 / len(symbols))
    tails = [cvar(-(m.returns @ market), confidence_level=0.95) for m in read.measures]
    assert tails[2] > 1.2 * tails[0]


def test_a_night_without_longer_history_multiplies_and_says_so(
    tables: dict[str, pl.DataFrame], context: NightContext
) -> None:
    bare = {**tables, "stress_bars": tables["stress_bars"].clear()}
    frame = build_stress(bare, context)
    assert stressed_rows(frame).is_empty()
    read = scenarios_from_frame(frame, scenario_symbols(tables), config=context.policy.cvar)
    assert read.measures[-1].reason_codes == (ReasonCode.STRESS_SET_MISSING,)
    assert read.measures[-1].multiplier == 2.5


def test_a_few_weeks_of_longer_history_are_no_stress_set(
    tables: dict[str, pl.DataFrame], context: NightContext
) -> None:
    start, _ = history_window(ASOF, context.policy.history)
    late = pl.col("date") > start.replace(year=start.year - 1)
    short = {**tables, "stress_bars": tables["stress_bars"].filter(late)}
    assert stressed_rows(build_stress(short, context)).height == 252
    recent = pl.col("date") > start.replace(month=max(start.month - 2, 1), day=1)
    shorter = {**tables, "stress_bars": tables["stress_bars"].filter(recent)}
    assert held_prices(shorter, ("AAPL",), context) is None


def test_a_symbol_whose_old_bars_are_invalid_is_stressed_by_proxy(
    tables: dict[str, pl.DataFrame], context: NightContext
) -> None:
    prices = ("open", "high", "low", "close", "adj_close")
    days = tables["stress_bars"].filter(pl.col("symbol") == "KO")["date"].sort()
    is_bad = (pl.col("symbol") == "KO") & pl.col("date").is_in(days[::200].implode())
    spoiled = tables["stress_bars"].with_columns(
        pl.when(is_bad).then(pl.col(name) * 0.02).otherwise(pl.col(name)).alias(name)
        for name in prices
    )
    clean = stressed_rows(build_stress(tables, context))
    spiked = stressed_rows(build_stress({**tables, "stress_bars": spoiled}, context))
    assert clean["proxies"][0].to_list() == []
    assert spiked["proxies"][0].to_list() == ["KO"]
    assert spiked["returns"].list.min().min() > -0.9  # the spike itself is in no scenario


def test_a_symbol_that_was_listed_late_is_stressed_by_proxy(
    tables: dict[str, pl.DataFrame], context: NightContext
) -> None:
    young = {
        **tables,
        "stress_bars": tables["stress_bars"].filter(pl.col("symbol") != "BTC-USD"),
    }
    rows = stressed_rows(build_stress(young, context))
    assert rows["proxies"][0].to_list() == ["BTC-USD"]
    assert (
        rows["window_sha256"][0] != stressed_rows(build_stress(tables, context))["window_sha256"][0]
    )


def test_the_same_night_pins_the_same_set(
    tables: dict[str, pl.DataFrame], context: NightContext
) -> None:
    first, again = build_stress(tables, context), build_stress(tables, context)
    assert first.equals(again)
    shuffled = {**tables, "stress_bars": tables["stress_bars"].sample(fraction=1.0, shuffle=True)}
    assert build_stress(shuffled, context).equals(first)


def test_a_window_that_reaches_less_far_back_finds_another_year(
    tables: dict[str, pl.DataFrame], context: NightContext
) -> None:
    first = stressed_rows(build_stress(tables, context))
    kept = pl.col("date") > first["window_end"][0]
    cut = {**tables, "stress_bars": tables["stress_bars"].filter(kept)}
    policy = replace(context.policy, cvar=replace(context.policy.cvar, min_stressed_scenarios=60))
    rows = stressed_rows(build_stress(cut, replace(context, policy=policy)))
    assert rows.is_empty() or rows["window_start"][0] > first["window_start"][0]
