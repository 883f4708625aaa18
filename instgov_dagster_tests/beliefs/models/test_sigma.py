"""The sigma models: by hand, against pandas and arch, and never zero, infinite or from tomorrow."""

import numpy as np
import pytest

from instgov_dagster.beliefs.hot.walk import MarketPanel, Walk, no_fits, session_returns, walk
from instgov_dagster.beliefs.models import SIGMA_BENCHMARK, Family, card_of, opinions
from instgov_dagster.beliefs.models.garch_fit import fit_sigma
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy
from instgov_dagster_tests.beliefs.conftest import Panel, drawn_panel, market_of, walked

POLICY = ForecastPolicy()
PANEL = drawn_panel(seed=41, sessions=620, symbols=3)


@pytest.fixture(scope="module")
def found() -> Walk:
    return walked(PANEL, ranges=True)


def test_the_stated_sigma_is_made_of_four_opinions_and_the_benchmark_is_none() -> None:
    assert set(opinions(Family.SIGMA)) == {"ewma_94", "ewma_97", "gjr_garch_t", "yang_zhang"}
    assert card_of(SIGMA_BENCHMARK).role == "benchmark"


@pytest.mark.parametrize(("model_id", "decay"), [("ewma_94", 0.94), ("ewma_97", 0.97)])
def test_ewma_agrees_with_pandas(found: Walk, model_id: str, decay: float) -> None:
    pandas = pytest.importorskip("pandas")
    squares = pandas.DataFrame(found.daily[1:] ** 2)
    theirs = np.sqrt(5 * squares.ewm(alpha=1 - decay, adjust=True).mean().to_numpy())
    assert np.isnan(found.sigmas[model_id][:63]).all()
    assert found.sigmas[model_id][63:] == pytest.approx(theirs[62:], rel=1e-10)


def test_the_benchmark_is_a_years_sample_deviation(found: Walk) -> None:
    expected = found.daily[-252:].std(axis=0, ddof=1) * np.sqrt(5)
    assert found.sigmas["rolling_252"][-1] == pytest.approx(expected, rel=1e-9)


def test_yang_zhang_by_hand_on_the_last_21_bars(found: Walk) -> None:
    market = market_of(PANEL)
    assert market.open is not None
    assert market.high is not None
    assert market.low is not None
    rows = slice(-21, None)
    before, close = PANEL.prices[-22:-1], PANEL.prices[rows]
    opened, high, low = market.open[rows], market.high[rows], market.low[rows]
    night, day = np.log(opened / before), np.log(close / opened)
    between = np.log(high / close) * np.log(high / opened) + np.log(low / close) * np.log(
        low / opened
    )
    k = 0.34 / (1.34 + 22 / 20)
    variance = night.var(axis=0, ddof=1) + k * day.var(axis=0, ddof=1)
    variance += (1 - k) * between.mean(axis=0)
    assert found.sigmas["yang_zhang"][-1] == pytest.approx(np.sqrt(5 * variance), rel=1e-9)


def test_a_range_that_misses_its_close_is_widened_to_hold_it() -> None:
    market = market_of(PANEL)
    flat = MarketPanel(
        dates=PANEL.dates, symbols=PANEL.symbols, close=PANEL.prices,
        open=market.open, high=market.open, low=market.open,
    )  # fmt: skip
    said = walk(flat, policy=POLICY, horizon=5).sigmas["yang_zhang"]
    # open to close is then all the range there is: the estimate is that of two-point bars
    day = np.log(PANEL.prices[-21:] / market.open[-21:])  # type: ignore[index]  # shown above
    k = 0.34 / (1.34 + 22 / 20)
    assert said[-1] == pytest.approx(np.sqrt(5 * k * day.var(axis=0, ddof=1)), rel=1e-9)


def test_without_ranges_yang_zhang_is_silent_and_fifteen_bars_of_21_are_enough() -> None:
    assert np.isnan(walked(PANEL).sigmas["yang_zhang"]).all()
    market = market_of(PANEL)
    high = np.array(market.high)
    high[-6:, 0] = np.nan
    high[-7:, 1] = np.nan
    gaps = MarketPanel(
        dates=PANEL.dates, symbols=PANEL.symbols, close=PANEL.prices,
        open=market.open, high=high, low=market.low,
    )  # fmt: skip
    said = walk(gaps, policy=POLICY, horizon=5).sigmas["yang_zhang"][-1]
    assert np.isfinite(said).tolist() == [True, False, True]


@pytest.mark.roadmap("6.5")
def test_the_garch_path_agrees_with_archs_own_variance_path_and_forecast() -> None:
    univariate = pytest.importorskip("arch.univariate")
    daily = session_returns(market_of(PANEL), policy=POLICY)
    fitted = 560
    fits = fit_sigma(
        PANEL.dates[: fitted + 1], PANEL.symbols, daily[: fitted + 1],
        known=no_fits(), policy=POLICY.sigma,
    )  # fmt: skip
    assert fits["omega"].null_count() == 0
    said = walked(PANEL, fits=fits).sigmas["gjr_garch_t"]
    for j, row in enumerate(fits.iter_rows(named=True)):
        held = daily[1 : fitted + 1, j]
        scale = float(np.sqrt(np.mean(held**2)))
        model = univariate.ZeroMean(daily[1:, j] / scale, rescale=False)
        model.volatility = univariate.GARCH(p=1, o=1, q=1)
        model.distribution = univariate.StudentsT()
        parameters = [row["omega"] / scale**2, *(row[n] for n in ("alpha", "gamma", "beta", "dof"))]
        fixed = model.fix(parameters)
        # their path begins alike, so it meets ours at the fit and stays with it to the end
        ahead = fixed.forecast(horizon=5, start=fitted - 1, reindex=False).variance.to_numpy()
        theirs = np.sqrt(ahead.sum(axis=1)) * scale
        assert said[fitted:, j] == pytest.approx(theirs, rel=1e-10)


@pytest.mark.roadmap("6.5")
def test_garch_by_hand_over_two_sessions() -> None:
    # omega 2, alpha .05, gamma .1, beta .9, h 100 (all in 1e-6); a fall of 2 % then a rise of 1 %
    panel = Panel(
        np.array(["2024-01-02", "2024-01-03", "2024-01-04"], dtype="datetime64[D]"), ("A",),
        np.array([[100.0], [98.0], [98.98]]), np.ones(3), np.ones(3),
    )  # fmt: skip
    from instgov_dagster_tests.beliefs.hot.test_fold import fits_through

    fits = fits_through(panel, 1, symbols=("A",)).with_columns(alpha=0.05 + 0.0, gamma=0.1 + 0.0)
    said = walked(panel, fits=fits).sigmas["gjr_garch_t"][:, 0]
    h1 = 2e-6 + (0.05 + 0.1) * 0.02**2 + 0.9 * 1e-4
    h2 = 2e-6 + 0.05 * 0.01**2 + 0.9 * h1

    def horizon(h: float) -> float:
        total = 0.0
        for _ in range(5):
            total += h
            h = 2e-6 + (0.05 + 0.05 + 0.9) * h
        return total**0.5

    assert np.isnan(said[0])
    assert said[1:] == pytest.approx([horizon(h1), horizon(h2)], rel=1e-12)


def test_a_stablecoin_has_the_floor_for_a_volatility_and_an_absent_price_none() -> None:
    prices = np.array(PANEL.prices[:100])
    prices[:, 0] = 1.0
    prices[-1, 1] = np.nan
    found = walked(PANEL._replace(dates=PANEL.dates[:100], prices=prices))
    assert found.sigma[-1, 0] == pytest.approx(0.001 * np.sqrt(5 / 252), rel=1e-12)
    assert np.isnan(found.sigma[-1, 1])
    assert np.isfinite(found.sigma[-2, 1])


def test_whatever_the_prices_no_stated_sigma_is_zero_or_infinite() -> None:
    rng = np.random.default_rng(5)
    wild = rng.standard_normal((90, 5)) * 10.0 ** rng.integers(-300, 300, (90, 5))
    wild[rng.random((90, 5)) < 0.2] = np.nan
    dates = np.busday_offset("2024-01-01", np.arange(90), roll="forward")
    panel = Panel(dates, ("A", "B", "C", "D", "E"), wild, np.ones(90), np.ones(90))
    sigma = walked(panel).sigma
    known = sigma[~np.isnan(sigma)]
    assert ((known > 0) & np.isfinite(known)).all()
