"""Price paths to cut scenarios from."""

import numpy as np


def walk(n: int, n_symbols: int = 2, seed: int = 3) -> np.ndarray:
    """Random walks of one percent a session, shape (n, n_symbols)."""
    rng = np.random.default_rng(seed)
    return 100 * np.cumprod(1 + 0.01 * rng.standard_normal((n, n_symbols)), axis=0)


def calm_and_crash(
    n: int, crash: slice, *, n_symbols: int = 3, size: float = 3.0, seed: int = 5
) -> np.ndarray:
    """Walks whose steps are `size` times as large, and mostly down, within a slice."""
    rng = np.random.default_rng(seed)
    steps = 0.01 * rng.standard_normal((n, n_symbols))
    steps[crash] = -0.005 + size * steps[crash]
    return 100 * np.cumprod(1 + steps, axis=0)


def days(n: int, start: str = "2015-01-01") -> np.ndarray:
    """So many consecutive dates."""
    return np.datetime64(start) + np.arange(n)
