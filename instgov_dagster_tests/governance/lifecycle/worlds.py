"""Strategies and nights that the lifecycle tests share; no test here."""

import dataclasses
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.governance.lifecycle import (
    LifecycleReport,
    Measured,
    StrategyRecord,
    evaluate_lifecycle,
    fresh_state,
    judge_stage,
)
from instgov_dagster.vocabulary.governance import (
    LifecyclePolicy,
    StrategyLifecycle,
    StrategyLifecycleState,
)

POLICY = LifecyclePolicy()
DAYS = np.arange(np.datetime64("2020-01-01"), np.datetime64("2024-12-31"))
CALENDAR = DAYS[np.is_busday(DAYS)]
START = CALENDAR[0].item()
TRIALS = 4
HURDLE = 0.02
INCUBATING, SCALING, HARVESTING, ENDED = StrategyLifecycle
Vector = NDArray[np.float64]


def asof_after(n: int) -> date:
    """Name the night that knows the first ``n`` sessions."""
    day: date = CALENDAR[n].item()
    return day


def record(name: str, returns: Vector, **changes: Any) -> StrategyRecord:
    gross = np.full(returns.size, 0.02)
    base: dict[str, Any] = {
        "strategy_id": name,
        "pnl": returns * gross,
        "gross": gross,
        "volatility_annual": np.full(returns.size, 0.08),
        "is_model_healthy": True,
        "error_rate": 0.0,
        "signal_stale_hours": 1.0,
        "e_value": 1.0,
    }
    return StrategyRecord(**{**base, **changes})


def evaluate(
    previous: tuple[StrategyLifecycleState, ...], n: int, *records: StrategyRecord
) -> LifecycleReport:
    return evaluate_lifecycle(
        previous,
        records,
        asof=asof_after(n),
        sessions=CALENDAR[:n],
        n_trials=TRIALS,
        hurdle=HURDLE,
        policy=POLICY,
    )


def walk(returns: Vector, *, first: int = 0, **changes: Any) -> list[StrategyLifecycleState]:
    """Live night by night over the returns of one strategy."""
    states = [fresh_state("s", START, POLICY)]
    for n in range(first + 1, returns.size + 1):
        states += evaluate((states[-1],), n, record("s", returns[:n], **changes)).states
    return states


def steady(n: int, *, mean: float = 0.0010, deviation: float = 0.003, seed: int = 5) -> Vector:
    noise = np.random.default_rng(seed).normal(0.0, 1.0, n)
    return mean + deviation * (noise - noise.mean()) / noise.std()


def measured(**changes: Any) -> Measured:
    base: dict[str, Any] = {
        "sessions": 300,
        "deployed": 300,
        "total_return": 0.2,
        "sharpe_rolling": 2.0,
        "max_drawdown": 0.05,
        "profit_factor": 1.5,
        "last_profit_date": START,
        "psr": 0.999,
        "psr_min_sessions": 100.0,
        "dsr": 0.95,
        "dsr_min_sessions": 200.0,
        "positive_blocks": 5,
        "return_per_cvar": 0.05,
        "trailing_pnl": 0.01,
        "first_breach_ago": None,
        "vetoes": 0,
    }
    return Measured(**{**base, **changes})


def look(
    stage: StrategyLifecycle,
    record_changes: dict[str, Any] | None = None,
    *,
    decay: float = 1.0,
    mass: bool = False,
    **changes: Any,
) -> Any:
    return judge_stage(
        stage,
        measured(**changes),
        record("s", np.zeros(3), **(record_changes or {})),
        capital_decay=decay,
        is_mass_drawdown=mass,
        hurdle=HURDLE,
        policy=POLICY,
    )


def walk_two(returns: Vector) -> list[StrategyLifecycleState]:
    """Live beside two strategies that do nothing wrong."""
    n_all = returns.size
    fine = steady(n_all)
    states = [tuple(fresh_state(name, START, POLICY) for name in ("s", "t", "u"))]
    for n in range(1, n_all + 1):
        records = [record("s", returns[:n]), record("t", fine[:n]), record("u", fine[:n])]
        states.append(evaluate(states[-1], n, *records).states)
    return [night[0] for night in states]


def crash(n: int, at: int) -> Vector:
    returns = np.zeros(n)
    returns[at] = -0.25
    return returns


def mass_night(
    crashes: dict[str, int | None], n: int, previous: tuple[StrategyLifecycleState, ...] = ()
) -> LifecycleReport:
    states = previous or tuple(
        dataclasses.replace(fresh_state(name, START, POLICY), sessions=n - 1) for name in crashes
    )
    records = [
        record(name, np.zeros(n) if at is None else crash(n, at)) for name, at in crashes.items()
    ]
    return evaluate(states, n, *records)
