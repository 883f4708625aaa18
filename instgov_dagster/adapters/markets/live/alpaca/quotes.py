"""Alpaca's latest quotes of stocks and crypto: one request a class, a bad symbol asked for once."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from alpaca.data.enums import DataFeed
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import CryptoLatestQuoteRequest, StockLatestQuoteRequest

from instgov_dagster.adapters.markets.live.alpaca.bars import alpaca_symbol
from instgov_dagster.adapters.markets.live.alpaca.wire import (
    PROVIDER,
    AlpacaWire,
    answer_of,
    mount,
)
from instgov_dagster.adapters.markets.live.asking import Asker, ProviderRefused, RawAnswer
from instgov_dagster.adapters.markets.live.history import malformed, number_or_none, read_json
from instgov_dagster.vocabulary.bars import AssetClass, Purpose
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.reasons import ReasonCode

_NAN: Final = float("nan")
# How Alpaca names what it does not know: the whole request fails for one of its symbols.
_BAD_SYMBOL: Final = re.compile(r"invalid symbol(?:\(s\))?: ?([A-Z0-9./,\s-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenQuote:
    """One quote as received; what is missing is NaN, and nothing is judged here."""

    bid: float
    ask: float
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenQuotes:
    """What one round of asking brought.

    Attributes
    ----------
    quotes
        By our own symbols; a symbol Alpaca is silent about is absent.
    refused
        By symbol: why there is none.
    """

    quotes: Mapping[str, SeenQuote]
    refused: Mapping[str, ReasonCode]


class AlpacaQuotes:
    """The latest quotes of the symbols that have a live route.

    Parameters
    ----------
    symbols
        With their classes; those of other classes than stocks and crypto are never asked for.
    """

    def __init__(
        self,
        asker: Asker,
        symbols: Mapping[str, AssetClass],
        *,
        key_id: str,
        secret: str,
        timeout_seconds: float,
        base_url: str | None = None,
    ) -> None:
        self._asker = asker
        self._wire = AlpacaWire(timeout_seconds=timeout_seconds, max_pages=1)
        keys: dict[str, Any] = {"raw_data": True, "url_override": base_url}
        self._stocks = StockHistoricalDataClient(key_id, secret, **keys)
        self._crypto = CryptoHistoricalDataClient(key_id, secret, **keys)
        mount(self._stocks, self._wire)
        mount(self._crypto, self._wire)
        self._asked = {
            kind: {alpaca_symbol(s, kind): s for s, k in sorted(symbols.items()) if k is kind}
            for kind in (AssetClass.STOCKS, AssetClass.CRYPTO)
        }

    def latest(self) -> SeenQuotes:
        """Ask once a class for all symbols; a class that is refused has no quotes this time.

        A symbol that Alpaca calls invalid is dropped for good and the rest asked for once more.
        """
        quotes: dict[str, SeenQuote] = {}
        refused: dict[str, ReasonCode] = {}
        for kind, names in self._asked.items():
            if not names:
                continue
            try:
                quotes |= self._class(kind, names)
            except DataRejected as rejected:
                refused |= dict.fromkeys(names.values(), rejected.reason_code)
        return SeenQuotes(quotes=quotes, refused=refused)

    def _class(self, kind: AssetClass, names: dict[str, str]) -> dict[str, SeenQuote]:
        try:
            answer = self._ask(kind, list(names))
        except _BadSymbolsError as bad:
            for name in bad.names:
                names.pop(name, None)
            if not names:
                return {}
            answer = self._ask(kind, list(names))
        return _read(answer.body, names)

    def _ask(self, kind: AssetClass, names: Sequence[str]) -> RawAnswer:
        call = self._call(kind, names)
        kept: list[RawAnswer] = []

        def once() -> RawAnswer:
            kept.append(answer_of(self._wire, call))
            return kept[-1]

        try:
            return self._asker.ask(
                once, provider=PROVIDER, symbol=kind.value, purpose=Purpose.LIVE_QUOTE
            )
        except ProviderRefused as refused:
            bad = _bad_symbols(kept[-1].body, names) if refused.status == 400 and kept else ()
            if bad:
                raise _BadSymbolsError(bad) from None
            raise

    def _call(self, kind: AssetClass, names: Sequence[str]) -> Callable[[], object]:
        if kind is AssetClass.CRYPTO:
            coins = CryptoLatestQuoteRequest(symbol_or_symbols=list(names))
            return lambda: self._crypto.get_crypto_latest_quote(coins)
        asked = StockLatestQuoteRequest(symbol_or_symbols=list(names), feed=DataFeed.IEX)
        return lambda: self._stocks.get_stock_latest_quote(asked)


class _BadSymbolsError(Exception):
    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(", ".join(names))
        self.names = names


def _bad_symbols(body: bytes, asked: Sequence[str]) -> tuple[str, ...]:
    try:
        told = read_json(body)
    except ValueError:
        return ()
    message = str(told.get("message", "")) if isinstance(told, dict) else ""
    found = _BAD_SYMBOL.search(message)
    words = re.split(r"[,\s]+", found.group(1)) if found else []
    return tuple(word for word in words if word in asked)


def _read(body: bytes, names: Mapping[str, str]) -> dict[str, SeenQuote]:
    try:
        rows = _rows(read_json(body))
        return {names[name]: _quote(row) for name, row in rows.items() if name in names}
    except ValueError as error:
        raise malformed(PROVIDER, "quotes", str(error)) from None


def _rows(told: Any) -> dict[str, Any]:
    rows = told.get("quotes") if isinstance(told, dict) else None
    if not isinstance(rows, dict):
        raise ValueError("quotes must be an object")
    return rows


def _quote(row: Any) -> SeenQuote:
    if not isinstance(row, dict):
        raise ValueError("a quote must be an object")
    seen = datetime.fromisoformat(str(row.get("t")))
    if seen.tzinfo is None:
        raise ValueError("t must name its zone")
    bid, ask = number_or_none(row.get("bp")), number_or_none(row.get("ap"))
    return SeenQuote(
        bid=_NAN if bid is None else bid,
        ask=_NAN if ask is None else ask,
        observed_at=seen.astimezone(UTC),
    )
