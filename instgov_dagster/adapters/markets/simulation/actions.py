"""Dividends and splits of the simulated stocks: when they go ex and what they are worth."""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.adapters.markets.simulation.noise import uniform_of
from instgov_dagster.adapters.markets.simulation.parameters import RecordedSplit, WorldParameters

_MONTHS_PER_YEAR = 12


def log_payouts(
    seed: int,
    symbol: str,
    *,
    days: NDArray[np.datetime64],
    yield_annual: float,
    parameters: WorldParameters,
) -> NDArray[np.float64]:
    """Give log(1 + dividend / ex-dividend close) of each session, zero on most of them.

    A payer goes ex in the first session of every k-th month, at a place in the cycle that
    belongs to its name.
    """
    out = np.zeros(days.size)
    if yield_annual <= 0:
        return out
    months = days.astype("datetime64[M]").astype(np.int64)
    is_first = np.diff(months, prepend=months[0]) > 0
    every = _MONTHS_PER_YEAR // parameters.dividends_per_year
    place = int(uniform_of(seed, symbol, "ex-month") * every)
    out[is_first & (months % every == place)] = np.log1p(
        yield_annual / parameters.dividends_per_year
    )
    return out


def splits_of(symbol: str, parameters: WorldParameters) -> tuple[RecordedSplit, ...]:
    """Give the splits the vendor recorded for a symbol."""
    return tuple(split for split in parameters.splits if split.symbol == symbol)


def split_column(
    days: NDArray[np.datetime64], splits: tuple[RecordedSplit, ...]
) -> NDArray[np.float64]:
    """Give the recorded ratio of each session, zero on days without a split."""
    out = np.zeros(days.size)
    for split in splits:
        place = _first_session(days, split.on)
        if place < days.size and split.on >= days[0].astype(date):
            out[place] = split.ratio
    return out


def unadjusted_factor(
    days: NDArray[np.datetime64], splits: tuple[RecordedSplit, ...]
) -> NDArray[np.float64]:
    """Give what a price is multiplied with where the vendor did not adjust for later splits."""
    out = np.ones(days.size)
    for split in splits:
        if split.is_unadjusted:
            out[: _first_session(days, split.on)] *= split.ratio
    return out


def _first_session(days: NDArray[np.datetime64], day: date) -> int:
    return int(np.searchsorted(days, np.datetime64(day, "D")))
