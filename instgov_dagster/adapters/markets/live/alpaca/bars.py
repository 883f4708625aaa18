"""Alpaca's daily bars of stocks and crypto, through alpaca-py's data clients."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import CryptoBarsRequest, StockBarsRequest
from alpaca.data.timeframe import TimeFrame

from instgov_dagster.adapters.markets.live.alpaca.wire import (
    PROVIDER,
    AlpacaWire,
    answer_of,
    mount,
)
from instgov_dagster.adapters.markets.live.asking import Asker, RawAnswer
from instgov_dagster.adapters.markets.live.history import (
    ParsedBars,
    Rows,
    Wanted,
    number_or_none,
    parsed_bars,
    read_json,
)
from instgov_dagster.vocabulary.bars import AssetClass

_FIELDS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


class AlpacaHistory:
    """Daily bars as traded, neither split- nor dividend-adjusted, from the free feed.

    No route of history leads here (SPEC 1); what is executed at Alpaca is held against its bars.
    """

    def __init__(
        self,
        asker: Asker,
        *,
        key_id: str,
        secret: str,
        timeout_seconds: float,
        max_pages: int,
        base_url: str | None = None,
    ) -> None:
        self._asker = asker
        self._keys = (key_id, secret)
        self._limits = {"timeout_seconds": timeout_seconds, "max_pages": max_pages}
        self._base_url = base_url

    @property
    def name(self) -> str:
        """The provider's name in the capability matrix."""
        return PROVIDER

    def fetch(self, wanted: Wanted) -> bytes:
        """Ask for all pages of one symbol.

        Raises
        ------
        ProviderRefused
            Where a page was refused, or no whole answer came.
        """
        answer = self._asker.ask(
            lambda: self._request(wanted),
            provider=PROVIDER,
            symbol=wanted.symbol,
            purpose=wanted.purpose,
        )
        return answer.body

    def _request(self, wanted: Wanted) -> RawAnswer:
        # One client a request: a session of requests is not made for many threads.
        wire = AlpacaWire(
            timeout_seconds=self._limits["timeout_seconds"],
            max_pages=int(self._limits["max_pages"]),
        )
        start = datetime.combine(wanted.start, datetime.min.time(), tzinfo=UTC)
        end = datetime.combine(wanted.end, datetime.min.time(), tzinfo=UTC) - timedelta(seconds=1)
        shared: dict[str, Any] = {"timeframe": TimeFrame.Day, "start": start, "end": end}
        symbol = alpaca_symbol(wanted.symbol, wanted.asset_class)
        if wanted.asset_class is AssetClass.CRYPTO:
            crypto = CryptoHistoricalDataClient(
                *self._keys, raw_data=True, url_override=self._base_url
            )
            mount(crypto, wire)
            asked = CryptoBarsRequest(symbol_or_symbols=[symbol], **shared)
            return answer_of(wire, lambda: crypto.get_crypto_bars(asked))
        stocks = StockHistoricalDataClient(*self._keys, raw_data=True, url_override=self._base_url)
        mount(stocks, wire)
        wished = StockBarsRequest(
            symbol_or_symbols=[symbol], adjustment=Adjustment.RAW, feed=DataFeed.IEX, **shared
        )
        return answer_of(wire, lambda: stocks.get_stock_bars(wished))

    def parse(self, body: bytes, wanted: Wanted) -> ParsedBars:
        """Read the pages.

        Raises
        ------
        DataRejected
            ``PROVIDER_MALFORMED``.
        """
        symbol = alpaca_symbol(wanted.symbol, wanted.asset_class)
        is_crypto = wanted.asset_class is AssetClass.CRYPTO
        zone = ZoneInfo("UTC" if is_crypto else "America/New_York")

        def read() -> tuple[Rows, int]:
            pages = (read_json(line) for line in body.split(b"\n"))
            return [_row(entry, zone) for page in pages for entry in _bars(page, symbol)], 0

        return parsed_bars(PROVIDER, wanted, read)


def alpaca_symbol(symbol: str, asset_class: AssetClass | None) -> str:
    """Spell a symbol as Alpaca does: BRK.B, BTC/USD."""
    return symbol.replace("-", "/" if asset_class is AssetClass.CRYPTO else ".")


def _bars(answer: Any, symbol: str) -> list[Any]:
    told = answer.get("bars") if isinstance(answer, dict) else None
    if not isinstance(told, dict):
        raise ValueError("bars must be an object")
    entries = told.get(symbol, [])
    if not isinstance(entries, list):
        raise ValueError(f"bars of {symbol} must be a list")
    return entries


def _row(entry: Any, zone: ZoneInfo) -> dict[str, object]:
    if not isinstance(entry, dict):
        raise ValueError("a bar must be an object")
    stamp = datetime.fromisoformat(str(entry.get("t")))
    if stamp.tzinfo is None:
        raise ValueError("t must name its zone")
    try:
        day = stamp.astimezone(zone).date()
    except OverflowError as error:
        raise ValueError("t must be an instant") from error
    values = {name: number_or_none(entry.get(key)) for name, key in _FIELDS.items()}
    return {"date": day, **values, "adj_close": values["close"]}
