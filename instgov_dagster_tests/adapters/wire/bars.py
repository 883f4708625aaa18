"""What the fakes serve: the bars of a frame, each in its provider's own words."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from instgov_dagster_tests.adapters.wire.server import as_json

_NEW_YORK = ZoneInfo("America/New_York")
Rows = Mapping[str, list[dict[str, Any]]]


def rows_by_symbol(frame: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Give the bars of a frame by symbol, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        found.setdefault(row["symbol"], []).append(row)
    return found


def plain_bars(symbol: str, days: list[date], *, close: float = 100.0) -> list[dict[str, Any]]:
    """Make bars a hand can check: the close rises by 1 a day, the range is one below and above."""
    return [
        {
            "symbol": symbol, "date": day, "open": close + place, "high": close + place + 1.0,
            "low": close + place - 1.0, "close": close + place, "adj_close": close + place,
            "volume": 1_000.0 + place, "dividend": 0.0, "split": 0.0,
        }
        for place, day in enumerate(days)
    ]  # fmt: skip


def _zone(symbol: str) -> ZoneInfo:
    if symbol.endswith("=X"):
        return ZoneInfo("Europe/London")
    return ZoneInfo("UTC") if symbol.endswith(("-USD", "-EUR")) else _NEW_YORK


def _stamp(day: date, symbol: str) -> int:
    opening = time(9, 30) if _zone(symbol) is _NEW_YORK else time()
    return int(datetime.combine(day, opening, tzinfo=_zone(symbol)).timestamp())


def yahoo_chart(symbol: str, rows: list[dict[str, Any]], *, first: date) -> dict[str, Any]:
    """Write the chart answer of one symbol."""
    stamps = [_stamp(row["date"], symbol) for row in rows]
    quote = {name: [row[name] for row in rows] for name in ("open", "high", "low", "close")}
    volume = [None if row["volume"] is None else int(row["volume"]) for row in rows]
    events: dict[str, dict[str, Any]] = {}
    for stamp, row in zip(stamps, rows, strict=True):
        if row["dividend"]:
            entry = {"amount": row["dividend"], "date": stamp}
            events.setdefault("dividends", {})[str(stamp)] = entry
        if row["split"] and row["split"] != 1.0:
            entry = {"date": stamp, "numerator": row["split"], "denominator": 1}
            events.setdefault("splits", {})[str(stamp)] = entry
    result = {
        "meta": {
            "symbol": symbol,
            "dataGranularity": "1d",
            "exchangeTimezoneName": _zone(symbol).key,
            "firstTradeDate": _stamp(first, symbol),
        },
        "timestamp": stamps,
        "events": events,
        "indicators": {
            "quote": [{**quote, "volume": volume}],
            "adjclose": [{"adjclose": [row["adj_close"] for row in rows]}],
        },
    }
    return {"chart": {"result": [result], "error": None}}


def yahoo_routes(bars: Rows) -> list[Route]:
    """Serve charts, the cookie and the crumb."""

    async def chart(request: Request) -> Response:
        symbol = request.path_params["symbol"]
        if symbol not in bars:
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            answer = as_json({"chart": {"result": None, "error": error}})
            answer.status_code = 404
            return answer
        start, end = (_day(request.query_params[name]) for name in ("period1", "period2"))
        rows = [row for row in bars[symbol] if start <= row["date"] < end]
        return as_json(yahoo_chart(symbol, rows, first=bars[symbol][0]["date"]))

    async def crumb(_: Request) -> Response:
        return PlainTextResponse("aCrumb")

    async def cookie(_: Request) -> Response:
        answer = PlainTextResponse("", 404)
        answer.headers["set-cookie"] = "A3=d=AQAB; Max-Age=31536000; Path=/; HttpOnly"
        return answer

    return [
        Route("/v8/finance/chart/{symbol:path}", chart),
        Route("/v1/test/getcrumb", crumb),
        Route("/", cookie),
    ]


def _day(epoch_seconds: str) -> date:
    return datetime.fromtimestamp(int(epoch_seconds), UTC).date()


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), tzinfo=zone).timestamp()) * 1000


def polygon_routes(bars: Rows, *, page: int = 50_000) -> list[Route]:
    """Serve aggregates by Polygon's own tickers, so many a page."""

    async def aggregates(request: Request) -> Response:
        ticker = request.path_params["ticker"]
        start, end = (date.fromisoformat(request.path_params[name]) for name in ("start", "end"))
        zone = ZoneInfo("UTC") if ":" in ticker else _NEW_YORK
        rows = [row for row in bars.get(ticker, []) if start <= row["date"] <= end]
        offset = int(request.query_params.get("cursor", 0))
        answer: dict[str, Any] = {
            "status": "OK",
            "ticker": ticker,
            "results": [
                {
                    "t": _midnight_ms(row["date"], zone), "o": row["open"], "h": row["high"],
                    "l": row["low"], "c": row["close"], "v": row["volume"],
                }
                for row in rows[offset : offset + page]
            ],
        }  # fmt: skip
        if offset + page < len(rows):
            path = request.url.path
            answer["next_url"] = f"https://api.polygon.io{path}?cursor={offset + page}"
        return as_json(answer)

    return [Route("/v2/aggs/ticker/{ticker}/range/1/day/{start}/{end}", aggregates)]


def binance_routes(bars: Rows, *, page: int = 1000) -> list[Route]:
    """Serve klines by Binance's own pairs, so many a page."""

    async def klines(request: Request) -> Response:
        query = request.query_params
        begin, end = int(query["startTime"]), int(query["endTime"])
        zone = ZoneInfo("UTC")
        rows = [
            (_midnight_ms(row["date"], zone), row)
            for row in bars.get(query["symbol"], [])
            if begin <= _midnight_ms(row["date"], zone) <= end
        ]
        return as_json([_kline(stamp, row) for stamp, row in rows[:page]])

    return [Route("/api/v3/klines", klines)]


def _kline(stamp: int, row: dict[str, Any]) -> list[Any]:
    prices = [f"{row[name]:.8f}" for name in ("open", "high", "low", "close")]
    turnover = f"{row['volume']:.8f}"
    return [stamp, *prices, "1.0", stamp + 86_399_999, turnover, 10, "0.5", "0.5", "0"]


def fred_routes(bars: Rows) -> list[Route]:
    """Serve observations; a row without a close is a dot."""

    async def observations(request: Request) -> Response:
        query = request.query_params
        start = date.fromisoformat(query["observation_start"])
        end = date.fromisoformat(query["observation_end"])
        return as_json(
            {
                "observations": [
                    {
                        "date": row["date"].isoformat(),
                        "value": "." if row["close"] is None else f"{row['close']}",
                    }
                    for row in bars.get(query["series_id"], [])
                    if start <= row["date"] <= end
                ]
            }
        )

    return [Route("/fred/series/observations", observations)]


def alpaca_bar_routes(bars: Rows, *, page: int = 10_000) -> list[Route]:
    """Serve daily bars of stocks and crypto by Alpaca's own symbols, so many a page."""

    def serve(zone: ZoneInfo) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            query = request.query_params
            start, end = (datetime.fromisoformat(query[name]).date() for name in ("start", "end"))
            offset = int(query.get("page_token") or 0)
            rows = [
                (symbol, row)
                for symbol in query["symbols"].split(",")
                for row in bars.get(symbol, [])
                if start <= row["date"] <= end
            ]
            told: dict[str, list[dict[str, Any]]] = {}
            for symbol, row in rows[offset : offset + page]:
                told.setdefault(symbol, []).append(_alpaca_bar(row, zone))
            following = str(offset + page) if offset + page < len(rows) else None
            return as_json({"bars": told, "next_page_token": following})

        return answer

    return [
        Route("/v2/stocks/bars", serve(_NEW_YORK)),
        Route("/v1beta3/crypto/us/bars", serve(ZoneInfo("UTC"))),
    ]


def _alpaca_bar(row: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    opening = datetime.combine(row["date"], time(), tzinfo=zone).astimezone(UTC)
    return {
        "t": opening.strftime("%Y-%m-%dT%H:%M:%SZ"), "o": row["open"], "h": row["high"],
        "l": row["low"], "c": row["close"], "v": row["volume"], "n": 1, "vw": row["close"],
    }  # fmt: skip


def days_from(start: date, count: int) -> list[date]:
    """Give consecutive days."""
    return [start + timedelta(days=n) for n in range(count)]


def alpaca_quote_routes(quotes: Mapping[str, tuple[Any, Any, datetime]]) -> list[Route]:
    """Serve latest quotes by Alpaca's own symbols; one symbol it does not know fails them all.

    Parameters
    ----------
    quotes
        By symbol: bid, ask, and when it was seen; read at each request.
    """

    async def answer(request: Request) -> Response:
        names = request.query_params["symbols"].split(",")
        unknown = [name for name in names if name not in quotes]
        if unknown:
            refused = as_json({"message": f"invalid symbol: {unknown[0]}"})
            refused.status_code = 400
            return refused
        told = {}
        for name in names:
            bid, ask, seen = quotes[name]
            told[name] = {"t": seen.isoformat(), "bp": bid, "ap": ask, "bs": 1, "as": 1}
        return as_json({"quotes": told})

    return [
        Route("/v2/stocks/quotes/latest", answer),
        Route("/v1beta3/crypto/us/latest/quotes", answer),
    ]
