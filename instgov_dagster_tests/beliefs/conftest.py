"""Panels the beliefs are tested on: drawn ones, and the real one where it is at hand."""

import os
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from instgov_dagster.beliefs.hot.walk import MarketPanel, Walk, walk
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy

Floats = NDArray[np.float64]


class Panel(NamedTuple):
    """Sessions, names and prices, with the two reference series beside them."""

    dates: NDArray[np.datetime64]
    symbols: tuple[str, ...]
    prices: Floats
    spy: Floats
    vix: Floats


def drawn_panel(*, seed: int, sessions: int, symbols: int) -> Panel:
    """Draw correlated fat-tailed prices with a quiet and a wild half, a VIX that knows which."""
    rng = np.random.default_rng(seed)
    dates = np.busday_offset("2019-01-01", np.arange(sessions), roll="forward")
    volatility = np.where(np.arange(sessions) % 500 < 400, 0.008, 0.02)[:, None]
    common = rng.standard_t(5, size=(sessions, 1))
    own = rng.standard_t(5, size=(sessions, symbols))
    returns = 0.0003 + volatility * (0.6 * common + 0.8 * own) * np.sqrt(3 / 5)
    prices = 100.0 * np.exp(np.cumsum(returns, axis=0))
    spy = 300.0 * np.exp(np.cumsum(0.0003 + volatility[:, 0] * common[:, 0] * 0.8))
    vix = 1600.0 * volatility[:, 0] * np.exp(0.1 * rng.standard_normal(sessions)) + 1.0
    names = tuple(f"S{j:02d}" for j in range(symbols))
    return Panel(dates, names, prices, spy, vix)


def market_of(
    panel: Panel, *, fits: pl.DataFrame | None = None, ranges: bool = True
) -> MarketPanel:
    """Show a panel to the models, with ranges that hold open and close.

    The open is the close before, and the extremes lie half a percent beyond both.
    """
    opened = np.vstack([panel.prices[:1], panel.prices[:-1]])
    with np.errstate(invalid="ignore"):
        high = 1.005 * np.fmax(opened, panel.prices)
        low = 0.995 * np.fmin(opened, panel.prices)
    shown = {"open": opened, "high": high, "low": low} if ranges else {}
    return MarketPanel(
        dates=panel.dates, symbols=panel.symbols, close=panel.prices, fits=fits, **shown
    )


def walked(panel: Panel, *, fits: pl.DataFrame | None = None, ranges: bool = False) -> Walk:
    """Walk a panel under the default rules, five sessions ahead; closes only unless told."""
    market = market_of(panel, fits=fits, ranges=ranges)
    key = (panel.symbols, panel.dates.tobytes(), panel.prices.tobytes(), ranges)
    if fits is not None or key not in _WALKS:
        found = walk(market, policy=ModelPolicy().forecast, horizon=5)
        if fits is not None:
            return found
        _WALKS[key] = found
    return _WALKS[key]


# The same panel is walked by many tests; a walk is never changed.
_WALKS: dict[tuple[object, ...], Walk] = {}


@pytest.fixture(scope="session")
def drawn() -> Panel:
    """One drawn panel of five years and twelve symbols, shared and never changed."""
    panel = drawn_panel(seed=7, sessions=1260, symbols=12)
    for array in (panel.prices, panel.spy, panel.vix):
        array.flags.writeable = False
    return panel


@pytest.fixture(scope="session")
def drawn_walk(drawn: Panel) -> Walk:
    """The drawn panel walked once; shared and never changed."""
    return walked(drawn)


def _real_closes() -> pl.DataFrame:
    folder = os.environ.get("INSTGOV_BARS_DIR")
    if not folder:
        pytest.skip("INSTGOV_BARS_DIR is unset: the real bars are not at hand")
    bars = pl.read_parquet(Path(folder) / "dev" / "bars.parquet")
    sessions = bars.filter(pl.col("symbol") == "SPY").select("date")
    closes = bars.select("date", "symbol", "adj_close").pivot(
        on="symbol", index="date", values="adj_close"
    )
    return sessions.join(closes, on="date", how="left").sort("date")


@pytest.fixture(scope="session")
def real_closes() -> pl.DataFrame:
    """Adjusted closes of the development bars on SPY's sessions, one column a symbol."""
    return _real_closes()


def real_panel(closes: pl.DataFrame, *, asof: date, days: int = 1825) -> Panel:
    """Cut the window a night at ``asof`` holds, gaps carried forward."""
    held = closes.filter((pl.col("date") < asof) & (pl.col("date") >= asof - timedelta(days=days)))
    names = tuple(sorted(name for name in closes.columns if name != "date" and name[0] != "^"))
    return Panel(
        held["date"].to_numpy(),
        names,
        held.select(names).fill_null(strategy="forward").fill_null(np.nan).to_numpy(),
        held["SPY"].to_numpy(),
        held["^VIX"].fill_null(np.nan).to_numpy(),
    )
