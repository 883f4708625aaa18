"""Reading minutes of best bids and asks: whose they are, when each was known; nothing cleaned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.vocabulary.errors import InputError

#: The file of minutes in a folder of quotes.
QUOTES_FILE: Final = "minute_quotes.parquet"

#: A row tells the last quote of its minute: it is known when the minute is over, and stands until
#: the next one is due.
MINUTE: Final = np.timedelta64(60, "s")

# Whose wall clock `ts_local` shows. Of the other two the files agree with UTC: foreign exchange
# rests from Friday 21:00 to Sunday 21:00 in May, which is 17:00 in New York.
_ZONES: Final[Mapping[str, str]] = {
    "equity": "America/New_York",
    "forex": "UTC",
    "crypto": "UTC",
}
_PRICES: Final = ("bid_low", "bid_close", "ask_high", "ask_close")
_COLUMNS: Final = ("symbol", "market", "ts_local", *_PRICES)
_CODE_LETTERS: Final = 3
_UNREADABLE: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Minutes:
    """One symbol's quotes, minute by minute, in the order they were known.

    Attributes
    ----------
    known_at
        When each minute was over, us, UTC, strictly rising, ``(m,)``.
    bid, ask
        The last of each minute, ``(m,)``, as quoted: zero, crossed or NaN where it was so.
    low, high
        The least bid and the greatest ask within each minute, ``(m,)``.
    """

    known_at: NDArray[np.datetime64]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def quotes_file(folder: Path) -> Path | None:
    """Find the minutes in a folder; None where there are none."""
    path = folder / QUOTES_FILE
    return path if path.is_file() else None


def read_minutes(
    path: Path, symbols: Sequence[str], *, since: datetime, until: datetime
) -> dict[str, Minutes]:
    """Read what was known of some symbols between two instants; one without rows is left out.

    Parameters
    ----------
    symbols
        As this system calls them: SPY, EURUSD=X, JPY=X, BTC-USD.
    since, until
        Bounds of the instants at which a minute was over, UTC, both inclusive.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, names an unknown market or tells one minute
        of a symbol twice.
    """
    try:
        rows = pl.read_parquet(path)
    except _UNREADABLE as error:
        raise InputError(f"{path.name} cannot be read: {type(error).__name__}") from error
    missing = [name for name in _COLUMNS if name not in rows.columns]
    if missing:
        raise InputError(f"{path.name} must have the columns {', '.join(missing)}, has not")
    rows = _of_their_kinds(rows, path)
    unknown = sorted(set(rows["market"].unique().to_list()) - set(_ZONES))
    if unknown:
        raise InputError(f"{path.name}: market must be one of {', '.join(_ZONES)}, was {unknown}")
    known = _named_and_dated(rows).filter(
        pl.col("name").is_in(list(symbols)),
        pl.col("known_at").is_between(since, until),
    )
    found = known.sort("name", "known_at").partition_by("name", as_dict=True)
    return {str(name): _minutes(part, path) for (name,), part in found.items()}


def _of_their_kinds(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    kinds: dict[str, pl.DataType] = {
        "symbol": pl.String(),
        "market": pl.String(),
        "ts_local": pl.Datetime("us"),
    }
    try:
        typed = rows.with_columns(
            *(pl.col(name).cast(kind) for name, kind in kinds.items()),
            *(pl.col(name).cast(pl.Float64) for name in _PRICES),
        )
    except _UNREADABLE as error:
        raise InputError(f"{path.name} must hold names, instants and prices: {error}") from error
    for name in kinds:
        if typed[name].null_count():
            raise InputError(f"{path.name}: {name} must be told in every row, was null")
    return typed


def _named_and_dated(rows: pl.DataFrame) -> pl.DataFrame:
    pairs = rows.select("symbol", "market").unique()
    names = pairs.with_columns(
        name=pl.Series(
            [known_as(symbol, market) for symbol, market in pairs.iter_rows()], dtype=pl.String
        )
    )
    parts = [
        rows.filter(pl.col("market") == market).with_columns(
            known_at=pl.col("ts_local")
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
            .dt.convert_time_zone("UTC")
            + pl.duration(minutes=1)
        )
        for market, zone in _ZONES.items()
    ]
    return pl.concat(parts).join(names, on=["symbol", "market"])


def known_as(symbol: str, market: str) -> str:
    """Give this system's name of a symbol of the file: EURUSD is EURUSD=X, BTCUSD is BTC-USD.

    Yahoo leaves the dollar out where it comes first: USDJPY is JPY=X.
    """
    if market == "forex":
        return f"{symbol.removeprefix('USD')}=X"
    if market == "crypto":
        return f"{symbol[:-_CODE_LETTERS]}-{symbol[-_CODE_LETTERS:]}"
    return symbol


def _minutes(part: pl.DataFrame, path: Path) -> Minutes:
    if part["known_at"].is_duplicated().any():
        raise InputError(f"{path.name} must tell each minute of {part['symbol'][0]} once")
    bid_low, bid, ask_high, ask = (
        part[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in _PRICES
    )
    known = part["known_at"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    return Minutes(known_at=known, bid=bid, ask=ask, low=bid_low, high=ask_high)
