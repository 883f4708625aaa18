import math

import numpy as np
import polars as pl
import pytest

from instgov_dagster.capital.scenarios import (
    SCENARIO_SCHEMA,
    ScenarioMeasure,
    ScenarioSet,
    measure_sha256,
    scenarios_from_frame,
    scenarios_to_frame,
)
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.worlds import returns_of, scenarios_of, small_config

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")


def full_set(n: int = 50, n_symbols: int = 3) -> ScenarioSet:
    """Three measures, each with returns and dates of its own, one symbol by proxy."""
    base = scenarios_of(returns_of(n, n_symbols), small_config())
    made = {
        RiskMeasure.FILTERED: (1.5 * base.current.returns[5:], base.current.end_dates[5:], ()),
        RiskMeasure.STRESSED: (
            2.0 * base.current.returns[:40],
            base.current.end_dates[:40] - np.timedelta64(900, "D"),
            ("S001",),
        ),
    }
    measures = [base.current]
    for name, (returns, ends, proxies) in made.items():
        measures.append(
            ScenarioMeasure(
                name=name,
                end_dates=ends,
                returns=np.ascontiguousarray(returns),
                multiplier=1.0,
                reason_codes=(),
                proxies=proxies,
            )
        )
    return ScenarioSet(symbols=base.symbols, measures=tuple(measures))


def test_a_stored_set_is_read_back_bit_equal() -> None:
    config = small_config()
    found = scenarios_of(returns_of(50, 3), config)
    frame = scenarios_to_frame(found)
    assert frame.schema == SCENARIO_SCHEMA
    assert frame.height == 50
    again = scenarios_from_frame(
        frame.sample(fraction=1.0, shuffle=True, seed=1), found.symbols, config=config
    )
    assert np.array_equal(again.current.returns, found.current.returns)
    assert np.array_equal(again.current.end_dates, found.current.end_dates)
    assert again.measures[1].multiplier == 2.5


def test_a_stored_stress_set_stands_in_for_the_multiplier() -> None:
    config = small_config()
    base = scenarios_of(returns_of(50, 2), config)
    stressed = ScenarioMeasure(
        name=RiskMeasure.STRESSED,
        end_dates=base.current.end_dates,
        returns=2.0 * base.current.returns,
        multiplier=1.0,
        reason_codes=(),
    )
    held = ScenarioSet(symbols=base.symbols, measures=(base.current, stressed))
    again = scenarios_from_frame(scenarios_to_frame(held), base.symbols, config=config)
    assert np.array_equal(again.measures[1].returns, 2.0 * base.current.returns)
    assert again.measures[1].multiplier == 1.0
    with pytest.raises(DataRejected) as refused:
        scenarios_from_frame(
            scenarios_to_frame(held), base.symbols, config=small_config(min_stressed_scenarios=51)
        )
    assert refused.value.reason_code is ReasonCode.TOO_FEW_SCENARIOS


def test_rows_of_other_symbols_are_refused() -> None:
    config = small_config()
    frame = scenarios_to_frame(scenarios_of(returns_of(50, 2), config))
    with pytest.raises(DataRejected) as refused:
        scenarios_from_frame(frame, ("S001", "S000"), config=config)
    assert refused.value.reason_code is ReasonCode.SCENARIO_REFUSED


def test_a_stored_return_that_is_not_finite_is_refused() -> None:
    config = small_config()
    frame = scenarios_to_frame(scenarios_of(returns_of(50, 2), config))
    broken = frame.with_columns(pl.lit([0.1, math.nan]).alias("returns"))
    with pytest.raises(DataRejected) as refused:
        scenarios_from_frame(broken, ("S000", "S001"), config=config)
    assert refused.value.reason_code is ReasonCode.SCENARIO_REFUSED


def test_every_measure_is_read_back_bit_equal_with_its_proxies() -> None:
    held = full_set()
    frame = scenarios_to_frame(held).sample(fraction=1.0, shuffle=True, seed=2)
    again = scenarios_from_frame(frame, held.symbols, config=small_config())
    assert [m.name for m in again.measures] == list(RiskMeasure)
    for was, now in zip(held.measures, again.measures, strict=True):
        assert np.array_equal(was.returns, now.returns)
        assert np.array_equal(was.end_dates, now.end_dates)
        assert (was.multiplier, was.proxies) == (now.multiplier, now.proxies)


def test_every_row_says_its_measures_window_and_hash() -> None:
    held = full_set()
    frame = scenarios_to_frame(held)
    for measure in held.measures:
        rows = frame.filter(measure=measure.name.value)
        pinned = rows.select("window_start", "window_end", "window_sha256").unique()
        assert pinned.rows() == [
            (
                measure.end_dates[0].item(),
                measure.end_dates[-1].item(),
                measure_sha256(measure, held.symbols),
            )
        ]


@pytest.mark.parametrize("measure", list(RiskMeasure))
@pytest.mark.parametrize(
    "change",
    [
        pl.col("returns").list.eval(pl.element() * 0.5),
        pl.col("scenario_date").dt.offset_by("1d"),
        pl.lit(["S002"]).alias("proxies"),
        pl.lit("0" * 64).alias("window_sha256"),
    ],
    ids=["returns", "dates", "proxies", "hash"],
)
def test_scenarios_that_are_not_those_pinned_are_refused(
    measure: RiskMeasure, change: pl.Expr
) -> None:
    held = full_set()
    frame = scenarios_to_frame(held)
    mine = pl.col("measure") == measure.value
    name = frame.select(change).columns[0]
    forged = frame.with_columns(pl.when(mine).then(change).otherwise(pl.col(name)).alias(name))
    with pytest.raises(DataRejected) as refused:
        scenarios_from_frame(forged, held.symbols, config=small_config())
    assert refused.value.reason_code is ReasonCode.SCENARIO_REFUSED


@pytest.mark.parametrize("measure", list(RiskMeasure))
def test_a_scenario_that_was_removed_is_missed(measure: RiskMeasure) -> None:
    held = full_set()
    frame = scenarios_to_frame(held).with_row_index()
    last = frame.filter(measure=measure.value)["index"].max()
    cut = frame.filter(pl.col("index") != last).drop("index")
    with pytest.raises(DataRejected) as refused:
        scenarios_from_frame(cut, held.symbols, config=small_config(min_stressed_scenarios=40))
    assert refused.value.reason_code in {
        ReasonCode.SCENARIO_REFUSED,
        ReasonCode.TOO_FEW_SCENARIOS,
    }


def test_a_stored_measure_of_too_few_scenarios_is_refused() -> None:
    held = full_set()
    frame = scenarios_to_frame(held)
    for least in (46, 51):  # of 45 filtered and 50 current rows
        with pytest.raises(DataRejected) as refused:
            scenarios_from_frame(frame, held.symbols, config=small_config(min_scenarios=least))
        assert refused.value.reason_code is ReasonCode.TOO_FEW_SCENARIOS
    scenarios_from_frame(frame, held.symbols, config=small_config(min_scenarios=45))


def test_without_current_scenarios_there_is_no_set() -> None:
    held = full_set()
    frame = scenarios_to_frame(held).filter(pl.col("measure") != "CURRENT")
    with pytest.raises(DataRejected) as refused:
        scenarios_from_frame(frame, held.symbols, config=small_config())
    assert refused.value.reason_code is ReasonCode.TOO_FEW_SCENARIOS


def test_a_row_of_another_width_is_refused() -> None:
    held = full_set()
    frame = scenarios_to_frame(held).with_columns(pl.col("returns").list.head(2))
    with pytest.raises(DataRejected, match="3 wide"):
        scenarios_from_frame(frame, held.symbols, config=small_config())
