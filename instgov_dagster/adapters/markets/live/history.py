"""What every provider of daily history answers, and the reading of JSON that may be a lie."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NoReturn, Protocol

import polars as pl

from instgov_dagster.vocabulary.bars import AssetClass, Purpose
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The columns a client gives; `bars.ingestion.validate_bars` adds class and words.
CLIENT_COLUMNS = (
    "date", "open", "high", "low", "close", "adj_close", "volume", "dividend", "split",
)  # fmt: skip
#: A client's rows, each with its date.
Rows = list[dict[str, object]]
_SCHEMA = {"date": pl.Date} | dict.fromkeys(CLIENT_COLUMNS[1:], pl.Float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The daily bars of one symbol in ``[start, end)``."""

    symbol: str
    asset_class: AssetClass | None
    start: date
    end: date
    purpose: Purpose = Purpose.HISTORY_BATCH


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParsedBars:
    """One symbol's bars, read from what a provider sent.

    Attributes
    ----------
    frame
        `CLIENT_COLUMNS`, in the order received; duplicates, zeros and missing prices are in it.
    first_date
        The first bar the provider holds at all, where it says so.
    notices
        What was left out on the way, in sentences.
    """

    frame: pl.DataFrame
    first_date: date | None = None
    notices: tuple[str, ...] = field(default=())


class HistoryProvider(Protocol):
    """One provider of daily bars: fetch asks the wire, parse reads what came; nothing else."""

    @property
    def name(self) -> str:
        """The provider's name in the capability matrix."""
        ...

    def fetch(self, wanted: Wanted) -> bytes:
        """Give what the provider sent, as received, one page a line where there were several.

        Raises
        ------
        ProviderRefused
            Where it was refused, or no whole answer came.
        """
        ...

    def parse(self, body: bytes, wanted: Wanted) -> ParsedBars:
        """Read what was fetched.

        Raises
        ------
        DataRejected
            ``PROVIDER_MALFORMED`` or ``INTRADAY_FORBIDDEN``; never anything else, whatever the
            bytes are.
        """
        ...


def malformed(provider: str, symbol: str, found: str) -> DataRejected:
    """Make the refusal of an answer that cannot be bars."""
    return DataRejected(
        ReasonCode.PROVIDER_MALFORMED, f"{provider} answered nonsense for {symbol}: {found}"
    )


def read_json(body: bytes) -> Any:
    """Read strict JSON: NaN, Infinity and numbers beyond every float are none.

    Raises
    ------
    ValueError
        Naming what is wrong.
    """
    try:
        return json.loads(body, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is beyond every number")
    return value


def number_or_none(value: object) -> float | None:
    """Read a number, or a null.

    Raises
    ------
    ValueError
        If it is anything else, a truth value included.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a price must be a number, was {str(value)[:20]!r}")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError("a price must be a finite number") from error


def text_number(value: object) -> float:
    """Read a number written as text.

    Raises
    ------
    ValueError
        If it is no finite number.
    """
    if not isinstance(value, str):
        raise ValueError(f"a number must be written as text, was {str(value)[:20]!r}")
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"a number must be finite, was {value[:20]!r}")
    return found


def bars_frame(rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Put rows into the client's columns; an absent event is 0, an absent price is missing."""
    frame = pl.DataFrame(list(rows), schema=_SCHEMA, orient="row")
    return frame.with_columns(pl.col("dividend", "split").fill_null(0.0))


def one_line(body: bytes) -> bytes:
    """Put a JSON text on one line; white space outside its strings means nothing."""
    return body.replace(b"\r", b" ").replace(b"\n", b" ")


def parsed_bars(
    provider: str, wanted: Wanted, read: Callable[[], tuple[Rows, int]], *, unit: str = "rows"
) -> ParsedBars:
    """Read the rows of an answer, keep those of the days asked for, say what was left out.

    Parameters
    ----------
    read
        Gives the rows and how many had no value; raises ``ValueError`` for what cannot be read.
    unit
        What the provider calls a row.

    Raises
    ------
    DataRejected
        ``PROVIDER_MALFORMED`` for what cannot be read, and for no row of those days.
    """
    try:
        rows, n_empty = read()
    except ValueError as error:
        raise malformed(provider, wanted.symbol, str(error)) from None
    kept, n_outside = within(rows, wanted)
    if not kept:
        raise malformed(provider, wanted.symbol, f"no {unit} in the days asked for")
    counted = ((n_empty, "without a value"), (n_outside, "outside the days asked for"))
    notices = tuple(f"{wanted.symbol}: {n} {unit} {what}" for n, what in counted if n)
    return ParsedBars(frame=bars_frame(kept), notices=notices)


def within(rows: Rows, wanted: Wanted) -> tuple[Rows, int]:
    """Keep the rows of ``[start, end)``; give them and how many were outside."""
    kept = [row for row in rows if wanted.start <= row["date"] < wanted.end]  # type: ignore[operator]  # a date by construction
    return kept, len(rows) - len(kept)
