from dataclasses import replace

import numpy as np
import pytest

from instgov_dagster.bench.auction.arrays import (
    AuctionSize,
    Programme,
    make_instance,
    next_instance,
)
from instgov_dagster.bench.auction.engines import (
    ENGINES,
    OURS,
    is_installed,
    make_engine,
    version_of,
)
from instgov_dagster.bench.auction.linear import build_bounds, build_matrix
from instgov_dagster.bench.auction.ours import finite_deltas
from instgov_dagster.capital.auction.certificate import check_weights, objective_value
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.cvar import book_losses, cvar
from instgov_dagster.capital.scenarios import ScenarioMeasure, ScenarioSet

SIZE = AuctionSize(n_bids=30, n_scenarios=60)
EXACT = [name for name, entry in ENGINES.items() if entry.is_exact and is_installed(name)]
LOOSE = [name for name, entry in ENGINES.items() if not entry.is_exact and is_installed(name)]


def one_bid(value: float) -> AuctionInstance:
    """One bid that falls by a fifth in the three worst of sixty scenarios; at most a twentieth."""
    whole = make_instance(AuctionSize(n_bids=1, n_scenarios=60), Programme.SIMPLE)
    returns = np.zeros((60, 1))
    returns[:3] = -0.2
    current = whole.scenarios.current
    measure = ScenarioMeasure(
        name=current.name,
        end_dates=current.end_dates,
        returns=returns,
        multiplier=1.0,
        reason_codes=(),
    )
    return replace(
        whole,
        values=np.array([value]),
        caps=np.array([0.05]),
        scenarios=ScenarioSet(symbols=whole.symbols, measures=(measure,)),
    )


@pytest.mark.parametrize("name", EXACT)
def test_one_bid_is_worth_its_cap_or_nothing_by_hand(name: str) -> None:
    # A unit costs 0.02 * 0.2 = 0.004 of hurdle: at 0.01 it earns 0.006, at 0.003 it loses.
    bought = make_engine(name).solve(one_bid(0.01))
    assert bought.weights == pytest.approx([0.05], abs=1e-9)
    assert objective_value(one_bid(0.01), bought.weights) == pytest.approx(0.0003, abs=1e-12)
    assert make_engine(name).solve(one_bid(0.003)).weights == pytest.approx([0.0], abs=1e-9)


@pytest.mark.parametrize("programme", [Programme.SIMPLE, Programme.FULL])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_exact_engine_reaches_our_objective_to_a_billionth(
    programme: Programme, seed: int
) -> None:
    size = replace(SIZE, seed=seed)
    first = make_instance(size, programme)
    second = next_instance(first, size, 0)
    engines = [n for n in EXACT if programme is Programme.SIMPLE or ENGINES[n].solves_full]
    assert OURS in engines
    assert len(engines) >= 3
    reference = {}
    for name in engines:
        engine = make_engine(name)
        for instance in (first, second):  # cold, then hot
            answer = engine.solve(instance)
            value = objective_value(instance, answer.weights)
            # Weights on the solver's own tolerance: none of ours, 1e-9 of a peer's.
            assert check_weights(instance, np.maximum(answer.weights - 2e-9, 0.0)) == ()
            assert value == pytest.approx(reference.setdefault(id(instance), value), abs=1e-9)


@pytest.mark.parametrize("name", LOOSE)
def test_an_engine_that_promises_less_still_solves_the_same_auction(name: str) -> None:
    instance = make_instance(SIZE, Programme.SIMPLE)
    ours = make_engine(OURS).solve(instance)
    answer = make_engine(name).solve(instance)
    wanted = objective_value(instance, ours.weights)
    assert objective_value(instance, answer.weights) == pytest.approx(wanted, abs=2e-5)
    assert answer.weights.shape == ours.weights.shape


def test_our_answer_carries_its_certificate_and_breaks_no_limit() -> None:
    instance = make_instance(SIZE, Programme.FULL)
    answer = make_engine(OURS).solve(instance)
    assert answer.gap is not None
    assert answer.gap <= 1e-9
    assert check_weights(instance, answer.weights) == ()


def test_the_program_written_out_has_a_row_and_a_column_a_scenario() -> None:
    simple = make_instance(SIZE, Programme.SIMPLE)
    # 30 weights, edge, CVaR and 60 excesses; a budget, 60 scenarios and the CVaR's own row.
    assert build_matrix(simple).shape == (1 + 60 + 1, 30 + 2 + 60)
    full = make_instance(SIZE, Programme.FULL_TWO_MEASURES)
    columns = 30 + (3 + full.policy.impact_chords) * 30 + 2 * (2 + 60)
    assert build_matrix(full).shape == (len(full.groups) + 3 * 30 + 2 * 61, columns)
    for instance in (simple, full):
        bounds = build_bounds(instance)
        assert (bounds.row_lower.size, bounds.cost.size) == build_matrix(instance).shape
        assert bounds.lower.size == bounds.upper.size == bounds.cost.size


def test_the_finite_delta_of_the_only_position_is_the_books_cvar() -> None:
    instance = one_bid(0.01)
    weights = np.array([0.05])
    losses = book_losses(instance.scenarios.current.returns, weights)
    # Without its only position the book loses nothing: 0.05 * 0.2.
    assert finite_deltas(instance, weights) == pytest.approx([0.01])
    assert cvar(losses, confidence_level=0.95) == pytest.approx(0.01)


def test_ours_comes_first_and_a_stranger_is_refused() -> None:
    assert next(iter(ENGINES)) == OURS
    assert is_installed(OURS)
    assert version_of("scipy highs-ds") is not None
    with pytest.raises(ValueError, match="engine must be one of"):
        make_engine("gut feeling")
