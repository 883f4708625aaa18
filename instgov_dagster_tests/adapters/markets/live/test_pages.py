"""Answers in pages, and providers that lie about them."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from instgov_dagster.adapters.markets.live.alpaca.bars import AlpacaHistory
from instgov_dagster.adapters.markets.live.asking import Asker
from instgov_dagster.adapters.markets.live.history import Wanted
from instgov_dagster.adapters.markets.live.plain import plain_getter
from instgov_dagster.adapters.markets.live.providers.binance import BinanceHistory
from instgov_dagster.adapters.markets.live.providers.polygon import PolygonHistory
from instgov_dagster.adapters.markets.live.providers.yahoo import YahooHistory
from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.wire.bars import (
    alpaca_bar_routes,
    binance_routes,
    days_from,
    plain_bars,
    polygon_routes,
    yahoo_routes,
)
from instgov_dagster_tests.adapters.wire.server import Wire, as_json

START, END = date(2023, 1, 2), date(2023, 1, 12)
DAYS = days_from(START, 10)
KEY = "key-in-the-test"


def _asker() -> Asker:
    return Asker(ProviderPolicy(), clock=VirtualClock(datetime(2023, 2, 1, tzinfo=UTC)))


def _wanted(symbol: str, kind: AssetClass) -> Wanted:
    return Wanted(symbol=symbol, asset_class=kind, start=START, end=END)


def test_polygons_pages_are_followed_to_the_last() -> None:
    wanted = _wanted("AAPL", AssetClass.STOCKS)
    with Wire(polygon_routes({"AAPL": plain_bars("AAPL", DAYS)}, page=4)) as wire:
        client = PolygonHistory(
            _asker(), plain_getter(2.0), key=KEY, max_pages=5, base_url=wire.url
        )
        frame = client.parse(client.fetch(wanted), wanted).frame
        assert wire.count("GET /v2/aggs/") == 3
        assert all(asked.headers["authorization"] == f"Bearer {KEY}" for asked in wire.journal)
        assert not any(KEY in str(asked.query) for asked in wire.journal)
    assert frame["date"].to_list() == DAYS


def _endless(following: str) -> list[Route]:
    async def page(_: Request) -> Response:
        return as_json({"status": "OK", "ticker": "AAPL", "results": [], "next_url": following})

    return [Route("/{path:path}", page)]


def test_pages_that_never_end_are_refused_after_the_most_allowed() -> None:
    wanted = _wanted("AAPL", AssetClass.STOCKS)
    with Wire(_endless("https://api.polygon.io/v2/aggs/ticker/AAPL?cursor=1")) as wire:
        client = PolygonHistory(
            _asker(), plain_getter(2.0), key=KEY, max_pages=5, base_url=wire.url
        )
        with pytest.raises(DataRejected, match="more than 5 pages") as refused:
            client.fetch(wanted)
        assert wire.count("GET") == 5
    assert refused.value.reason_code is ReasonCode.PROVIDER_MALFORMED


@pytest.mark.parametrize(
    ("following", "requests"),
    [("https://elsewhere.example/v2/aggs/steal", 5), ("file:///etc/passwd", 1), ("//x/y", 1)],
)
def test_a_next_page_elsewhere_never_gets_the_key(following: str, requests: int) -> None:
    # The path is asked for at the provider's own address; where it is none of aggregates, nowhere.
    wanted = _wanted("AAPL", AssetClass.STOCKS)
    with Wire(_endless(following)) as wire:
        client = PolygonHistory(
            _asker(), plain_getter(2.0), key=KEY, max_pages=5, base_url=wire.url
        )
        with pytest.raises(DataRejected):
            client.fetch(wanted)
        assert wire.count("GET") == requests


def test_binances_pages_go_on_where_the_last_ended() -> None:
    days = days_from(date(2019, 1, 1), 1500)
    wanted = Wanted(
        symbol="BTC-USD",
        asset_class=AssetClass.CRYPTO,
        start=days[0],
        end=date.fromordinal(days[-1].toordinal() + 1),
    )
    with Wire(binance_routes({"BTCUSDT": plain_bars("BTC-USD", days)})) as wire:
        client = BinanceHistory(_asker(), plain_getter(2.0), max_pages=5, base_url=wire.url)
        frame = client.parse(client.fetch(wanted), wanted).frame
        assert wire.count("GET /api/v3/klines") == 2
    assert frame["date"].to_list() == days


def test_a_page_before_the_one_before_is_malformed() -> None:
    async def same(_: Request) -> Response:
        # Told a thousand klines of long ago whatever was asked: it would go on for ever.
        return as_json([[0, "1", "1", "1", "1", "1", 1, "1", 1, "1", "1", "0"]] * 1000)

    wanted = _wanted("BTC-USD", AssetClass.CRYPTO)
    with Wire([Route("/api/v3/klines", same)]) as wire:
        client = BinanceHistory(_asker(), plain_getter(2.0), max_pages=5, base_url=wire.url)
        with pytest.raises(DataRejected, match="before the one before"):
            client.fetch(wanted)
        assert wire.count("GET") == 1


def _alpaca(url: str, *, max_pages: int) -> AlpacaHistory:
    return AlpacaHistory(
        _asker(),
        key_id="id",
        secret=KEY,
        timeout_seconds=2.0,
        max_pages=max_pages,
        base_url=url,
    )


@pytest.mark.parametrize(
    ("symbol", "served", "kind"),
    [("BRK-B", "BRK.B", AssetClass.STOCKS), ("BTC-USD", "BTC/USD", AssetClass.CRYPTO)],
)
def test_alpacas_pages_are_followed_by_its_own_client(
    symbol: str, served: str, kind: AssetClass
) -> None:
    wanted = _wanted(symbol, kind)
    with Wire(alpaca_bar_routes({served: plain_bars(symbol, DAYS)}, page=4)) as wire:
        client = _alpaca(wire.url, max_pages=5)
        frame = client.parse(client.fetch(wanted), wanted).frame
        assert wire.count("GET") == 3
    assert frame["date"].to_list() == DAYS


def test_a_page_token_that_never_ends_is_malformed() -> None:
    async def page(_: Request) -> Response:
        return as_json({"bars": {}, "next_page_token": "again"})

    wanted = _wanted("AAPL", AssetClass.STOCKS)
    with Wire([Route("/v2/stocks/bars", page)]) as wire:
        client = _alpaca(wire.url, max_pages=4)
        with pytest.raises(DataRejected) as refused:
            client.parse(client.fetch(wanted), wanted)
        assert wire.count("GET") == 4
    assert refused.value.reason_code is ReasonCode.PROVIDER_MALFORMED


def _kinds(wire: Wire) -> dict[str, int]:
    kinds: dict[str, int] = {}
    for asked in wire.journal:
        kinds[asked.path] = kinds.get(asked.path, 0) + 1
    return kinds


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_refused_crumb_is_asked_for_once_a_session(tmp_path: Path, status: int) -> None:
    bars: dict[str, list[dict[str, Any]]] = {s: plain_bars(s, DAYS) for s in ("AAPL", "MSFT", "KO")}
    with Wire(yahoo_routes(bars)) as wire:
        wire.fail("getcrumb", status=status, body=b"Edge: Too Many Requests")
        client = YahooHistory(_asker(), timeout_seconds=2.0, cache_dir=tmp_path, base_url=wire.url)
        for symbol in bars:
            wanted = _wanted(symbol, AssetClass.STOCKS)
            assert client.parse(client.fetch(wanted), wanted).frame.height == 10
        kinds = _kinds(wire)
        assert kinds["/v1/test/getcrumb"] == 1
        assert all(kinds[f"/v8/finance/chart/{symbol}"] == 1 for symbol in bars)


def test_dividends_and_splits_stand_on_their_days(tmp_path: Path) -> None:
    rows = plain_bars("AAPL", DAYS)
    rows[2]["dividend"], rows[5]["split"] = 0.25, 4.0
    wanted = _wanted("AAPL", AssetClass.STOCKS)
    with Wire(yahoo_routes({"AAPL": rows})) as wire:
        client = YahooHistory(_asker(), timeout_seconds=2.0, cache_dir=tmp_path, base_url=wire.url)
        frame = client.parse(client.fetch(wanted), wanted).frame
    assert frame["dividend"].to_list() == [0.0, 0.0, 0.25, *[0.0] * 7]
    assert frame["split"].to_list() == [*[0.0] * 5, 4.0, *[0.0] * 4]
