"""Running sums of errors: every window and every verdict is that of the errors, to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from instgov_dagster.beliefs.trust.decay import (
    DecayState,
    decay_of,
    decay_state,
    error_factor,
    error_ratio_path,
    flip_path,
)
from instgov_dagster.beliefs.trust.sums import ErrorSums
from instgov_dagster.vocabulary.policy.beliefs import HealthPolicy

Floats = NDArray[np.float64]
NAMES = ("known", "count", "total", "squares", "lagged")
POLICY = HealthPolicy()
WINDOWS = {"recent": POLICY.error_sessions, "reference": POLICY.reference_sessions}

numbers = st.one_of(
    st.floats(-4.0, 4.0), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e200, -1e200])
)
matrices = st.tuples(st.integers(2, 9), st.integers(1, 4)).flatmap(
    lambda shape: npst.arrays(np.float64, shape, elements=numbers)
)


def drawn_errors(seed: int, sessions: int = 420, columns: int = 5) -> Floats:
    rng = np.random.default_rng(seed)
    errors = rng.standard_t(4, size=(sessions, columns))
    errors[:90, 1] = np.nan
    errors[-40:, 2] *= 3.0
    for t in range(1, sessions):
        errors[t, 3] += (0.6 if t < sessions - 60 else -0.6) * errors[t - 1, 3]
    errors[-1, 4] = np.nan
    return errors


def same(one: DecayState, other: DecayState) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


@pytest.mark.roadmap("6.3", "TEST.6")
@settings(max_examples=200, deadline=None)
@given(matrices)
def test_every_sum_is_added_up_session_by_session(errors: Floats) -> None:
    n = len(errors)
    with np.errstate(over="ignore"):
        sums = ErrorSums.of(errors)
    known = np.where(np.isfinite(errors), errors, 0.0)
    with np.errstate(over="ignore"):
        lagged = np.vstack([np.zeros((1, errors.shape[1])), known[1:] * known[:-1]])
        parts = {
            "count": np.isfinite(errors).astype(np.float64),
            "total": known,
            "squares": np.where(np.isfinite(known * known), known * known, 0.0),
            "lagged": np.where(np.isfinite(lagged), lagged, 0.0),
        }
    assert np.array_equal(sums.rows("known", 0, n), known)
    for name, part in parts.items():
        running = np.cumsum(part, axis=0)
        assert np.array_equal(sums.rows(name, 0, n), running)
        for window in (1, 2, n):
            wanted = running.copy()
            wanted[window:] -= running[:-window]
            assert np.array_equal(sums.windows(name, window, 0, n), wanted)
            assert np.array_equal(sums.windows(name, window, n // 2, n), wanted[n // 2 :])


@pytest.mark.roadmap("6.3")
@settings(max_examples=200, deadline=None)
@given(matrices, st.data())
def test_with_another_last_error_the_sums_are_those_of_the_other_errors(
    errors: Floats, data: st.DataObject
) -> None:
    last = data.draw(npst.arrays(np.float64, errors.shape[1], elements=numbers))
    changed = errors.copy()
    changed[-1] = last
    with np.errstate(over="ignore"):
        held = ErrorSums.of(errors)
        other, wanted = held.ending(last), ErrorSums.of(changed)
        untouched = ErrorSums.of(errors)
    columns = np.arange(errors.shape[1])[::2]
    n = len(errors)
    for name in NAMES:
        for begin in (0, n - 1):
            found = other.rows(name, begin, n)
            assert np.array_equal(found, wanted.rows(name, begin, n))
            assert np.array_equal(other.of_columns(columns).rows(name, begin, n), found[:, columns])
            window = other.windows(name, 1, begin, n)
            assert np.array_equal(window, wanted.windows(name, 1, begin, n))
        assert np.array_equal(other.rows(name, 0, n - 1), wanted.rows(name, 0, n - 1))
        assert np.array_equal(held.rows(name, 0, n), untouched.rows(name, 0, n))


@pytest.mark.roadmap("6.3", "6.4", "TEST.6")
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(-1, 419), min_size=5, max_size=5))
def test_the_decay_is_read_off_whole_paths_whatever_rows_are_looked_at(
    seed: int, passed: list[int]
) -> None:
    errors, last_pass = drawn_errors(seed), np.array(passed)
    ages = np.maximum(400 - last_pass, 0)
    ratio = error_ratio_path(errors, **WINDOWS)
    flips = flip_path(errors, critical_z=POLICY.flip_critical_z, **WINDOWS)
    since = np.arange(len(errors))[:, None] >= np.maximum(last_pass, 0)
    factors = np.where(np.isfinite(ratio), error_factor(ratio, POLICY), 1.0)
    worst = np.where(since, factors, 1.0).min(axis=0)
    found = decay_state(errors, last_pass, ages, POLICY)
    assert found.rolling_error.tobytes() == ratio[-1].tobytes()
    assert (
        found.error_factor.tobytes() == np.minimum(worst, error_factor(ratio[-1], POLICY)).tobytes()
    )
    assert np.array_equal(found.has_flipped, (flips & since).any(axis=0))


@pytest.mark.roadmap("6.3", "6.4")
def test_several_models_side_by_side_decay_as_each_alone() -> None:
    models = [drawn_errors(seed) for seed in (1, 2, 3)]
    passes = np.array([[-1, 400, 380, 380, 419], [400, 400, 20, 380, 419], [-1, 0, 1, 2, 3]])
    ages = np.full(passes.shape, 45)
    together = decay_of(ErrorSums.of(*models), passes.ravel(), ages.ravel(), POLICY)
    for place, errors in enumerate(models):
        mine = slice(5 * place, 5 * place + 5)
        alone = decay_state(errors, passes[place], ages[place], POLICY)
        assert same(DecayState(*(part[mine] for part in together)), alone)
    assert together.has_flipped.any()
    assert not together.has_flipped.all()
