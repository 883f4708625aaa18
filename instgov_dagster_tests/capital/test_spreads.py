import math
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from instgov_dagster.capital.spreads import abdi_ranaldo, corwin_schultz, estimate_spreads
from instgov_dagster.vocabulary.policy.capital import ImpactPolicy

pytestmark = pytest.mark.roadmap("8.3", "TEST.8")


def traded(
    spread: float, n: int, *, seed: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Bars of trades that bounce between bid and ask around a random walk, 390 a session."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0.0, 0.01 / np.sqrt(390), n * 390)).reshape(n, 390)
    prices = np.exp(walk + rng.choice([-0.5, 0.5], (n, 390)) * spread)
    return prices.max(axis=1), prices.min(axis=1), prices[:, -1]


@pytest.mark.parametrize("spread", [0.005, 0.01, 0.02])
def test_both_estimators_find_the_spread_that_made_the_bars(spread: float) -> None:
    bars = traded(spread, 2000)
    assert corwin_schultz(*bars) == pytest.approx(spread, rel=0.25)
    assert abdi_ranaldo(*bars) == pytest.approx(spread, rel=0.25)


def test_a_price_that_never_moves_has_no_spread() -> None:
    flat = np.full(30, 100.0)
    assert corwin_schultz(flat, flat, flat) == 0.0
    assert abdi_ranaldo(flat, flat, flat) == 0.0


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_price_that_is_not_positive_is_refused(bad: float) -> None:
    prices = np.array([100.0, bad, 101.0])
    with pytest.raises(ValueError, match="positive"):
        corwin_schultz(prices, prices, prices)


def frame_of(symbol: str, kind: str, n: int, spread: float) -> pl.DataFrame:
    high, low, close = traded(spread, n)
    return pl.DataFrame(
        {
            "symbol": [symbol] * n,
            "date": [date(2020, 1, 1) + timedelta(days=i) for i in range(n)],
            "high": high,
            "low": low,
            "close": close,
            "asset_class": [kind] * n,
        }
    )


@pytest.mark.parametrize(
    ("kind", "floor"), [("STOCKS", 2.0), ("CRYPTO", 10.0), ("FX", 1.0), ("COMMODITIES", 5.0)]
)
def test_a_spread_is_never_below_its_classs_floor(kind: str, floor: float) -> None:
    found = estimate_spreads(frame_of("X", kind, 10, 0.02), policy=ImpactPolicy())
    assert found.rows() == [("X", floor)]


def test_a_wide_spread_is_seen_and_a_reference_is_left_out() -> None:
    bars = pl.concat(
        [frame_of("WIDE", "STOCKS", 252, 0.02), frame_of("^VIX", "REFERENCE", 252, 0.02)]
    )
    found = estimate_spreads(bars, policy=ImpactPolicy())
    assert found["symbol"].to_list() == ["WIDE"]
    assert 100.0 <= found["spread_bps"][0] <= 300.0


def test_symbols_estimated_side_by_side_have_the_spreads_they_have_alone() -> None:
    spreads = {"AAA": 0.02, "BBB": 0.03, "CCC": 0.04}
    lengths = {"AAA": 300, "BBB": 252, "CCC": 100}
    bars = {name: frame_of(name, "STOCKS", lengths[name], spreads[name]) for name in spreads}
    shuffled = pl.concat(bars.values()).sample(fraction=1.0, shuffle=True, seed=1)
    wanted = []
    for name, frame in bars.items():
        prices = [frame[column].tail(252).to_numpy() for column in ("high", "low", "close")]
        wanted.append((name, min(corwin_schultz(*prices), abdi_ranaldo(*prices)) * 1e4))
    assert estimate_spreads(shuffled, policy=ImpactPolicy()).rows() == wanted


def test_both_estimates_by_hand_on_two_sessions() -> None:
    # Logs: both sessions range from -0.01 to 0.01 and close at the high, then the low.
    high, low = np.exp([0.01, 0.01]), np.exp([-0.01, -0.01])
    close = np.exp([0.01, -0.01])
    # 4 (0.01 - 0)(0.01 - 0) = 0.0004. beta = 2 * 0.02^2 and gamma = 0.02^2: alpha =
    # (0.04 - 0.02 sqrt 2) / k - 0.02 / sqrt k = 0.02 (sqrt 2 (sqrt 2 - 1) / k - 1 / sqrt k) with
    # k = (sqrt 2 - 1)^2: 0.02 / (sqrt 2 - 1) * (sqrt 2 - 1) = 0.02.
    assert abdi_ranaldo(high, low, close) == pytest.approx(0.02)
    assert corwin_schultz(high, low, close) == pytest.approx(2.0 * math.tanh(0.01))


def test_a_negative_price_costs_its_session_and_not_the_symbol() -> None:
    bars = frame_of("CL=F", "COMMODITIES", 252, 0.02)
    broken = bars.with_columns(
        low=pl.when(pl.int_range(pl.len()) == 100).then(-40.32).otherwise("low")
    )
    found = estimate_spreads(broken, policy=ImpactPolicy())
    assert found["spread_bps"][0] > 50.0


def test_on_real_bars_the_spreads_of_liquid_stocks_are_a_few_basis_points(bars_dir: Path) -> None:
    bars = pl.read_parquet(bars_dir / "dev" / "bars.parquet").filter(asset_class="STOCKS")
    found = estimate_spreads(bars, policy=ImpactPolicy())
    assert found.height > 20
    assert found["spread_bps"].min() >= 2.0
    assert found["spread_bps"].median() < 10.0
    assert found["spread_bps"].max() < 50.0
