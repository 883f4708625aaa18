"""The hot engine: exact, hot as cold, a fold of its calls, and closed where a solver fails."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from instgov_dagster.capital.auction.certificate import (
    check_weights,
    objective_value,
    upper_bound,
)
from instgov_dagster.capital.auction.engine import hot
from instgov_dagster.capital.auction.engine.hot import BUDGET_SPENT, HotSolver
from instgov_dagster.capital.auction.engine.lp import SPENT, HotLp, Simplex
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.run import quantise_weights
from instgov_dagster.capital.auction.solver import AuctionSolution
from instgov_dagster.vocabulary.capital import AuctionStatus
from instgov_dagster_tests.capital.auction.properties.oddities import (
    strange_instance,
    with_returns,
    with_values,
)
from instgov_dagster_tests.capital.auction.settings import free_bid, many, one, run
from instgov_dagster_tests.capital.worlds import random_instance, returns_of, small_config

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")


def session(
    seed: int, n_cycles: int, *, n_symbols: int = 12, n_scenarios: int = 200
) -> Iterator[AuctionInstance]:
    """Seconds of one session: duplicate forecasts that jump, prices that drift, fills, limits."""
    rng = np.random.default_rng([seed, 3])
    base = random_instance(
        seed,
        n_symbols=n_symbols,
        n_scenarios=n_scenarios,
        n_strategies=3,
        is_holding=True,
        config=small_config(),
    )
    level = rng.integers(-2, 5, len(base.bid_ids)) * 0.001
    held, target = base.held, base.held
    for cycle in range(n_cycles):
        moved = rng.integers(0, level.size, 2)
        level[moved] = rng.integers(-2, 5, 2) * 0.001
        drift = 1.0 + 1e-3 * rng.standard_normal(n_symbols)
        held = (target if cycle % 4 == 0 else held) * drift[base.symbol_of]
        caps = base.group_caps * (0.9 if cycle % 7 == 0 else 1.0)
        now = dataclasses.replace(with_values(base, level), held=held, group_caps=caps)
        yield now
        target = quantise_weights(now, HotSolver().solve(now).weights)


def same_bits(one: AuctionSolution, other: AuctionSolution) -> bool:
    pairs = [
        (one.weights, other.weights),
        (one.group_prices, other.group_prices),
        *zip(one.tail_weights, other.tail_weights, strict=True),
    ]
    return one.lambda_star == other.lambda_star and all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("seed", range(4))
def test_over_a_thousand_seconds_hot_answers_are_the_cold_ones(seed: int) -> None:
    kept = HotSolver()
    for now in session(seed, 250, n_symbols=6, n_scenarios=80):
        warm, cold = kept.solve(now), HotSolver().solve(now)
        assert np.array_equal(
            quantise_weights(now, warm.weights), quantise_weights(now, cold.weights)
        )
        assert warm.lambda_star == pytest.approx(cold.lambda_star, rel=1e-9)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(10, 15))
def test_over_a_thousand_larger_seconds_hot_answers_are_the_cold_ones(seed: int) -> None:
    kept = HotSolver()
    for now in session(seed, 250, n_symbols=60, n_scenarios=1255):
        warm, cold = kept.solve(now), HotSolver().solve(now)
        assert np.array_equal(
            quantise_weights(now, warm.weights), quantise_weights(now, cold.weights)
        )


def test_the_same_calls_give_the_same_answers_bit_for_bit() -> None:
    seconds = list(session(5, 40))
    first, second = HotSolver(), HotSolver()
    for cycle, now in enumerate(seconds):
        if cycle % 15 == 0:
            first.restart()
            second.restart()
        assert same_bits(first.solve(now), second.solve(now))


def test_after_a_restart_the_past_is_forgotten_bit_for_bit() -> None:
    seconds = list(session(6, 12))
    used = HotSolver()
    for now in seconds[:8]:
        used.solve(now)
    used.restart()
    fresh = HotSolver()
    for now in seconds[8:]:
        assert same_bits(used.solve(now), fresh.solve(now))


@pytest.mark.parametrize("seed", range(3))
def test_every_second_is_proved_within_a_billionth(seed: int) -> None:
    kept = HotSolver()
    for now in session(seed + 20, 30):
        answer = kept.solve(now)
        assert not check_weights(now, answer.weights)
        bound = upper_bound(now, answer.tail_weights, answer.group_prices)
        assert abs(bound - objective_value(now, answer.weights)) <= 1e-12


def test_a_program_that_has_grown_is_built_again_and_answers_the_same() -> None:
    policy = dataclasses.replace(one(0.1).policy, engine_growth=1.01, engine_first_symbols=1)
    kept, programs = HotSolver(), set()
    for now in session(7, 25):
        tight = dataclasses.replace(now, policy=policy)
        answer = kept.solve(tight)
        programs.add(id(kept._hot))  # the program kept is what is asked about
        cold = HotSolver().solve(tight)
        assert np.array_equal(
            quantise_weights(tight, answer.weights), quantise_weights(tight, cold.weights)
        )
    assert len(programs) > 1


@pytest.mark.parametrize("batch", [1, 3])
def test_how_much_enters_in_a_round_changes_no_answer(batch: int) -> None:
    for seed in range(4):
        base = random_instance(seed, n_symbols=15, n_scenarios=150, config=small_config())
        narrow = dataclasses.replace(
            base,
            policy=dataclasses.replace(
                base.policy, engine_batch=batch, engine_band=2, engine_first_symbols=1
            ),
        )
        wide, slow = HotSolver().solve(base), HotSolver().solve(narrow)
        assert np.array_equal(
            quantise_weights(base, wide.weights), quantise_weights(base, slow.weights)
        )


def test_a_slack_measure_stays_out_of_the_program_until_its_limit_is_broken() -> None:
    config = small_config(marginal_limit=0.9)
    base = random_instance(3, n_symbols=10, n_scenarios=150, config=config, mu_scale=0.02)
    first = returns_of(150, 10, 3)
    kept = HotSolver()
    calm = with_returns(base, first, 0.1 * returns_of(90, 10, 4))
    slack = kept.solve(calm)
    assert np.count_nonzero(slack.tail_weights[1]) == 0
    wild = dataclasses.replace(
        with_returns(base, first, 6.0 * returns_of(90, 10, 4)), measure_limits=(0.051, 0.012)
    )
    tight = kept.solve(wild)
    net = wild.net(tight.weights)
    worst = np.sort(-wild.tails[1].returns @ net)[::-1]
    tail = (worst[:4].sum() + 0.5 * worst[4]) / 4.5  # 5 % of 90 scenarios is four and a half
    assert tail == pytest.approx(wild.tails[1].limit, abs=1e-12)
    assert tight.tail_weights[1].sum() > 0.0


def test_a_hurdle_that_rises_from_nothing_prices_a_tail_the_program_never_held() -> None:
    base = random_instance(4, n_symbols=6, n_scenarios=80, config=small_config(), mu_scale=0.02)
    kept = HotSolver()
    free = kept.solve(dataclasses.replace(base, hurdle=0.0))
    dear = dataclasses.replace(base, hurdle=2.0)
    priced = kept.solve(dear)
    assert free.weights.sum() > priced.weights.sum()
    assert np.array_equal(
        quantise_weights(dear, priced.weights),
        quantise_weights(dear, HotSolver().solve(dear).weights),
    )


def test_a_holding_above_its_cap_is_sold_down_to_it() -> None:
    instance = one(0.1, held=np.array([0.08]), fields={"mu": 0.01})
    assert HotSolver().solve(instance).weights[0] == pytest.approx(0.05, abs=1e-15)


def test_selling_is_never_forced_where_no_cap_asks_for_it() -> None:
    instance = one(0.1, held=np.array([0.04]), fields={"mu": -0.01, "adv_usd": 1e6})
    # A tenth of a million a day of ten million: one hundredth may be sold.
    assert HotSolver().solve(instance).weights[0] == pytest.approx(0.03, abs=1e-15)


def test_bids_on_one_symbol_share_its_cap_and_the_dearer_one_gets_it() -> None:
    rows = [free_bid("S000", "a", mu=0.004), free_bid("S000", "b", mu=0.005)]
    answer = HotSolver().solve(many(rows, (0.1,)))
    assert answer.weights == pytest.approx([0.0, 0.05], abs=1e-15)


def test_the_pivot_budget_ends_a_solve_with_an_answer_that_keeps_every_limit() -> None:
    base = random_instance(2, n_symbols=40, n_scenarios=400, config=small_config())
    best = objective_value(base, HotSolver().solve(base).weights)
    starved = 0
    for budget in (1, 5, 20, 40, 80):
        solver = HotSolver()
        solver.solve(base)
        moved = with_values(base, base.values[::-1].copy())
        poor = dataclasses.replace(
            moved, policy=dataclasses.replace(base.policy, solver_iterations=1000)
        )
        answer = _with_budget(poor, budget)
        starved += answer.message == BUDGET_SPENT
        assert answer.is_solved
        assert not check_weights(poor, answer.weights)
        bound = upper_bound(poor, answer.tail_weights, answer.group_prices)
        assert objective_value(poor, answer.weights) <= bound + 1e-15
        again = _with_budget(poor, budget)
        assert same_bits(answer, again)
    assert starved >= 3
    assert best > 0.0


def _with_budget(instance: AuctionInstance, budget: int) -> AuctionSolution:
    # The policy's own floor is a thousand pivots, which no auction this small ever spends.
    program = hot.HotAuction(instance, None)
    program._policy = _Starved(instance, budget)  # type: ignore[assignment]
    return program.solve(instance)


class _Starved:
    """The policy of an instance with fewer pivots than it allows to be written."""

    def __init__(self, instance: AuctionInstance, budget: int) -> None:
        self._policy = instance.policy
        self.solver_iterations = budget

    def __getattr__(self, name: str) -> object:
        return getattr(self._policy, name)


def test_a_budget_that_ends_with_an_optimum_is_spent_and_still_has_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base, honest = (
        random_instance(2, n_symbols=40, n_scenarios=400, config=small_config()),
        HotLp.run,
    )

    def to_the_last(lp: HotLp, simplex: Simplex, *, most_pivots: int) -> str:
        word = honest(lp, simplex, most_pivots=most_pivots)
        lp.pivots = most_pivots
        return word

    monkeypatch.setattr(HotLp, "run", to_the_last)
    answer = HotSolver().solve(base)
    assert answer.is_solved
    assert answer.message == BUDGET_SPENT
    assert not check_weights(base, answer.weights)


FAILURES = (
    "Infeasible",
    "Unbounded",
    "Primal infeasible or unbounded",
    "Solve error",
    "Unknown",
    "Not Set",
    "Time limit reached",
    "Interrupted by user",
)


@pytest.mark.parametrize("word", FAILURES)
def test_any_other_word_of_the_solver_is_a_failure_and_moves_nothing(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = one(0.1, held=np.array([0.02]))
    monkeypatch.setattr(HotLp, "run", lambda *_, **__: word)
    result = run(instance, solver=HotSolver())
    assert result.status is AuctionStatus.NO_TRADE
    assert result.message == word
    assert result.weights.tolist() == [0.02]
    kept = run(instance, solver=HotSolver(), previous=np.array([0.03]))
    assert kept.status is AuctionStatus.PREVIOUS_SCALED
    assert kept.weights[0] == pytest.approx(0.03)


def test_a_kept_program_that_fails_is_built_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, words = HotSolver(), iter(["Unknown"])
    seconds = list(session(8, 2))
    kept.solve(seconds[0])
    honest = HotLp.run

    def flaky(lp: HotLp, simplex: Simplex, *, most_pivots: int) -> str:
        return next(words, "") or honest(lp, simplex, most_pivots=most_pivots)

    monkeypatch.setattr(HotLp, "run", flaky)
    answer = kept.solve(seconds[1])
    monkeypatch.undo()
    assert same_bits(answer, HotSolver().solve(seconds[1]))


def test_a_budget_spent_at_once_is_still_judged_by_the_ladder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def spent(lp: HotLp, simplex: Simplex, *, most_pivots: int) -> str:
        assert simplex in Simplex
        assert most_pivots > 0
        lp.col_values, lp._col_duals = np.zeros(lp.n_cols), [0.0] * lp.n_cols
        lp.row_duals = np.zeros(lp.n_rows)
        return SPENT

    monkeypatch.setattr(HotLp, "run", spent)
    result = run(one(0.1, held=np.array([0.02]), fields={"mu": 0.2}), solver=HotSolver())
    assert result.status is AuctionStatus.NO_TRADE
    assert result.weights.tolist() == [0.02]


@pytest.mark.parametrize("seed", range(12))
def test_strange_auctions_are_proved_as_well(seed: int) -> None:
    instance = strange_instance(seed + 500)
    answer = HotSolver().solve(instance)
    assert answer.is_solved
    assert not check_weights(instance, answer.weights)
    bound = upper_bound(instance, answer.tail_weights, answer.group_prices)
    assert abs(bound - objective_value(instance, answer.weights)) <= 1e-9
