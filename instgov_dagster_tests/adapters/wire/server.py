"""A fake provider on a port of the loopback: a journal of requests and faults asked for."""

import asyncio
import json
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]

    @property
    def key(self) -> str:
        """What faults and counts are matched with."""
        return f"{self.method} {self.path}"


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to requests that match.

    Attributes
    ----------
    match
        A regular expression on "METHOD /path".
    times
        How many requests it spoils; -1 for all.
    spares
        How many matching requests pass before the first is spoilt: a provider that flaps.
    acts
        Whether the request is carried out before it is answered with the fault.
    hangs, cuts
        No answer until the server closes; an answer that breaks off in its body.
    """

    match: str
    status: int = 500
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    times: int = -1
    spares: int = 0
    acts: bool = False
    hangs: bool = False
    cuts: bool = False

    def takes(self, key: str) -> bool:
        """Say whether it spoils this request, and count it."""
        if self.times == 0 or not re.search(self.match, key):
            return False
        if self.spares > 0:
            self.spares -= 1
            return False
        self.times -= self.times > 0
        return True


class Wire:
    """One fake server; enter it to have it listen."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.journal: list[Asked] = []
        self.faults: list[Fault] = []
        self._app = Starlette(routes=list(routes))
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._started = threading.Event()
        self._closing: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",  # a bound method is not recognised as one
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def fail(self, match: str, **how: Any) -> None:
        """Spoil requests from now on."""
        self.faults.append(Fault(match=match, **how))

    def reset(self) -> None:
        """Forget the faults and the journal."""
        self.faults.clear()
        self.journal.clear()

    def count(self, match: str) -> int:
        """Count the requests that came and match."""
        return sum(bool(re.search(match, asked.key)) for asked in self.journal)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10.0), "the fake did not start"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._closing is not None:
            self._loop.call_soon_threadsafe(self._closing.set)
        self._server.should_exit = self._server.force_exit = True  # clients keep lines open
        self._thread.join(10.0)
        self._socket.close()

    def _run(self) -> None:
        async def serve() -> None:
            self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
            # The socket listens already: a request that comes now waits for the server.
            self._started.set()
            await self._server.serve(sockets=[self._socket])

        asyncio.run(serve())

    async def _serve(self, scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        asked = Asked(
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode())),
            headers={k.decode().lower(): v.decode() for k, v in scope["headers"]},
        )
        self.journal.append(asked)
        fault = next((one for one in self.faults if one.takes(asked.key)), None)
        if fault is None:
            await self._app(scope, receive, send)  # type: ignore[arg-type]  # one ASGI, two typings
            return
        if fault.acts:
            await self._app(scope, receive, _unheard)  # type: ignore[arg-type]  # the same
        if fault.hangs and self._closing is not None:
            await self._closing.wait()
        if fault.cuts:
            await _break_off(send)
        answer = Response(fault.body, fault.status, headers=fault.headers)
        await answer(scope, receive, send)  # type: ignore[arg-type]  # the same


async def _unheard(_: dict[str, Any]) -> None:
    """Take an answer nobody gets."""


async def _break_off(send: _Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"100000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"half":', "more_body": True})
    raise ConnectionResetError


def as_json(value: Any) -> Response:
    """Answer with JSON, NaN included: some providers write it."""
    return Response(json.dumps(value), media_type="application/json")
