import dataclasses
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from instgov_dagster.capital.execution import PLAN_SCHEMA, ExecutionPlan, plan_orders
from instgov_dagster.capital.risk import BookProposal, judge_book
from instgov_dagster.capital.trades import draft_trades
from instgov_dagster.vocabulary.audit import OrderSide
from instgov_dagster.vocabulary.capital import ExecutionRegime, OrderStyle
from instgov_dagster.vocabulary.policy.capital import ImpactPolicy, RiskLimits
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.auction.settings import run
from instgov_dagster_tests.capital.test_trades import conditions
from instgov_dagster_tests.capital.worlds import random_instance, small_config

pytestmark = pytest.mark.roadmap("8.4", "TEST.8")
POLICY = ImpactPolicy()


def plan(before: list[float], target: list[float], **fields: Any) -> ExecutionPlan:
    met = conditions(len(before), **fields)
    draft = draft_trades(met, before=np.array(before), target=np.array(target), policy=POLICY)
    traded = [i for i in range(len(before)) if draft.quantity[i] > 0]
    sequence = tuple(sorted(traded, key=lambda i: draft.weight_delta[i]))
    leads = dict.fromkeys(met.symbols, "momentum")
    return plan_orders(draft, met, sequence=sequence, lead_strategies=leads, policy=POLICY)


def test_in_calm_one_passive_order_rests_on_its_own_side_of_the_spread() -> None:
    orders = plan([0.0, 0.05], [0.01, 0.0]).orders
    assert [(o.symbol, o.side) for o in orders] == [
        ("S001", OrderSide.SELL),
        ("S000", OrderSide.BUY),
    ]
    assert {o.style for o in orders} == {OrderStyle.PASSIVE_LIMIT}
    # Half of 4 bps on 100 is 0.02: the seller asks above the mid, the buyer bids below it.
    assert [o.limit_price for o in orders] == pytest.approx([100.02, 99.98])
    assert orders[0].reason_codes == (ReasonCode.EXECUTION_PASSIVE, ReasonCode.IMPACT_ESTIMATED)


@pytest.mark.roadmap("8.5")
def test_in_a_volatile_market_slices_add_up_and_each_costs_a_tenth_more() -> None:
    found = plan([0.0], [0.01], regime=ExecutionRegime.VOLATILE)
    orders = found.orders
    assert [o.slice_index for o in orders] == [0, 1, 2, 3]
    assert sum(o.quantity for o in orders) == Decimal(1000)
    assert [o.release_after_seconds for o in orders] == [0.0, 900.0, 1800.0, 2700.0]
    costs = [o.impact.total_cost_bps for o in orders]
    assert [c / costs[0] for c in costs] == pytest.approx([1.0, 1.1, 1.2, 1.3])
    assert orders[0].limit_price == pytest.approx(100.02)  # a slice crosses the spread
    assert found.due == orders[:1]
    assert orders[0].style is OrderStyle.SLICED


def test_the_first_slices_of_all_come_before_the_second_of_any_reductions_first() -> None:
    orders = plan([0.0, 0.05], [0.02, 0.0], regime=ExecutionRegime.VOLATILE).orders
    assert [o.sequence for o in orders] == list(range(8))
    assert [o.symbol for o in orders[:4]] == ["S001", "S000", "S001", "S000"]


def test_a_small_trade_is_not_cut_into_orders_below_the_minimum() -> None:
    orders = plan([0.0], [0.00005], regime=ExecutionRegime.VOLATILE).orders  # 500 USD
    assert [float(o.quantity) * 100.0 for o in orders] == pytest.approx([250.0, 250.0])


@pytest.mark.roadmap("0.9")
@pytest.mark.parametrize("field", ["volatility_annual", "spread_bps"])
def test_without_an_impact_estimate_there_is_no_order(field: str) -> None:
    found = plan([0.0, 0.0], [0.01, 0.01], **{field: np.array([np.nan, 0.2])})
    assert [o.symbol for o in found.orders] == ["S001"]
    assert found.refused == (("S000", (ReasonCode.NO_IMPACT_ESTIMATE,)),)


def test_an_approval_of_nothing_is_refused() -> None:
    met = conditions(1)
    draft = draft_trades(met, before=np.zeros(1), target=np.zeros(1), policy=POLICY)
    with pytest.raises(ValueError, match="S000"):
        plan_orders(draft, met, sequence=(0,), lead_strategies={"S000": "m"}, policy=POLICY)
    with pytest.raises(ValueError, match="symbols"):
        plan_orders(draft, conditions(2), sequence=(), lead_strategies={}, policy=POLICY)


def test_the_plan_is_written_one_row_an_order() -> None:
    found = plan([0.0, 0.05], [0.01, 0.0])
    frame = found.to_frame()
    assert frame.schema == PLAN_SCHEMA
    assert frame["quantity"].to_list() == [Decimal("5000.00000000"), Decimal("1000.00000000")]
    assert frame["weight_delta"].to_list() == pytest.approx([-0.05, 0.01])
    assert plan([0.0], [0.0]).to_frame().schema == PLAN_SCHEMA


@pytest.mark.roadmap("4.4", "0.5", "0.9")
@pytest.mark.parametrize("regime", list(ExecutionRegime))
@pytest.mark.parametrize("seed", [0, 1])
def test_from_auction_to_orders_every_order_is_priced_approved_and_within_its_grant(
    seed: int, regime: ExecutionRegime
) -> None:
    config = small_config()
    instance = random_instance(seed, n_symbols=10, n_scenarios=150, is_holding=True, config=config)
    result, symbols = run(instance), instance.symbols
    before, target = result.net_held(symbols), result.net(symbols)
    met = conditions(10, adv_usd=np.full(10, 1e9), regime=regime)
    draft = draft_trades(met, before=before, target=target, policy=POLICY)
    verdict = judge_book(
        BookProposal(
            symbols=symbols,
            before=before,
            after=draft.after(before),
            net_gain=result.net_gain(symbols) * draft.share,
            correlations=np.zeros(10),
            sectors=("UNKNOWN",) * 10,
            is_forced=np.ones(10, dtype=bool),
            drawdown=0.0,
            hurdle=instance.hurdle,
            regime=regime,
        ),
        instance.scenarios,
        config=config,
        limits=RiskLimits(),
    )
    leads = {symbol: result.lead_strategy(symbol) for symbol in symbols}
    found = plan_orders(draft, met, sequence=verdict.sequence, lead_strategies=leads, policy=POLICY)
    assert found.refused == ()
    moved = before.copy()
    for order in found.orders:
        moved[symbols.index(order.symbol)] += order.weight_delta
        assert order.impact.total_cost_bps > 0.0
        if regime is ExecutionRegime.CRISIS:
            assert order.side is OrderSide.SELL
    assert moved == pytest.approx(verdict.weights, abs=1e-12)
    assert verdict.risk_after.gate <= config.portfolio_limit
    overshoot = np.abs(moved - before) - np.abs(target - before)
    assert overshoot.max() <= 1e-12
    if regime is ExecutionRegime.CALM:
        assert len(found.orders) == len(verdict.orders) > 0
    assert dataclasses.is_dataclass(found)
