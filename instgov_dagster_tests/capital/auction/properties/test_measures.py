"""The check takes each measure by its own scenarios, and one it cannot read as broken."""

import dataclasses
import math

import numpy as np
import pytest

from instgov_dagster.capital.auction.certificate import Violation, check_weights
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.auction.settings import one
from instgov_dagster_tests.capital.worlds import small_config

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")


def test_a_measure_that_counts_double_breaks_at_half_its_limit() -> None:
    instance = one(0.5, config=small_config(marginal_limit=0.9), fields={"adv_usd": 1e12})
    (current, stressed) = instance.scenarios.measures
    double = dataclasses.replace(
        instance,
        scenarios=dataclasses.replace(
            instance.scenarios, measures=(current, dataclasses.replace(stressed, multiplier=2.0))
        ),
        measure_limits=(1.0, 0.02),
    )
    assert not [v for v in check_weights(double, np.array([0.019])) if v.key == "STRESSED"]
    (found,) = [v for v in check_weights(double, np.array([0.022])) if v.key == "STRESSED"]
    assert (found.code, found.excess) == (
        ReasonCode.CVAR_LIMIT_BINDS, pytest.approx(2.0 * 0.5 * 0.022 - 0.02),
    )  # fmt: skip


def test_a_measure_of_other_scenarios_is_measured_on_its_own() -> None:
    instance = one(0.1, config=small_config(marginal_limit=0.9), fields={"adv_usd": 1e12})
    (current, stressed) = instance.scenarios.measures
    other = dataclasses.replace(stressed, returns=current.returns * 9.0, multiplier=1.0)
    scenarios = dataclasses.replace(instance.scenarios, measures=(current, other))
    two = dataclasses.replace(instance, scenarios=scenarios, measure_limits=(0.01, 0.01))
    broken = {v.key: v.excess for v in check_weights(two, np.array([0.04]))}
    assert broken["STRESSED"] == pytest.approx(9.0 * 0.1 * 0.04 - 0.01)
    assert "CURRENT" not in broken


def test_a_measure_with_a_hole_is_broken_whatever_is_held() -> None:
    instance = one(0.1, config=small_config(marginal_limit=0.9), fields={"adv_usd": 1e12})
    (current, stressed) = instance.scenarios.measures
    holed = stressed.returns.copy()
    holed[7, 0] = np.nan
    scenarios = dataclasses.replace(
        instance.scenarios, measures=(current, dataclasses.replace(stressed, returns=holed))
    )
    blind = dataclasses.replace(instance, scenarios=scenarios)
    assert check_weights(blind, np.array([0.01])) == (
        Violation(code=ReasonCode.RISK_NOT_FINITE, key="STRESSED", excess=math.inf),
    )
