"""Polygon's daily aggregates, page by page, the key in a header and never in an address."""

from datetime import UTC, date, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit
from zoneinfo import ZoneInfo

from instgov_dagster.adapters.markets.live.asking import Asker
from instgov_dagster.adapters.markets.live.history import (
    ParsedBars,
    Rows,
    Wanted,
    malformed,
    number_or_none,
    one_line,
    parsed_bars,
    read_json,
)
from instgov_dagster.adapters.markets.live.plain import Getter
from instgov_dagster.vocabulary.bars import AssetClass

PROVIDER: Final = "polygon"
BASE_URL: Final = "https://api.polygon.io"
_NEW_YORK = ZoneInfo("America/New_York")
_FIELDS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


class PolygonHistory:
    """Daily bars adjusted for splits, as Polygon sends them; it tells no dividends here.

    Parameters
    ----------
    key
        ``POLYGON_API_KEY``.
    max_pages
        An answer that goes on for ever is refused after so many.
    """

    def __init__(
        self, asker: Asker, get: Getter, *, key: str, max_pages: int, base_url: str = BASE_URL
    ) -> None:
        self._asker = asker
        self._get = get
        self._headers = {"Authorization": f"Bearer {key}"}
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
            ``PROVIDER_MALFORMED`` where the pages never end or lead elsewhere.
        """
        last = date.fromordinal(wanted.end.toordinal() - 1)
        ticker = quote(polygon_ticker(wanted), safe=":")
        path = f"/v2/aggs/ticker/{ticker}/range/1/day/{wanted.start}/{last}"
        params = {"adjusted": "true", "sort": "asc", "limit": "50000"}
        pages = []
        for _ in range(self._max_pages):
            body = self._page(path, params, wanted)
            pages.append(body)
            following = self._following(body, wanted)
            if following is None:
                return b"\n".join(pages)
            path, params = following
        raise malformed(PROVIDER, wanted.symbol, f"more than {self._max_pages} pages")

    def _page(self, path: str, params: dict[str, str], wanted: Wanted) -> bytes:
        answer = self._asker.ask(
            lambda: self._get(f"{self._base_url}{path}", params, self._headers),
            provider=PROVIDER,
            symbol=wanted.symbol,
            purpose=wanted.purpose,
        )
        return one_line(answer.body)

    def _following(self, body: bytes, wanted: Wanted) -> tuple[str, dict[str, str]] | None:
        try:
            answer = read_json(body)
        except ValueError:
            return None  # parse says what is wrong with it
        told = answer.get("next_url") if isinstance(answer, dict) else None
        if told is None:
            return None
        parts = urlsplit(str(told))
        # The key goes to the provider's own address alone, whatever an answer says.
        if not parts.path.startswith("/v2/aggs/"):
            raise malformed(PROVIDER, wanted.symbol, "the next page is none of aggregates")
        params = {k: v for k, v in parse_qsl(parts.query) if k.lower() != "apikey"}
        return parts.path, params

    def parse(self, body: bytes, wanted: Wanted) -> ParsedBars:
        """Read the pages.

        Raises
        ------
        DataRejected
            ``PROVIDER_MALFORMED``.
        """
        is_local = wanted.asset_class is AssetClass.STOCKS
        zone = _NEW_YORK if is_local else ZoneInfo("UTC")

        def read() -> tuple[Rows, int]:
            pages = (read_json(line) for line in body.split(b"\n"))
            ticker = polygon_ticker(wanted)
            return [_row(entry, zone) for page in pages for entry in _results(page, ticker)], 0

        return parsed_bars(PROVIDER, wanted, read)


def polygon_ticker(wanted: Wanted) -> str:
    """Spell a symbol as Polygon does: BRK.B, C:EURUSD, X:BTCUSD."""
    match wanted.asset_class:
        case AssetClass.FX:
            return f"C:{wanted.symbol.removesuffix('=X')}"
        case AssetClass.CRYPTO:
            return f"X:{wanted.symbol.replace('-', '')}"
        case _:
            return wanted.symbol.replace("-", ".")


def _results(answer: Any, ticker: str) -> list[Any]:
    if not isinstance(answer, dict) or answer.get("status") not in ("OK", "DELAYED"):
        raise ValueError("status must be OK or DELAYED")
    if answer.get("ticker") != ticker:
        raise ValueError(f"ticker must be {ticker}, was {str(answer.get('ticker'))[:20]!r}")
    results = answer.get("results")
    if not isinstance(results, list):
        raise ValueError("results must be a list")
    return results


def _row(entry: Any, zone: ZoneInfo) -> dict[str, object]:
    if not isinstance(entry, dict):
        raise ValueError("a result must be an object")
    stamp = entry.get("t")
    if isinstance(stamp, bool) or not isinstance(stamp, int) or abs(stamp) > 10**14:
        raise ValueError(f"t must be milliseconds, was {str(stamp)[:20]!r}")
    values = {name: number_or_none(entry.get(key)) for name, key in _FIELDS.items()}
    day = datetime.fromtimestamp(stamp / 1000, UTC).astimezone(zone).date()
    return {"date": day, **values, "adj_close": values["close"]}
