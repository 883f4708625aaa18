"""Fills better than the market allows are vetoed."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.governance.veto import (
    FillSample,
    chance_of_heads,
    veto_passive_fills,
    veto_too_perfect_execution,
)
from instgov_dagster_tests.governance.veto.worlds import (
    POLICY,
    by_rule,
    fills,
)

pytestmark = [pytest.mark.roadmap("9.2"), pytest.mark.roadmap("TEST.9")]


def test_ordinary_fills_are_not_vetoed() -> None:
    found = by_rule(veto_too_perfect_execution(fills(), POLICY))
    assert [finding.fired for finding in found.values()] == [False, False, False]
    assert {finding.n for finding in found.values()} == {40}


@pytest.mark.parametrize(("price", "fires"), [(101.01, False), (101.02, True), (98.98, True)])
def test_a_fill_may_leave_its_bar_by_half_the_spread_and_no_more(
    price: float, *, fires: bool
) -> None:
    prices = fills().price.copy()
    prices[3] = price
    bar = by_rule(veto_too_perfect_execution(fills(price=prices), POLICY))["bar"]
    assert (bar.fired, bar.statistic) == (fires, float(fires))


def test_one_impossible_fill_is_enough_however_few_there_are() -> None:
    one = {f.name: getattr(fills(), f.name)[:1] for f in dataclasses.fields(FillSample)}
    bad = FillSample(**{**one, "price": np.array([150.0])})
    assert by_rule(veto_too_perfect_execution(bad, POLICY))["bar"].fired
    assert not by_rule(veto_too_perfect_execution(FillSample(**one), POLICY))["bar"].fired


@pytest.mark.parametrize(
    ("n", "better", "fires"), [(20, 19, True), (20, 18, False), (19, 19, False), (40, 38, True)]
)
def test_nineteen_of_twenty_fills_better_than_the_mid_are_too_many(
    n: int, better: int, *, fires: bool
) -> None:
    slip = np.where(np.arange(n) < better, -1.0, 1.0) + np.linspace(-0.5, 0.5, n) * 0.2
    sample = fills(n)
    price = sample.mid + sample.side * slip / 10_000 * sample.mid
    made = fills(n, price=price, cost_bps=np.zeros(n), modelled_bps=np.full(n, 1.0))
    found = by_rule(veto_too_perfect_execution(made, POLICY))["better_than_mid"]
    assert (found.fired, found.statistic, found.n) == (fires, better / n, n)


def test_costs_charged_on_top_count_against_the_mid() -> None:
    n = 20
    free = fills(n, price=np.full(n, 100.0) - fills(n).side * 0.01, cost_bps=np.zeros(n))
    assert by_rule(veto_too_perfect_execution(free, POLICY))["better_than_mid"].fired
    charged = dataclasses.replace(free, cost_bps=np.full(n, 2.0))
    assert not by_rule(veto_too_perfect_execution(charged, POLICY))["better_than_mid"].fired


def test_slippage_that_hardly_varies_is_vetoed_against_the_model_over_the_same_fills() -> None:
    sample = fills(price=np.full(40, 100.0) + fills().side * 0.05, cost_bps=np.zeros(40))
    found = by_rule(veto_too_perfect_execution(sample, POLICY))["slippage_deviation"]
    assert found.fired
    assert found.statistic == pytest.approx(0.0, abs=1e-9)
    assert found.threshold == pytest.approx(0.1 * sample.modelled_bps.std(ddof=1))
    few = {f.name: getattr(sample, f.name)[:19] for f in dataclasses.fields(FillSample)}
    short = by_rule(veto_too_perfect_execution(FillSample(**few), POLICY))["slippage_deviation"]
    assert (short.fired, short.n) == (False, 19)


def test_fills_at_exactly_the_modelled_cost_vary_as_the_model_does() -> None:
    sample = fills(cost_bps=np.zeros(40))
    found = by_rule(veto_too_perfect_execution(sample, POLICY))["slippage_deviation"]
    assert not found.fired
    assert found.statistic == pytest.approx(10 * found.threshold)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_chance_of_heads_is_scipys_binomial_test(heads: int, more: int) -> None:
    n = heads + more
    if n:
        oracle = scipy.stats.binomtest(heads, n, 0.5, alternative="greater").pvalue
        assert chance_of_heads(heads, n) == pytest.approx(float(oracle), rel=1e-9)


@pytest.mark.parametrize(
    ("n", "filled", "markout", "fires"),
    [(20, 19, 0.0, True), (20, 19, -0.1, False), (20, 18, 1.0, False), (19, 19, 1.0, False)],
)
def test_passive_orders_filled_nearly_always_at_no_cost_are_too_good(
    n: int, filled: int, markout: float, *, fires: bool
) -> None:
    found = veto_passive_fills(np.arange(n) < filled, np.full(n, markout), POLICY)
    assert (found.fired, found.n) == (fires, n)
    assert found.statistic == filled / n


def test_the_markout_of_an_order_never_filled_is_not_read() -> None:
    markouts = np.where(np.arange(20) < 19, -1.0, math.nan)
    assert not veto_passive_fills(np.arange(20) < 19, markouts, POLICY).fired
    assert veto_passive_fills(np.ones(20, bool), markouts, POLICY).statistic == math.inf
    nothing = veto_passive_fills(np.zeros(0, bool), np.zeros(0), POLICY)
    assert (nothing.fired, nothing.n) == (False, 0)


def test_no_fills_say_nothing() -> None:
    empty = FillSample(**{f.name: np.zeros(0) for f in dataclasses.fields(FillSample)})
    assert [f.fired for f in veto_too_perfect_execution(empty, POLICY)] == [False] * 3
    with pytest.raises(ValueError, match="side must be 1 or -1"):
        fills(side=np.zeros(40))
    with pytest.raises(ValueError, match="share one length"):
        fills(mid=np.full(3, 100.0))
