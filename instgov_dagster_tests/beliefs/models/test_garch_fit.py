"""The nightly fit: weekly by default, the last good one kept, hopeless data named and survived."""

import warnings

import numpy as np
import polars as pl
import pytest

from instgov_dagster.adapters.runtime.processes.spread import ProcessSpread
from instgov_dagster.beliefs.hot.tape import Floats
from instgov_dagster.beliefs.hot.walk import no_fits, session_returns
from instgov_dagster.beliefs.models import garch_fit
from instgov_dagster.beliefs.models.garch_fit import FitJob, due_symbols, fit_gjr, fit_sigma
from instgov_dagster.beliefs.models.garch_search import Found, search_gjr
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy
from instgov_dagster.vocabulary.policy.models import SigmaPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.beliefs.conftest import drawn_panel, market_of
from instgov_dagster_tests.beliefs.hot.test_fold import fits_through

PANEL = drawn_panel(seed=51, sessions=560, symbols=3)
DAILY = session_returns(market_of(PANEL), policy=ForecastPolicy())
POLICY = SigmaPolicy()


def fit(
    daily: np.ndarray = DAILY, known: pl.DataFrame | None = None, **how: object
) -> pl.DataFrame:
    held = no_fits() if known is None else known
    return fit_sigma(PANEL.dates, PANEL.symbols, daily, known=held, policy=POLICY, **how)  # type: ignore[arg-type]  # spread alone


@pytest.mark.roadmap("6.5")
def test_known_parameters_are_found_again_in_a_long_sample() -> None:
    rng = np.random.default_rng(8)
    omega, alpha, gamma, beta = 2e-6, 0.03, 0.10, 0.88
    h, returns = omega / (1 - alpha - gamma / 2 - beta), np.empty(20_000)
    shocks = rng.standard_t(6, returns.size) * np.sqrt(4 / 6)
    for t, shock in enumerate(shocks):
        returns[t] = np.sqrt(h) * shock
        h = omega + (alpha + gamma * (returns[t] < 0)) * returns[t] ** 2 + beta * h
    found = fit_gjr(FitJob(returns, 0.9999))
    assert found is not None
    assert found.alpha == pytest.approx(alpha, abs=0.015)
    assert found.gamma == pytest.approx(gamma, abs=0.03)
    assert found.beta == pytest.approx(beta, abs=0.02)
    assert found.dof == pytest.approx(6.0, abs=1.0)


def test_a_fit_scales_with_its_returns() -> None:
    # a power of two leaves every bit of the standardised returns as it was
    one, eight = (fit_gjr(FitJob(k * DAILY[1:, 0], 0.9999)) for k in (1.0, 8.0))
    assert one is not None
    assert eight is not None
    assert (eight.omega, eight.variance) == (64 * one.omega, 64 * one.variance)
    assert (eight.alpha, eight.gamma, eight.beta) == (one.alpha, one.gamma, one.beta)


@pytest.mark.roadmap("6.4")
def test_a_fit_is_due_where_there_is_none_and_five_sessions_after_the_last_good_one() -> None:
    fresh = fits_through(PANEL, 555, symbols=("S00",))
    week_old = fits_through(PANEL, 554, symbols=("S01",))
    failed = fits_through(PANEL, 559, symbols=("S01", "S02")).with_columns(
        omega=pl.lit(None, dtype=pl.Float64)
    )
    known = pl.concat([fresh, week_old, failed])
    assert due_symbols(PANEL.symbols, PANEL.dates, known, POLICY) == ("S01", "S02")


@pytest.mark.roadmap("6.4", "6.5")
def test_constant_returns_and_a_newcomer_are_survived_and_named() -> None:
    daily = np.array(DAILY)
    daily[:, 0] = 0.0
    daily[:100, 1] = np.nan
    frame = fit(daily)
    # 460 returns are too few to be tried at all
    assert frame["symbol"].to_list() == ["S00", "S02"]
    assert frame["omega"].is_null().to_list() == [True, False]
    assert frame["reason_codes"].to_list() == [
        [ReasonCode.SIGMA_FIT_FAILED], [ReasonCode.SIGMA_FITTED]
    ]  # fmt: skip
    assert frame["fitted_session"].unique().to_list() == [PANEL.dates[-1].item()]


@pytest.mark.roadmap("6.4", "6.5")
def test_a_search_that_did_not_converge_or_left_the_bounds_is_no_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = FitJob(DAILY[1:, 0], 0.9999)
    params = np.array([0.01, 0.05, 0.05, 0.85, 6.0])
    found = Found(params, has_converged=False, log_likelihood=1.0, last_volatility=1.0)

    def is_fit(searched: Found | None) -> bool:
        monkeypatch.setattr(garch_fit, "search_gjr", lambda _scaled: searched)
        return fit_gjr(job) is not None

    assert not is_fit(found)
    assert is_fit(found._replace(has_converged=True))
    for bad in (
        [0.01, 0.2, 0.2, 0.75, 6.0], [0.01, -0.01, 0.1, 0.8, 6.0], [np.nan, 0.05, 0.05, 0.85, 6.0],
        [0.01, 0.05, np.inf, 0.85, 6.0], [0.01, 0.02, -0.05, 0.85, 6.0],
    ):  # fmt: skip
        assert not is_fit(found._replace(has_converged=True, params=np.array(bad)))
    assert not is_fit(None)


def oddly(kind: str, random: np.random.Generator) -> Floats:
    """Draw returns of unit size that lead a search to its bounds, or astray."""
    drawn = random.standard_t(3.0, 400)
    match kind:
        case "mostly still":
            drawn = np.where(random.random(400) < 0.8, 0.0, drawn)
        case "growing":
            drawn = drawn * np.exp(np.linspace(0.0, 6.0, 400))
        case "never down":
            drawn = np.abs(drawn)
        case "one size":
            drawn = np.sign(drawn)
    return drawn / np.sqrt(np.mean(drawn * drawn))


@pytest.mark.roadmap("6.4")
@pytest.mark.parametrize("kind", ["heavy", "mostly still", "growing", "never down", "one size"])
def test_a_search_ends_where_that_of_arch_ends_to_the_last_bit(kind: str) -> None:
    from arch.univariate import GARCH, StudentsT, ZeroMean

    returns = oddly(kind, np.random.default_rng(11))
    model = ZeroMean(returns, rescale=False)
    model.volatility, model.distribution = GARCH(p=1, o=1, q=1), StudentsT()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = model.fit(disp="off", show_warning=False)
        except (ArithmeticError, ValueError, np.linalg.LinAlgError):
            assert search_gjr(returns) is None
            return
    ours = search_gjr(returns)
    assert ours is not None
    assert ours.params.tobytes() == np.asarray(theirs.params).tobytes()
    assert ours.has_converged is (theirs.convergence_flag == 0)
    assert ours.log_likelihood == float(theirs.loglikelihood)
    assert ours.last_volatility == float(theirs.conditional_volatility[-1])


@pytest.mark.nightly
@pytest.mark.roadmap("6.5")
def test_fits_spread_over_processes_are_those_made_one_by_one() -> None:
    spread = ProcessSpread(parallel_from=2, workers=2)
    assert fit(spread=spread).equals(fit())
