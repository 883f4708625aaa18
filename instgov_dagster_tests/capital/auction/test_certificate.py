import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.capital.auction.certificate import (
    Violation,
    check_weights,
    marginal_costs,
    objective_value,
    repair_tail,
    scale_into_limits,
    trading_costs,
    upper_bound,
)
from instgov_dagster.capital.auction.instance import AuctionInstance, chord_grid
from instgov_dagster.vocabulary.policy.capital import AuctionPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.auction.settings import SOLVER, free_bid, many, one
from instgov_dagster_tests.capital.worlds import random_instance, small_config

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")


def small(seed: int) -> AuctionInstance:
    return random_instance(
        seed, n_symbols=5, n_scenarios=80, is_holding=True, config=small_config()
    )


def feasible(instance: AuctionInstance, rng: np.random.Generator) -> np.ndarray:
    """Any weights that keep every limit: a random book, scaled down until it does."""
    weights = rng.uniform(0.0, 0.02, instance.held.size)
    while check_weights(instance, weights):
        weights = weights * 0.7
        if weights.max() < 1e-9:
            return np.zeros(instance.held.size)
    return weights


@pytest.mark.parametrize("seed", range(5))
@settings(max_examples=12)
@given(st.integers(0, 2**31))
def test_no_feasible_weights_are_worth_more_than_any_duals_bound(seed: int, draw: int) -> None:
    instance = small(seed)
    rng = np.random.default_rng(draw)
    tails = tuple(
        rng.exponential(0.01, tail.returns.shape[0]) * (rng.random(tail.returns.shape[0]) < 0.2)
        for tail in instance.tails
    )
    prices = rng.exponential(0.002, len(instance.groups)) * (rng.random(len(instance.groups)) < 0.5)
    bound = upper_bound(instance, tails, prices)
    assert objective_value(instance, feasible(instance, rng)) <= bound + 1e-15


@pytest.mark.parametrize("seed", range(3))
def test_the_solvers_duals_prove_its_weights_best(seed: int) -> None:
    instance = small(seed)
    solution = SOLVER.solve(instance)
    bound = upper_bound(instance, solution.tail_weights, solution.group_prices)
    value = objective_value(instance, np.clip(solution.weights, 0.0, instance.caps))
    assert abs(bound - value) <= 1e-9
    nudged = solution.group_prices * 1.1 + 1e-5
    assert upper_bound(instance, solution.tail_weights, nudged) > value


@settings(max_examples=30)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=40, max_size=40),
    st.sampled_from([0.0, 0.02, 1.0]),
)
def test_any_numbers_are_repaired_into_tail_weights(raw: list[float], hurdle: float) -> None:
    instance = one(0.1)
    tail = dataclasses.replace(instance.tails[0], hurdle=hurdle)
    numbers = np.clip(np.nan_to_num(np.array(raw + [0.0] * 20), posinf=1e3, neginf=-1e3), -1e3, 1e3)
    share = repair_tail(numbers, tail, confidence_level=0.95)
    total = share.sum()
    assert (share >= 0.0).all()
    assert total >= hurdle * (1 - 1e-12)
    assert share.max() <= total / 3.0 * (1 + 1e-9)


def test_weight_above_the_tails_mass_is_spread_over_the_rest() -> None:
    raw = np.zeros(60)
    raw[5] = 0.06  # m is 3, so no scenario may weigh more than .02
    share = repair_tail(raw, one(0.1).tails[0], confidence_level=0.95)
    assert share[5] == pytest.approx(0.02, abs=1e-15)
    assert np.delete(share, 5) == pytest.approx([0.04 / 59] * 59, abs=1e-15)


def test_weight_that_is_missing_goes_where_weight_is() -> None:
    raw = np.zeros(60)
    raw[:4] = 0.001  # in sum .004 of a hurdle of .02
    share = repair_tail(raw, one(0.1).tails[0], confidence_level=0.95)
    assert share[:4] == pytest.approx([0.005] * 4, abs=1e-15)
    assert np.count_nonzero(share) == 4


def test_what_is_missing_is_shared_by_the_room_that_is_left() -> None:
    raw = np.zeros(60)
    raw[:4] = (0.006, 0.002, 0.002, 0.004)  # .014 of .02, and none may weigh above .02 / 3
    most = 0.02 / 3.0
    share = repair_tail(raw, one(0.1).tails[0], confidence_level=0.95)
    room = most - raw[:4]
    assert share[:4] == pytest.approx(raw[:4] + room * 0.006 / room.sum(), abs=1e-15)


def test_valid_tail_weights_are_left_bit_for_bit() -> None:
    raw = np.zeros(60)
    raw[10:13] = 0.02 / 3.0 - 1e-16
    tail = one(0.1).tails[0]
    assert np.array_equal(repair_tail(raw, tail, confidence_level=0.95), raw)
    raw[10:14] = 0.006
    assert np.array_equal(repair_tail(raw, tail, confidence_level=0.95), raw)


def test_no_weight_and_no_hurdle_are_no_tail() -> None:
    free = dataclasses.replace(one(0.1).tails[0], hurdle=0.0)
    share = repair_tail(np.full(60, -1.0), free, confidence_level=0.95)
    assert not share.any()


def test_the_bound_of_two_bids_on_one_symbol_takes_the_dearer_first() -> None:
    rows = [free_bid("S000", "a", mu=0.004), free_bid("S000", "b", mu=0.006)]
    instance = dataclasses.replace(
        many(rows, (0.1,)), caps=np.array([0.03, 0.04]), half_spread=np.array([0.001])
    )
    nothing = np.zeros(len(instance.groups))
    # Without any price the hurdle's .02 still falls on the tail, which costs .002 a unit: .04 of
    # the dearer and .01 of the other fit below the name cap of .05, which ends the purchase.
    tail = np.zeros(60)
    tail[:3] = 0.02 / 3.0
    dear, cheap = instance.values[1], instance.values[0]
    expected = 0.04 * (dear - 0.003) + 0.01 * (cheap - 0.003)
    assert upper_bound(instance, (tail,), nothing) == pytest.approx(expected, abs=1e-15)


def test_the_bound_of_three_bids_ends_where_the_third_is_not_worth_its_cost() -> None:
    rows = [
        free_bid("S000", name, mu=mu) for name, mu in (("a", 0.008), ("b", 0.006), ("c", 25e-4))
    ]
    instance = dataclasses.replace(
        many(rows, (0.1,)), caps=np.full(3, 0.01), half_spread=np.array([0.001])
    )
    tail = np.zeros(60)
    tail[:3] = 0.02 / 3.0
    # A unit pays .002 to the tail and .001 to trade, more than the third is worth.
    expected = 0.01 * (instance.values[0] - 0.003) + 0.01 * (instance.values[1] - 0.003)
    bound = upper_bound(instance, (tail,), np.zeros(len(instance.groups)))
    assert bound == pytest.approx(expected, abs=1e-15)


def test_a_price_on_a_cap_is_paid_by_its_bids_and_earned_by_the_bound() -> None:
    instance, tail = one(0.1), np.zeros(60)
    tail[:3] = 0.02 / 3.0
    prices = np.zeros(len(instance.groups))
    prices[0] = 0.0005  # the budget, of one
    prices[1] = -1.0  # no price is negative
    expected = 0.0005 * 1.0 + 0.05 * (0.004 - 0.002 - 0.0005)
    assert upper_bound(instance, (tail,), prices) == pytest.approx(expected, abs=1e-15)


def test_duals_that_are_no_numbers_count_as_zero() -> None:
    instance, tail = one(0.1), np.zeros(60)
    tail[:3] = 0.02 / 3.0
    strange = tail.copy()
    strange[40:43] = (np.nan, np.inf, -np.inf)
    prices = np.array([np.nan, np.inf, -np.inf, -1.0])[: len(instance.groups)]
    nothing = np.zeros(len(instance.groups))
    assert upper_bound(instance, (strange,), prices) == upper_bound(instance, (tail,), nothing)


def test_what_is_sold_by_force_pays_the_penalty_and_no_impact() -> None:
    fields = {"adv_usd": 1e6, "market_impact_bps": 10.0, "liquidity_cost_bps": 1.0}
    instance = one(0.1, fields=fields, held=np.array([0.04]))
    # A tenth of a million of ten million may be sold: .01 at impact .01 * .01^1.5, .02 by force.
    expected = 0.03 * 1e-4 + 0.01 * 0.01**1.5 + 0.02 * 1.0
    reach = instance.reach[0]
    assert reach == pytest.approx(0.01)  # so the last chord ends at the impact itself
    assert trading_costs(instance, np.array([0.01]))[0] == pytest.approx(expected, abs=1e-12)


def test_what_is_sold_by_force_is_not_on_the_chords_even_where_they_reach_further() -> None:
    fields = {"market_impact_bps": 10.0, "liquidity_cost_bps": 0.0, "adv_usd": 1e9}
    instance = dataclasses.replace(
        one(0.1, fields=fields, held=np.array([0.02])), sell_limits=np.array([0.01])
    )
    assert instance.reach[0] == pytest.approx(0.03)  # what may still be bought below the name cap
    ends = 0.03 * chord_grid(instance.policy)
    chords = float(np.interp(0.01, ends, 0.01 * ends**1.5))
    expected = chords + 0.01 * 1.0
    assert trading_costs(instance, np.array([0.0]))[0] == pytest.approx(expected, abs=1e-15)
    # Sold within the limit, the same chords alone.
    assert trading_costs(instance, np.array([0.01]))[0] == pytest.approx(chords, abs=1e-15)


def test_tail_weight_above_the_hurdle_pays_for_the_limit() -> None:
    instance, tail = one(0.1), np.zeros(60)
    tail[:3] = 0.03 / 3.0
    limit = instance.tails[0].limit
    expected = 0.05 * (0.004 - 0.003) + (0.03 - 0.02) * limit
    assert upper_bound(instance, (tail,), np.zeros(len(instance.groups))) == pytest.approx(
        expected, abs=1e-15
    )


def test_the_chords_never_cost_less_than_the_impact_they_stand_for() -> None:
    instance = one(0.1, fields={"market_impact_bps": 30.0, "adv_usd": 1e9})
    for size in np.linspace(0.0, 0.05, 201):
        true = instance.impact[0] * size**1.5
        chord = trading_costs(instance, np.array([size]))[0]
        assert true - 1e-15 <= chord <= true * 1.1 + 1e-6


def test_there_are_at_least_eight_chords_and_they_are_finer_near_zero() -> None:
    grid = chord_grid(AuctionPolicy())
    assert grid.size >= 9
    assert (grid[0], grid[-1]) == (0.0, 1.0)
    assert (np.diff(np.diff(grid)) > 0).all()
    with pytest.raises(ValueError, match="impact_chords"):
        AuctionPolicy(impact_chords=7)


def test_selling_beyond_the_volume_limit_costs_the_penalty() -> None:
    instance = one(0.1, fields={"adv_usd": 1e6}, held=np.array([0.04]))
    assert trading_costs(instance, np.array([0.03]))[0] == pytest.approx(0.0)
    assert trading_costs(instance, np.array([0.01]))[0] == pytest.approx(0.02)


@pytest.mark.parametrize("net", [0.0, 0.01, 0.03, 0.04, 0.047])
def test_the_marginal_cost_is_the_slope_of_the_cost(net: float) -> None:
    fields = {"market_impact_bps": 30.0, "liquidity_cost_bps": 4.0}
    instance = one(0.1, fields=fields, held=np.array([0.03]))
    step = 1e-7
    at = trading_costs(instance, np.array([net]))[0]
    above = trading_costs(instance, np.array([net + step]))[0]
    assert marginal_costs(instance, np.array([net]))[0] == pytest.approx(
        (above - at) / step, rel=1e-4
    )


@pytest.mark.parametrize(
    ("weights", "code"),
    [
        ([np.nan], ReasonCode.RISK_NOT_FINITE),
        ([-0.01], ReasonCode.RISK_NOT_FINITE),
        ([0.051], ReasonCode.NAME_CAP_BINDS),
        ([0.11], ReasonCode.MARGINAL_CAP_BINDS),
        ([0.05, 0.05], ReasonCode.RISK_NOT_FINITE),
    ],
)
def test_the_check_names_what_weights_break(weights: list[float], code: ReasonCode) -> None:
    found = check_weights(one(0.1), np.array(weights))
    assert code in {violation.code for violation in found}


def test_the_check_takes_the_exact_cvar_of_every_measure() -> None:
    config = small_config(marginal_limit=0.9)
    policy = AuctionPolicy(name_cap=1.0, target_share=1.0)
    instance = one(0.5, config=config, policy=policy, fields={"adv_usd": 1e12})
    limit = 0.06 * 0.85 / 2.5 / 0.5  # the stressed measure is 2.5 times the loss of one half
    assert check_weights(instance, np.array([limit])) == ()
    found = check_weights(instance, np.array([limit + 1e-4]))
    assert {(v.code, v.key) for v in found} == {(ReasonCode.CVAR_LIMIT_BINDS, "STRESSED")}


def test_a_violation_says_what_is_broken_and_by_how_much() -> None:
    blind = Violation(code=ReasonCode.RISK_NOT_FINITE, key="weights", excess=math.inf)
    assert check_weights(one(0.1), np.array([np.nan])) == (blind,)
    assert check_weights(one(0.1), np.zeros(2)) == (blind,)
    (short,) = check_weights(one(0.1), np.array([-0.01]))
    assert (short.code, short.key) == (ReasonCode.RISK_NOT_FINITE, "short")
    assert short.excess == pytest.approx(0.01)
    over = {v.code: v.excess for v in check_weights(one(0.1), np.array([0.051]))}
    assert over[ReasonCode.NAME_CAP_BINDS] == pytest.approx(0.001)


def test_what_is_sold_short_is_named_first() -> None:
    instance = many([free_bid(), free_bid("S001")], (0.1, 0.1))
    first, *others = check_weights(instance, np.array([-0.01, 0.06]))
    assert (first.key, first.excess) == ("short", pytest.approx(0.01))
    assert ReasonCode.NAME_CAP_BINDS in {violation.code for violation in others}


@pytest.mark.parametrize("kink", [0, 1, 5, 11])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_on_a_kink_the_next_unit_costs_what_stands_right_of_it(kink: int, side: float) -> None:
    fields = {"market_impact_bps": 30.0, "liquidity_cost_bps": 4.0}
    instance = one(0.1, fields=fields, held=np.array([0.025]))
    net = np.array([0.025 + side * 0.025 * chord_grid(instance.policy)[kink]])
    assert instance.reach[0] == pytest.approx(0.025)
    step = 1e-7
    rise = trading_costs(instance, net + step)[0] - trading_costs(instance, net)[0]
    assert marginal_costs(instance, net)[0] == pytest.approx(rise / step, rel=1e-5)


def test_where_nothing_can_be_traded_the_next_unit_costs_half_the_spread() -> None:
    fields = {"market_impact_bps": 30.0, "liquidity_cost_bps": 4.0}
    instance = dataclasses.replace(one(0.1, fields=fields), buy_limits=np.zeros(1))
    assert instance.reach.tolist() == [0.0]
    assert marginal_costs(instance, np.zeros(1)).tolist() == [4e-4]


def test_weights_are_scaled_by_the_one_factor_the_tightest_limit_asks_for() -> None:
    config = small_config(marginal_limit=0.9)
    policy = AuctionPolicy(name_cap=1.0, sector_cap=1.0, target_share=1.0)
    rows = [free_bid("S000", adv_usd=1e12), free_bid("S001", adv_usd=1e12)]
    instance = many(rows, (0.1, 0.1), config=config, policy=policy)
    least = instance.group_caps.min()  # the strategy's stage, which both are under
    kept = np.array([0.25, 0.5]) * least
    assert np.array_equal(scale_into_limits(instance, kept), kept)
    assert scale_into_limits(instance, 2.0 * kept) == pytest.approx(kept / 0.75, rel=1e-15)
    clipped = dataclasses.replace(instance, caps=np.array([0.1, 1.0]) * least)
    assert scale_into_limits(clipped, kept).tolist() == [0.1 * least, 0.5 * least]
    # Each measure alone: the loss is a tenth, stressed it counts for two and a half.
    strict = dataclasses.replace(instance, measure_limits=(0.01 * least, 1.0))
    assert scale_into_limits(strict, kept) == pytest.approx(kept * (0.01 / 0.075), rel=1e-12)
    stressed = dataclasses.replace(instance, measure_limits=(1.0, 0.05 * least))
    assert scale_into_limits(stressed, kept) == pytest.approx(kept * (0.02 / 0.075), rel=1e-12)


def test_what_is_bought_counts_from_what_is_held_and_the_tolerance_itself_is_kept() -> None:
    held = dataclasses.replace(one(0.1, held=np.array([0.03])), buy_limits=np.array([0.01]))
    assert check_weights(held, np.array([0.04])) == ()
    (bought,) = check_weights(held, np.array([0.045]))
    assert (bought.key, bought.excess) == ("S000", pytest.approx(0.005))
    nothing = dataclasses.replace(one(0.1), caps=np.zeros(1))
    slack = nothing.policy.feasibility_tolerance
    assert check_weights(nothing, np.array([slack])) == ()
    assert check_weights(nothing, np.array([-slack])) == ()


@pytest.mark.parametrize("excess", [0.5e-9, 2e-9])
def test_a_limit_is_broken_by_more_than_rounding_and_the_excess_is_told(excess: float) -> None:
    config = small_config(marginal_limit=0.9)
    policy = AuctionPolicy(name_cap=0.05, target_share=1.0)
    whole = one(0.1, config=config, policy=policy, fields={"adv_usd": 1e12})
    limits = {
        "caps": dataclasses.replace(whole, caps=np.array([0.02])),
        "buy_limits": dataclasses.replace(whole, buy_limits=np.array([0.02])),
        "group_caps": dataclasses.replace(whole, group_caps=np.minimum(whole.group_caps, 0.02)),
    }
    for name, instance in limits.items():
        found = check_weights(instance, np.array([0.02 + excess]))
        assert bool(found) == (excess > 1e-9), name
        assert all(broken.excess == pytest.approx(excess, rel=1e-3) for broken in found)
    tail = dataclasses.replace(whole, measure_limits=(0.002, 1.0))
    assert check_weights(tail, np.array([0.02 + 5e-8])) == ()
    (broken,) = check_weights(tail, np.array([0.02 + 2e-7]))
    assert (broken.key, broken.excess) == ("CURRENT", pytest.approx(2e-8, rel=1e-6))


def test_a_symbol_that_is_not_worth_its_spread_adds_nothing_to_the_bound_of_the_others() -> None:
    rows = [free_bid(f"S00{k}", mu=mu) for k, mu in enumerate((1e-4, 0.004, 2e-4, 0.005))]
    instance = dataclasses.replace(
        many(rows, (0.0, 0.0, 0.0, 0.0)),
        half_spread=np.full(4, 0.001),
        caps=np.array([0.05, 0.04, 0.05, 0.03]),
    )
    free = np.zeros(len(instance.groups))
    expected = 0.04 * (instance.values[1] - 0.001) + 0.03 * (instance.values[3] - 0.001)
    assert upper_bound(instance, (np.zeros(60),), free) == pytest.approx(expected, abs=1e-15)
    poor = dataclasses.replace(instance, values=np.full(4, 5e-4))
    assert upper_bound(poor, (np.zeros(60),), free) == pytest.approx(0.0, abs=1e-15)


def test_a_cap_of_nothing_with_nothing_in_it_scales_nothing() -> None:
    instance = many([free_bid("S000"), free_bid("S001")], (0.1, 0.1))
    of_second = instance.membership.sums(np.array([0.0, 1.0])) > 0.0
    of_first = instance.membership.sums(np.array([1.0, 0.0])) > 0.0
    closed = np.where(of_second & ~of_first, 0.0, instance.group_caps)
    assert (closed == 0.0).any()
    kept = np.array([0.01, 0.0])
    shut = dataclasses.replace(instance, group_caps=closed)
    assert np.array_equal(scale_into_limits(shut, kept), kept)


def test_at_the_end_of_what_may_be_traded_the_next_unit_costs_what_the_last_did() -> None:
    fields = {"market_impact_bps": 30.0, "liquidity_cost_bps": 4.0}
    instance = one(0.1, fields=fields, held=np.array([0.025]))
    step = 1e-7
    net = instance.net_held + instance.reach
    fall = trading_costs(instance, net)[0] - trading_costs(instance, net - step)[0]
    assert marginal_costs(instance, net)[0] == pytest.approx(fall / step, rel=1e-5)
