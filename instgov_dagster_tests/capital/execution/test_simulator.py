"""A market on paper: slices by hand, what never happens, and the plan beside what it met."""

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.capital.execution.plan import plan_orders
from instgov_dagster.capital.execution.simulator import (
    QuotePath,
    SliceMarket,
    SliceOutcome,
    path_of_bar,
    simulate_slices,
)
from instgov_dagster.capital.trades import draft_trades
from instgov_dagster.vocabulary.audit import OrderSide
from instgov_dagster.vocabulary.capital import ExecutionRegime, PlannedOrder
from instgov_dagster.vocabulary.policy.capital import ImpactPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.test_trades import conditions

pytestmark = pytest.mark.roadmap("8.4", "8.5", "TEST.8")
POLICY = ImpactPolicy()
SESSION = 6.5 * 3600.0


def flat(n: int = 27, price: float = 100.0, half_bps: float = 2.0) -> QuotePath:
    """A quarter of an hour a quote, the price stands."""
    reach = price * half_bps / 1e4
    return QuotePath(
        seconds=900.0 * np.arange(n),
        bid=np.full(n, price - reach),
        ask=np.full(n, price + reach),
        bar_low=price,
        bar_high=price,
    )


def market(**fields: Any) -> SliceMarket:
    base: dict[str, Any] = {
        "adv_usd": 1e8,
        "volatility_annual": 0.2,
        "regime": ExecutionRegime.VOLATILE,
        "held": Decimal(5000),
        "traded": Decimal(0),
    }
    return SliceMarket(**(base | fields))


def planned(
    before: float, target: float, regime: ExecutionRegime = ExecutionRegime.VOLATILE
) -> tuple[PlannedOrder, ...]:
    """The plan's own slices for one symbol at 100, of ten million dollars."""
    met = conditions(1, regime=regime)
    draft = draft_trades(met, before=np.array([before]), target=np.array([target]), policy=POLICY)
    return plan_orders(
        draft, met, sequence=(0,), lead_strategies={"S000": "momentum"}, policy=POLICY
    ).orders


def impact_bps(outcome: SliceOutcome) -> float:
    assert outcome.impact is not None
    return outcome.impact.temporary_impact_bps + outcome.impact.permanent_impact_bps


def test_slices_fill_a_quarter_of_an_hour_apart_and_the_market_recovers_between_by_hand() -> None:
    outcomes = simulate_slices(planned(0.0, 0.01), flat(), market(), policy=POLICY)
    assert [o.at_seconds for o in outcomes] == [0.0, 900.0, 1800.0, 2700.0]
    assert [o.filled for o in outcomes] == [Decimal(250)] * 4
    assert {o.price for o in outcomes} == {Decimal("100.02")}
    # A quarter of an hour is a quarter of the half-life: what is left of a slice is 2^-0.25.
    left = 2.0**-0.25
    depleted = [0.0, left, left + left**2, left + left**2 + left**3]
    first = impact_bps(outcomes[0])
    assert [impact_bps(o) / first for o in outcomes] == pytest.approx(
        [1.0 + 0.1 * d for d in depleted], rel=1e-9
    )
    # 0.2 * sqrt(25005 / 1e8) * 0.1 * 1e4 * 1.5 of the regime, and half of it again.
    assert first == pytest.approx(0.2 * math.sqrt(25_005 / 1e8) * 1e3 * 1.5 * 1.5)
    assert float(outcomes[0].cost_usd) == pytest.approx(25_005 * first / 1e4, abs=1e-6)
    assert outcomes[0].cash_usd == -Decimal(25005) - outcomes[0].cost_usd


def test_slices_that_follow_at_once_cost_what_the_plan_said_each_a_tenth_more() -> None:
    slices = planned(0.0, 0.01)
    at_once = QuotePath(
        seconds=2700.0 + np.array([0.0, 1e-6]),
        bid=np.array([99.98, 99.98]),
        ask=np.array([100.02, 100.02]),
        bar_low=100.0,
        bar_high=100.0,
    )
    outcomes = simulate_slices(slices, at_once, market(), policy=POLICY)
    costs = [impact_bps(o) for o in outcomes]
    assert [c / costs[0] for c in costs] == pytest.approx([1.0, 1.1, 1.2, 1.3])


def test_a_passive_order_waits_and_trades_at_its_limit_or_not_at_all() -> None:
    (order,) = planned(0.0, 0.01, ExecutionRegime.CALM)
    assert order.limit_price == pytest.approx(99.98)
    calm = market(regime=ExecutionRegime.CALM)
    (missed,) = simulate_slices([order], flat(), calm, policy=POLICY)
    assert missed.filled == 0
    assert missed.reason_codes == (ReasonCode.ORDER_CANCELLED,)
    assert missed.cash_usd == 0
    falling = path_of_bar(
        (100.0, 101.0, 99.0, 99.5), half_spread_bps=2.0, session_seconds=SESSION, n_quotes=27
    )
    (found,) = simulate_slices([order], falling, calm, policy=POLICY)
    assert found.price == Decimal("99.98")
    assert not found.is_aggressive
    assert found.reason_codes == (ReasonCode.ORDER_FILLED,)
    assert found.at_seconds is not None
    assert found.at_seconds > 0.0


def test_a_session_fills_no_more_than_its_share_of_volume() -> None:
    slices = planned(0.0, 0.01)  # four of 25 000 dollars
    thin = market(adv_usd=600_120.0)  # a tenth is 600 units at 100.02
    outcomes = simulate_slices(slices, flat(), thin, policy=POLICY)
    assert [o.filled for o in outcomes] == [Decimal(250), Decimal(250), Decimal(100), Decimal(0)]
    assert outcomes[2].reason_codes == (
        ReasonCode.ORDER_PARTIALLY_FILLED,
        ReasonCode.PARTICIPATION,
    )
    assert outcomes[3].reason_codes == (ReasonCode.PARTICIPATION,)
    earlier = market(adv_usd=600_120.0, traded=Decimal(550))
    assert simulate_slices(slices, flat(), earlier, policy=POLICY)[0].filled == Decimal(50)


def test_in_a_crisis_nothing_is_bought_and_a_sale_takes_a_twentieth_of_volume() -> None:
    crisis = market(regime=ExecutionRegime.CRISIS, adv_usd=599_880.0)  # 300 units at 99.98
    bought = simulate_slices(planned(0.0, 0.01), flat(), crisis, policy=POLICY)
    assert {o.reason_codes for o in bought} == {(ReasonCode.EXECUTION_CRISIS_NO_INCREASE,)}
    sold = simulate_slices(
        planned(0.01, 0.0, ExecutionRegime.CRISIS), flat(), crisis, policy=POLICY
    )
    assert [o.filled for o in sold] == [Decimal(250), Decimal(50), Decimal(0), Decimal(0)]
    assert sold[0].price == Decimal("99.98")


def test_nobody_sells_what_is_not_held() -> None:
    slices = planned(0.01, 0.0)
    outcomes = simulate_slices(slices, flat(), market(held=Decimal(300)), policy=POLICY)
    assert [o.filled for o in outcomes] == [Decimal(250), Decimal(50), Decimal(0), Decimal(0)]
    assert outcomes[1].reason_codes[-1] is ReasonCode.BROKER_NO_POSITION
    assert outcomes[2].reason_codes == (ReasonCode.BROKER_NO_POSITION,)


@pytest.mark.roadmap("0.9")
@pytest.mark.parametrize("field", ["adv_usd", "volatility_annual"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_without_volume_or_volatility_nothing_fills(field: str, bad: float) -> None:
    outcomes = simulate_slices(planned(0.0, 0.01), flat(), market(**{field: bad}), policy=POLICY)
    assert {o.reason_codes for o in outcomes} == {(ReasonCode.NO_IMPACT_ESTIMATE,)}


@pytest.mark.parametrize("bad", [math.nan, 0.0, 200.0])
def test_a_quote_that_cannot_be_believed_is_passed_over(bad: float) -> None:
    path = flat()
    path.bid[0] = bad
    outcomes = simulate_slices(planned(0.0, 0.01), path, market(), policy=POLICY)
    assert [o.at_seconds for o in outcomes] == [900.0, 900.0, 1800.0, 2700.0]


def test_slices_of_two_sides_are_refused_and_none_is_nothing() -> None:
    with pytest.raises(ValueError, match="one side"):
        simulate_slices(planned(0.0, 0.01) + planned(0.01, 0.0), flat(), market(), policy=POLICY)
    assert simulate_slices((), flat(), market(), policy=POLICY) == ()


def test_a_bar_is_walked_from_open_to_close_by_its_nearer_story() -> None:
    rising = path_of_bar(
        (100.0, 104.0, 99.0, 103.0), half_spread_bps=1.0, session_seconds=90.0, n_quotes=4
    )
    assert ((rising.bid + rising.ask) / 2.0).tolist() == pytest.approx([100.0, 99.0, 104.0, 103.0])
    assert rising.seconds.tolist() == pytest.approx([0.0, 30.0, 60.0, 90.0])
    falling = path_of_bar(
        (100.0, 104.0, 99.0, 99.5), half_spread_bps=1.0, session_seconds=90.0, n_quotes=4
    )
    assert ((falling.bid + falling.ask) / 2.0)[1] == pytest.approx(104.0)


@pytest.mark.parametrize(
    "prices", [(1.0, 0.5, 0.4, 0.45), (1.0, 2.0, 1.5, 1.8), (1.0, 2.0, 0.0, 1.0), (math.nan,) * 4]
)
def test_what_is_no_bar_is_refused(prices: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="one bar"):
        path_of_bar(prices, half_spread_bps=1.0, session_seconds=90.0, n_quotes=4)


def test_a_path_that_runs_backwards_or_has_holes_in_its_shape_is_refused() -> None:
    ones = np.ones(2)
    with pytest.raises(ValueError, match="rise"):
        QuotePath(seconds=np.array([1.0, 1.0]), bid=ones, ask=ones, bar_low=1.0, bar_high=1.0)
    with pytest.raises(ValueError, match="one bid"):
        QuotePath(seconds=np.zeros(1), bid=ones, ask=ones, bar_low=1.0, bar_high=1.0)


@given(
    steps=st.tuples(*[st.floats(-0.05, 0.05)] * 3),
    half_bps=st.floats(0.0, 30.0),
    target=st.floats(0.0, 0.05),
    held=st.floats(0.0, 0.05),
    adv=st.floats(1e5, 1e10),
    regime=st.sampled_from(list(ExecutionRegime)),
)
def test_whatever_the_day_fills_stay_in_the_bar_in_volume_and_in_what_was_asked(
    steps: tuple[float, float, float],
    half_bps: float,
    target: float,
    held: float,
    adv: float,
    regime: ExecutionRegime,
) -> None:
    corners = [100.0, *(100.0 * math.exp(step) for step in steps)]
    bar = (corners[0], max(corners), min(corners), corners[-1])
    path = path_of_bar(bar, half_spread_bps=half_bps, session_seconds=SESSION, n_quotes=30)
    met = conditions(1, regime=regime, adv_usd=np.array([adv]))
    draft = draft_trades(met, before=np.array([held]), target=np.array([target]), policy=POLICY)
    if draft.quantity[0] == 0:
        return
    slices = plan_orders(
        draft, met, sequence=(0,), lead_strategies={"S000": "m"}, policy=POLICY
    ).orders
    assert sum(order.quantity for order in slices) == draft.quantity[0]
    units = Decimal(repr(held * 1e5)).quantize(Decimal("1e-8"))
    found = simulate_slices(
        slices, path, market(adv_usd=adv, regime=regime, held=units), policy=POLICY
    )
    reach = half_bps / 1e4
    for outcome in found:
        assert Decimal(0) <= outcome.filled <= outcome.order.quantity
        assert outcome.cost_usd >= 0
        if outcome.price is None:
            continue
        assert bar[2] * (1 - reach) - 1e-7 <= float(outcome.price) <= bar[1] * (1 + reach) + 1e-7
        assert outcome.impact is not None
        assert outcome.impact.total_cost_bps > 0.0
    share = 0.05 if regime is ExecutionRegime.CRISIS else 0.10
    traded = sum(float(o.filled * o.price) for o in found if o.price is not None)
    least = min((float(o.price) for o in found if o.price is not None), default=1.0)
    most = max((float(o.price) for o in found if o.price is not None), default=1.0)
    assert traded <= share * adv * most / least * (1 + 1e-9)
    if regime is ExecutionRegime.CRISIS and slices[0].side is OrderSide.BUY:
        assert all(o.filled == 0 for o in found)
