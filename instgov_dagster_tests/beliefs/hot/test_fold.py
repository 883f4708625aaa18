"""The fold: killed and restored bit-equal, deaf to infinity, honest about what it may trust."""

import functools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.beliefs.hot.fold import Fold, Parameters
from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.hot.walk import walk
from instgov_dagster.beliefs.models import MODELS, Card, Family, Role
from instgov_dagster.beliefs.models.garch_fit import SIGMA_FIT_SCHEMA
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy
from instgov_dagster_tests.beliefs.conftest import Panel, drawn_panel, market_of, walked

POLICY = ForecastPolicy()
SESSIONS, LIVE = 420, 12


@functools.cache
def panel() -> Panel:
    return drawn_panel(seed=21, sessions=SESSIONS, symbols=4)


def fits_through(found: Panel, session: int, *, symbols: tuple[str, ...]) -> pl.DataFrame:
    """Parameters of one plausible fit, through one session."""
    numbers = {
        "omega": 2e-6, "alpha": 0.03, "gamma": 0.06, "beta": 0.9, "dof": 6.0, "variance": 1e-4,
        "log_likelihood": 1.0,
    }  # fmt: skip
    rows = [
        {
            "symbol": symbol,
            "model_id": "gjr_garch_t",
            "fitted_session": found.dates[session].item(),
            "n_returns": 500,
            "reason_codes": ["SIGMA_FITTED"],
            **numbers,
        }
        for symbol in symbols
    ]
    return pl.DataFrame(rows, schema=SIGMA_FIT_SCHEMA)


@functools.cache
def night_state() -> bytes:
    """What is hot after the night: 408 sessions folded, two symbols fitted through the last."""
    market = market_of(panel())
    fold = Fold(4, policy=POLICY, horizon=5)
    for t in range(SESSIONS - LIVE):
        if t == SESSIONS - LIVE - 1:
            numbers = {"omega": 2e-6, "alpha": 0.03, "gamma": 0.06, "beta": 0.9, "variance": 1e-4}
            both = {name: np.full(2, value) for name, value in numbers.items()}
            fold.load(Parameters("gjr_garch_t", np.array([0.0, 2.0]), both))
        fold.observe(market.bars(t))
    return fold.pack()


def fresh() -> Fold:
    return Fold(4, policy=POLICY, horizon=5)


@functools.cache
def undisturbed() -> tuple[bytes, ...]:
    fold, market = fresh().restore(night_state()), market_of(panel())
    return tuple(fold.observe(market.bars(t)).to_bytes() for t in range(SESSIONS - LIVE, SESSIONS))


@pytest.mark.roadmap("3.2", "6.5")
@settings(max_examples=30)
@given(st.sets(st.integers(0, LIVE - 1)))
def test_killed_and_restored_between_any_cycles_every_later_forecast_is_bit_equal(
    kills: set[int],
) -> None:
    market = market_of(panel())
    fold = fresh().restore(night_state())
    for k in range(LIVE):
        if k in kills:
            fold = fresh().restore(fold.pack())
        assert fold.observe(market.bars(SESSIONS - LIVE + k)).to_bytes() == undisturbed()[k]


@pytest.mark.roadmap("3.2")
def test_a_live_update_says_what_the_whole_history_walked_again_would_say() -> None:
    fitted = SESSIONS - LIVE - 1
    fits = fits_through(panel(), fitted, symbols=("S00", "S02"))
    found = walked(panel(), fits=fits, ranges=True)
    fold, market = fresh().restore(night_state()), market_of(panel())
    for t in range(SESSIONS - LIVE, SESSIONS):
        told = fold.observe(market.bars(t))
        assert told.sigma.tobytes() == found.sigma[t].tobytes()
        for name, mu in told.mus.items():
            assert mu.tobytes() == found.mus[name][t].tobytes(), name


def test_a_state_of_another_shape_or_of_other_models_is_refused() -> None:
    with pytest.raises(ValueError, match="must have shape"):
        Fold(5, policy=POLICY, horizon=5).restore(night_state())
    fewer = {name: card for name, card in MODELS.items() if name != "ridge"}
    with pytest.raises(ValueError, match="must have"):
        Fold(4, policy=POLICY, horizon=5, cards=fewer).restore(night_state())
    with pytest.raises(ValueError, match="fitted nightly"):
        fresh().load(Parameters("ewma_94", np.zeros(1), {}))


class Shouting:
    """A model that returns infinity, and NaN for the first symbol."""

    def __init__(self, policy: ForecastPolicy, horizon: int) -> None:
        del policy, horizon

    def start(self, n_symbols: int) -> State:
        del n_symbols
        return {}

    def observe(self, state: State, session: Session) -> Floats:
        del state
        return np.where(np.arange(session.prices.shape[0]) == 0, np.nan, np.inf)


def with_shouting(model_id: str, family: Family) -> dict[str, Card]:
    card = Card(model_id=model_id, family=family, role=Role.OPINION, build=Shouting)
    return {name: card if name == model_id else old for name, old in MODELS.items()}


@pytest.mark.roadmap("6.5")
def test_a_mu_of_infinity_is_silence_and_the_combination_goes_on_without_it() -> None:
    cards = with_shouting("momentum", Family.MU)
    told = walk(market_of(panel()), policy=POLICY, horizon=5, cards=cards)
    assert np.isnan(told.mus["momentum"]).all()
    assert np.isfinite(told.mus["combination"][-1]).all()
    rest = np.stack([told.mus[name][-1] for name in ("james_stein", "reversal", "ridge")])
    assert told.mus["combination"][-1] == pytest.approx(rest.mean(axis=0), rel=1e-12)


@pytest.mark.roadmap("6.5")
def test_a_sigma_of_infinity_is_silence_and_lowers_the_trust() -> None:
    sound = walked(panel(), ranges=True)
    cards = with_shouting("ewma_97", Family.SIGMA)
    told = walk(market_of(panel()), policy=POLICY, horizon=5, cards=cards)
    assert np.isfinite(told.sigma[-1]).all()
    assert sound.trust[-1].tolist() == [0.75] * 4
    assert told.trust[-1].tolist() == [0.5] * 4


@pytest.mark.roadmap("6.4", "6.5")
def test_the_stated_sigma_by_hand_is_the_root_of_the_mean_variance_of_who_speaks() -> None:
    found = walked(panel(), ranges=True)
    said = np.stack([found.sigmas[name][-1] for name in ("ewma_94", "ewma_97", "yang_zhang")])
    assert found.sigma[-1] == pytest.approx(np.sqrt((said**2).mean(axis=0)), rel=1e-12)
    # the benchmark speaks and is not asked
    assert np.isfinite(found.sigmas["rolling_252"][-1]).all()


@pytest.mark.roadmap("6.4", "6.5")
@pytest.mark.parametrize("age", [0, 1, 2, 63, 64])
def test_parameters_are_trusted_less_with_every_session_and_not_at_all_past_their_limit(
    age: int,
) -> None:
    fits = fits_through(panel(), SESSIONS - 1 - age, symbols=("S00",))
    found = walked(panel(), fits=fits, ranges=True)
    member = 2.0 ** (-age / 63) if age <= 63 else 0.0
    assert found.trust[-1, 0] == pytest.approx((3 + member) / 4, rel=1e-12)
    assert found.trust[-1, 1] == 0.75
    assert np.isfinite(found.sigmas["gjr_garch_t"][-1, 0]) == (age <= 63)
