import dataclasses
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.capital.book import measure_book
from instgov_dagster.capital.cvar import delta_cvar
from instgov_dagster.capital.risk import judge_book
from instgov_dagster.capital.scenarios import ScenarioMeasure, ScenarioSet
from instgov_dagster.vocabulary.capital import ExecutionRegime, RiskMeasure
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.auction.settings import crashes
from instgov_dagster_tests.capital.risk.proposals import LIMITS, judge, proposal, reasons
from instgov_dagster_tests.capital.worlds import returns_of, scenarios_of, small_config

pytestmark = pytest.mark.roadmap("0.5", "5.3", "5.4", "TEST.5")


def test_the_first_trade_from_cash_passes() -> None:
    verdict = judge(proposal([0.0], [0.05]), crashes(0.1))
    assert verdict.weights.tolist() == [0.05]
    assert verdict.sequence == (0,)
    order = verdict.orders[0]
    assert order.delta_cvar == pytest.approx(0.005)
    assert order.passing_share == 1.0
    assert verdict.risk_after.gate == pytest.approx(2.5 * 0.005)


def test_an_order_beyond_the_marginal_limit_is_refused_and_told_what_would_pass() -> None:
    verdict = judge(proposal([0.0], [0.15]), crashes(0.1))
    assert verdict.weights.tolist() == [0.0]
    assert reasons(verdict, "S000") == (ReasonCode.MARGINAL_CVAR_BREACH,)
    # 0.01 of 0.015 would have passed.
    assert verdict.orders[0].passing_share == pytest.approx(2.0 / 3.0, abs=1e-6)


def test_an_order_that_does_not_pay_for_its_risk_is_refused() -> None:
    verdict = judge(proposal([0.0], [0.05], net_gain=np.array([0.00009])), crashes(0.1))
    assert reasons(verdict, "S000") == (ReasonCode.CVAR_HURDLE_NOT_MET,)


def test_a_breach_of_the_joint_limit_sends_away_what_adds_and_keeps_what_relieves() -> None:
    config = small_config(marginal_limit=1.0)
    made = proposal([0.10, 0.0], [0.05, 0.25], net_gain=np.array([-0.01, 0.5]))
    verdict = judge(made, crashes(0.1, 0.1), config)
    assert verdict.weights.tolist() == [0.05, 0.0]
    assert reasons(verdict, "S001") == (ReasonCode.PORTFOLIO_CVAR_BREACH,)
    assert verdict.orders[0].passed
    assert verdict.orders[1].passing_share == pytest.approx((0.06 / 0.25 - 0.05) / 0.25, abs=1e-6)


def test_in_breach_before_only_what_makes_it_no_worse_is_approved() -> None:
    worse = judge(proposal([0.30], [0.31]), crashes(0.1))
    better = judge(proposal([0.30], [0.29], net_gain=np.array([-1.0])), crashes(0.1))
    assert worse.weights.tolist() == [0.30]
    assert better.weights.tolist() == [0.29]


def test_reductions_come_first_so_that_no_prefix_breaches() -> None:
    # Selling 0.2 of one name frees the room to buy 0.2 of another; the other order would breach.
    config = small_config(marginal_limit=1.0)
    verdict = judge(proposal([0.20, 0.0], [0.0, 0.20]), crashes(0.1, 0.1), config)
    assert verdict.sequence == (0, 1)
    assert verdict.weights.tolist() == [0.0, 0.20]
    gates = {gate.name: gate for gate in verdict.orders[1].gates}
    assert gates["prefix_cvar"].passed


def test_orders_that_pass_alone_and_breach_together_are_not_all_approved() -> None:
    made = proposal([0.0] * 8, [0.045] * 8)
    verdict = judge(made, crashes(*([0.1] * 8)))
    assert verdict.risk_after.gate <= 0.06
    assert all(gate.passed for gate in verdict.book_gates)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"drawdown": 0.19}, ReasonCode.DRAWDOWN_LIMIT),
        ({"correlations": np.array([0.95])}, ReasonCode.CORRELATION_LIMIT),
        ({"regime": ExecutionRegime.CRISIS}, ReasonCode.EXECUTION_CRISIS_NO_INCREASE),
    ],
)
def test_the_named_checks_stop_an_increase_and_let_a_reduction_go(
    fields: dict[str, Any], code: ReasonCode
) -> None:
    grown = judge(proposal([0.02], [0.05], **fields), crashes(0.1))
    cut = judge(proposal([0.05], [0.02], **fields), crashes(0.1))
    assert grown.weights.tolist() == [0.02]
    assert reasons(grown, "S000") == (code,)
    assert cut.weights.tolist() == [0.02]


def test_leverage_and_sector_stop_what_exceeds_them() -> None:
    thin = crashes(0.001, 0.001)
    config = small_config()
    geared = judge(proposal([0.5, 0.4], [0.8, 0.4]), thin, config)
    assert reasons(geared, "S000") == (ReasonCode.LEVERAGE_LIMIT,)
    assert geared.orders[0].passing_share == pytest.approx(1.0 / 3.0, abs=1e-6)
    tech = judge(proposal([0.2, 0.0], [0.2, 0.1], sectors=("TECH", "TECH")), thin, config)
    assert reasons(tech, "S001") == (ReasonCode.SECTOR_LIMIT,)
    assert tech.orders[0].passing_share == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["before", "after", "net_gain", "correlations", "drawdown"])
def test_nothing_trades_on_a_number_that_is_not_finite(field: str, bad: float) -> None:
    made = proposal([0.02], [0.05])
    value: Any = bad if field == "drawdown" else np.array([bad])
    verdict = judge(dataclasses.replace(made, **{field: value}), crashes(0.1))
    assert verdict.sequence == ()
    assert not verdict.orders[0].passed
    assert ReasonCode.RISK_NOT_FINITE in verdict.orders[0].reason_codes
    assert verdict.orders[0].passing_share == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nothing_trades_on_a_scenario_that_is_not_finite(bad: float) -> None:
    returns = crashes(0.1)
    returns[50, 0] = bad
    verdict = judge(proposal([0.02], [0.01]), returns)
    assert verdict.sequence == ()
    assert not verdict.risk_after.is_finite
    assert not verdict.book_gates[0].passed


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 3.0), st.floats(-1.0, 1e6))
def test_no_expected_return_turns_a_cvar_fail_into_a_pass(
    seed: int, size: float, gain: float
) -> None:
    rng = np.random.default_rng(seed)
    config = small_config()
    returns = returns_of(80, 4, seed)
    before = rng.uniform(0.0, 0.1, 4) * size
    after = np.maximum(before + rng.normal(0.0, 0.05, 4) * size, 0.0)
    scenarios = scenarios_of(returns, config)
    poor = judge(proposal(before, after, net_gain=np.full(4, -1.0)), returns, config)
    rich = judge(proposal(before, after, net_gain=np.full(4, abs(gain))), returns, config)
    for verdict in (poor, rich):
        start = measure_book(before, scenarios, config=config).gate
        final = measure_book(verdict.weights, scenarios, config=config).gate
        assert final <= max(start, 0.06)
        for i in verdict.sequence:
            order = verdict.order(f"S{i:03d}")
            assert order is not None
            assert order.delta_cvar <= config.marginal_limit
            assert all(gate.passed for gate in order.gates)
    cvar_gates = ("cvar", "marginal_cvar", "prefix_cvar")
    for order in rich.orders:
        failed = [gate for gate in order.gates if gate.name in cvar_gates and not gate.passed]
        assert not (failed and order.passed)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_every_prefix_of_the_approved_list_keeps_the_limit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = small_config()
    returns = returns_of(80, 5, seed)
    before = rng.uniform(0.0, 0.2, 5)
    after = rng.uniform(0.0, 0.2, 5)
    verdict = judge(proposal(before, after), returns, config)
    scenarios = scenarios_of(returns, config)
    limit = max(measure_book(before, scenarios, config=config).gate, 0.06)
    weights = before.copy()
    for i in verdict.sequence:
        weights[i] = after[i]
        assert measure_book(weights, scenarios, config=config).gate <= limit
    assert np.array_equal(weights, verdict.weights)
    directions = [after[i] > before[i] for i in verdict.sequence]
    assert directions == sorted(directions)


def test_the_verdict_is_written_one_row_a_gate() -> None:
    verdict = judge(proposal([0.0, 0.01], [0.05, 0.01]), crashes(0.1, 0.1))
    frame = verdict.to_frame()
    assert frame.filter(symbol="*")["gate"].to_list() == [
        "cvar",
        "leverage",
        "drawdown",
        "correlation",
        "sector",
    ]
    assert frame.filter(symbol="S000")["gate"].to_list() == [
        "cvar",
        "marginal_cvar",
        "hurdle",
        "execution",
        "leverage",
        "drawdown",
        "correlation",
        "sector",
        "prefix_cvar",
    ]
    assert frame.filter(symbol="S001").is_empty()
    assert (frame["reason_codes"].list.len() > 0).all()


def test_symbols_in_another_order_are_refused() -> None:
    config = small_config()
    scenarios = scenarios_of(crashes(0.1, 0.1), config).select(("S001", "S000"))
    with pytest.raises(ValueError, match="order"):
        judge_book(proposal([0.0, 0.0], [0.0, 0.0]), scenarios, config=config, limits=LIMITS)
    with pytest.raises(ValueError, match="shape"):
        proposal([0.0], [0.0], net_gain=np.zeros(2))


def three_measures(n_symbols: int, config: CVaRConfig, seed: int = 0) -> ScenarioSet:
    """Current, filtered and stressed scenarios of which any may be the worst."""
    base = scenarios_of(returns_of(120, n_symbols, seed), config)
    rng = np.random.default_rng(seed)
    measures = [base.current]
    for name, rows in ((RiskMeasure.FILTERED, 100), (RiskMeasure.STRESSED, 60)):
        scale = rng.uniform(0.5, 2.5)
        measures.append(
            ScenarioMeasure(
                name=name,
                end_dates=base.current.end_dates[:rows],
                returns=np.maximum(scale * returns_of(rows, n_symbols, seed + rows), -1.0),
                multiplier=1.0,
                reason_codes=(),
            )
        )
    return ScenarioSet(symbols=base.symbols, measures=tuple(measures))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 4.0))
def test_every_measure_of_every_prefix_is_within_the_limit_or_no_worse(
    seed: int, size: float
) -> None:
    config, rng = small_config(marginal_limit=1.0), np.random.default_rng(seed)
    scenarios = three_measures(6, config, seed)
    before = rng.uniform(0.0, 0.1, 6) * size * (rng.random(6) < 0.7)
    after = np.maximum(before + rng.normal(0.0, 0.06, 6) * size, 0.0)
    verdict = judge_book(proposal(before, after), scenarios, config=config, limits=LIMITS)
    limit = max(measure_book(before, scenarios, config=config).gate, 0.06)
    weights = before.copy()
    for i in verdict.sequence:
        weights[i] = after[i]
        risk = measure_book(weights, scenarios, config=config)
        assert all(value <= limit for _, value in risk.measures)
        order = verdict.order(f"S{i:03d}")
        assert order is not None
        assert order.gates[-1].value == pytest.approx(risk.gate, abs=1e-14)
    assert np.array_equal(weights, verdict.weights)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_each_order_is_told_the_cvar_it_adds_to_the_final_book(seed: int) -> None:
    config, rng = small_config(), np.random.default_rng(seed)
    scenarios = three_measures(5, config, seed)
    before, after = rng.uniform(0.0, 0.02, 5), rng.uniform(0.0, 0.02, 5)
    verdict = judge_book(proposal(before, after), scenarios, config=config, limits=LIMITS)
    for i in verdict.sequence:
        change = np.zeros(5)
        change[i] = after[i] - before[i]
        order = verdict.order(f"S{i:03d}")
        assert order is not None
        wanted = delta_cvar(
            scenarios.current.returns, verdict.weights, change, confidence_level=0.95
        )
        assert order.delta_cvar == pytest.approx(wanted, abs=1e-14)


def test_a_measure_that_is_not_the_current_one_stops_an_order_too() -> None:
    config = small_config(marginal_limit=1.0)
    base = scenarios_of(crashes(0.1), config)
    worse = ScenarioMeasure(
        name=RiskMeasure.FILTERED,
        end_dates=base.current.end_dates,
        returns=8.0 * base.current.returns,
        multiplier=1.0,
        reason_codes=(),
    )
    scenarios = ScenarioSet(symbols=base.symbols, measures=(base.current, worse))
    verdict = judge_book(proposal([0.0], [0.10]), scenarios, config=config, limits=LIMITS)
    assert verdict.sequence == ()
    assert reasons(verdict, "S000") == (ReasonCode.PORTFOLIO_CVAR_BREACH,)
    assert verdict.orders[0].passing_share == pytest.approx(0.75, abs=1e-6)


def test_the_order_that_takes_a_prefix_past_the_limit_leaves_and_the_rest_stays() -> None:
    # A buys a hedge of B: together they are safe, but B is bought first and alone breaches.
    config = small_config(marginal_limit=1.0)
    returns = np.zeros((60, 2))
    returns[:3], returns[3:6] = [0.10, -0.10], [-0.02, 0.0]
    made = proposal([0.0, 0.0], [0.5, 0.5], net_gain=np.array([0.5, 0.5]))
    verdict = judge(made, returns, config)
    gates = {order.symbol: order.gates[-1] for order in verdict.orders}
    assert verdict.sequence == (0, 1)
    assert [gates[name].name for name in ("S000", "S001")] == ["prefix_cvar"] * 2
    late = proposal([0.0, 0.0], [0.5, 0.9], net_gain=np.array([0.5, 0.5]))
    refused = judge(late, returns, config)
    order = refused.order("S001")
    assert order is not None
    assert not order.passed
    assert 0.0 < order.passing_share < 1.0


def test_only_the_first_prefix_past_the_limit_costs_an_order_and_the_next_may_stay() -> None:
    # What each loses in the first tail and gains in the second: S001 takes the list past .024,
    # S002 on top of it too, S003 hedges both. Without S001 nothing S002 does is too much.
    returns = np.zeros((60, 4))
    returns[:3], returns[3:6] = [-0.05, -0.20, -0.05, 0.20], [0.12, 0.10, 0.08, -0.53]
    verdict = judge(proposal([0.0] * 4, [0.1] * 4), returns, small_config(marginal_limit=1.0))
    assert verdict.sequence == (0, 2)
    late = verdict.order("S001")
    assert late is not None
    assert late.reason_codes == (ReasonCode.PREFIX_CVAR_BREACH,)
    assert late.gates[-1].value == pytest.approx(2.5 * 0.025)


def test_a_hedge_may_not_be_sold_before_the_one_that_replaces_it_is_bought() -> None:
    # Reductions go first, and between the sale and the purchase S000 would stand without a hedge.
    returns = np.zeros((60, 3))
    returns[:3] = [-0.3, 0.2, 0.2]
    made = proposal([0.1, 0.1, 0.0], [0.1, 0.0, 0.1])
    verdict = judge(made, returns, small_config(marginal_limit=1.0))
    assert verdict.weights.tolist() == [0.1, 0.1, 0.1]
    sale = verdict.order("S001")
    assert sale is not None
    assert sale.reason_codes == (ReasonCode.PREFIX_CVAR_BREACH,)
    # Beside the purchase the whole sale is harmless; more than all of it is not on offer.
    assert 1.0 - 1e-6 < sale.passing_share <= 1.0


def test_a_book_that_gains_in_every_scenario_has_a_negative_cvar_and_its_gate_says_so() -> None:
    config = small_config()
    base = three_measures(2, config)
    measures = [
        dataclasses.replace(measure, returns=0.01 + 0.1 * np.abs(measure.returns))
        for measure in base.measures
    ]
    scenarios = ScenarioSet(symbols=base.symbols, measures=tuple(measures))
    verdict = judge_book(proposal([0.0] * 2, [0.1] * 2), scenarios, config=config, limits=LIMITS)
    assert verdict.sequence == (0, 1)
    last = verdict.orders[verdict.sequence[-1]].gates[-1]
    assert last.value == pytest.approx(verdict.risk_after.gate, abs=1e-15)
    assert last.value is not None
    assert last.value < 0.0


def test_five_hundred_orders_are_judged_well_within_a_second() -> None:
    config, rng = CVaRConfig(), np.random.default_rng(1)
    scenarios = scenarios_of(returns_of(1260, 500), config)
    made = proposal(rng.uniform(0.0, 0.0002, 500), rng.uniform(0.0, 0.0004, 500))
    started = time.process_time()
    verdict = judge_book(made, scenarios, config=config, limits=LIMITS)
    assert time.process_time() - started < 0.5
    assert len(verdict.sequence) == 500
