"""Lambda-star kept hot: it stands where nothing that matters moved, and is exact where it did."""

import dataclasses

import numpy as np
import pytest

from instgov_dagster.capital.auction.engine.lp import HotLp, Simplex
from instgov_dagster.capital.auction.engine.ratio import RatioProgram
from instgov_dagster.capital.auction.engine.terms import Structure, read_terms
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster_tests.capital.auction.properties.oddities import with_values
from instgov_dagster_tests.capital.auction.settings import free_bid, many
from instgov_dagster_tests.capital.worlds import random_instance, small_config

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")


def best(program: RatioProgram, structure: Structure, instance: AuctionInstance) -> float:
    return program.best(read_terms(structure, instance))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Simplex]:
    """Every run of HiGHS, as it happens."""
    found: list[Simplex] = []
    honest = HotLp.run

    def counted(lp: HotLp, simplex: Simplex, *, most_pivots: int) -> str:
        found.append(simplex)
        return honest(lp, simplex, most_pivots=most_pivots)

    monkeypatch.setattr(HotLp, "run", counted)
    return found


def test_lambda_star_of_two_symbols_that_fall_together_is_the_better_ratio(
    runs: list[Simplex],
) -> None:
    # 40 bps on a loss of 10 % is .04, 30 bps on 20 % is .015.
    rows = [free_bid("S000", mu=0.004), free_bid("S001", mu=0.003)]
    instance = many(rows, (0.1, 0.2))
    structure = Structure(instance)
    program = RatioProgram(structure, instance)
    assert best(program, structure, instance) == pytest.approx(0.04, rel=1e-5)
    n_runs = len(runs)
    # The poorer one forecast still lower: nothing to solve, the same answer.
    lower = with_values(instance, np.array([0.004, 0.001]))
    assert best(program, structure, lower) == best(program, structure, instance)
    assert len(runs) == n_runs
    # Forecast as the better one it wins, and what stood is no longer believed.
    higher = with_values(instance, np.array([0.004, 0.012]))
    assert best(program, structure, higher) == pytest.approx(0.06, rel=1e-5)
    assert len(runs) > n_runs


def test_a_symbol_of_the_book_that_is_worth_less_is_solved_again(runs: list[Simplex]) -> None:
    instance = many([free_bid("S000", mu=0.004), free_bid("S001", mu=0.003)], (0.1, 0.2))
    structure = Structure(instance)
    program = RatioProgram(structure, instance)
    best(program, structure, instance)
    n_runs = len(runs)
    less = with_values(instance, np.array([0.002, 0.003]))
    assert best(program, structure, less) == pytest.approx(0.02, rel=1e-5)
    assert len(runs) > n_runs


@pytest.mark.parametrize("seed", range(6))
def test_lambda_star_kept_hot_is_the_cold_one_whatever_moves(seed: int) -> None:
    base = random_instance(
        seed, n_symbols=14, n_scenarios=200, n_strategies=2, config=small_config()
    )
    structure, rng = Structure(base), np.random.default_rng(seed)
    kept, values = RatioProgram(structure, base), base.values.copy()
    for _ in range(25):
        moved = rng.integers(0, values.size, 3)
        values[moved] += rng.normal(0.0, 0.002, 3)
        now = dataclasses.replace(base, values=values.copy())
        cold = best(RatioProgram(structure, now), structure, now)
        assert best(kept, structure, now) == pytest.approx(cold, rel=1e-9)


def test_symbols_without_risk_or_all_alike_still_have_a_ratio() -> None:
    # Moments that are singular: a symbol that never moves beside two that are the same.
    rows = [free_bid(f"S00{i}", mu=0.004) for i in range(3)]
    instance = many(rows, (0.0, 0.1, 0.1))
    structure = Structure(instance)
    found = best(RatioProgram(structure, instance), structure, instance)
    # Nothing but the bound on the book ends what has no risk.
    assert found >= 0.004 * instance.policy.ratio_gross_bound * 0.99
