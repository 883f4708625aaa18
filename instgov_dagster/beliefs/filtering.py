"""The forward filter over hidden regimes and its transition counts; no smoothing, no policy."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.vocabulary.policy.beliefs import EmissionTable

Floats = NDArray[np.float64]


class FilteredPath(NamedTuple):
    """What was believed at each session, and the transition matrix it would be carried on by."""

    beliefs: Floats  # (T, K), filtered, rows sum to one
    transitions: Floats  # (T, K, K), posterior mean after the session
    log_likelihood: float


class FilterState(NamedTuple):
    """What the filter must remember between two sessions; arrays all, so it packs as it is."""

    belief: Floats  # (K,), filtered
    counts: Floats  # (K, K), prior and learnt
    log_likelihood: Floats  # (1,)
    sessions: NDArray[np.int64]  # (1,), seen


class HorizonChances(NamedTuple):
    """Where the chain stands after the horizon, and whether it met the worst state on the way."""

    state: Floats  # (K,)
    hit: float


def student_t_log_density(values: Floats, table: EmissionTable, *, dof: float) -> Floats:
    """Evaluate one observation's log density in each regime.

    Parameters
    ----------
    values
        Shape ``(T,)``, in the table's unit; NaN where the observation is missing.
    table
        Locations and scales by regime.
    dof
        Degrees of freedom of the Student-t law.

    Returns
    -------
    Shape ``(T, 3)``; a missing observation says nothing: 0 in every regime. The Jacobian of the
    logarithm is left out where the table is logarithmic: it is the same in every regime and
    cancels.

    Raises
    ------
    ValueError
        If an observation of a logarithmic table is not positive.
    """
    location = np.array(table.location.as_tuple())
    scale = np.array(table.scale.as_tuple())
    observed = np.isfinite(values)
    filled = np.where(observed, values, 1.0)
    if table.is_logarithmic:
        if not bool(np.all(filled > 0)):
            raise ValueError(f"a logarithmic observation must be > 0, was {filled.min()!r}")
        filled, location = np.log(filled), np.log(location)
    z = (filled[:, None] - location) / scale
    constant = math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2) - 0.5 * math.log(dof * math.pi)
    density = constant - np.log(scale) - 0.5 * (dof + 1) * np.log1p(z * z / dof)
    return np.where(observed[:, None], density, 0.0)


def stationary_distribution(transition: Floats) -> Floats:
    """Solve for the distribution that one step of the chain leaves as it is.

    Parameters
    ----------
    transition
        Shape ``(K, K)``, positive rows that sum to one.
    """
    n_states = transition.shape[0]
    system = np.vstack([transition.T - np.eye(n_states), np.ones(n_states)])
    target = np.append(np.zeros(n_states), 1.0)
    solution = np.linalg.lstsq(system, target, rcond=None)[0]
    clipped = np.clip(solution, 0.0, 1.0)
    return np.asarray(clipped / clipped.sum())


def start_filter(prior: Floats, *, pseudo_counts: float, initial: Floats) -> FilterState:
    """Begin before the first session; see :func:`filter_forward`."""
    return FilterState(initial, pseudo_counts * prior, np.zeros(1), np.zeros(1, dtype=np.int64))


def transition_of(state: FilterState) -> Floats:
    """Give the posterior mean of the transition matrix, shape ``(K, K)``."""
    return np.asarray(state.counts / state.counts.sum(axis=1, keepdims=True))


def filter_session(state: FilterState, log_emission: Floats) -> FilterState:
    """Filter one session more; the state handed in is not changed.

    Parameters
    ----------
    state
        After the session before.
    log_emission
        Shape ``(K,)``, log densities of what the session showed, finite.

    Raises
    ------
    ValueError
        If a log density is not finite.
    """
    peak = float(log_emission.max())
    if not bool(np.isfinite(log_emission).all()):
        raise ValueError("log_emissions must be finite")
    emission = np.exp(log_emission - peak)
    if int(state.sessions[0]) == 0:
        weights, counts = state.belief * emission, state.counts
        total = weights.sum()
    else:
        joint = state.belief[:, None] * transition_of(state) * emission
        weights = joint.sum(axis=0)
        total = weights.sum()
        counts = state.counts + joint / total
    likelihood = state.log_likelihood + (math.log(total) + peak)
    return FilterState(weights / total, counts, likelihood, state.sessions + 1)


def filter_forward(
    log_emissions: Floats, prior: Floats, *, pseudo_counts: float, initial: Floats
) -> FilteredPath:
    """Filter the regimes forward, learning the transitions from the filtered joints on the way.

    Parameters
    ----------
    log_emissions
        Shape ``(T, K)``, finite.
    prior
        Shape ``(K, K)``, prior mean of the transition matrix, entries in (0, 1).
    pseudo_counts
        Weight of each prior row, in sessions.
    initial
        Shape ``(K,)``, the distribution before the first session is observed.

    Returns
    -------
    Row ``t`` rests on the observations up to ``t`` alone: nothing later moves a bit of it.

    Raises
    ------
    ValueError
        If a log density is not finite.

    Notes
    -----
    Hamilton (1989), Econometrica 57. The joint ``P(s_{t-1}=i, s_t=j | y_1..t)`` is proportional
    to ``b_{t-1}(i) A_ij e_t(j)``; its sum over the path, added to the prior's pseudo-counts, is
    the row-wise Dirichlet posterior whose mean is the matrix used at ``t + 1``. The smoothed
    joint, which reads the future, never enters.
    """
    if not bool(np.isfinite(log_emissions).all()):
        raise ValueError("log_emissions must be finite")
    peaks = log_emissions.max(axis=1)
    emissions = np.exp(log_emissions - peaks[:, None]).tolist()
    belief, counts = initial.tolist(), (pseudo_counts * prior).tolist()
    beliefs, learnt, likelihood = [], [], 0.0
    for t, (emission, peak) in enumerate(zip(emissions, peaks.tolist(), strict=True)):
        if t == 0:
            weights = [b * e for b, e in zip(belief, emission, strict=True)]
        else:
            joint = _joint(belief, counts, emission)
            weights = [_added(into) for into in zip(*joint, strict=True)]
            counts = _counted(counts, joint, _added(weights))
        total = _added(weights)
        likelihood += math.log(total) + peak
        belief = [weight / total for weight in weights]
        beliefs.append(belief)
        learnt.append(counts)
    shape = log_emissions.shape
    return _path(
        np.array(beliefs, dtype=np.float64).reshape(shape),
        np.array(learnt, dtype=np.float64).reshape(*shape, shape[1]),
        likelihood,
    )


def _path(beliefs: Floats, counts: Floats, likelihood: float) -> FilteredPath:
    transitions = np.asarray(counts / counts.sum(axis=2, keepdims=True))
    return FilteredPath(beliefs, transitions, likelihood)


def filter_lanes(
    log_emissions: Sequence[Floats], prior: Floats, *, pseudo_counts: float, initial: Floats
) -> list[FilteredPath]:
    """Filter several series side by side, each bit for bit as :func:`filter_forward` filters it.

    Parameters
    ----------
    log_emissions
        Shape ``(T, K)`` each, finite; of any number of sessions, each from its own first on.
    prior, pseudo_counts, initial
        As for one; the same for all.

    Raises
    ------
    ValueError
        If a log density is not finite.

    Notes
    -----
    Every operation is elementwise, and every sum over the states is added up in their order, as
    it is for one.
    """
    if not all(bool(np.isfinite(lane).all()) for lane in log_emissions):
        raise ValueError("log_emissions must be finite")
    n_states, n_lanes = initial.shape[0], len(log_emissions)
    longest = max((len(lane) for lane in log_emissions), default=0)
    peaks = [lane.max(axis=1) for lane in log_emissions]
    # past the end of a lane it is shown nothing, and what is believed then is read by nobody
    emissions = np.ones((longest, n_states, n_lanes))
    for place, (lane, peak) in enumerate(zip(log_emissions, peaks, strict=True)):
        emissions[: len(lane), :, place] = np.exp(lane - peak[:, None])
    beliefs = np.empty((longest, n_states, n_lanes))
    learnt = np.empty((longest, n_states, n_states, n_lanes))
    totals = np.empty((longest, n_lanes))
    belief = np.repeat(initial[:, None], n_lanes, axis=1)
    counts = np.repeat((pseudo_counts * prior)[:, :, None], n_lanes, axis=2)
    for t, emission in enumerate(emissions):
        if t == 0:
            weights = belief * emission
            total = _summed(weights)
        else:
            share = counts / _summed(counts.swapaxes(0, 1))[:, None]
            joint = belief[:, None] * share * emission
            weights = _summed(joint)
            total = _summed(weights)
            counts = counts + joint / total
        belief = weights / total
        beliefs[t], learnt[t], totals[t] = belief, counts, total
    return [
        _path(
            np.ascontiguousarray(beliefs[: len(peak), :, place]),
            np.ascontiguousarray(learnt[: len(peak), :, :, place]),
            _likelihood(totals[: len(peak), place], peak),
        )
        for place, peak in enumerate(peaks)
    ]


def _summed(states: Floats) -> Floats:
    # Over the first axis one after another, whatever its length: `_added` of arrays.
    total: Floats = states[0]
    for rows in states[1:]:
        total = total + rows
    return total


def _likelihood(totals: Floats, peaks: Floats) -> float:
    likelihood = 0.0
    for total, peak in zip(totals.tolist(), peaks.tolist(), strict=True):
        likelihood += math.log(total) + peak
    return likelihood


def _joint(
    belief: list[float], counts: list[list[float]], emission: list[float]
) -> list[list[float]]:
    # Of being there before and here now, times what was shown: `filter_session` in plain numbers,
    # for a matrix of three states is too small for arrays to pay.
    joint = []
    for before, row in zip(belief, counts, strict=True):
        total = _added(row)
        joint.append([before * (n / total) * e for n, e in zip(row, emission, strict=True)])
    return joint


def _counted(
    counts: list[list[float]], joint: list[list[float]], total: float
) -> list[list[float]]:
    return [
        [n + p / total for n, p in zip(held, row, strict=True)]
        for held, row in zip(counts, joint, strict=True)
    ]


def _added(numbers: Sequence[float]) -> float:
    # One after another, as numpy adds so few: `sum` compensates on newer Pythons.
    total = 0.0
    for number in numbers:
        total += number
    return total


def hit_chances(beliefs: Floats, transitions: Floats, *, sessions: int) -> Floats:
    """Find the chance of `look_ahead` after every session of a path, ``(T,)``."""
    held = transitions[:, :-1, :-1]
    safe = np.linalg.matrix_power(held, sessions).sum(axis=2)
    met = 1.0 - np.matmul(beliefs[:, None, :-1], safe[:, :, None])[:, 0, 0]
    return np.asarray(np.clip(met, 0.0, 1.0))


def look_ahead(belief: Floats, transition: Floats, *, sessions: int) -> HorizonChances:
    """Carry a belief over the horizon, and find the chance of meeting the last state on it.

    Parameters
    ----------
    belief
        Shape ``(K,)``, sums to one.
    transition
        Shape ``(K, K)``, rows sum to one; the last state is the worst.
    sessions
        Steps ahead.

    Notes
    -----
    ``state = b A^h``; ``hit = 1 - b_NC A_NC^h 1`` with NC the states other than the last, so
    being in it today counts as met (roadmap 7.2, SPEC 2).
    """
    state = belief @ np.linalg.matrix_power(transition, sessions)
    safe = np.linalg.matrix_power(transition[:-1, :-1], sessions).sum(axis=1)
    hit = 1.0 - float(belief[:-1] @ safe)
    return HorizonChances(state / state.sum(), min(max(hit, 0.0), 1.0))
