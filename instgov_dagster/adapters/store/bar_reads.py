"""Reading bars as they were known at an instant: never a version that came later."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple, cast

import duckdb
import numpy as np
import polars as pl
import pyarrow.compute as pc
from numpy.typing import NDArray

from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.reasons import ReasonCode

# The instant is tested inside, before the latest version is taken: a version that came later may
# neither be seen nor hide the one before it. Nearly all bars have one version, so the second
# half joins against almost nothing. Run it with execute(): sql() with parameters copies every
# row into Python objects.
_AS_OF = """
WITH known AS ({known}),
replaced AS (
    SELECT symbol, date, ordinal, max(version) AS last_version
    FROM known WHERE version > 1 GROUP BY symbol, date, ordinal
)
SELECT {columns}
FROM known LEFT JOIN replaced USING (symbol, date, ordinal)
WHERE version = coalesce(last_version, 1) AND NOT is_withdrawn
"""
_KNOWN = """
    SELECT {columns}
    FROM bar_versions b
    JOIN (
        SELECT unnest(?::VARCHAR[]) AS symbol, unnest(range(len(?::VARCHAR[])))::INTEGER AS place
    ) w ON b.symbol = w.symbol
    WHERE b.date >= ? AND b.date < ? AND b.known_at <= ?
"""
_COLUMNS = (
    "symbol, date, ordinal, open, high, low, close, adj_close, volume, dividend, split,"
    " asset_class, provider, source, known_at, is_restated"
)
BATCH_SYMBOLS = 250
#: How many of a symbol's last bars are published with where each of them came from.
LINEAGE_BARS = 5
_LINEAGE_DAYS = 30
_LINEAGE = """
SELECT symbol, date, open, high, low, close, adj_close, volume, version, provider, known_at,
    recorded_at, run_id, source_sha256, is_restated
FROM bar_versions
WHERE known_at <= ? AND date >= ?
QUALIFY row_number() OVER (PARTITION BY symbol, date, ordinal ORDER BY version DESC) = 1
    AND NOT is_withdrawn
"""


class PriceMatrix(NamedTuple):
    """Closes on one grid: ``closes`` has shape ``(n_dates, n_symbols)``, no hole in it."""

    dates: NDArray[np.datetime64]
    symbols: tuple[str, ...]
    closes: NDArray[np.float64]


def bars_as_of(
    con: duckdb.DuckDBPyConnection,
    symbols: Sequence[str],
    *,
    start: date,
    end: date,
    known_at: datetime,
) -> pl.DataFrame:
    """Read the bars of ``[start, end)`` as they were known at an instant.

    Parameters
    ----------
    symbols
        Which symbols; one without bars has no rows.
    end
        Exclusive.
    known_at
        UTC; a bar known later is not returned, and does not hide the one it replaced.

    Returns
    -------
    The bar columns with ``known_at`` and ``is_restated``, sorted by symbol and date; a date the
    provider delivered twice stands twice.

    Raises
    ------
    ValueError
        If ``known_at`` is naive.
    """
    if known_at.tzinfo is None:
        raise ValueError(f"known_at must be aware, was {known_at!r}")
    query = _AS_OF.format(columns=_COLUMNS, known=_KNOWN.format(columns="b.*, place"))
    wanted = sorted(set(symbols))
    # A few hundred symbols at a time: all rows at once would swell.
    parts = []
    for at in range(0, max(len(wanted), 1), BATCH_SYMBOLS):
        names = wanted[at : at + BATCH_SYMBOLS]
        table = con.execute(query, [names, names, start, end, known_at]).to_arrow_table()
        part = cast("pl.DataFrame", pl.from_arrow(table))
        parts.append(part.sort("symbol", "date", "ordinal").drop("ordinal"))
    return pl.concat(parts).with_columns(pl.col("known_at").dt.convert_time_zone("UTC"))


def bar_lineage(con: duckdb.DuckDBPyConnection, known_at: datetime) -> pl.DataFrame:
    """Read the last bars of every symbol as they were known, with where each came from.

    Parameters
    ----------
    known_at
        UTC; a bar known later is not returned, and does not hide the one it replaced.

    Returns
    -------
    At most `LINEAGE_BARS` rows a symbol, sorted by symbol and date: prices, version, ``known_at``,
    the run that stored the bar and the sha256 of the payload it was read from.
    """
    first = known_at.date() - timedelta(days=_LINEAGE_DAYS)
    found = con.execute(_LINEAGE, [known_at, first]).to_arrow_table()
    frame = cast("pl.DataFrame", pl.from_arrow(found)).sort("symbol", "date")
    instants = ("known_at", "recorded_at")
    return frame.with_columns(pl.col(name).dt.convert_time_zone("UTC") for name in instants).filter(
        pl.col("date").rank("dense", descending=True).over("symbol") <= LINEAGE_BARS
    )


def first_dates_held(con: duckdb.DuckDBPyConnection) -> dict[str, date]:
    """Give the date of the first bar the store holds of each symbol, known at any instant."""
    rows = con.execute("SELECT symbol, min(date) FROM bar_versions GROUP BY symbol").fetchall()
    return {str(symbol): first for symbol, first in rows}


def price_matrix(
    con: duckdb.DuckDBPyConnection,
    symbols: Sequence[str],
    *,
    start: date,
    end: date,
    known_at: datetime,
) -> PriceMatrix:
    """Read closes as one matrix, refusing a hole rather than moving prices into it.

    Parameters
    ----------
    symbols
        Distinct symbols, in the order of the columns.
    end
        Exclusive.

    Raises
    ------
    DataRejected
        ``MISSING_SESSIONS`` if a symbol lacks a date another one has, ``DUPLICATE_DATES`` if one
        has it twice, ``PRICE_NOT_FINITE`` if a close is no finite number.
    """
    names = list(symbols)
    column, days, prices = _closes(con, [names, names, start, end, known_at])
    offsets = (days - np.datetime64(start)).astype(np.intp)
    has_day = np.zeros(max((end - start).days, 0), dtype=np.bool_)
    has_day[offsets] = True
    row = (np.cumsum(has_day) - 1)[offsets]
    closes = np.full((int(has_day.sum()), len(names)), np.nan)
    closes[row, column] = prices
    counts = np.bincount(row * len(names) + column, minlength=closes.size)
    _require_complete(counts.reshape(closes.shape), closes, names)
    dates = np.datetime64(start) + np.flatnonzero(has_day)
    return PriceMatrix(dates, tuple(names), closes)


def _closes(
    con: duckdb.DuckDBPyConnection, parameters: list[object]
) -> tuple[NDArray[np.intp], NDArray[np.datetime64], NDArray[np.float64]]:
    columns = "place, b.date, b.close, b.version"
    table = con.execute(_KNOWN.format(columns=columns), parameters).to_arrow_table()
    if pc.max(table["version"]).as_py() not in (None, 1):
        known = _KNOWN.format(columns="b.*, place")
        query = _AS_OF.format(columns="place, date, close", known=known)
        table = con.execute(query, parameters).to_arrow_table()
    return (
        table["place"].to_numpy().astype(np.intp),
        table["date"].to_numpy().astype("datetime64[D]"),
        table["close"].to_numpy(),
    )


def _require_complete(
    rows: NDArray[np.int64], closes: NDArray[np.float64], symbols: Sequence[str]
) -> None:
    if not rows.size:
        raise DataRejected(ReasonCode.MISSING_SESSIONS, "no close was known of any symbol")
    for code, bad in (
        (ReasonCode.MISSING_SESSIONS, rows == 0),
        (ReasonCode.DUPLICATE_DATES, rows > 1),
        (ReasonCode.PRICE_NOT_FINITE, ~np.isfinite(closes)),
    ):
        if bad.any():
            counts = {
                symbols[int(j)]: int(bad[:, j].sum()) for j in np.flatnonzero(bad.any(axis=0))
            }
            raise DataRejected(code, f"sessions by symbol: {dict(list(counts.items())[:5])}")
