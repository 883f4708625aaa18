"""Yahoo's chart answer, read as it was sent: null rows, missing keys, the live bar, the events."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from instgov_dagster.adapters.markets.live.history import (
    ParsedBars,
    Wanted,
    bars_frame,
    malformed,
    number_or_none,
    read_json,
    within,
)
from instgov_dagster.bars.ingestion import require_daily_interval

PROVIDER = "yahoo"
_PRICES = ("open", "high", "low", "close")


def parse_chart(body: bytes, wanted: Wanted) -> ParsedBars:
    """Read the bars of one chart answer.

    A date is the local date of the exchange the answer names. A row whose four prices are null is
    no bar and is left out, said in the notices; every other hole stays for the quality score.

    Raises
    ------
    DataRejected
        ``PROVIDER_MALFORMED`` for an answer without bars or with anything unreadable in it;
        ``INTRADAY_FORBIDDEN`` for bars that are not daily.
    """
    try:
        result = _result(read_json(body))
        meta = _mapping(result.get("meta"), "meta")
        _require_about(wanted.symbol, meta.get("symbol"))
        granularity = str(meta.get("dataGranularity"))
        zone = ZoneInfo(str(meta.get("exchangeTimezoneName") or "UTC"))
        rows, n_empty = _rows(result, zone)
        first = meta.get("firstTradeDate")
        first_date = None if first is None else _local_date(first, zone)
    except (ValueError, KeyError, OSError) as error:  # an unknown zone is a KeyError or an OSError
        raise malformed(PROVIDER, wanted.symbol, str(error)) from None
    require_daily_interval(granularity)
    kept, n_outside = within(rows, wanted)
    if not kept:
        raise malformed(PROVIDER, wanted.symbol, "no bar in the days asked for")
    counted = ((n_empty, "without any price"), (n_outside, "outside the days asked for"))
    notices = tuple(f"{wanted.symbol}: {n} rows {what}" for n, what in counted if n)
    return ParsedBars(frame=bars_frame(kept), first_date=first_date, notices=notices)


def _require_about(symbol: str, told: object) -> None:
    if str(told).upper() != symbol.upper():
        raise ValueError(f"it is about {str(told)[:20]!r}")


def _result(answer: Any) -> Mapping[str, Any]:
    chart = _mapping(_mapping(answer, "answer").get("chart"), "chart")
    if chart.get("error") is not None:
        raise ValueError(f"it says error: {str(chart['error'])[:120]}")
    results = chart.get("result")
    if not isinstance(results, list) or len(results) != 1:
        raise ValueError("chart.result must hold one result")
    return _mapping(results[0], "result")


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, was {type(value).__name__}")
    return value


def _list(value: object, name: str, length: int) -> Sequence[object]:
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(f"{name} must be a list of {length}")
    return value


def _local_date(stamp: object, zone: ZoneInfo) -> date:
    if isinstance(stamp, bool) or not isinstance(stamp, int):
        raise ValueError(f"a timestamp must be whole seconds, was {str(stamp)[:20]!r}")
    try:
        return datetime.fromtimestamp(stamp, UTC).astimezone(zone).date()
    except OverflowError as error:
        raise ValueError(f"a timestamp must be an instant, was {str(stamp)[:20]}") from error


def _rows(result: Mapping[str, Any], zone: ZoneInfo) -> tuple[list[dict[str, object]], int]:
    indicators = _mapping(result.get("indicators"), "indicators")
    quotes = indicators.get("quote")
    if not isinstance(quotes, list) or len(quotes) != 1:
        raise ValueError("indicators.quote must hold one object")
    quote = _mapping(quotes[0], "quote")
    stamps = result.get("timestamp")
    if stamps is None:
        if any(quote.get(name) for name in (*_PRICES, "volume")):
            raise ValueError("prices came without timestamps")
        return [], 0
    if not isinstance(stamps, list):
        raise ValueError("timestamp must be a list")
    columns = {
        name: [number_or_none(value) for value in _list(quote.get(name), name, len(stamps))]
        for name in (*_PRICES, "volume")
    }
    columns["adj_close"] = _adjusted(indicators, columns["close"])
    dates = [_local_date(stamp, zone) for stamp in stamps]
    events = _events(result, zone)
    rows: list[dict[str, object]] = []
    for place, day in enumerate(dates):
        values = {name: column[place] for name, column in columns.items()}
        if any(values[name] is not None for name in _PRICES):
            rows.append({"date": day, **values, **events.get(day, {})})
    return rows, len(dates) - len(rows)


def _adjusted(indicators: Mapping[str, Any], closes: list[float | None]) -> list[float | None]:
    told = indicators.get("adjclose")
    if told is None:
        return closes  # a class without dividends and splits may come without it
    if not isinstance(told, list) or len(told) != 1:
        raise ValueError("indicators.adjclose must hold one object")
    column = _mapping(told[0], "adjclose").get("adjclose")
    return [number_or_none(value) for value in _list(column, "adjclose", len(closes))]


def _events(result: Mapping[str, Any], zone: ZoneInfo) -> dict[date, dict[str, float]]:
    told = result.get("events")
    if told is None:
        return {}
    events: dict[date, dict[str, float]] = {}
    for entry in _entries(told, "dividends"):
        day, amount = _local_date(entry.get("date"), zone), _positive(entry, "amount")
        found = events.setdefault(day, {})
        found["dividend"] = found.get("dividend", 0.0) + amount
    for entry in _entries(told, "splits"):
        ratio = _positive(entry, "numerator") / _positive(entry, "denominator")
        events.setdefault(_local_date(entry.get("date"), zone), {})["split"] = ratio
    return events


def _entries(told: object, name: str) -> list[Mapping[str, Any]]:
    entries = _mapping(told, "events").get(name)
    if entries is None:
        return []
    return [_mapping(entry, name) for entry in _mapping(entries, name).values()]


def _positive(entry: Mapping[str, Any], name: str) -> float:
    value = number_or_none(entry.get(name))
    if value is None or value <= 0:
        raise ValueError(f"{name} must be > 0, was {value}")
    return value
