"""Binance's daily klines: public, a thousand a page, quoted in the dollar's stand-in."""

from datetime import UTC, date, datetime
from typing import Any, Final

from instgov_dagster.adapters.markets.live.asking import Asker
from instgov_dagster.adapters.markets.live.history import (
    ParsedBars,
    Rows,
    Wanted,
    malformed,
    one_line,
    parsed_bars,
    read_json,
    text_number,
)
from instgov_dagster.adapters.markets.live.plain import Getter

PROVIDER: Final = "binance"
BASE_URL: Final = "https://api.binance.com"
_PAGE: Final = 1000
_DAY_MS: Final = 86_400_000
_FIELDS = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 7}


class BinanceHistory:
    """Daily bars of crypto pairs; BTC-USD is asked for as BTCUSDT.

    Volume is the turnover in the quote currency, so that it is in dollars as Yahoo's is.
    """

    def __init__(
        self, asker: Asker, get: Getter, *, max_pages: int, base_url: str = BASE_URL
    ) -> None:
        self._asker = asker
        self._get = get
        self._max_pages = max_pages
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
        DataRejected
            ``PROVIDER_MALFORMED`` where the pages never end or do not go on in time.
        """
        begin, end = _milliseconds(wanted.start), _milliseconds(wanted.end) - 1
        pages = []
        for _ in range(self._max_pages):
            body = self._page(begin, end, wanted)
            pages.append(body)
            last = _last_open(body)
            if last is None or last[1] < _PAGE:
                return b"\n".join(pages)
            if last[0] < begin:
                raise malformed(PROVIDER, wanted.symbol, "a page before the one before")
            begin = last[0] + _DAY_MS
            if begin > end:
                return b"\n".join(pages)
        raise malformed(PROVIDER, wanted.symbol, f"more than {self._max_pages} pages")

    def _page(self, begin: int, end: int, wanted: Wanted) -> bytes:
        params = {
            "symbol": binance_pair(wanted.symbol),
            "interval": "1d",
            "startTime": str(begin),
            "endTime": str(end),
            "limit": str(_PAGE),
        }
        answer = self._asker.ask(
            lambda: self._get(f"{self._base_url}/api/v3/klines", params, {}),
            provider=PROVIDER,
            symbol=wanted.symbol,
            purpose=wanted.purpose,
        )
        return one_line(answer.body)

    def parse(self, body: bytes, wanted: Wanted) -> ParsedBars:
        """Read the pages.

        Raises
        ------
        DataRejected
            ``PROVIDER_MALFORMED``.
        """

        def read() -> tuple[Rows, int]:
            pages = (read_json(line) for line in body.split(b"\n"))
            return [_row(entry) for page in pages for entry in _entries(page)], 0

        return parsed_bars(PROVIDER, wanted, read)


def binance_pair(symbol: str) -> str:
    """Spell a pair as Binance does: its dollar is the tether."""
    base, _, quote = symbol.rpartition("-")
    return base + ("USDT" if quote == "USD" else quote)


def _milliseconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def _last_open(body: bytes) -> tuple[int, int] | None:
    # The last kline's opening and how many there are; parse says what is wrong with the rest.
    try:
        entries = _entries(read_json(body))
        return (_opening(entries[-1]), len(entries)) if entries else None
    except ValueError:
        return None


def _entries(answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise ValueError("klines must be a list")
    return answer


def _opening(entry: Any) -> int:
    if not isinstance(entry, list) or len(entry) < 8:
        raise ValueError("a kline must be a list of at least 8")
    stamp = entry[0]
    if isinstance(stamp, bool) or not isinstance(stamp, int) or abs(stamp) > 10**14:
        raise ValueError(f"an opening must be milliseconds, was {str(stamp)[:20]!r}")
    return stamp


def _row(entry: Any) -> dict[str, object]:
    day = datetime.fromtimestamp(_opening(entry) / 1000, UTC).date()
    values = {name: text_number(entry[place]) for name, place in _FIELDS.items()}
    return {"date": day, **values, "adj_close": values["close"]}
