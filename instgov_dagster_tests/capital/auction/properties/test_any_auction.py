"""What must hold of every auction, whoever bids: order, splitting, tightening, quality, hurdle."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.capital.auction.certificate import (
    check_weights,
    objective_value,
    upper_bound,
)
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.instance import AuctionInstance, Incidence
from instgov_dagster.capital.auction.run import quantise_weights
from instgov_dagster.capital.auction.values import break_ties
from instgov_dagster.capital.cvar import book_losses, cvar
from instgov_dagster.vocabulary.governance import StrategyLifecycle
from instgov_dagster.vocabulary.policy.capital import AuctionPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.auction.properties.oddities import strange_instance
from instgov_dagster_tests.capital.auction.settings import free_bid, many, one, run
from instgov_dagster_tests.capital.worlds import random_instance, small_config

pytestmark = pytest.mark.roadmap("4.3", "4.4", "TEST.4")

SEEDS = st.integers(0, 100_000)


def best(instance: AuctionInstance) -> float:
    return objective_value(instance, HotSolver().solve(instance).weights)


def plain(seed: int, *, hurdle: float = 0.02) -> AuctionInstance:
    base = random_instance(
        seed, n_symbols=6, n_scenarios=80, n_strategies=2, config=small_config(), mu_scale=0.02
    )
    return dataclasses.replace(base, hurdle=hurdle)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(0, 2**31))
def test_no_feasible_weights_beat_the_bound_of_any_duals(seed: int, draw: int) -> None:
    instance, rng = strange_instance(seed), np.random.default_rng(draw)
    tails = tuple(
        rng.normal(0.0, 10.0 ** rng.integers(-4, 1), tail.returns.shape[0])
        for tail in instance.tails
    )
    prices = rng.normal(0.0, 0.01, len(instance.groups))
    weights = HotSolver().solve(instance).weights * rng.uniform(0.0, 1.0)
    if not check_weights(instance, weights):
        assert objective_value(instance, weights) <= upper_bound(instance, tails, prices) + 1e-14


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(0, 2**31))
def test_the_order_of_the_bids_changes_no_weight(seed: int, draw: int) -> None:
    instance = strange_instance(seed)
    order = np.random.default_rng(draw).permutation(len(instance.bid_ids))
    mixed = _reorder(instance, order)
    straight = quantise_weights(instance, HotSolver().solve(instance).weights)
    crossed = quantise_weights(mixed, HotSolver().solve(mixed).weights)
    assert np.array_equal(straight[order], crossed)


def _reorder(instance: AuctionInstance, order: np.ndarray) -> AuctionInstance:
    return dataclasses.replace(
        instance,
        bid_ids=tuple(instance.bid_ids[j] for j in order),
        strategies=tuple(instance.strategies[j] for j in order),
        symbol_of=instance.symbol_of[order],
        values=instance.values[order],
        held=instance.held[order],
        caps=instance.caps[order],
        cap_codes=tuple(instance.cap_codes[j] for j in order),
        block_codes=tuple(instance.block_codes[j] for j in order),
        membership=Incidence.from_rows(instance.membership.to_rows()[:, order]),
    )


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_a_bid_split_in_two_halves_gets_what_it_got_whole(seed: int) -> None:
    whole = plain(seed)
    halves = np.repeat(np.arange(len(whole.bid_ids)), 2)
    split = dataclasses.replace(
        _reorder(whole, halves),
        bid_ids=tuple(f"{whole.bid_ids[j]}/{k % 2}" for k, j in enumerate(halves)),
        caps=whole.caps[halves] / 2.0,
        held=whole.held[halves] / 2.0,
    )
    one_answer, two = HotSolver().solve(whole).weights, HotSolver().solve(split).weights
    assert objective_value(split, two) == pytest.approx(
        objective_value(whole, one_answer), abs=1e-12
    )
    assert split.net(two) == pytest.approx(whole.net(one_answer), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(0, 2**31), st.floats(0.0, 1.0))
def test_tightening_any_cap_never_raises_the_objective(seed: int, draw: int, share: float) -> None:
    base, rng = plain(seed), np.random.default_rng(draw)
    caps, groups = base.caps.copy(), base.group_caps.copy()
    caps[rng.integers(caps.size)] *= share
    groups[rng.integers(groups.size)] *= share
    buys = base.buy_limits.copy()
    buys[rng.integers(buys.size)] *= share
    full = best(base)
    assert best(dataclasses.replace(base, group_caps=groups)) <= full + 1e-12
    limits = tuple(limit * share for limit in base.measure_limits)
    assert best(dataclasses.replace(base, measure_limits=limits)) <= full + 1e-12
    # The chords are laid over what a symbol can reach: shorter ones cost less, if at all.
    free = dataclasses.replace(base, impact=np.zeros(buys.size))
    full = best(free)
    assert best(dataclasses.replace(free, caps=caps)) <= full + 1e-12
    assert best(dataclasses.replace(free, buy_limits=buys)) <= full + 1e-12


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.lists(st.floats(0.0, 2.0), min_size=2, max_size=4))
def test_a_dearer_hurdle_never_raises_current_cvar(seed: int, hurdles: list[float]) -> None:
    risks = []
    for hurdle in sorted(hurdles):
        priced = plain(seed, hurdle=hurdle)
        net = priced.net(HotSolver().solve(priced).weights)
        losses = book_losses(priced.scenarios.current.returns, net)
        risks.append(cvar(losses, confidence_level=0.95))
    assert (np.diff(risks) <= 1e-9).all()


@settings(max_examples=30, deadline=None)
@given(st.floats(0.6, 1.0), st.floats(0.6, 1.0), st.floats(1e-4, 0.02))
def test_worse_data_never_gives_a_lone_bid_more(first: float, second: float, mu: float) -> None:
    worse, better = sorted((first, second))
    weights = [
        run(
            one(
                0.1,
                fields={"data_quality_score": quality, "mu": mu, "market_impact_bps": 30.0},
            )
        ).weights[0]
        for quality in (worse, better)
    ]
    assert weights[0] <= weights[1]


def test_a_decommissioned_strategy_gets_nothing_whatever_it_promises() -> None:
    stage = {"strategy_lifecycle_stage": StrategyLifecycle.DECOMMISSIONED}
    instance = one(
        0.1,
        fields={"mu": 0.5, **stage},
        blocks=((ReasonCode.STRATEGY_DECOMMISSIONED,),),
        held=np.array([0.03]),
    )
    result = run(instance)
    assert result.weights.tolist() == [0.0]
    assert ReasonCode.STRATEGY_DECOMMISSIONED in result.outputs[0].reason_codes


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40))
def test_equal_bids_under_crossing_caps_have_one_answer(n: int) -> None:
    # Whole ranks would tie here: two strategies trade places on two symbols at no cost.
    rows = [free_bid(f"S{i:03d}", name) for i in range(n) for name in ("a", "b", "c")]
    instance = many(rows, (0.1,) * n)
    ids = instance.bid_ids
    spaced = np.diff(np.sort(break_ties(np.zeros(len(ids)), ids, policy=AuctionPolicy())))
    assert (spaced > 0.0).all()
    kept = HotSolver()
    kept.solve(dataclasses.replace(instance, values=instance.values[::-1].copy()))
    hot, cold = kept.solve(instance).weights, HotSolver().solve(instance).weights
    assert np.array_equal(quantise_weights(instance, hot), quantise_weights(instance, cold))
