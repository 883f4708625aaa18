"""The regime believed: triggers by hand, missing inputs, rows, and the real crises."""

import json
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from polars.testing import assert_frame_equal

from instgov_dagster.beliefs.filtering import filter_forward, stationary_distribution
from instgov_dagster.beliefs.regime import (
    BELIEF_SCHEMA,
    PATH_SCHEMA,
    belief_from_row,
    belief_to_row,
    believe_regime,
    believe_regimes,
    emission_log_densities,
    mix_toward_volatile,
    trigger_path,
)
from instgov_dagster.beliefs.signals import market_signals
from instgov_dagster.vocabulary.beliefs import Regime
from instgov_dagster.vocabulary.policy.beliefs import RegimePolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.beliefs.conftest import Panel, drawn_panel, real_panel

Floats = NDArray[np.float64]
POLICY = RegimePolicy()


def signals_of(panel: Panel, policy: RegimePolicy = POLICY) -> pl.DataFrame:
    return market_signals(panel.dates, panel.spy, panel.vix, panel.prices, policy=policy)


def observed(n: int, *, spy_ma200: float, vol: float, vix: float, rise: float) -> pl.DataFrame:
    dates = np.busday_offset("2020-01-01", np.arange(n), roll="forward")
    return pl.DataFrame(
        {
            "session": dates,
            "spy_ma200_position": [spy_ma200] * n,
            "volatility_annual": [vol] * n,
            "volatility_percentile": [0.5] * n,
            "vix_level": [vix] * n,
            "correlation_spike": [rise] * n,
            "vix_age_sessions": [0] * n,
            "spy_age_sessions": [0] * n,
        }
    ).with_columns(pl.col("session").cast(pl.Date))


CALM = {"spy_ma200": 0.05, "vol": 0.10, "vix": 14.0, "rise": -0.07}
WILD = {"spy_ma200": -0.01, "vol": 0.17, "vix": 22.0, "rise": 0.05}
PANIC = {"spy_ma200": -0.12, "vol": 0.40, "vix": 38.0, "rise": 0.25}


@pytest.mark.roadmap("7.2", "7.4")
def test_spans_believed_together_are_believed_as_each_alone() -> None:
    panel = drawn_panel(seed=41, sessions=640, symbols=4)
    whole = signals_of(panel)
    spans = [whole, whole[40:600], observed(9, **PANIC), whole[:320]]
    for span, found in zip(spans, believe_regimes(spans, POLICY), strict=True):
        alone = believe_regime(span, POLICY)
        assert found == alone
        assert found.path.equals(alone.path)
    with pytest.raises(ValueError, match="at least one session"):
        believe_regimes([whole, whole.clear()], POLICY)


@pytest.mark.roadmap("7.2", "TEST.7")
@pytest.mark.parametrize(
    ("observation", "regime"),
    [(CALM, Regime.NORMAL), (WILD, Regime.VOLATILE), (PANIC, Regime.CRISIS)],
)
def test_ten_sessions_at_a_regimes_own_levels_are_believed_to_be_that_regime(
    observation: dict[str, float], regime: Regime
) -> None:
    belief = believe_regime(observed(10, **observation), POLICY)
    assert belief.state.regime is regime
    assert max(belief.state.belief) > 0.99


@pytest.mark.roadmap("7.1", "7.4")
def test_a_belief_carried_five_sessions_is_the_belief_times_the_fifth_power() -> None:
    state = believe_regime(observed(30, **WILD), POLICY).state
    matrix = np.array(state.transition_matrix)
    ahead = np.array(state.belief)
    for _ in range(5):
        ahead = ahead @ matrix
    assert state.belief_5d == pytest.approx(ahead, abs=1e-14)
    assert abs(sum(state.belief_5d) - 1.0) <= 1e-12
    safe = np.array(state.belief[:2])
    for _ in range(5):
        safe = safe @ matrix[:2, :2]
    assert state.p_hit_crisis_5d == pytest.approx(1.0 - safe.sum(), abs=1e-14)


@pytest.mark.roadmap("7.4")
def test_a_thousand_pseudo_counts_hold_the_matrix_near_its_prior_for_a_month() -> None:
    state = believe_regime(observed(21, **CALM), POLICY).state
    row = POLICY.transitions.normal.as_tuple()
    # twenty stays in NORMAL are added to 979.5 of 1000
    assert state.transition_matrix[0][0] == pytest.approx((979.5 + 20) / 1020, abs=2e-4)
    assert state.transition_matrix[2] == pytest.approx(
        POLICY.transitions.crisis.as_tuple(), abs=1e-4
    )
    assert state.transition_matrix[0][0] > row[0]


@pytest.mark.roadmap("7.3", "TEST.7")
def test_the_triggers_latch_and_release_by_hand() -> None:
    low, high = 0.10, 0.30
    path = np.array([low, 0.20, high, 0.16, low, low, low, 0.15, low, low, low, low, low, low])
    trigger = trigger_path(path, POLICY)
    # .20 does not exceed the trigger, .30 does; .15 is not below the release, so four quiet
    # sessions are lost and it takes the five from index 8 to 12
    assert trigger.is_derisked.tolist() == [False] * 2 + [True] * 10 + [False] * 2
    assert not trigger.is_reduce_only.any()


@pytest.mark.roadmap("7.3")
def test_reductions_only_begin_at_one_half_and_end_with_the_cut() -> None:
    path = np.array([0.1, 0.499, 0.5, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    trigger = trigger_path(path, POLICY)
    assert trigger.is_reduce_only.tolist() == [False] * 2 + [True] * 6 + [False] * 2
    assert trigger.is_derisked.tolist() == [False] + [True] * 7 + [False] * 2


@pytest.mark.roadmap("7.3")
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60))
def test_reductions_only_never_stand_without_the_cut(path: list[float]) -> None:
    trigger = trigger_path(np.array(path), POLICY)
    assert not (trigger.is_reduce_only & ~trigger.is_derisked).any()
    assert trigger.is_derisked[np.array(path) > POLICY.derisk_threshold].all()
    assert trigger.is_reduce_only[np.array(path) >= POLICY.reduce_only_threshold].all()


@pytest.mark.roadmap("7.3")
def test_a_panic_cuts_the_budget_by_the_square_and_allows_reductions_only() -> None:
    calm, panic = observed(20, **CALM), observed(40, **PANIC).tail(20)
    belief = believe_regime(pl.concat([calm, panic]), POLICY)
    hit = belief.state.p_hit_crisis_5d
    assert hit > 0.5
    assert belief.is_reduce_only
    assert belief.gross_multiplier == pytest.approx((1 - hit) ** 2, abs=1e-15)
    assert set(belief.reason_codes) == {
        ReasonCode.REGIME_CRISIS_REDUCE_ONLY,
        ReasonCode.REGIME_PREEMPTIVE_DERISK,
    }


@pytest.mark.roadmap("7.3")
def test_five_quiet_sessions_from_the_first_on_release_nothing_that_never_latched() -> None:
    # the third session cuts; two quiet ones before it must not count toward the release
    path = np.array([0.1, 0.1, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert trigger_path(path, POLICY).is_derisked.tolist() == [False] * 2 + [True] * 5 + [False]
    # four quiet sessions from the very first are four, whatever came before the history held
    assert trigger_path(np.array([0.1] * 4 + [0.3]), POLICY).is_derisked.tolist()[-1]


@pytest.mark.parametrize("multiplier", [-0.01, 1.01, float("nan")])
def test_a_gross_multiplier_outside_its_bounds_is_refused(multiplier: float) -> None:
    belief = believe_regime(observed(5, **CALM), POLICY)
    with pytest.raises(ValueError, match="gross_multiplier"):
        replace(belief, gross_multiplier=multiplier)
    assert replace(belief, gross_multiplier=0.0).gross_multiplier == 0.0


def test_the_parameters_are_stored_with_the_belief_and_read_the_same_every_night() -> None:
    told = believe_regime(observed(5, **CALM), POLICY).parameters
    assert json.loads(told)["derisk_threshold"] == POLICY.derisk_threshold
    assert list(json.loads(told)) == sorted(json.loads(told))


def test_a_panel_whose_spy_alone_is_missing_has_a_missing_input_too(drawn: Panel) -> None:
    spy = np.array(drawn.spy)
    spy[-4:] = np.nan
    belief = believe_regime(signals_of(drawn._replace(spy=spy)), POLICY)
    assert ReasonCode.REGIME_INPUT_MISSING in belief.reason_codes


@pytest.mark.roadmap("7.3")
def test_a_calm_market_keeps_its_whole_budget() -> None:
    belief = believe_regime(observed(30, **CALM), POLICY)
    assert belief.gross_multiplier == 1.0
    assert belief.reason_codes == (ReasonCode.REGIME_NORMAL,)
    assert not belief.is_reduce_only


@pytest.mark.roadmap("7.2")
def test_a_vix_missing_three_sessions_is_carried_and_four_sessions_mixes_the_belief(
    drawn: Panel,
) -> None:
    vix = np.array(drawn.vix)
    vix[-3:] = np.nan
    three = believe_regime(signals_of(drawn._replace(vix=vix)), POLICY)
    assert ReasonCode.REGIME_INPUT_MISSING not in three.reason_codes
    assert three.state.vix_level == vix[-4]
    vix[-4:] = np.nan
    four = believe_regime(signals_of(drawn._replace(vix=vix)), POLICY)
    assert ReasonCode.REGIME_INPUT_MISSING in four.reason_codes
    assert four.state.vix_level is None
    assert four.state.current_belief_normal <= 0.5 + 1e-12


@pytest.mark.roadmap("7.2")
@given(
    st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(lambda v: sum(v) > 0.01),
    st.floats(0.01, 1.0),
)
def test_losing_an_input_never_makes_a_crisis_less_likely(raw: list[float], share: float) -> None:
    belief = np.array([raw]) / sum(raw)
    mixed = mix_toward_volatile(belief, np.array([True]), share=share)
    assert mixed.sum() == pytest.approx(1.0, abs=1e-12)
    assert mixed[0, 2] == belief[0, 2]
    assert mixed[0, 1] >= belief[0, 1]
    kept = mix_toward_volatile(belief, np.array([False]), share=share)
    assert kept.tobytes() == belief.tobytes()


@pytest.mark.roadmap("7.2")
def test_half_of_what_was_believed_normal_moves_to_volatile_where_an_input_is_missing() -> None:
    beliefs = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    mixed = mix_toward_volatile(beliefs, np.array([True, False]), share=0.5)
    assert mixed == pytest.approx(np.array([[0.3, 0.6, 0.1], [0.2, 0.7, 0.1]]), abs=1e-15)


@pytest.mark.roadmap("7.2", "7.4")
def test_the_matrix_told_is_the_one_learnt_through_the_last_session() -> None:
    signals = pl.concat([observed(20, **CALM), observed(40, **PANIC).tail(20)])
    rows = POLICY.transitions
    prior = np.array([row.as_tuple() for row in (rows.normal, rows.volatile, rows.crisis)])
    learnt = filter_forward(
        emission_log_densities(signals, POLICY),
        prior,
        pseudo_counts=POLICY.transition_pseudo_counts,
        initial=stationary_distribution(prior),
    ).transitions
    told = believe_regime(signals, POLICY).state.transition_matrix
    assert told == tuple(tuple(row) for row in learnt[-1].tolist())
    assert learnt[-1].tolist() != learnt[-2].tolist()


@pytest.mark.roadmap("7.2")
def test_the_emissions_read_the_volatility_on_its_fixed_scale_and_omit_what_is_missing() -> None:
    full = observed(1, **CALM)
    without = full.with_columns(volatility_annual=pl.lit(None, dtype=pl.Float64))
    difference = emission_log_densities(full, POLICY) - emission_log_densities(without, POLICY)
    scales = POLICY.volatility.scale.as_tuple()
    # both scales are .22, so only the kernels differ: 0 at NORMAL's own location
    z = np.log(0.10 / 0.17) / scales[1]
    by_hand = 3.0 * np.log1p(z * z / 5.0)
    assert difference[0, 0] - difference[0, 1] == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.roadmap("7.2")
@settings(max_examples=10, deadline=None)
@given(st.integers(300, 699))
def test_the_path_is_a_pure_function_of_history(known: int) -> None:
    signals = signals_of(drawn_panel(seed=7, sessions=700, symbols=3))
    whole = believe_regime(signals, POLICY).path
    then = believe_regime(signals.head(known), POLICY)
    assert_frame_equal(whole.head(known), then.path, check_exact=True)
    assert then.session == whole["session"][known - 1]


@pytest.mark.roadmap("7.1")
def test_a_belief_survives_its_row_of_the_warehouse(drawn: Panel) -> None:
    belief = believe_regime(signals_of(drawn), POLICY)
    frame = pl.DataFrame([belief_to_row(belief)], schema=BELIEF_SCHEMA)
    again = belief_from_row(frame.row(0, named=True))
    assert again == belief
    assert again.path.is_empty()
    assert again.path.schema == belief.path.schema == PATH_SCHEMA


def test_a_row_that_is_no_belief_is_refused(drawn: Panel) -> None:
    row = belief_to_row(believe_regime(signals_of(drawn), POLICY))
    with pytest.raises(ValueError, match="transition_matrix"):
        belief_from_row(row | {"transition_matrix": [1.0]})
    with pytest.raises(ValueError, match="must sum to 1"):
        belief_from_row(row | {"current_belief_normal": 0.123})
    with pytest.raises(ValueError, match="reason code"):
        belief_from_row(row | {"reason_codes": []})


def test_no_session_held_is_no_belief(drawn: Panel) -> None:
    with pytest.raises(ValueError, match="at least one session"):
        believe_regime(signals_of(drawn).head(0), POLICY)


def test_a_market_of_constant_prices_is_believed_without_a_number_missing() -> None:
    n = 400
    dates = np.busday_offset("2020-01-01", np.arange(n), roll="forward")
    signals = market_signals(
        dates, np.full(n, 100.0), np.full(n, 14.0), np.ones((n, 3)), policy=POLICY
    )
    belief = believe_regime(signals, POLICY)
    assert belief.state.volatility_percentile is None
    assert belief.state.correlation_spike is None
    assert belief.state.regime is Regime.NORMAL


@pytest.mark.roadmap("7.2", "7.3", "TEST.7")
def test_the_real_march_of_2020_is_a_crisis_and_most_of_2019_2021_and_2024_is_not(
    real_closes: pl.DataFrame,
) -> None:
    panel = real_panel(real_closes, asof=date(2025, 6, 28), days=3000)
    path = believe_regime(signals_of(panel), POLICY).path
    march = path.filter(pl.col("session").is_between(date(2020, 3, 9), date(2020, 3, 31)))
    assert march["current_belief_crisis"].min() > 0.99
    assert march["is_reduce_only"].all()
    for year in (2019, 2021, 2024):
        days = path.filter(pl.col("session").dt.year() == year)
        assert (days["current_belief_normal"] > 0.5).mean() > 0.5
    assert path.filter(pl.col("session") == date(2021, 7, 1))["is_derisked"].to_list() == [False]


@pytest.mark.roadmap("7.3")
def test_the_night_of_2024_12_06_runs_with_its_whole_budget(real_closes: pl.DataFrame) -> None:
    belief = believe_regime(signals_of(real_panel(real_closes, asof=date(2024, 12, 6))), POLICY)
    assert belief.session == date(2024, 12, 5)
    assert belief.state.p_hit_crisis_5d < POLICY.derisk_threshold
    assert belief.reason_codes == (ReasonCode.REGIME_NORMAL,)


def test_the_worst_observed_upper_half_of_a_calm_year_is_no_crisis(
    real_closes: pl.DataFrame,
) -> None:
    panel = real_panel(real_closes, asof=date(2024, 7, 1), days=500)
    path = believe_regime(signals_of(panel), POLICY).path
    assert path["current_belief_crisis"].max() < POLICY.release_threshold


@pytest.mark.roadmap("7.2", "7.3")
def test_the_trigger_is_quiet_in_calm_years_and_fires_by_the_second_of_march_2020(
    real_closes: pl.DataFrame,
) -> None:
    stocks = [n for n in real_closes.columns if not ("=" in n or n.endswith("-USD") or n[0] == "^")]
    panel = real_panel(real_closes, asof=date(2025, 6, 28), days=3000)
    kept = [panel.symbols.index(name) for name in stocks if name != "date"]
    path = believe_regime(signals_of(panel._replace(prices=panel.prices[:, kept])), POLICY).path
    quiet = pl.col("p_hit_crisis_5d") < 0.15
    before = path.filter(pl.col("session") < date(2020, 2, 20)).tail(63)
    assert before.select(quiet.mean()).item() >= 0.80
    for year in (2019, 2021, 2024):
        days = path.filter(pl.col("session").dt.year() == year)
        assert days.select(quiet.mean()).item() >= 0.80
    spring = path.filter(
        (pl.col("session") >= date(2020, 2, 1)) & (pl.col("p_hit_crisis_5d") > 0.2)
    )
    assert spring["session"].min() <= date(2020, 3, 2)
