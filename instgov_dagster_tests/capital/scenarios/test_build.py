import numpy as np
import pytest

from instgov_dagster.capital.book import measure_book
from instgov_dagster.capital.scenarios import HeldPrices, build_scenarios
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.scenarios.prices import calm_and_crash, days, walk
from instgov_dagster_tests.capital.worlds import small_config

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")
STOCK = AssetClass.STOCKS
BRIEF = small_config(filter_warmup_sessions=5, stress_sessions=60)


def test_without_a_stress_set_the_current_measure_is_multiplied_and_says_so() -> None:
    dates = np.datetime64("2020-01-01") + np.arange(60)
    found = build_scenarios(dates, ("A", "B"), (STOCK, STOCK), walk(60), config=BRIEF)
    assert [m.name for m in found.measures] == list(RiskMeasure)
    assert found.measures[2].multiplier == 2.5
    assert found.measures[2].reason_codes == (ReasonCode.STRESS_SET_MISSING,)
    assert found.measures[2].returns is found.current.returns
    assert found.current.end_dates[0] == np.datetime64("2020-01-06")


def test_a_crash_before_the_window_is_what_the_book_is_stressed_on() -> None:
    dates, prices = days(400), calm_and_crash(400, slice(100, 160))
    window = slice(250, 400)
    found = build_scenarios(
        dates[window],
        ("A", "B", "C"),
        (STOCK,) * 3,
        prices[window],
        config=BRIEF,
        held=HeldPrices(dates=dates, prices=prices),
    )
    stressed = found.measures[2]
    assert stressed.multiplier == 1.0
    assert stressed.end_dates[0] < dates[160]
    assert dates[100] < stressed.end_dates[-1] < dates[250]
    risk = measure_book(np.full(3, 0.1), found, config=BRIEF)
    assert risk.gate == risk.stressed > 2.5 * risk.current


def test_longer_history_warms_the_filter_up_so_that_no_scenario_is_lost() -> None:
    dates, prices = days(300), walk(300, 3)
    window = slice(200, 300)
    names, kinds = ("A", "B", "C"), (STOCK,) * 3
    config = small_config(filter_warmup_sessions=40, stress_sessions=60)
    alone = build_scenarios(dates[window], names, kinds, prices[window], config=config)
    longer = build_scenarios(
        dates[window],
        names,
        kinds,
        prices[window],
        config=config,
        held=HeldPrices(dates=dates, prices=prices),
    )
    assert alone.measures[1].end_dates.size == 95 - 40
    assert longer.measures[1].end_dates.size == longer.current.end_dates.size == 95


def test_history_that_ends_on_other_sessions_is_refused() -> None:
    dates, prices = days(300), walk(300, 1)
    held = HeldPrices(dates=dates[:-1], prices=prices[:-1])
    with pytest.raises(ValueError, match="end on the sessions"):
        build_scenarios(dates[200:], ("A",), (STOCK,), prices[200:], config=BRIEF, held=held)
    with pytest.raises(ValueError, match="one date a row"):
        HeldPrices(dates=dates, prices=prices[:-1])


def test_prices_of_other_sessions_or_symbols_are_refused() -> None:
    with pytest.raises(ValueError, match="prices must be 59 x 2"):
        build_scenarios(days(59), ("A", "B"), (STOCK,) * 2, walk(60), config=BRIEF)
    with pytest.raises(ValueError, match="prices must be 60 x 1"):
        build_scenarios(days(60), ("A",), (STOCK,), walk(60), config=BRIEF)


def test_a_filter_that_never_warms_up_halts_the_night() -> None:
    with pytest.raises(DataRejected) as refused:
        build_scenarios(days(60), ("A",), (STOCK,), walk(60, 1), config=small_config())
    assert refused.value.reason_code is ReasonCode.TOO_FEW_SCENARIOS
    assert refused.value.reason_code.severity == "HALT"
