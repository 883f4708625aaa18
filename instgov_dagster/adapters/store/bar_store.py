"""Bars as received, bitemporal: append what differs, read what was known; no judgement here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import duckdb
import polars as pl

from instgov_dagster.adapters.store.warehouse import registered

_KEY = ("symbol", "date", "ordinal")
_NUMBERS = ("open", "high", "low", "close", "adj_close", "volume", "dividend", "split")
# What makes a bar another bar. Where it was read from is lineage, and no difference.
_COMPARED = (*_NUMBERS, "asset_class", "provider")
_STAGED = (*_KEY, *_COMPARED, "source", "known_at", "source_sha256")
_WANTED = tuple(name for name in _STAGED if name != "ordinal")
BATCH_ROWS = 400_000

_INSERT = f"""
INSERT INTO bar_versions (
    {", ".join(_KEY)}, version, {", ".join(_COMPARED)}, source, known_at, source_sha256,
    is_restated, is_withdrawn, recorded_at, run_id
)
"""
_INSERT_ALL = f"""{_INSERT}
SELECT {", ".join(_KEY)}, 1, {", ".join(_COMPARED)}, source, known_at, source_sha256,
    false, false, ?, ?
FROM staged_bars
"""  # noqa: S608  # only this module's own column names
_INSERT_DIFFERENCES = f"""{_INSERT}
SELECT {", ".join(_KEY)}, version, {", ".join(_COMPARED)}, source, known_at, source_sha256,
    is_restated, is_withdrawn, ?, ?
FROM bar_differences
"""  # noqa: S608  # only this module's own column names
_TAKEN = ", ".join(
    f"CASE WHEN s.symbol IS NULL THEN l.{name} ELSE s.{name} END AS {name}"
    for name in (*_KEY, *_COMPARED, "source")
)
_SAME = " AND ".join(f"s.{name} IS NOT DISTINCT FROM l.{name}" for name in _COMPARED)
# The join is full: a bar that stands in the store and not in the payload was withdrawn.
_DIFFERENCES = f"""
CREATE OR REPLACE TEMP TABLE bar_differences AS
WITH spans AS (
    SELECT symbol, min(date) AS first, max(date) AS last, any_value(source_sha256) AS payload
    FROM staged_bars GROUP BY symbol
),
stored AS (
    SELECT b.*, p.payload
    FROM bar_versions b JOIN spans p ON b.symbol = p.symbol
    WHERE b.date BETWEEN p.first AND p.last
),
replaced AS (
    SELECT {", ".join(_KEY)}, max(version) AS last_version
    FROM stored WHERE version > 1 GROUP BY {", ".join(_KEY)}
),
latest AS (
    SELECT stored.* FROM stored LEFT JOIN replaced USING ({", ".join(_KEY)})
    WHERE version = coalesce(last_version, 1)
)
SELECT {_TAKEN},
    coalesce(l.version, 0) + 1 AS version,
    CASE WHEN l.symbol IS NULL THEN s.known_at
        ELSE greatest(s.known_at, l.known_at, ?::TIMESTAMPTZ) END AS known_at,
    coalesce(s.source_sha256, l.payload) AS source_sha256,
    l.symbol IS NOT NULL AS is_restated,
    s.symbol IS NULL AS is_withdrawn
FROM staged_bars s
FULL JOIN latest l ON {" AND ".join(f"s.{name} = l.{name}" for name in _KEY)}
WHERE l.symbol IS NULL
    OR (s.symbol IS NULL AND NOT l.is_withdrawn)
    OR (s.symbol IS NOT NULL AND (l.is_withdrawn OR NOT ({_SAME})))
"""  # noqa: S608  # only this module's own column names


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendResult:
    """What one append did, in rows.

    ``added`` counts bars never seen before, ``restated`` new versions of known ones,
    ``withdrawn`` versions saying that the provider delivers the bar no more, ``unchanged`` bars
    that stand as they are.
    """

    added: int
    restated: int
    unchanged: int
    withdrawn: int = 0

    @property
    def rows(self) -> int:
        """Rows written."""
        return self.added + self.restated + self.withdrawn


def append_bars(
    con: duckdb.DuckDBPyConnection,
    frame: pl.DataFrame,
    *,
    run_id: str,
    recorded_at: datetime,
    knowledge_instant: datetime | None = None,
) -> AppendResult:
    """Append the bars that differ from the latest version of each; call it in a transaction.

    Parameters
    ----------
    con
        A connection inside ``WarehouseResource.txn()``.
    frame
        Bars as received with ``known_at`` and ``source_sha256``, the latter one a symbol. A date
        delivered twice is kept twice.
    recorded_at
        When this is written, UTC.
    knowledge_instant
        From when a restated or withdrawn bar counts as known; ``recorded_at`` by default.

    Raises
    ------
    ValueError
        If a column is missing, a ``known_at`` is null or naive, or a symbol has two payloads.

    Notes
    -----
    A symbol whose payload is byte-identical to the last one it was compared with is skipped. A
    withdrawn bar is looked for between the first and the last date the payload delivers. No
    version is known before the one it replaces.
    """
    _require_columns(frame)
    sources = _sources(frame)
    changed = _changed_sources(con, sources)
    if changed.is_empty():
        return AppendResult(added=0, restated=0, unchanged=frame.height)
    staged = _with_ordinal(_only(frame, changed))
    instant = knowledge_instant or recorded_at
    counts = [
        _append_batch(con, batch, instant=instant, values=[recorded_at, run_id])
        for batch in _batches(staged)
    ]
    _record_sources(con, changed, run_id=run_id, recorded_at=recorded_at)
    added, restated, withdrawn = (sum(column) for column in zip(*counts, strict=True))
    return AppendResult(
        added=added,
        restated=restated,
        withdrawn=withdrawn,
        unchanged=frame.height - added - restated,
    )


def persist_classes(
    con: duckdb.DuckDBPyConnection,
    classes: pl.DataFrame,
    first_dates: Mapping[str, date],
    *,
    run_id: str,
) -> None:
    """Say the class of each symbol that has bars, once: a later disagreement is governance's.

    Parameters
    ----------
    classes
        Rows of symbol, class and whether it is a reference.
    first_dates
        First bar by symbol; a symbol without one is not said yet.
    """
    known = {row[0] for row in con.execute("SELECT symbol FROM symbol_classes").fetchall()}
    rows = [
        (symbol, word, is_reference, first_dates[symbol], run_id)
        for symbol, word, is_reference in classes.iter_rows()
        if symbol not in known and symbol in first_dates
    ]
    if rows:
        con.executemany("INSERT INTO symbol_classes VALUES (?, ?, ?, ?, ?)", rows)


def _require_columns(frame: pl.DataFrame) -> None:
    missing = [name for name in _WANTED if name not in frame.columns]
    if missing:
        raise ValueError(f"bars must have the columns {', '.join(missing)}")
    if not isinstance(frame.schema["known_at"], pl.Datetime) or frame.schema["known_at"] == (
        pl.Datetime("us")
    ):
        raise ValueError(f"known_at must be an aware instant, was {frame.schema['known_at']}")
    for name in ("symbol", "date", "known_at", "source_sha256"):
        if frame[name].null_count():
            raise ValueError(f"{name} must never be null, was in {frame[name].null_count()} rows")


def _sources(frame: pl.DataFrame) -> pl.DataFrame:
    sources = frame.group_by("symbol").agg(
        pl.col("source_sha256").first(),
        pl.col("source_sha256").n_unique().alias("payloads"),
        pl.len().alias("bars"),
    )
    several = sources.filter(pl.col("payloads") > 1)["symbol"].sort().to_list()
    if several:
        raise ValueError(f"a symbol must come from one payload, came from more: {several[:5]}")
    return sources.drop("payloads")


def _changed_sources(con: duckdb.DuckDBPyConnection, sources: pl.DataFrame) -> pl.DataFrame:
    last = con.sql(
        "SELECT symbol, arg_max(source_sha256, sequence) AS source_sha256"
        " FROM bar_sources GROUP BY symbol"
    ).pl()
    return sources.join(last, on=["symbol", "source_sha256"], how="anti")


def _only(frame: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    columns = [name for name in _STAGED if name in frame.columns]
    if changed["bars"].sum() == frame.height:
        return frame.select(columns)
    return frame.select(columns).filter(pl.col("symbol").is_in(changed["symbol"].implode()))


def _with_ordinal(frame: pl.DataFrame) -> pl.DataFrame:
    symbol, day = pl.col("symbol"), pl.col("date")
    is_next = (symbol > symbol.shift()) | ((symbol == symbol.shift()) & (day > day.shift()))
    if frame.select(is_next.all()).item():  # strictly in order: no date can come twice
        return frame.with_columns(pl.lit(0, dtype=pl.Int16).alias("ordinal"))
    ordinal = pl.int_range(pl.len(), dtype=pl.Int16).over("symbol", "date").alias("ordinal")
    return frame.with_columns(ordinal).sort(_KEY)


def _batches(staged: pl.DataFrame) -> Iterator[pl.DataFrame]:
    # Whole symbols, some hundred thousand rows at a time: what is joined stays small.
    runs = staged.select(pl.col("symbol").rle()).unnest("symbol")["len"].to_list()
    start = rows = 0
    for run in runs:
        if rows and rows + run > BATCH_ROWS:
            yield staged.slice(start, rows)
            start, rows = start + rows, 0
        rows += run
    yield staged.slice(start, rows)


def _append_batch(
    con: duckdb.DuckDBPyConnection,
    batch: pl.DataFrame,
    *,
    instant: datetime,
    values: list[object],
) -> tuple[int, int, int]:
    with registered(con, "staged_bars", batch.select(_STAGED).to_arrow()):
        if _is_known(con):
            return _append_differences(con, instant, values)
        con.execute(_INSERT_ALL, values)
        return batch.height, 0, 0


def _is_known(con: duckdb.DuckDBPyConnection) -> bool:
    found = con.execute(
        "SELECT count(*) FROM bar_sources SEMI JOIN staged_bars USING (symbol)"
    ).fetchall()
    return bool(found[0][0])


def _append_differences(
    con: duckdb.DuckDBPyConnection, instant: datetime, values: list[object]
) -> tuple[int, int, int]:
    con.execute(_DIFFERENCES, [instant])
    con.execute(_INSERT_DIFFERENCES, values)
    restated, withdrawn, added = con.execute(
        "SELECT count(*) FILTER (is_restated AND NOT is_withdrawn),"
        " count(*) FILTER (is_withdrawn), count(*) FILTER (NOT is_restated) FROM bar_differences"
    ).fetchall()[0]
    con.execute("DROP TABLE bar_differences")
    return int(added), int(restated), int(withdrawn)


def _record_sources(
    con: duckdb.DuckDBPyConnection, changed: pl.DataFrame, *, run_id: str, recorded_at: datetime
) -> None:
    with registered(con, "changed_sources", changed.to_arrow()):
        con.execute(
            """
            INSERT INTO bar_sources (symbol, source_sha256, sequence, bars, run_id, recorded_at)
            SELECT symbol, source_sha256,
                (SELECT coalesce(max(sequence), 0) + 1 FROM bar_sources), bars, ?, ?
            FROM changed_sources ORDER BY symbol
            """,
            [run_id, recorded_at],
        )
