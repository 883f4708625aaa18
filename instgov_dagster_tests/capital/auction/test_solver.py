"""The solver against programs written by others and written again from the specification."""

import dataclasses

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from instgov_dagster.capital.auction.certificate import check_weights, objective_value
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster_tests.capital.auction.settings import SOLVER, free_bid, many, run
from instgov_dagster_tests.capital.worlds import random_instance, small_config

pytestmark = pytest.mark.roadmap("4.3", "7.5", "10.5", "TEST.4")


def reference(instance: AuctionInstance) -> float:
    """SPEC 5 written down again, cost by cost as maxima of chords, solved by an interior point."""
    n_bids, n_symbols = len(instance.bid_ids), len(instance.symbols)
    gather = np.zeros((n_symbols, n_bids))
    gather[instance.symbol_of, np.arange(n_bids)] = 1.0
    held = gather @ instance.held
    weights = cp.Variable(n_bids)
    net = gather @ weights
    trade = cp.abs(net - held)
    cost = cp.sum(cp.multiply(instance.half_spread, trade))
    ends = instance.reach[:, None] * (np.arange(13) / 12.0) ** 2.0
    before = instance.traded[:, None]
    level = instance.impact[:, None] * ((before + ends) ** 1.5 - before**1.5)
    for i in range(n_symbols):
        slopes = np.diff(level[i]) / np.diff(ends[i])
        lines = [level[i, k] + slopes[k] * (trade[i] - ends[i, k]) for k in range(12)]
        cost += cp.max(cp.hstack(lines))
    rows = [
        weights >= 0,
        weights <= instance.caps,
        instance.membership.to_rows().astype(float) @ weights <= instance.group_caps,
        net - held <= instance.buy_limits,
        held - net <= instance.sell_limits,
    ]
    returns = instance.scenarios.current.returns
    losses, mass = -(returns @ net), 0.05 * returns.shape[0]
    edge = cp.Variable()
    risk = edge + cp.sum(cp.pos(losses - edge)) / mass
    pairs = zip(instance.scenarios.measures, instance.measure_limits, strict=True)
    rows += [measure.multiplier * risk <= limit for measure, limit in pairs]
    value = instance.values @ weights - instance.hurdle * risk - cost
    problem = cp.Problem(cp.Maximize(value), rows)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    assert problem.status in ("optimal", "optimal_inaccurate")
    return float(problem.value)


@pytest.mark.parametrize("seed", range(6))
def test_the_objective_equals_an_interior_points_on_the_same_auction(seed: int) -> None:
    instance = random_instance(
        seed, n_symbols=10, n_scenarios=200, is_holding=seed % 2 == 1, config=small_config()
    )
    liquid = dataclasses.replace(  # the reference has no forced sales: give it room to sell
        instance, sell_limits=np.maximum(instance.sell_limits, 0.1)
    )
    result = run(liquid)
    assert result.certificate is not None
    assert result.certificate.objective == pytest.approx(reference(liquid), abs=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_without_impact_the_objective_equals_scipys_linear_program(seed: int) -> None:
    config = small_config()
    instance = random_instance(seed, n_symbols=6, n_scenarios=100, n_strategies=1, config=config)
    instance = dataclasses.replace(instance, impact=np.zeros(6), buy_limits=np.ones(6))
    returns, mass, n = instance.scenarios.current.returns, 5.0, 6
    # Variables: weights bought from cash, the edge of the tail, and the excess of each scenario.
    cost = np.r_[
        -(instance.values - instance.half_spread),
        instance.hurdle,
        np.full(100, instance.hurdle / mass),
    ]
    tail = np.hstack([-returns, -np.ones((100, 1)), -np.eye(100)])
    caps = np.hstack([instance.membership.to_rows(), np.zeros((len(instance.groups), 101))])
    limit = np.r_[np.zeros(n), 1.0, np.full(100, 1.0 / mass)][None, :]
    bounds = [(0.0, cap) for cap in instance.caps] + [(None, None)] + [(0.0, None)] * 100
    answer = linprog(
        cost,
        A_ub=np.vstack([tail, caps, limit]),
        b_ub=np.r_[np.zeros(100), instance.group_caps, instance.tails[0].limit],
        bounds=bounds,
        method="highs-ipm",
    )
    assert answer.status == 0
    result = run(instance)
    assert result.certificate is not None
    assert result.certificate.objective == pytest.approx(-answer.fun, abs=1e-7)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 0.95))
def test_tightening_every_cap_never_raises_the_objective(seed: int, share: float) -> None:
    base = random_instance(seed, n_symbols=4, n_scenarios=60, config=small_config(), mu_scale=0.02)
    tight = dataclasses.replace(base, group_caps=base.group_caps * share)
    values = []
    for instance in (base, tight):
        weights = SOLVER.solve(instance).weights
        assert not check_weights(instance, np.clip(weights, 0.0, instance.caps))
        values.append(objective_value(instance, np.clip(weights, 0.0, instance.caps)))
    assert values[1] <= values[0] + 1e-10


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000))
def test_a_dearer_hurdle_never_raises_the_risk_taken(seed: int) -> None:
    base = random_instance(seed, n_symbols=4, n_scenarios=60, config=small_config(), mu_scale=0.02)
    risks = []
    for hurdle in (0.0, 0.05, 0.2):
        priced = dataclasses.replace(base, hurdle=hurdle)
        net = priced.net(run(priced).weights)
        losses = np.sort(-priced.scenarios.current.returns @ net)
        risks.append(float(losses[-3:].mean()))
    assert risks[1] <= risks[0] + 1e-6
    assert risks[2] <= risks[1] + 1e-6


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-4, 5e-3))
def test_a_better_forecast_never_gets_less(seed: int, extra: float) -> None:
    base = random_instance(
        seed, n_symbols=4, n_scenarios=60, n_strategies=1, config=small_config(), mu_scale=0.02
    )
    better = base.values.copy()
    better[2] += extra
    before = run(base).weights[2]
    after = run(dataclasses.replace(base, values=better)).weights[2]
    assert after >= before - 2e-7


def test_a_failed_solve_is_an_answer_and_not_a_crash() -> None:
    instance = many([free_bid()], (0.1,))
    impossible = dataclasses.replace(instance, measure_limits=(-1.0, -1.0))
    solution = HotSolver().solve(impossible)
    assert not solution.is_solved
    assert solution.message
    starved = dataclasses.replace(
        random_instance(1, n_symbols=20, n_scenarios=300, config=small_config()),
        policy=dataclasses.replace(instance.policy, solver_iterations=1000, solver_tolerance=1e-10),
    )
    assert isinstance(HotSolver().solve(starved).is_solved, bool)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_whole_universe_is_solved_and_certified(seed: int) -> None:
    instance = random_instance(seed, is_holding=True)
    assert instance.scenarios.current.returns.shape == (1255, 56)
    assert len(instance.bid_ids) == 112
    result = run(instance, solver=HotSolver())
    assert result.status == "OPTIMAL"
    assert result.certificate is not None
    assert abs(result.certificate.gap) <= 1e-9
    assert result.lambda_star is not None
    assert result.lambda_star > instance.hurdle
