import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.result import AuctionResult
from instgov_dagster.capital.auction.run import recheck
from instgov_dagster.capital.auction.solver import AuctionSolution, unsolved
from instgov_dagster.capital.cvar import cvar
from instgov_dagster.vocabulary.capital import AuctionStatus
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.policy.capital import AuctionPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.auction.properties.oddities import with_returns
from instgov_dagster_tests.capital.auction.settings import free_bid, many, one, run
from instgov_dagster_tests.capital.worlds import random_instance, small_config

pytestmark = pytest.mark.roadmap("4.3", "4.4", "TEST.4")


class Rogue:
    """A solver from outside that answers what it was told to, whatever is asked."""

    def __init__(self, weights: NDArray[np.float64] | None) -> None:
        self.weights = weights
        self.calls = 0

    def restart(self) -> None:
        pass

    def solve(self, instance: AuctionInstance) -> AuctionSolution:
        self.calls += 1
        if self.weights is None:
            return unsolved("infeasible")
        return AuctionSolution(
            is_solved=True,
            weights=self.weights,
            tail_weights=tuple(np.zeros(tail.returns.shape[0]) for tail in instance.tails),
            group_prices=np.zeros(len(instance.groups)),
            lambda_star=0.1,
            message="optimal",
        )


def small(seed: int = 0, **fields: object) -> AuctionInstance:
    config = small_config()
    made = {"n_symbols": 8, "n_scenarios": 130, "is_holding": True, "config": config, **fields}
    return random_instance(seed, **made)  # type: ignore[arg-type]


def test_at_or_above_the_best_ratio_the_auction_clears_to_cash() -> None:
    cleared = run(one(0.1, policy=AuctionPolicy(hurdle=0.05)))
    assert cleared.status is AuctionStatus.OPTIMAL
    assert cleared.lambda_star == pytest.approx(0.04)  # 40 bps on a CVaR of 10 %
    assert cleared.weights.tolist() == [0.0]
    assert ReasonCode.AUCTION_CLEARED_TO_CASH in cleared.reason_codes
    loser = cleared.outputs[0]
    assert loser.reason_codes == (ReasonCode.PRICED_OUT,)
    assert loser.priced_out_bps == pytest.approx(10.0)  # 0.05 * 0.1 - 0.004


@pytest.mark.roadmap("DOC.4")
def test_the_example_of_three_assets_in_the_docs_is_what_the_auction_does() -> None:
    rows = [free_bid("S000", mu=0.0040), free_bid("S001", mu=0.0030), free_bid("S002", mu=0.0006)]
    returns = np.zeros((60, 3))
    returns[:3] = (-0.1, 0.0, -0.05)
    returns[3:6] = (0.0, -0.1, 0.0)
    instance = with_returns(many(rows, (0.1, 0.1, 0.05)), returns)
    result = run(instance)
    assert result.weights == pytest.approx([0.0475, 0.0475, 0.0], abs=1e-8)
    net = instance.net(result.weights)
    assert cvar(-returns @ net, confidence_level=0.95) == pytest.approx(0.00475, abs=1e-9)
    proof = result.certificate
    assert proof is not None
    assert proof.objective == pytest.approx(0.0002375, abs=1e-8)
    assert proof.upper_bound == pytest.approx(0.0025 * 0.095, abs=1e-8)
    assert proof.gap <= 1e-9
    shares = dict(proof.tails[0])
    assert sum(shares.get(s, 0.0) for s in range(3)) == pytest.approx(0.015, abs=1e-5)
    assert sum(shares.get(s, 0.0) for s in range(3, 6)) == pytest.approx(0.005, abs=1e-5)
    (price,) = result.prices
    assert (price.code, price.key) == (ReasonCode.STAGE_CAP_BINDS, "momentum")
    assert price.price == pytest.approx(0.0025, abs=1e-6)
    loser = result.bids.row(2, named=True)
    assert loser["reason_codes"] == ["PRICED_OUT"]
    assert loser["priced_out_bps"] == pytest.approx(29.0, abs=0.01)
    assert loser["tail_charge_bps"] == pytest.approx(10.0, abs=0.01)
    assert loser["cap_charge_bps"] == pytest.approx(25.0, abs=0.01)
    assert result.lambda_star == pytest.approx(0.07, rel=1e-4)


def test_just_below_the_best_ratio_capital_is_granted() -> None:
    granted = run(one(0.1, policy=AuctionPolicy(hurdle=0.0399)))
    assert granted.weights[0] > 0.0
    assert ReasonCode.AUCTION_CLEARED_TO_CASH not in granted.reason_codes


def test_the_best_ratio_counts_diversification() -> None:
    # Two symbols that never fall together: half and half has half the tail of either.
    config = small_config()
    instance = many([free_bid("S000"), free_bid("S001")], (0.1, 0.1), config=config)
    returns = instance.scenarios.current.returns.copy()
    returns[:, 1] = np.roll(returns[:, 1], 10)
    apart = dataclasses.replace(instance, scenarios=_with_returns(instance, returns))
    assert run(apart).lambda_star == pytest.approx(0.004 / (0.05), rel=1e-4)


def _with_returns(instance: AuctionInstance, returns: NDArray[np.float64]) -> object:
    measures = tuple(
        dataclasses.replace(measure, returns=returns) for measure in instance.scenarios.measures
    )
    return dataclasses.replace(instance.scenarios, measures=measures)


@pytest.mark.parametrize("mu", [0.0011, 0.0020, 0.0029])
def test_a_drifted_holding_is_left_alone_inside_the_costs(mu: float) -> None:
    # The tail costs 0.002 a unit and half the spread 0.001: between them no trade pays.
    instance = one(
        0.1, fields={"mu": mu, "liquidity_cost_bps": 10.0}, held=np.array([0.0312345678912345])
    )
    result = run(instance)
    assert result.weights.tolist() == [0.0312345678912345]
    assert result.outputs[0].decision == "HOLD"
    assert result.outputs[0].liquidity_cost == 0.0


@pytest.mark.parametrize(("mu", "weight"), [(0.0009, 0.0), (0.0031, 0.05)])
def test_outside_the_costs_the_holding_moves(mu: float, weight: float) -> None:
    fields = {"mu": mu, "liquidity_cost_bps": 10.0}
    result = run(one(0.1, fields=fields, held=np.array([0.03])))
    assert result.weights[0] == pytest.approx(weight)


@pytest.mark.roadmap("8.5")
def test_larger_trades_pay_more_impact_a_unit() -> None:
    fields = {"market_impact_bps": 20.0, "mu": 0.0045}
    result = run(one(0.1, fields=fields))
    # Marginal impact 1.5 k sqrt(t) with k = 0.002 / 0.1 meets 25 bps at t = (1/12)^2.
    assert result.weights[0] == pytest.approx((0.0025 / (1.5 * 0.02)) ** 2, rel=0.25)
    again = run(one(0.1, fields=fields, traded_usd={"S000": 100_000.0}))
    assert again.weights[0] < result.weights[0]


def test_every_bid_is_answered_and_the_parts_sum_to_the_whole() -> None:
    instance = small(3)
    result = run(instance)
    assert len(result.outputs) == len(instance.bid_ids)
    assert sorted(output.rank for output in result.outputs) == list(range(1, 17))
    net = instance.net(result.weights)
    risk = cvar(-instance.scenarios.current.returns @ net, confidence_level=0.95)
    parts = sum(output.cvar_contribution for output in result.outputs)
    assert parts == pytest.approx(risk, abs=1e-14)
    assert all(output.reason_codes for output in result.outputs)


@pytest.mark.parametrize("seed", range(4))
def test_the_answer_is_certified_and_the_certificate_can_be_checked_again(seed: int) -> None:
    instance = small(seed)
    result = run(instance)
    assert result.status is AuctionStatus.OPTIMAL
    assert result.certificate is not None
    assert abs(result.certificate.gap) <= 1e-7
    assert recheck(instance, AuctionResult.from_frame(result.to_frame())) == pytest.approx(
        result.certificate.gap, abs=1e-15
    )


def test_a_forged_result_fails_its_recheck() -> None:
    instance = small(1)
    result = run(instance)
    forged = dataclasses.replace(
        result, bids=result.bids.with_columns((result.bids["weight"] + 0.5).alias("weight"))
    )
    with pytest.raises(ValueError, match="keep every limit"):
        recheck(instance, forged)
    worse = result.bids.with_columns((result.bids["weight"] * 0.5).alias("weight"))
    assert recheck(instance, dataclasses.replace(result, bids=worse)) > 1e-7


def test_a_stored_result_is_read_back_bit_equal() -> None:
    result = run(small(2))
    again = AuctionResult.from_frame(result.to_frame())
    assert again.bids.equals(result.bids)
    for field in dataclasses.fields(AuctionResult):
        if field.name != "bids":
            assert getattr(again, field.name) == getattr(result, field.name)
    assert again.outputs == result.outputs


def test_the_order_of_the_bids_changes_nothing() -> None:
    rows = [free_bid(f"S{i:03d}", name) for i in range(4) for name in ("a", "b")]
    losses = (0.1, 0.1, 0.1, 0.1)  # all alike: only the tie rule can choose
    forward = run(many(rows, losses))
    backward = run(many(rows[::-1], losses))
    assert np.array_equal(forward.weights, backward.weights[::-1])


@pytest.mark.parametrize("seed", range(3))
def test_a_hot_solver_answers_as_a_cold_one(seed: int) -> None:
    hot = HotSolver()
    base = small(seed)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        moved = dataclasses.replace(
            base, values=base.values + 2e-4 * rng.standard_normal(base.values.size)
        )
        warm = run(moved, solver=hot)
        cold = run(moved, solver=HotSolver())
        assert np.array_equal(warm.weights, cold.weights)
        assert warm.lambda_star == pytest.approx(cold.lambda_star, rel=1e-9)


def test_a_solver_kept_hot_notices_new_scenarios() -> None:
    hot = HotSolver()
    calm, wild = one(0.1), one(0.3)
    assert run(calm, solver=hot).weights[0] == 0.05
    assert run(wild, solver=hot).weights[0] == 0.0
    assert run(calm, solver=hot).weights[0] == 0.05


@pytest.mark.roadmap("0.3")
def test_no_bid_gets_capital_by_default() -> None:
    result = run(one(0.1, fields={"mu": 0.0}))
    assert result.weights.tolist() == [0.0]
    assert result.outputs[0].reason_codes[0] is ReasonCode.MU_NOT_POSITIVE


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_scenario_that_is_not_finite_stops_the_auction_before_the_solver(bad: float) -> None:
    instance = one(0.1, held=np.array([0.02]))
    returns = instance.scenarios.current.returns.copy()
    returns[40, 0] = bad
    broken = dataclasses.replace(instance, scenarios=_with_returns(instance, returns))
    rogue = Rogue(np.array([0.05]))
    result = run(broken, solver=rogue)
    assert rogue.calls == 0
    assert result.status is AuctionStatus.NO_TRADE
    assert ReasonCode.RISK_NOT_FINITE in result.reason_codes
    assert result.weights.tolist() == [0.02]
    assert ReasonCode.RISK_NOT_FINITE in result.outputs[0].reason_codes


@pytest.mark.parametrize(
    "field", ["values", "caps", "group_caps", "half_spread", "impact", "traded", "buy_limits"]
)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bid_that_is_not_finite_stops_the_auction_before_the_solver(
    field: str, bad: float
) -> None:
    instance = one(0.1, held=np.array([0.02]))
    array = getattr(instance, field).copy()
    array[0] = bad
    rogue = Rogue(np.array([0.05]))
    result = run(dataclasses.replace(instance, **{field: array}), solver=rogue)
    assert rogue.calls == 0
    assert result.weights.tolist() == [0.02]
    assert ReasonCode.BID_NOT_FINITE in result.reason_codes


@pytest.mark.parametrize("bad", [math.nan, -0.5])
def test_a_book_that_is_not_known_halts(bad: float) -> None:
    with pytest.raises(SystemHalt, match="RISK_NOT_FINITE"):
        run(dataclasses.replace(one(0.1), held=np.array([bad])))


def test_an_auction_that_forbids_even_cash_halts() -> None:
    with pytest.raises(SystemHalt) as halted:
        run(dataclasses.replace(one(0.1), caps=np.array([-0.01])))
    assert halted.value.reason_code is ReasonCode.AUCTION_INFEASIBLE


@pytest.mark.parametrize(
    "answer",
    [
        None,
        np.array([math.nan]),
        np.array([0.06]),
        np.array([-0.01]),
        np.zeros(3),
        np.array([0.03]),
    ],
)
def test_a_solver_that_fails_or_lies_moves_nothing(answer: NDArray[np.float64] | None) -> None:
    result = run(one(0.1, held=np.array([0.02])), solver=Rogue(answer))
    assert result.status is AuctionStatus.NO_TRADE
    assert result.weights.tolist() == [0.02]
    assert result.certificate is None
    assert result.reason_codes[0] is ReasonCode.AUCTION_NO_TRADE


@pytest.mark.parametrize(
    ("previous", "budget", "weight"), [(0.04, 1.0, 0.04), (0.08, 1.0, 0.05), (0.04, 0.02, 0.02)]
)
def test_when_the_auction_fails_the_last_target_is_kept_scaled_into_its_limits(
    previous: float, budget: float, weight: float
) -> None:
    result = run(
        one(0.1, held=np.array([0.03]), budget=budget),
        solver=Rogue(None),
        previous=np.array([previous]),
    )
    assert result.status is AuctionStatus.PREVIOUS_SCALED
    assert result.weights[0] == pytest.approx(weight, abs=1e-7)


@pytest.mark.parametrize("previous", [np.array([math.nan]), np.array([-0.1]), np.zeros(2)])
def test_a_last_target_that_makes_no_sense_is_not_kept(previous: NDArray[np.float64]) -> None:
    result = run(one(0.1, held=np.array([0.03])), solver=Rogue(None), previous=previous)
    assert result.status is AuctionStatus.NO_TRADE


def test_a_feasible_answer_with_a_small_gap_is_called_suboptimal() -> None:
    policy = AuctionPolicy(gap_tolerance=1e-7, suboptimal_gap=1e-2)
    result = run(one(0.1, policy=policy), solver=Rogue(np.array([0.03])))
    assert result.status is AuctionStatus.CERTIFIED_SUBOPTIMAL
    assert result.weights[0] == pytest.approx(0.03)


def test_an_auction_without_bids_is_an_answer_without_bids() -> None:
    result = run(many([], ()))
    assert result.status is AuctionStatus.OPTIMAL
    assert result.outputs == ()
    with pytest.raises(ValueError, match="without bids"):
        result.to_frame()


def test_what_strategies_pass_to_each_other_needs_no_order() -> None:
    rows = [free_bid("S000", "a", mu=0.0), free_bid("S000", "b", mu=0.01)]
    instance = many(rows, (0.1,), held=np.array([0.05, 0.0]))
    result = run(instance)
    assert result.net(("S000",)) == pytest.approx([0.05])
    assert result.transfers("S000") == (("a", "b", pytest.approx(0.05)),)
    assert result.shares("S000") == ()
    assert result.lead_strategy("S000") == "b"
    assert result.net_gain(("S000", "ELSE")) == pytest.approx([0.0005, 0.0], abs=1e-6)


def test_the_shares_of_a_net_purchase_belong_to_its_buyers() -> None:
    rows = [free_bid("S000", "a"), free_bid("S000", "b")]
    result = run(many(rows, (0.1,)))
    shares = dict(result.shares("S000"))
    assert sum(shares.values()) == pytest.approx(1.0)
    assert all(share > 0.0 for share in shares.values())
    assert result.transfers("S000") == ()
