"""The regime of every calendar day: a Markov chain with a few crises every seed goes through."""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.adapters.markets.simulation.noise import stream
from instgov_dagster.adapters.markets.simulation.parameters import RegimeParameters

NORMAL, VOLATILE, CRISIS = 0, 1, 2


def transition_matrix(parameters: RegimeParameters) -> NDArray[np.float64]:
    """Lay the chances per calendar day out as a matrix whose rows sum to one, shape (3, 3)."""
    p = parameters
    return np.array(
        [
            [1.0 - p.to_volatile - p.to_crisis, p.to_volatile, p.to_crisis],
            [
                p.volatile_to_normal,
                1.0 - p.volatile_to_normal - p.volatile_to_crisis,
                p.volatile_to_crisis,
            ],
            [0.0, p.crisis_to_volatile, 1.0 - p.crisis_to_volatile],
        ]
    )


def regime_path(
    seed: int, *, origin: date, n_days: int, parameters: RegimeParameters
) -> NDArray[np.int8]:
    """Walk the chain from NORMAL and plant the crises.

    Returns
    -------
    NDArray[np.int8]
        Shape ``(n_days,)``, one of NORMAL, VOLATILE, CRISIS for each calendar day.
    """
    cumulative = np.cumsum(transition_matrix(parameters), axis=1)
    draws = stream(seed, "regime").random(n_days).tolist()
    rows = [tuple(row[:2]) for row in cumulative.tolist()]
    states = []
    state = NORMAL
    for draw in draws:
        to_normal, to_volatile = rows[state]
        state = NORMAL if draw < to_normal else VOLATILE if draw < to_volatile else CRISIS
        states.append(state)
    path = np.array(states, dtype=np.int8)
    for start, end in planted_windows(seed, origin=origin, parameters=parameters):
        before = max(0, start - parameters.prelude_days)
        after = max(0, end + parameters.aftermath_days)
        around = path[before:after]
        np.maximum(around, VOLATILE, out=around)
        path[max(0, start) : max(0, end)] = CRISIS
    return path


def planted_windows(
    seed: int, *, origin: date, parameters: RegimeParameters
) -> tuple[tuple[int, int], ...]:
    """Give the planted crises as (first day, day after the last), counted from the origin."""
    windows = []
    jitter = parameters.jitter_days
    for i, crisis in enumerate(parameters.planted):
        shift = int(stream(seed, "planted", str(i)).integers(-jitter, jitter + 1))
        start = (crisis.onset - origin).days + shift
        windows.append((start, start + crisis.days))
    return tuple(windows)


def by_regime(values: tuple[float, float, float], path: NDArray[np.int8]) -> NDArray[np.float64]:
    """Give the value of each day's regime."""
    return np.array(values)[path]
