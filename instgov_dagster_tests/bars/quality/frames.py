"""Small frames of bars for the tests of this wing: calm series on the class calendar."""

from datetime import date
from typing import Final

import numpy as np
import polars as pl

from instgov_dagster.bars.calendars import expected_sessions, history_window
from instgov_dagster.bars.ingestion import validate_bars
from instgov_dagster.bars.quality import score_bars
from instgov_dagster.vocabulary.bars import AssetClass, Universe, UniverseSymbol
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy, QualityPolicy

ASOF: Final = date(2024, 12, 6)
HISTORY: Final = HistoryPolicy()
QUALITY: Final = QualityPolicy()


def universe_of(**classes: AssetClass | None) -> Universe:
    """Give a universe of symbols by class; ``None`` is a reference."""
    return Universe(
        symbols=tuple(
            UniverseSymbol(symbol=symbol, asset_class=kind, is_reference=kind is None)
            for symbol, kind in classes.items()
        )
    )


def sessions(kind: AssetClass | None = AssetClass.STOCKS, *, last: int | None = None) -> np.ndarray:
    """Give the sessions of the window of ASOF, or the last so many of them."""
    start, end = history_window(ASOF, HISTORY)
    dates = expected_sessions(kind, start, end)
    return dates if last is None else dates[-last:]


def calm_bars(
    symbol: str = "AAA",
    kind: AssetClass | None = AssetClass.STOCKS,
    *,
    last: int | None = None,
    seed: int = 7,
) -> pl.DataFrame:
    """Give a series without a single defect: small moves, whole bars, steady volume."""
    dates = sessions(kind, last=last)
    generator = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0, 0.005, dates.size)))
    opens = close * np.exp(generator.normal(0, 0.003, dates.size))
    volume = np.zeros(dates.size)
    if kind is not AssetClass.FX:
        volume = 1e6 * np.exp(generator.uniform(-0.3, 0.3, dates.size))
    return validate_bars(
        pl.DataFrame(
            {
                "symbol": [symbol] * dates.size,
                "date": dates,
                "open": opens,
                "high": np.maximum(opens, close) * 1.002,
                "low": np.minimum(opens, close) * 0.998,
                "close": close,
                "adj_close": close,
                "volume": volume,
                "asset_class": ["REFERENCE" if kind is None else kind.value] * dates.size,
            }
        )
    )


def with_value(bars: pl.DataFrame, place: int, **values: float | None) -> pl.DataFrame:
    """Give the bars with values replaced in one row."""
    here = pl.int_range(pl.len()) == place % bars.height
    return bars.with_columns(
        pl.when(here).then(pl.lit(value, dtype=pl.Float64)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def scaled(bars: pl.DataFrame, place: int, factor: float) -> pl.DataFrame:
    """Give the bars with all prices of one row multiplied: a bad tick."""
    here = pl.int_range(pl.len()) == place % bars.height
    return bars.with_columns(
        pl.when(here).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close", "adj_close")
    )


def scaled_before(bars: pl.DataFrame, place: int, factor: float) -> pl.DataFrame:
    """Give the bars with all prices before a row multiplied: a split nobody applied."""
    earlier = pl.int_range(pl.len()) < place % bars.height
    return bars.with_columns(
        pl.when(earlier).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close", "adj_close")
    )


def verdict(bars: pl.DataFrame, universe: Universe | None = None) -> dict[str, object]:
    """Score the bars of one symbol and give its row."""
    symbol = bars["symbol"][0]
    scored = score_bars(
        bars,
        universe=universe or universe_of(**{symbol: AssetClass.STOCKS}),
        asof=ASOF,
        policy=QUALITY,
        history=HISTORY,
    )
    return scored.row(by_predicate=pl.col("symbol") == symbol, named=True)
