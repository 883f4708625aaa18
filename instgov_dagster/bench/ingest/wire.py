"""A provider of aggregates on loopback: it answers late, counts what it is asked, and refuses."""

import asyncio
import json
import socket
import threading
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as day_time
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from instgov_dagster.bars.calendars import CALENDAR_START, expected_sessions
from instgov_dagster.vocabulary.bars import AssetClass

_NEW_YORK = ZoneInfo("America/New_York")
_PATH = "/v2/aggs/ticker/{ticker}/range/1/day/{start}/{end}"
_START_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLimit:
    """How often a provider may be asked: so many requests in any window of so many seconds."""

    requests: int
    window_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One request as it came: when, for what, and how it was answered."""

    second: float
    ticker: str
    status: int


class LateProvider:
    """Serves the same walk of prices for every ticker, each answer late; enter it to listen.

    Parameters
    ----------
    n_sessions
        Bars an answer holds, the last of them before ``asof``.
    latency_seconds
        How late every answer is.
    limit
        What it enforces itself: a request beyond it is answered 429.

    Attributes
    ----------
    journal
        Every request in the order it came.
    """

    def __init__(
        self, *, asof: date, n_sessions: int, latency_seconds: float, limit: ProviderLimit
    ) -> None:
        self.journal: list[Arrived] = []
        self._results = _results(asof, n_sessions)
        self._latency = latency_seconds
        self._limit = limit
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            Starlette(routes=[Route(_PATH, self._answer)]),
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def most_in_a_window(self) -> int:
        """Give the most requests that came within any window of the limit's length."""
        return most_within([one.second for one in self.journal], self._limit.window_seconds)

    def refused(self) -> int:
        """Count the requests beyond the limit."""
        return sum(one.status == 429 for one in self.journal)

    def asked(self) -> list[str]:
        """Give the tickers in the order they were asked for."""
        return [one.ticker for one in list(self.journal)]

    async def _answer(self, request: Request) -> Response:
        second, ticker = time.monotonic(), request.path_params["ticker"]
        recent = [one.second for one in self.journal[-self._limit.requests :]]
        within = len(recent) - bisect_right(recent, second - self._limit.window_seconds)
        status = 429 if within >= self._limit.requests else 200
        self.journal.append(Arrived(second=second, ticker=ticker, status=status))
        await asyncio.sleep(self._latency)
        if status == 429:
            return Response(status_code=429)
        head = json.dumps({"status": "OK", "ticker": ticker})[:-1].encode()
        return Response(head + b', "results": ' + self._results + b"}")

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the provider must listen within {_START_SECONDS:g} s")
            time.sleep(0.01)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(_START_SECONDS)
        self._socket.close()


def most_within(seconds: Sequence[float], window_seconds: float) -> int:
    """Give the most instants that lie within any half-open window of a length.

    Parameters
    ----------
    seconds
        Instants, ascending.
    """
    return max(
        (
            place + 1 - bisect_right(seconds, second - window_seconds)
            for place, second in enumerate(seconds)
        ),
        default=0,
    )


def _results(asof: date, n_sessions: int) -> bytes:
    days = expected_sessions(AssetClass.STOCKS, CALENDAR_START, asof)[-n_sessions:]
    walk = np.random.Generator(np.random.Philox(key=1)).standard_normal(days.size)
    closes = 50.0 * np.exp(np.cumsum(0.01 * walk))
    rows = [
        {
            "t": int(datetime.combine(day, day_time(), tzinfo=_NEW_YORK).timestamp()) * 1000,
            "o": round(close, 4), "h": round(close * 1.01, 4), "l": round(close * 0.99, 4),
            "c": round(close, 4), "v": 1_000_000.0,
        }
        for day, close in zip(days.astype("datetime64[D]").tolist(), closes.tolist(), strict=True)
    ]  # fmt: skip
    return json.dumps(rows).encode()
