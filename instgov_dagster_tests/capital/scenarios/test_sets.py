import math

import numpy as np
import pytest

from instgov_dagster.capital.scenarios import ScenarioMeasure, ScenarioSet
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster_tests.capital.worlds import returns_of, scenarios_of, small_config

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")


def test_selecting_columns_keeps_their_order_and_the_shared_matrix() -> None:
    found = scenarios_of(returns_of(50, 3), small_config())
    cut = found.select(("S002", "S000"))
    assert np.array_equal(cut.current.returns, found.current.returns[:, [2, 0]])
    assert cut.measures[1].returns is cut.current.returns
    with pytest.raises(ValueError, match="S009"):
        found.select(("S009",))


def test_a_set_must_begin_with_the_current_measure() -> None:
    found = scenarios_of(returns_of(50, 3), small_config())
    with pytest.raises(ValueError, match="CURRENT"):
        ScenarioSet(symbols=found.symbols, measures=found.measures[1:])


def test_a_cut_keeps_the_proxies_it_still_holds() -> None:
    found = scenarios_of(returns_of(50, 3), small_config())
    stressed = ScenarioMeasure(
        name=RiskMeasure.STRESSED,
        end_dates=found.current.end_dates,
        returns=2.0 * found.current.returns,
        multiplier=1.0,
        reason_codes=(),
        proxies=("S000", "S001"),
    )
    held = ScenarioSet(symbols=found.symbols, measures=(found.current, stressed))
    assert held.select(("S002", "S001")).measures[1].proxies == ("S001",)


@pytest.mark.parametrize("multiplier", [0.99, math.nan, math.inf])
def test_a_multiplier_below_one_is_refused(multiplier: float) -> None:
    with pytest.raises(ValueError, match="multiplier"):
        ScenarioMeasure(
            name=RiskMeasure.STRESSED,
            end_dates=np.zeros(1, dtype="datetime64[D]"),
            returns=np.zeros((1, 1)),
            multiplier=multiplier,
            reason_codes=(),
        )
