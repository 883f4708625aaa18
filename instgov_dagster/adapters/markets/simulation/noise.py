"""Named random streams: the draw for a date depends on the seed, the stream's name and the date."""

import hashlib
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray


def stream(seed: int, *names: str) -> np.random.Generator:
    """Open the generator of one named stream.

    Every stream is keyed by itself, so that adding a symbol moves no other symbol's bars. Arrays
    are filled in order: a longer draw of the same stream begins with the shorter one.
    """
    text = "\x1f".join((str(seed), *names))
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    return np.random.Generator(np.random.Philox(key=key))


def uniform_of(seed: int, *names: str) -> float:
    """Draw the one number in [0, 1) that belongs to a name."""
    return float(stream(seed, *names).random())


def between(low: float, high: float, share: float) -> float:
    """Place ``share`` in [0, 1] between two bounds."""
    return low + (high - low) * share


def student_shocks(
    generator: np.random.Generator, n: int, *, degrees: float, bound: float
) -> NDArray[np.float64]:
    """Draw ``n`` Student-t shocks of unit variance, cut at plus and minus ``bound``.

    Notes
    -----
    A Student-t with v degrees has variance v / (v - 2).
    """
    draws = generator.standard_t(degrees, size=n) / np.sqrt(degrees / (degrees - 2.0))
    bounded: NDArray[np.float64] = np.clip(draws, -bound, bound)
    return bounded


def with_memory(shocks: NDArray[np.float64], memory: float) -> NDArray[np.float64]:
    """Turn unit-variance shocks into a first-order autoregression of unit variance."""
    scaled: NDArray[np.float64] = decay_sum(shocks, memory) * np.sqrt(1.0 - memory * memory)
    return scaled


def decay_sum(inputs: NDArray[np.float64], memory: float) -> NDArray[np.float64]:
    """Accumulate ``y[t] = memory * y[t - 1] + inputs[t]`` over a vector."""
    path = accumulate(inputs.tolist(), lambda level, step: memory * level + step)
    return np.fromiter(path, dtype=np.float64, count=inputs.size)
