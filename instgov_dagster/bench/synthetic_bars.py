"""Bars to measure ingestion with, a few planted faults in them, and what a night of them tells."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from instgov_dagster.adapters.markets.bar_files import BARS_FILE
from instgov_dagster.bars.calendars import CALENDAR_START, expected_sessions
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.checks import check_bounds, number


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticBars:
    """What to write: how many symbols and sessions, up to which night, with how many faults."""

    n_symbols: int = number(ge=1, le=99_999)
    n_sessions: int = number(1260, ge=2)
    asof: date = date(2025, 6, 28)
    seed: int = number(1, ge=0)
    daily_volatility: float = number(0.012, gt=0, lt=0.05)
    faulty_share: float = number(0.02, ge=0, le=1)
    bad_tick: float = number(2.0, gt=1)

    def __post_init__(self) -> None:
        check_bounds(self)


def write_bars(folder: Path, wanted: SyntheticBars) -> Path:
    """Write ``bars.parquet`` of random walks; the last session is the last before ``asof``.

    A share of the symbols has one fault each, by turns: a bad tick, a duplicate, a session
    without volume, a missing session, a price of zero.
    """
    days = expected_sessions(AssetClass.STOCKS, CALENDAR_START, wanted.asof)[-wanted.n_sessions :]
    shape = (wanted.n_symbols, days.size)
    rng = np.random.Generator(np.random.Philox(key=wanted.seed))
    moves = rng.standard_normal(shape) * wanted.daily_volatility
    close = 50.0 * np.exp(np.cumsum(moves, axis=1))
    opened = close * np.exp(rng.standard_normal(shape) * wanted.daily_volatility / 3.0)
    reach = np.abs(rng.standard_normal((2, *shape))) * wanted.daily_volatility / 3.0
    volume = np.round(np.exp(14.0 + 0.3 * rng.standard_normal(shape)))
    every = max(1, round(1.0 / wanted.faulty_share)) if wanted.faulty_share > 0 else shape[0]
    faulty = np.arange(every - 1, shape[0], every)
    kinds, place = np.arange(faulty.size) % 5, days.size // 2
    close[faulty[kinds == 0], place] *= wanted.bad_tick
    volume[faulty[kinds == 2], place] = 0.0
    close[faulty[kinds == 4], place] = 0.0
    high = np.maximum(opened, close) * np.exp(reach[0])
    low = np.minimum(opened, close) * np.exp(-reach[1])
    repeats = np.ones(shape, dtype=np.int64)
    repeats[faulty[kinds == 1], place] = 2
    repeats[faulty[kinds == 3], place] = 0
    rows = np.repeat(np.arange(close.size), repeats.ravel())
    names = pl.Series([f"S{i:05d}" for i in range(shape[0])], dtype=pl.String)
    prices = {"open": opened, "high": high, "low": low, "close": close, "adj_close": close}
    frame = pl.DataFrame(
        {
            "symbol": names.gather(pl.Series(rows // days.size)),
            "date": days[rows % days.size],
            **{name: values.ravel()[rows].round(4) for name, values in prices.items()},
            "volume": volume.ravel()[rows],
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / BARS_FILE
    frame.write_parquet(file)
    return file


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What one night of ingestion did.

    Attributes
    ----------
    rows_added
        Rows the store has more than before it.
    scores
        The quality score of each symbol.
    """

    seconds: float
    rows_added: int
    scores: dict[str, float]
