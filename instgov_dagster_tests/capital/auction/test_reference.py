"""The hot engine against the full program in cvxpy: simplex, interior point and the true cone."""

import dataclasses

import numpy as np
import pytest

from instgov_dagster.capital.auction.certificate import (
    check_weights,
    objective_value,
    upper_bound,
)
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.reference import (
    Engine,
    EngineComparison,
    ReferenceSolver,
    compare_with_reference,
    true_objective,
)
from instgov_dagster.capital.auction.run import quantise_weights
from instgov_dagster.capital.auction.solver import unsolved
from instgov_dagster_tests.capital.auction.properties.oddities import strange_instance
from instgov_dagster_tests.capital.auction.settings import free_bid, many, one
from instgov_dagster_tests.capital.worlds import random_instance, small_config

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")

#: Seeds of the fuzz: the slice of every run, and the nightly whole.
SLICE, WHOLE = range(150), range(150, 2200)


def compare(instance: AuctionInstance, engine: Engine = Engine.HIGHS) -> EngineComparison:
    return compare_with_reference(instance, HotSolver(), reference=ReferenceSolver(engine))


def differs(seed: int) -> str:
    """Say what of one strange auction the engine and the reference do not agree on."""
    instance = strange_instance(seed)
    answer = HotSolver().solve(instance)
    reference = ReferenceSolver().solve(instance)
    if not (answer.is_solved and reference.is_solved):
        return f"{seed}: {answer.message}; {reference.message}"
    value = objective_value(instance, answer.weights)
    bound = upper_bound(instance, answer.tail_weights, answer.group_prices)
    traded = quantise_weights(instance, answer.weights)
    truths = {
        "the objectives": abs(value - objective_value(instance, reference.weights)) <= 1e-9,
        "the gap": abs(bound - value) <= 1e-9,
        "the limits": not check_weights(instance, answer.weights),
        "what is traded": not check_weights(instance, traded),
        "the gap of what is traded": abs(bound - objective_value(instance, traded)) <= 1e-9,
        "lambda-star": answer.lambda_star == pytest.approx(reference.lambda_star, rel=1e-7),
    }
    wrong = [name for name, holds in truths.items() if not holds]
    return f"{seed}: {', '.join(wrong)}" if wrong else ""


def test_the_best_book_of_two_symbols_worked_by_hand() -> None:
    # 40 bps on a loss of 10 % at lambda .02 earn 20 bps a unit, up to .95 of a stage cap of 10 %.
    instance = many([free_bid("S000"), free_bid("S001")], (0.1, 0.1))
    found = compare(instance)
    assert found.reference == pytest.approx(0.095 * 0.002, abs=1e-9)
    assert found.difference is not None
    assert found.difference <= 1e-9
    assert found.reference_lambda_star == pytest.approx(0.04, rel=1e-5)


def test_over_many_strange_auctions_engine_and_reference_agree() -> None:
    assert [text for text in map(differs, SLICE) if text] == []


@pytest.mark.nightly
def test_over_two_thousand_strange_auctions_engine_and_reference_agree() -> None:
    assert [text for text in map(differs, WHOLE) if text] == []


@pytest.mark.parametrize("seed", range(3))
def test_an_interior_point_finds_the_same_objective(seed: int) -> None:
    instance = random_instance(
        seed, n_symbols=12, n_scenarios=200, is_holding=True, config=small_config()
    )
    found = compare(instance, Engine.CLARABEL)
    assert found.difference is not None
    assert found.difference <= 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_the_chords_cost_little_more_than_the_power_they_stand_for(seed: int) -> None:
    instance = random_instance(
        seed, n_symbols=8, n_scenarios=120, is_holding=True, config=small_config()
    )
    chords = HotSolver().solve(instance).weights
    cone = ReferenceSolver(Engine.CLARABEL, is_conic=True).solve(instance)
    assert cone.is_solved
    best, ours = true_objective(instance, cone.weights), true_objective(instance, chords)
    assert ours >= objective_value(instance, chords)
    assert ours <= best + 1e-9
    assert best - ours <= 0.01 * abs(best)


def test_the_true_objective_is_the_powers_own() -> None:
    fields = {"market_impact_bps": 20.0, "mu": 0.004}
    instance = one(0.1, fields=fields)
    weight = np.array([0.03])
    # k t^1.5 with k = 20 bps / sqrt(1 %) = .02, and lambda .02 on a CVaR of a tenth.
    expected = instance.values[0] * 0.03 - 0.02 * 0.003 - 0.02 * 0.03**1.5
    assert true_objective(instance, weight) == pytest.approx(expected, abs=1e-15)


def test_a_cone_is_not_asked_of_a_simplex() -> None:
    with pytest.raises(ValueError, match="CLARABEL"):
        ReferenceSolver(Engine.HIGHS, is_conic=True)


def test_an_impossible_program_is_an_answer_and_not_a_crash() -> None:
    instance = many([free_bid()], (0.1,))
    impossible = dataclasses.replace(instance, measure_limits=(-1.0, -1.0))
    for engine in Engine:
        answer = ReferenceSolver(engine).solve(impossible)
        assert not answer.is_solved
        assert answer.message


def test_an_auction_without_bids_needs_no_program() -> None:
    solver = ReferenceSolver()
    solver.restart()
    assert solver.solve(many([], ())).message == "no bids"


def test_a_comparison_with_a_failure_has_no_difference() -> None:
    class Broken:
        def restart(self) -> None:
            raise AssertionError

        def solve(self, instance: AuctionInstance) -> object:
            assert instance.bid_ids
            return unsolved("broken")

    found = compare_with_reference(
        one(0.1),
        Broken(),  # type: ignore[arg-type]
        reference=ReferenceSolver(),
    )
    assert found.objective is None
    assert found.difference is None
    assert found.message == "broken; optimal"
