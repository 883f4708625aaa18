"""Lives on the exchange's sessions: an edge is promoted, a lost one ends, noise rarely is."""

from datetime import date, timedelta

import numpy as np
import pytest
from scipy.stats import binom

from instgov_dagster.bars.calendars import expected_sessions
from instgov_dagster.governance.lifecycle import (
    StrategyRecord,
    evaluate_lifecycle,
    fresh_state,
)
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.governance import LifecyclePolicy, StrategyLifecycle
from instgov_dagster.vocabulary.governance import StrategyLifecycleState as State

POLICY = LifecyclePolicy()
START, END = date(2018, 1, 2), date(2023, 1, 3)
GROSS, VOLATILITY = 0.02, 0.16


def drawn(seed: int, sharpe: np.ndarray) -> np.ndarray:
    """Profit and loss of one strategy, fractions of NAV: fat tails about an annual Sharpe ratio."""
    rng = np.random.default_rng(seed)
    shocks = rng.standard_t(5, sharpe.size) * np.sqrt(3.0 / 5.0)
    return GROSS * VOLATILITY * (sharpe / 252.0 + shocks / np.sqrt(252.0))


def lived(pnl: dict[str, np.ndarray]) -> dict[str, list[StrategyLifecycle]]:
    """Look at every strategy every 21 sessions over five years; give the stages it went through."""
    sessions = expected_sessions(AssetClass.STOCKS, START, END)
    states: dict[str, State] = {name: fresh_state(name, START, POLICY) for name in pnl}
    seen = {name: [StrategyLifecycle.INCUBATING] for name in pnl}
    for n in range(POLICY.look_sessions, sessions.size, POLICY.look_sessions):
        rows = np.full(n, GROSS), np.full(n, VOLATILITY)
        records = [
            StrategyRecord(
                strategy_id=name,
                pnl=path[:n],
                gross=rows[0],
                volatility_annual=rows[1],
                is_model_healthy=True,
                error_rate=0.0,
                signal_stale_hours=10.0,
                e_value=1.0,
            )
            for name, path in pnl.items()
        ]
        told = evaluate_lifecycle(
            states.values(),
            records,
            asof=sessions[n - 1].astype("datetime64[D]").item() + timedelta(days=1),
            sessions=sessions[:n],
            n_trials=13,
            hurdle=0.02,
            policy=POLICY,
        )
        states = {state.strategy_id: state for state in told.states}
        for name, state in states.items():
            if state.stage is not seen[name][-1]:
                seen[name].append(state.stage)
    return seen


def test_a_planted_edge_is_promoted_and_one_that_turns_to_loss_is_ended() -> None:
    n = expected_sessions(AssetClass.STOCKS, START, END).size
    turning = np.where(np.arange(n) < 400, 2.5, -4.0)
    # Others beside them: two that fall together must not be half of all.
    others = {f"other-{k}": drawn(100 + k, np.full(n, 0.5)) for k in range(4)}
    seen = lived({"edge": drawn(1, np.full(n, 2.5)), "turning": drawn(2, turning), **others})
    assert seen["edge"][:2] == [StrategyLifecycle.INCUBATING, StrategyLifecycle.SCALING]
    assert StrategyLifecycle.DECOMMISSIONED not in seen["edge"]
    assert seen["turning"][-1] is StrategyLifecycle.DECOMMISSIONED


@pytest.mark.nightly
def test_of_six_strategies_of_noise_in_twenty_worlds_few_are_ever_promoted() -> None:
    n = expected_sessions(AssetClass.STOCKS, START, END).size
    promoted = 0
    for seed in range(20):
        noise = {f"n{k}": drawn(1000 * seed + k, np.zeros(n)) for k in range(6)}
        promoted += sum(StrategyLifecycle.SCALING in stages for stages in lived(noise).values())
    assert promoted <= binom.ppf(0.99, 20 * 6, 0.10)


def test_the_drawn_result_has_the_edge_and_the_volatility_it_says() -> None:
    pnl = drawn(3, np.full(200_000, 2.0)) / GROSS
    assert pnl.std() * np.sqrt(252) == pytest.approx(VOLATILITY, rel=0.03)
    assert pnl.mean() * 252 / VOLATILITY == pytest.approx(2.0, abs=0.15)
