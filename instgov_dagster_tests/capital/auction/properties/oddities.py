"""Auctions nobody would draw by hand: duplicates, dead columns, overfull books, several tails."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.values import break_ties
from instgov_dagster.capital.scenarios import ScenarioMeasure, ScenarioSet
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster_tests.capital.worlds import random_instance, returns_of, small_config

Floats = NDArray[np.float64]


def with_returns(instance: AuctionInstance, *matrices: Floats) -> AuctionInstance:
    """Put an auction on other scenarios, one measure a matrix, each with the first limit."""
    dates = [np.datetime64("2020-01-01") + np.arange(one.shape[0]) for one in matrices]
    measures = tuple(
        ScenarioMeasure(name=name, end_dates=days, returns=one, multiplier=1.0, reason_codes=())
        for name, days, one in zip(RiskMeasure, dates, matrices, strict=False)
    )
    return dataclasses.replace(
        instance,
        scenarios=ScenarioSet(symbols=instance.symbols, measures=measures),
        measure_limits=(instance.measure_limits[0],) * len(measures),
    )


def with_values(instance: AuctionInstance, values: Floats) -> AuctionInstance:
    """Give every bid another value, ties broken as ever."""
    return dataclasses.replace(
        instance, values=break_ties(values, instance.bid_ids, policy=instance.policy)
    )


def strange_instance(
    seed: int, *, most_symbols: int = 8, most_scenarios: int = 120
) -> AuctionInstance:
    """Draw an auction with several oddities at once, the same for the same seed."""
    rng = np.random.default_rng([seed, 11])
    n_symbols = int(rng.integers(1, most_symbols + 1))
    n_scenarios = int(rng.integers(40, most_scenarios + 1))
    base = random_instance(
        seed,
        n_symbols=n_symbols,
        n_scenarios=n_scenarios,
        n_strategies=int(rng.integers(1, 4)),
        is_holding=bool(rng.random() < 0.5),
        config=small_config(),
        mu_scale=float(rng.choice([0.002, 0.01, 0.05])),
    )
    base = with_returns(base, *_matrices(rng, seed, n_scenarios, n_symbols))
    return _with_odd_terms(_with_odd_bids(base, rng), rng)


def _matrices(
    rng: np.random.Generator, seed: int, n_scenarios: int, n_symbols: int
) -> list[Floats]:
    first = returns_of(n_scenarios, n_symbols, seed)
    if rng.random() < 0.3:
        first[:, rng.integers(n_symbols)] = 0.0  # no variance at all
    if rng.random() < 0.3:
        first[:, rng.integers(n_symbols)] = first[:, 0]  # perfectly correlated
    if rng.random() < 0.2:
        first[:, rng.integers(n_symbols)] = np.abs(first[:, 0])  # gains in its tail
    if rng.random() < 0.2:
        first = np.round(first, 2)  # many equal losses
    matrices = [first]
    if rng.random() < 0.4:
        matrices.append(1.5 * returns_of(n_scenarios + 7, n_symbols, seed + 1))
    if rng.random() < 0.2:
        matrices.append(2.5 * returns_of(60, n_symbols, seed + 2))
    return matrices


def _with_odd_bids(base: AuctionInstance, rng: np.random.Generator) -> AuctionInstance:
    n_bids = len(base.bid_ids)
    if rng.random() < 0.4:
        base = with_values(base, np.round(rng.normal(0.3, 1.0, n_bids) * 2) * 0.002)
    if rng.random() < 0.1:
        base = with_values(base, -np.abs(base.values))
    caps = base.caps.copy()
    if rng.random() < 0.3:
        caps[rng.random(n_bids) < 0.3] = 0.0
    if rng.random() < 0.3:
        caps = np.minimum(caps, rng.uniform(0.0, 0.01, n_bids))
    return dataclasses.replace(base, caps=caps)


def _with_odd_terms(base: AuctionInstance, rng: np.random.Generator) -> AuctionInstance:
    n_symbols = len(base.symbols)
    changes: dict[str, object] = {"hurdle": float(rng.choice([0.0, 0.02, 0.2, 50.0]))}
    if rng.random() < 0.2:
        changes["held"] = np.minimum(base.held * 20.0, 0.2)
    if rng.random() < 0.3:
        changes["impact"] = np.zeros(n_symbols)
    if rng.random() < 0.2:
        changes["half_spread"] = np.zeros(n_symbols)
    if rng.random() < 0.3:
        changes["traded"] = rng.uniform(0.0, 0.01, n_symbols)
    if rng.random() < 0.3:
        changes["sell_limits"] = base.sell_limits * 0.02
        changes["buy_limits"] = base.buy_limits * 0.1
    if rng.random() < 0.3:
        changes["group_caps"] = base.group_caps * rng.uniform(0.0, 1.0, base.group_caps.size)
    if rng.random() < 0.3:
        tight = float(rng.choice([0.0, 1e-4, 2e-3]))
        changes["measure_limits"] = (tight,) * len(base.measure_limits)
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]
