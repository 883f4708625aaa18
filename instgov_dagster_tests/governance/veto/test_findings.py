"""Every rule fires on what it cannot measure, and limits fire beyond themselves."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from instgov_dagster.governance.veto import (
    FillSample,
    veto_correlated_wins,
    veto_data_dependency,
    veto_limits,
    veto_passive_fills,
    veto_too_perfect_execution,
    veto_unexplained_profits,
)
from instgov_dagster.vocabulary.governance import VetoFinding
from instgov_dagster_tests.governance.veto.worlds import (
    POLICY,
    Vector,
    explained_book,
    fills,
    limits,
    strategies,
)

pytestmark = [pytest.mark.roadmap("9.2"), pytest.mark.roadmap("TEST.9")]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_every_rule_fires_on_a_number_that_is_not_finite(bad: float) -> None:
    def spoil(array: Vector) -> Vector:
        out = array.astype(np.float64).copy()
        out.flat[out.size // 2] = bad
        return out

    realised, explained, costs = explained_book()
    found: list[VetoFinding] = []
    found += veto_unexplained_profits(spoil(realised), explained, costs, POLICY)
    found += veto_unexplained_profits(realised, spoil(explained), costs, POLICY)
    found += veto_unexplained_profits(realised, explained, spoil(costs), POLICY)
    for field in dataclasses.fields(FillSample):
        if field.name != "side":
            spoiled = dataclasses.replace(
                fills(), **{field.name: spoil(getattr(fills(), field.name))}
            )
            found += veto_too_perfect_execution(spoiled, POLICY)
    found += veto_too_perfect_execution(fills(mid=np.zeros(40)), POLICY)
    found += veto_correlated_wins(spoil(strategies(0.5)), POLICY)
    found += veto_data_dependency(spoil(np.ones(3)), {"x": np.ones(3)}, np.zeros(3, bool), POLICY)
    found.append(
        veto_data_dependency(np.ones(3), {"x": spoil(np.ones(3))}, np.zeros(3, bool), POLICY)[0]
    )
    found.append(veto_passive_fills(np.ones(20, bool), spoil(np.zeros(20)), POLICY))
    found += veto_limits(limits(bad))
    assert all(finding.fired and finding.statistic == math.inf for finding in found)


@pytest.mark.parametrize(
    "call",
    [
        lambda: veto_unexplained_profits(np.zeros(3), np.zeros(2), np.zeros(3), POLICY),
        lambda: veto_data_dependency(np.zeros(3), {}, np.zeros(2, bool), POLICY),
        lambda: veto_passive_fills(np.zeros(3, bool), np.zeros(2), POLICY),
    ],
)
def test_inputs_of_different_lengths_are_a_mistake_not_a_veto(call: Any) -> None:
    with pytest.raises(ValueError, match="share one length"):
        call()


@pytest.mark.parametrize(
    ("value", "fired"), [(0.4, [0, 0, 0, 1, 1, 1]), (0.5, [0] * 6), (0.6, [1, 1, 1, 0, 0, 0])]
)
def test_a_ceiling_fires_above_and_a_floor_below_and_none_at_its_limit(
    value: float, fired: list[int]
) -> None:
    assert [int(finding.fired) for finding in veto_limits(limits(value))] == fired


def test_a_limit_that_is_not_finite_fires_too() -> None:
    reading = dataclasses.replace(limits(0.4)[0], threshold=math.nan)
    assert veto_limits([reading])[0].fired
