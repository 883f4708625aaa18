"""What enters as a daily bar: columns, types, daily dates only, and when each bar was known."""

from datetime import date, datetime, time
from typing import Final

import polars as pl

from instgov_dagster.bars.calendars import is_ingestion_open, session_known_at
from instgov_dagster.bars.classify import class_word, parse_class
from instgov_dagster.vocabulary.bars import REFERENCE, AssetClass, Market
from instgov_dagster.vocabulary.errors import DataRejected, InputError
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

#: What a vendor's frame must hold.
REQUIRED_COLUMNS: Final = (
    "symbol",
    "date",
    "open",
    "high",
    "low",
    "close",
    "adj_close",
    "volume",
)
_NUMBERS: Final = ("open", "high", "low", "close", "adj_close", "volume", "dividend", "split")
_EVENTS: Final = ("dividend", "split")
_WORDS: Final = ("provider", "source")
_MIDNIGHT: Final = r"^([T ]00:00(:00(\.0+)?)?\s?(Z|[+-]\d\d:?\d\d)?)?$"

#: The columns of every frame of bars, in this order.
BAR_SCHEMA: Final = {
    "symbol": pl.String,
    "date": pl.Date,
    **dict.fromkeys(_NUMBERS, pl.Float64),
    "asset_class": pl.String,
    **dict.fromkeys(_WORDS, pl.String),
}

#: The only interval historical ingestion takes (roadmap 2.3).
DAILY_INTERVALS: Final = frozenset({"1d", "1D", "1Day", "day", "d"})


def require_daily_interval(interval: str) -> None:
    """Refuse to ask a provider for anything but daily bars.

    Raises
    ------
    DataRejected
        With ``INTRADAY_FORBIDDEN``.
    """
    if interval not in DAILY_INTERVALS:
        raise DataRejected(
            ReasonCode.INTRADAY_FORBIDDEN,
            f"interval must be one of {', '.join(sorted(DAILY_INTERVALS))}, was {interval!r}",
        )


def require_daily(frame: pl.DataFrame) -> pl.DataFrame:
    """Give the frame with ``date`` as a date; refuse a time of day.

    Parameters
    ----------
    frame
        Its ``date`` is a date, a timestamp at midnight, or the text of either.

    Raises
    ------
    DataRejected
        With ``INTRADAY_FORBIDDEN`` if any timestamp is not at midnight.
    InputError
        If a date is missing or is not one.
    """
    if "date" not in frame.columns:
        raise InputError("bars must have the column date, was without it")
    stamps = frame["date"]
    if isinstance(stamps.dtype, pl.String):
        stamps = _read_dates(stamps)
    if isinstance(stamps.dtype, pl.Datetime):
        intraday = frame.filter(stamps.dt.time() != time())
        if intraday.height:
            row = intraday.row(0, named=True)
            raise DataRejected(
                ReasonCode.INTRADAY_FORBIDDEN,
                f"date must be a day without a time, was {row['date']} for {row.get('symbol')}",
            )
        stamps = stamps.dt.date()
    if not isinstance(stamps.dtype, pl.Date):
        raise InputError(f"date must be a column of dates, was {stamps.dtype}")
    if stamps.null_count():
        raise InputError(f"date must not be missing, was missing in {stamps.null_count()} rows")
    return frame.with_columns(stamps.alias("date"))


def unknown_columns(frame: pl.DataFrame) -> tuple[str, ...]:
    """Give the columns that ``validate_bars`` will ignore, sorted; the caller says so."""
    return tuple(sorted(set(frame.columns) - set(BAR_SCHEMA)))


def validate_bars(frame: pl.DataFrame) -> pl.DataFrame:
    """Bring a vendor's frame into the shape of bars; values are kept as received.

    A missing dividend or split is 0, a missing class is told from the symbol, MACRO becomes
    REFERENCE. Duplicates, zeros and NaN stay: quality must see them.

    Returns
    -------
    pl.DataFrame
        The columns of ``BAR_SCHEMA``, in the order of the rows received.

    Raises
    ------
    InputError
        Naming the column that is missing or not a number, or a symbol that is missing.
    DataRejected
        With ``INTRADAY_FORBIDDEN`` or ``UNKNOWN_ASSET_CLASS``.
    """
    missing = [column for column in REQUIRED_COLUMNS if column not in frame.columns]
    if missing:
        raise InputError(
            f"bars must have the columns {', '.join(REQUIRED_COLUMNS)}, "
            f"was without {', '.join(missing)}"
        )
    daily = require_daily(frame)
    nameless = daily["symbol"].null_count()
    if nameless:
        raise InputError(f"symbol must not be missing, was so in {nameless} rows")
    return (
        daily.with_columns(_numbers(daily))
        .with_columns(_words(daily))
        .drop("asset_class", strict=False)
        .join(_classes(daily), on="symbol", how="left", maintain_order="left")
        .select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())
    )


def stage_known_at(frame: pl.DataFrame, policy: HistoryPolicy) -> pl.DataFrame:
    """Add ``known_at``: the close of each bar's session plus the delay, by the class calendar.

    For the markets ``files`` and ``simulated``, whose bars carry no instant of arrival. A bar
    off its calendar is known the same delay after the midnight that ends its date.
    """
    keys = frame.select("asset_class", "date").unique()
    parts = [
        part.with_columns(
            pl.Series(
                "known_at",
                session_known_at(
                    None if word == REFERENCE else AssetClass(word),
                    part["date"].to_numpy().astype("datetime64[D]"),
                    close_delay_hours=policy.close_delay_hours,
                ),
                dtype=pl.Datetime("us"),
            ).dt.replace_time_zone("UTC")
        )
        for (word,), part in keys.partition_by("asset_class", as_dict=True).items()
    ]
    if not parts:
        return frame.with_columns(known_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    return frame.join(
        pl.concat(parts), on=["asset_class", "date"], how="left", maintain_order="left"
    )


def require_ingestion_open(market: Market, instant: datetime, policy: HistoryPolicy) -> None:
    """Refuse to ingest the live market while it trades (roadmap 2.1).

    Raises
    ------
    DataRejected
        With ``INGESTION_WINDOW_CLOSED`` outside exchange close + 2 h to next open - 1 h.
    """
    if market is Market.LIVE and not is_ingestion_open(instant, policy):
        raise DataRejected(
            ReasonCode.INGESTION_WINDOW_CLOSED,
            f"the live market is ingested from close + {policy.close_delay_hours:g} h to next "
            f"open - {policy.ingestion_closes_before_open_hours:g} h, was asked at {instant}",
        )


def first_dates(bars: pl.DataFrame) -> dict[str, date]:
    """Give the first date of each symbol in a frame: in ``files`` the day it was listed."""
    firsts = bars.group_by("symbol").agg(pl.col("date").min())
    return dict(firsts.iter_rows())


def _read_dates(texts: pl.Series) -> pl.Series:
    # "2024-01-02", or that day at midnight in any zone; the rest of the text is a time of day.
    days = texts.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    tails = texts.str.slice(10)
    if days.null_count():
        bad = texts.filter(days.is_null())
        raise InputError(f"date must be written YYYY-MM-DD, was {bad[0]!r}")
    is_midnight = tails.str.contains(_MIDNIGHT)
    if not is_midnight.all():
        bad = texts.filter(~is_midnight)
        raise DataRejected(
            ReasonCode.INTRADAY_FORBIDDEN, f"date must be a day without a time, was {bad[0]!r}"
        )
    return days


def _numbers(frame: pl.DataFrame) -> list[pl.Expr]:
    expressions = []
    for column in _NUMBERS:
        if column not in frame.columns:  # only dividend and split may be absent
            expressions.append(pl.lit(0.0).alias(column))
            continue
        try:
            values = frame[column].cast(pl.Float64)
        except pl.exceptions.PolarsError as e:
            raise InputError(f"{column} must be a column of numbers, was {e}") from e
        is_event = column in _EVENTS
        expressions.append(pl.lit(values.fill_null(0.0) if is_event else values).alias(column))
    return expressions


def _words(frame: pl.DataFrame) -> list[pl.Expr]:
    return [
        (pl.col(word).cast(pl.String) if word in frame.columns else pl.lit("")).alias(word)
        for word in _WORDS
    ]


def _classes(frame: pl.DataFrame) -> pl.DataFrame:
    if "asset_class" not in frame.columns:
        frame = frame.with_columns(asset_class=pl.lit(None, dtype=pl.String))
    declared = frame.select("symbol", pl.col("asset_class").cast(pl.String)).unique()
    words: dict[str, str] = {}
    for symbol, word in declared.sort("symbol", "asset_class").iter_rows():
        found = class_word(parse_class(symbol, word))
        if words.setdefault(symbol, found) != found:
            raise DataRejected(
                ReasonCode.CLASS_DISAGREEMENT,
                f"asset_class of {symbol} must be one word, was {words[symbol]} and {found}",
            )
    return pl.DataFrame(
        {"symbol": list(words), "asset_class": list(words.values())},
        schema={"symbol": pl.String, "asset_class": pl.String},
    )
