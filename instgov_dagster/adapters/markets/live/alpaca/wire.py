"""The wire under alpaca-py: time-outs on, retries off, pages bounded, every answer kept as sent."""

from collections.abc import Callable
from typing import Any

import requests
from alpaca.common.rest import RESTClient
from requests.adapters import HTTPAdapter

from instgov_dagster.adapters.markets.live.asking import NoAnswerError, RawAnswer
from instgov_dagster.adapters.markets.live.history import one_line

PROVIDER = "alpaca"


class _AnsweredError(Exception):
    """An answer alpaca-py must not see: it would send again, or hide the status."""

    def __init__(self, answer: RawAnswer) -> None:
        super().__init__(f"status {answer.status}")
        self.answer = answer


class AlpacaWire(HTTPAdapter):
    """What a client's session sends through: it keeps the pages and ends what never would.

    Parameters
    ----------
    timeout_seconds
        For connecting and for every read; alpaca-py itself waits for ever.
    max_pages
        A page token that never ends is followed so often and no further.
    """

    def __init__(self, *, timeout_seconds: float, max_pages: int) -> None:
        super().__init__()
        self._timeout = timeout_seconds
        self._max_pages = max_pages
        self.pages: list[bytes] = []

    def send(  # type: ignore[override]  # requests types its own keywords more narrowly
        self, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        """Send one request; only a success returns."""
        if len(self.pages) >= self._max_pages:
            body = b'{"pages":"more than asked for"}'
            raise _AnsweredError(RawAnswer(status=200, body=body))
        response = super().send(request, **{**options, "timeout": self._timeout})
        body = response.content
        if not 200 <= response.status_code < 300:
            headers = dict(response.headers)
            raise _AnsweredError(RawAnswer(status=response.status_code, body=body, headers=headers))
        self.pages.append(one_line(body))
        return response


def mount(client: RESTClient, wire: AlpacaWire) -> None:
    """Put the wire under a client and switch its own retries off."""
    client._retry = 0  # noqa: SLF001  # the only way to: `retry_attempts=0` is ignored
    client._session.trust_env = False  # noqa: SLF001
    for scheme in ("https://", "http://"):
        client._session.mount(scheme, wire)  # noqa: SLF001


def answer_of(wire: AlpacaWire, call: Callable[[], object]) -> RawAnswer:
    """Make one call of a client and give what was sent back, whatever the client made of it.

    Raises
    ------
    NoAnswerError
        Where no whole answer came.
    """
    wire.pages.clear()
    try:
        call()
    except _AnsweredError as answered:
        return answered.answer
    except requests.exceptions.JSONDecodeError:
        pass  # a RequestException too, but the answer came whole: reading it is the parser's part
    except requests.RequestException as error:
        raise NoAnswerError(type(error).__name__) from None
    except Exception:
        # What else alpaca-py raises is its opinion of the answer, which the parser judges itself.
        if not wire.pages:
            raise
    return RawAnswer(status=200, body=b"\n".join(wire.pages))
