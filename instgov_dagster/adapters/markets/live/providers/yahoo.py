"""Yahoo's chart through yfinance's session, cookie and crumb, and through nothing else of it."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote, urlsplit

from curl_cffi.requests import Response, Session
from curl_cffi.requests.exceptions import RequestException

from instgov_dagster.adapters.markets.live.asking import Asker, NoAnswerError, RawAnswer
from instgov_dagster.adapters.markets.live.history import ParsedBars, Wanted
from instgov_dagster.adapters.markets.live.providers.yahoo_chart import PROVIDER, parse_chart

CHART_URL = "https://query2.finance.yahoo.com/v8/finance/chart/"
_CHART_PATH = "/v8/finance/chart/"


class _ChartAnsweredError(Exception):
    """An answer yfinance must not see: it would ask again with another cookie."""

    def __init__(self, answer: RawAnswer) -> None:
        super().__init__(f"status {answer.status}")
        self.answer = answer


class GuardSession(Session[Response]):
    """yfinance's own kind of session that sends a chart request once and hands its answer over.

    Parameters
    ----------
    base_url
        Where everything goes instead of Yahoo's hosts; ``None`` for Yahoo itself.

    Notes
    -----
    Whatever else yfinance asks for, cookie or crumb, is asked once a session where it is refused:
    a refused crumb for each of five hundred symbols would be a storm.
    """

    def __init__(self, *, base_url: str | None = None) -> None:
        super().__init__(impersonate="chrome", trust_env=False)
        self._base_url = base_url
        self._refused: dict[str, Response] = {}

    def request(self, method: Any, url: str, *args: Any, **options: Any) -> Response:
        """Send one request; a chart's answer other than a success never returns."""
        parts = urlsplit(url)
        is_chart = parts.path.startswith(_CHART_PATH)
        earlier = self._refused.get(parts.netloc + parts.path)
        if earlier is not None and not is_chart:
            return earlier
        if self._base_url is not None:
            options["headers"] = {**(options.get("headers") or {}), "Host": parts.netloc}
            url = f"{self._base_url}{parts.path or '/'}"
        if is_chart:
            options["allow_redirects"] = False
        response: Response = super().request(method, url, *args, **options)
        if is_chart and not 200 <= response.status_code < 300:
            headers = {str(k): str(v) for k, v in response.headers.items()}
            raise _ChartAnsweredError(
                RawAnswer(status=response.status_code, body=response.content, headers=headers)
            )
        if response.status_code >= 400:
            self._refused[parts.netloc + parts.path] = response
        return response


class YahooHistory:
    """Daily bars of all four classes and of the indices.

    Parameters
    ----------
    cache_dir
        Where yfinance keeps its cookies.
    base_url
        Another address, for a proxy or a rehearsal.
    """

    def __init__(
        self,
        asker: Asker,
        *,
        timeout_seconds: float,
        cache_dir: Path,
        base_url: str | None = None,
    ) -> None:
        self._asker = asker
        self._timeout = timeout_seconds
        self._cache_dir = cache_dir
        self._base_url = base_url
        # yfinance keeps one session for the whole process: one question at a time.
        self._lock = Lock()
        self._get: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """The provider's name in the capability matrix."""
        return PROVIDER

    def fetch(self, wanted: Wanted) -> bytes:
        """Ask for the chart of one symbol, once a try.

        Raises
        ------
        ProviderRefused
            Where it was refused, or no whole answer came.
        """
        answer = self._asker.ask(
            lambda: self._request(wanted),
            provider=PROVIDER,
            symbol=wanted.symbol,
            purpose=wanted.purpose,
        )
        return answer.body

    def parse(self, body: bytes, wanted: Wanted) -> ParsedBars:
        """Read the chart; see `parse_chart`."""
        return parse_chart(body, wanted)

    def _request(self, wanted: Wanted) -> RawAnswer:
        params = {
            "period1": _epoch(wanted.start),
            "period2": _epoch(wanted.end),
            "interval": "1d",
            "includePrePost": "false",
            "events": "div,splits,capitalGains",
        }
        url = CHART_URL + quote(wanted.symbol, safe="")
        with self._lock:
            get = self._session_get()
            try:
                response = get(url, params=params, timeout=self._timeout)
            except _ChartAnsweredError as answered:
                return answered.answer
            except RequestException as error:
                raise NoAnswerError(type(error).__name__) from None
        return RawAnswer(status=response.status_code, body=response.content)

    def _session_get(self) -> Callable[..., Any]:
        # Imported and bound at the first question: yfinance is heavy, and global to the process.
        if self._get is None:
            import yfinance
            from yfinance.data import YfData

            self._cache_dir.mkdir(parents=True, exist_ok=True)
            yfinance.set_tz_cache_location(str(self._cache_dir))
            yfinance.config.debug.hide_exceptions = False
            yfinance.config.network.retries = 0
            session = GuardSession(base_url=self._base_url)
            data = YfData(session=session)
            data._crumb = None  # noqa: SLF001  # another session's crumb is worth nothing to this one
            data._cookie = None  # noqa: SLF001
            self._get = data.get
        return self._get


def _epoch(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
