"""The bound beside linear programs of scipy's, one a symbol: nothing of ours is in them."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import linprog

from instgov_dagster.capital.auction.certificate import (
    bound_of,
    objective_value,
    read_duals,
    trading_costs,
)
from instgov_dagster.capital.auction.instance import AuctionInstance, chord_grid
from instgov_dagster_tests.capital.worlds import random_instance, small_config

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")


def instance_with(seed: int, rng: np.random.Generator) -> AuctionInstance:
    """Some symbols held beyond their caps or volume, some traded before, some free to trade."""
    whole = random_instance(
        seed, n_symbols=7, n_scenarios=80, n_strategies=3, is_holding=True, config=small_config()
    )
    n, caps = len(whole.symbols), whole.caps.copy()
    caps[rng.random(caps.size) < 0.3] *= 0.01
    return dataclasses.replace(
        whole,
        caps=caps,
        held=whole.held * rng.choice([0.0, 1.0, 4.0], whole.held.size),
        traded=rng.choice([0.0, 0.01], n),
        impact=whole.impact * rng.choice([0.0, 1.0], n, p=[0.2, 0.8]),
        buy_limits=np.minimum(whole.buy_limits, rng.choice([0.0, 0.003, 1.0], n)),
        sell_limits=np.minimum(whole.sell_limits, rng.choice([0.0, 0.002, 1.0], n)),
    )


def pieces_of(instance: AuctionInstance, i: int) -> tuple[np.ndarray, np.ndarray]:
    """The widths of a symbol's chords and what a unit of trade costs on each, spread included."""
    ends = instance.reach[i] * chord_grid(instance.policy)
    before = instance.traded[i]
    costs = instance.impact[i] * ((before + ends) ** 1.5 - before**1.5)
    widths = np.diff(ends)
    slopes = np.zeros(widths.size)
    slopes[widths > 0.0] = np.diff(costs)[widths > 0.0] / widths[widths > 0.0]
    return widths, instance.half_spread[i] + slopes


def best_gain(instance: AuctionInstance, worth: np.ndarray, i: int) -> float:
    """The most a symbol can add: bids x, purchases b, sales a and forced sales f in pieces."""
    bids = np.flatnonzero(instance.symbol_of == i)
    widths, slopes = pieces_of(instance, i)
    held = float(instance.held[bids].sum())
    starts = np.cumsum(widths) - widths

    def cut(most: float) -> np.ndarray:
        return np.clip(most - starts, 0.0, widths)

    forced = instance.policy.forced_sale_penalty + instance.half_spread[i]
    upper = [
        *instance.caps[bids],
        *cut(min(instance.buy_limits[i], instance.reach[i])),
        *cut(min(instance.sell_limits[i], held)),
        held,
    ]
    signs = [*np.ones(bids.size), *-np.ones(widths.size), *np.ones(widths.size), 1.0]
    found = linprog(
        [*-worth[bids], *slopes, *slopes, forced],
        A_eq=[signs],
        b_eq=[held],
        bounds=[(0.0, most) for most in upper],
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    assert found.status == 0
    return -float(found.fun)


@pytest.mark.parametrize("seed", range(8))
def test_the_bound_is_the_sum_of_the_symbols_best_gains_and_what_the_prices_earn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    instance = instance_with(seed, rng)
    raw = tuple(rng.exponential(0.001, tail.returns.shape[0]) for tail in instance.tails)
    prices = rng.exponential(0.001, len(instance.groups)) * (rng.random(len(instance.groups)) < 0.3)
    duals = read_duals(instance, raw, prices)
    rows = instance.membership.to_rows()
    worth = instance.values - rows.T @ prices
    earned = float(prices @ instance.group_caps)
    for share, tail in zip(duals.shares, instance.tails, strict=True):
        worth = worth + (tail.returns.T @ share)[instance.symbol_of]
        earned += (share.sum() - tail.hurdle) * tail.limit
    assert duals.charge == pytest.approx(instance.values - worth, abs=1e-15)
    gains = [best_gain(instance, worth, i) for i in range(len(instance.symbols))]
    assert sum(gain > 1e-6 for gain in gains) >= 2
    assert bound_of(instance, duals) == pytest.approx(earned + sum(gains), abs=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_the_cost_of_a_trade_is_that_of_its_pieces_whoever_else_is_asked(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    instance = instance_with(seed, rng)
    nets = instance.net_held * rng.choice([0.0, 0.5, 1.0], instance.net_held.size)
    nets += rng.choice([0.0, 0.001], nets.size)
    first = trading_costs(instance, nets, instance.net_held, np.zeros(nets.size))
    alone = dataclasses.replace(instance)  # nothing kept yet
    assert np.array_equal(trading_costs(alone, nets), first)
    assert not trading_costs(instance, instance.net_held).any()
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0.0
    for i, net in enumerate(nets.tolist()):
        widths, slopes = pieces_of(instance, i)
        change = net - instance.net_held[i]
        forced = max(-change - instance.sell_limits[i], 0.0)
        if abs(change) - forced > widths.sum():  # bought beyond what may be: no weights do
            continue
        parts = np.clip(abs(change) - forced - (np.cumsum(widths) - widths), 0.0, widths)
        cost = parts @ slopes + forced * (1.0 + instance.half_spread[i])
        assert first[i] == pytest.approx(cost, abs=1e-14)


def test_the_objective_is_value_less_priced_tail_less_costs() -> None:
    instance = instance_with(3, np.random.default_rng(3))
    weights = np.minimum(instance.held, instance.caps) * 0.5
    net = instance.net(weights)
    losses = np.sort(-instance.scenarios.current.returns @ net)[::-1]
    cvar = losses[:4].sum() / 4.0  # a twentieth of eighty
    expected = float(instance.values @ weights) - instance.hurdle * cvar
    expected -= trading_costs(instance, net).sum()
    assert objective_value(instance, weights) == pytest.approx(expected, abs=1e-15)
