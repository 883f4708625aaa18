"""The forward filter against numbers by hand and against two filters nobody here wrote."""

import math

import numpy as np
import pytest
from hmmlearn import _hmmc as hmmc
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from scipy import stats
from statsmodels.tsa.regime_switching import markov_switching

from instgov_dagster.beliefs.filtering import (
    FilterState,
    filter_forward,
    filter_lanes,
    filter_session,
    hit_chances,
    look_ahead,
    start_filter,
    stationary_distribution,
    student_t_log_density,
    transition_of,
)
from instgov_dagster.beliefs.hot.packing import pack_state, unpack_state
from instgov_dagster.vocabulary.policy.beliefs import EmissionTable, RegimePolicy, RegimeValues

Floats = NDArray[np.float64]

PRIOR = np.array([[0.95, 0.04, 0.01], [0.05, 0.90, 0.05], [0.02, 0.10, 0.88]])
START = np.array([0.6, 0.3, 0.1])


def emissions(seed: int, sessions: int = 400) -> Floats:
    return np.random.default_rng(seed).normal(0.0, 2.0, size=(sessions, 3))


chains = npst.arrays(np.float64, (3, 3), elements=st.floats(0.01, 1.0)).map(
    lambda raw: raw / raw.sum(axis=1, keepdims=True)
)
simplices = npst.arrays(np.float64, 3, elements=st.floats(0.0, 1.0)).filter(
    lambda raw: raw.sum() > 0.01
)


@pytest.mark.roadmap("7.2", "7.4", "TEST.7")
def test_two_sessions_filtered_by_hand_give_the_belief_and_the_posterior_matrix() -> None:
    # two states, prior rows (.9 .1) and (.2 .8) worth 10 sessions, start (.5 .5);
    # densities (1, 3) then (4, 1): b0 = (.25 .75)
    # joint = (.25*.9*4, .25*.1*1; .75*.2*4, .75*.8*1) = (.9 .025; .6 .6), sum 2.125
    # b1 = (1.5, .625)/2.125; counts row 0: 9 + .9/2.125, 1 + .025/2.125
    prior = np.array([[0.9, 0.1], [0.2, 0.8]])
    densities = np.log(np.array([[1.0, 3.0], [4.0, 1.0]]))
    path = filter_forward(densities, prior, pseudo_counts=10.0, initial=np.array([0.5, 0.5]))
    assert path.beliefs[0] == pytest.approx([0.25, 0.75], abs=1e-15)
    assert path.beliefs[1] == pytest.approx([1.5 / 2.125, 0.625 / 2.125], abs=1e-15)
    stay, leave = 9 + 0.9 / 2.125, 1 + 0.025 / 2.125
    assert path.transitions[1][0] == pytest.approx(
        [stay / (stay + leave), leave / (stay + leave)], abs=1e-15
    )
    assert path.log_likelihood == pytest.approx(math.log(2.0) + math.log(2.125), abs=1e-14)


@pytest.mark.roadmap("7.4")
def test_the_filter_agrees_with_statsmodels_hamilton_filter_to_1e_10() -> None:
    log_emissions = emissions(1)
    path = filter_forward(log_emissions, PRIOR, pseudo_counts=50.0, initial=START)
    # the matrix used at t is the posterior after t - 1; statsmodels also steps into session 0
    used = np.concatenate([np.eye(3)[None], path.transitions[:-1]])
    filtered, _, likelihood, *_ = markov_switching.cy_hamilton_filter_log(
        START, np.ascontiguousarray(used.transpose(2, 1, 0)), log_emissions.T.copy(), 0
    )
    assert np.abs(filtered.T - path.beliefs).max() < 1e-10
    assert likelihood.sum() == pytest.approx(path.log_likelihood, abs=1e-9)


@pytest.mark.roadmap("7.4")
def test_the_filter_with_a_fixed_matrix_agrees_with_hmmlearn_to_1e_10() -> None:
    log_emissions = emissions(2)
    path = filter_forward(log_emissions, PRIOR, pseudo_counts=1e18, initial=START)
    log_likelihood, lattice = hmmc.forward_log(START, PRIOR, log_emissions)
    theirs = np.exp(lattice - np.logaddexp.reduce(lattice, axis=1, keepdims=True))
    assert np.abs(theirs - path.beliefs).max() < 1e-10
    assert path.log_likelihood == pytest.approx(log_likelihood, rel=1e-10)


@pytest.mark.roadmap("7.4")
def test_the_transition_counts_are_the_filtered_joints_and_not_the_smoothed_ones() -> None:
    log_emissions = emissions(3)
    path = filter_forward(log_emissions, PRIOR, pseudo_counts=20.0, initial=START)
    used = np.concatenate([np.eye(3)[None], path.transitions[:-1]])
    results = markov_switching.cy_hamilton_filter_log(
        START, np.ascontiguousarray(used.transpose(2, 1, 0)), log_emissions.T.copy(), 0
    )
    filtered = results[0].T
    # rebuild every joint from their filtered and our matrix: b_{t-1}(i) A_ij e_t(j) / c_t
    counts = 20.0 * PRIOR
    for t in range(1, log_emissions.shape[0]):
        joint = filtered[t - 1][:, None] * used[t] * np.exp(log_emissions[t])
        counts = counts + joint / joint.sum()
    mean = counts / counts.sum(axis=1, keepdims=True)
    assert np.abs(mean - path.transitions[-1]).max() < 1e-10


@pytest.mark.roadmap("7.2", "7.4")
@settings(max_examples=50, deadline=None)
@given(
    npst.arrays(np.float64, (25, 3), elements=st.floats(-300, 300)),
    chains,
    st.floats(0.5, 2000.0),
)
def test_every_belief_and_every_row_sums_to_one_whatever_is_observed(
    log_emissions: Floats, prior: Floats, pseudo_counts: float
) -> None:
    path = filter_forward(log_emissions, prior, pseudo_counts=pseudo_counts, initial=START)
    assert np.abs(path.beliefs.sum(axis=1) - 1.0).max() <= 1e-12
    assert np.abs(path.transitions.sum(axis=2) - 1.0).max() <= 1e-12
    assert (path.beliefs >= 0).all()
    assert (path.transitions > 0).all()


@pytest.mark.roadmap("7.2", "7.4")
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.integers(1, 30).flatmap(
            lambda n: npst.arrays(np.float64, (n, 3), elements=st.floats(-300, 300))
        ),
        min_size=1,
        max_size=4,
    ),
    chains,
    st.floats(0.5, 2000.0),
)
def test_series_filtered_side_by_side_are_believed_as_each_alone_to_the_last_bit(
    lanes: list[Floats], prior: Floats, pseudo_counts: float
) -> None:
    found = filter_lanes(lanes, prior, pseudo_counts=pseudo_counts, initial=START)
    for lane, path in zip(lanes, found, strict=True):
        alone = filter_forward(lane, prior, pseudo_counts=pseudo_counts, initial=START)
        assert path.beliefs.tobytes() == alone.beliefs.tobytes()
        assert path.transitions.tobytes() == alone.transitions.tobytes()
        assert path.log_likelihood == alone.log_likelihood


def test_of_series_side_by_side_one_that_is_not_finite_is_refused() -> None:
    lanes = [emissions(1, 5), np.full((3, 3), np.nan)]
    with pytest.raises(ValueError, match="finite"):
        filter_lanes(lanes, PRIOR, pseudo_counts=20.0, initial=START)


@pytest.mark.roadmap("7.2")
@given(st.integers(1, 39), npst.arrays(np.float64, (40, 3), elements=st.floats(-50, 50)))
def test_what_is_observed_later_moves_no_bit_of_what_was_believed_earlier(
    known: int, future: Floats
) -> None:
    log_emissions = emissions(4, 40)
    other = np.concatenate([log_emissions[:known], future[known:]])
    path = filter_forward(log_emissions, PRIOR, pseudo_counts=10.0, initial=START)
    changed = filter_forward(other, PRIOR, pseudo_counts=10.0, initial=START)
    assert path.beliefs[:known].tobytes() == changed.beliefs[:known].tobytes()
    assert path.transitions[:known].tobytes() == changed.transitions[:known].tobytes()


def test_a_log_density_that_is_not_finite_is_refused() -> None:
    log_emissions = emissions(5, 10)
    log_emissions[3, 1] = np.nan
    with pytest.raises(ValueError, match="must be finite"):
        filter_forward(log_emissions, PRIOR, pseudo_counts=10.0, initial=START)


@pytest.mark.roadmap("7.2")
def test_the_chance_of_meeting_the_worst_state_by_hand_over_one_and_two_steps() -> None:
    belief = np.array([0.5, 0.5, 0.0])
    one = look_ahead(belief, PRIOR, sessions=1)
    assert one.hit == pytest.approx(0.5 * 0.01 + 0.5 * 0.05, abs=1e-15)
    assert one.state == pytest.approx([0.5, 0.47, 0.03], abs=1e-15)
    # two steps: survive from NORMAL .95*.99 + .04*.95, from VOLATILE .05*.99 + .90*.95
    two = look_ahead(belief, PRIOR, sessions=2)
    survival = 0.5 * (0.95 * 0.99 + 0.04 * 0.95) + 0.5 * (0.05 * 0.99 + 0.90 * 0.95)
    assert two.hit == pytest.approx(1.0 - survival, abs=1e-15)


@pytest.mark.roadmap("7.2")
@given(chains, simplices, st.integers(1, 20))
def test_meeting_a_crisis_on_any_day_is_never_less_likely_than_standing_in_one_at_the_end(
    transition: Floats, raw: Floats, sessions: int
) -> None:
    belief = raw / raw.sum()
    ahead = look_ahead(belief, transition, sessions=sessions)
    longer = look_ahead(belief, transition, sessions=sessions + 1)
    assert abs(math.fsum(ahead.state) - 1.0) <= 1e-12
    assert ahead.hit >= ahead.state[2] - 1e-12
    assert longer.hit >= ahead.hit - 1e-12
    assert ahead.hit >= belief[2] - 1e-12


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 20))
def test_the_chances_along_a_path_are_those_of_each_session_to_the_last_bit(
    seed: int, sessions: int
) -> None:
    path = filter_forward(emissions(seed, 40), PRIOR, pseudo_counts=10.0, initial=START)
    told = hit_chances(path.beliefs, path.transitions, sessions=sessions)
    pairs = zip(path.beliefs, path.transitions, strict=True)
    assert told.tolist() == [look_ahead(b, a, sessions=sessions).hit for b, a in pairs]


@given(chains)
def test_the_stationary_distribution_is_left_as_it_is_by_one_step(transition: Floats) -> None:
    stationary = stationary_distribution(transition)
    assert stationary @ transition == pytest.approx(stationary, abs=1e-9)
    assert stationary.sum() == pytest.approx(1.0, abs=1e-12)


def test_the_emission_density_is_that_of_scipy_up_to_the_common_jacobian() -> None:
    table = RegimePolicy().vix
    levels = np.array([9.0, 14.0, 21.0, 38.0, 82.0])
    ours = student_t_log_density(levels, table, dof=5.0)
    for k in range(3):
        location, scale = table.location.as_tuple()[k], table.scale.as_tuple()[k]
        theirs = stats.t.logpdf(np.log(levels), 5.0, loc=math.log(location), scale=scale)
        assert ours[:, k] == pytest.approx(theirs, abs=1e-12)


def test_a_missing_observation_says_nothing_in_any_regime() -> None:
    densities = student_t_log_density(np.array([np.nan, 20.0]), RegimePolicy().vix, dof=5.0)
    assert densities[0].tolist() == [0.0, 0.0, 0.0]
    assert np.ptp(densities[1]) > 0


def test_a_logarithmic_observation_that_is_not_positive_is_refused() -> None:
    table = EmissionTable(
        location=RegimeValues(normal=1.0, volatile=2.0, crisis=3.0),
        scale=RegimeValues(normal=1.0, volatile=1.0, crisis=1.0),
        is_logarithmic=True,
    )
    with pytest.raises(ValueError, match="must be > 0"):
        student_t_log_density(np.array([0.0]), table, dof=5.0)


def test_the_filter_begins_with_its_prior_alone_and_counts_the_sessions_it_has_seen() -> None:
    state = start_filter(PRIOR, pseudo_counts=10.0, initial=START)
    assert state.belief.tolist() == START.tolist()
    assert state.counts.tolist() == (10.0 * PRIOR).tolist()
    assert (state.log_likelihood.tolist(), state.sessions.tolist()) == ([0.0], [0])
    assert state.sessions.dtype == np.int64
    for seen, log_emission in enumerate(emissions(6, 3), start=1):
        state = filter_session(state, log_emission)
        assert state.sessions.tolist() == [seen]
        assert state.log_likelihood.shape == (1,)


@pytest.mark.roadmap("3.2", "7.4")
@settings(max_examples=30)
@given(st.sets(st.integers(1, 59)), st.integers(0, 1000))
def test_killed_and_restored_between_any_sessions_every_later_belief_is_bit_equal(
    kills: set[int], seed: int
) -> None:
    log_emissions = emissions(seed, 60)
    path = filter_forward(log_emissions, PRIOR, pseudo_counts=10.0, initial=START)
    state = start_filter(PRIOR, pseudo_counts=10.0, initial=START)
    for t in range(60):
        if t in kills:
            state = FilterState(**unpack_state(pack_state(state._asdict())))
        state = filter_session(state, log_emissions[t])
        assert state.belief.tobytes() == path.beliefs[t].tobytes()
        assert transition_of(state).tobytes() == path.transitions[t].tobytes()
    assert float(state.log_likelihood[0]) == path.log_likelihood
