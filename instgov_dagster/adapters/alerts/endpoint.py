"""The endpoint an outside monitor asks: /healthz as JSON and /metrics, over HTTP, reading only."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from instgov_dagster.vocabulary.reasons import ReasonCode

#: Names by which a process on the same machine may ask.
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_PREFIX: Final = "instgov_"
# A client that is slow to ask is left alone: each holds a thread.
_ASKING_SECONDS: Final = 5.0

#: What a look gives: whether all is well, and JSON values that say so.
Look = Callable[[], tuple[bool, Mapping[str, Any]]]


class Endpoint(ThreadingHTTPServer):
    """Answers GET /healthz (200 or 503) and GET /metrics; everything else is refused.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.
    look
        Judges the platform at each question. One that raises, or never returns, is no health.
    names
        The host names it answers to beside the loopback's: a page in a browser that reaches this
        port under a name of its own is refused.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: str, port: int, look: Look, *, names: frozenset[str]) -> None:
        self.look = look
        self.names = LOOPBACK | names
        super().__init__((host, port), _Question)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer in a thread until the block ends."""
        thread = threading.Thread(target=self.serve_forever, daemon=True, name="healthz")
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class _Question(BaseHTTPRequestHandler):
    server: Endpoint
    timeout = _ASKING_SECONDS
    server_version = "instgov"
    sys_version = ""

    def do_GET(self) -> None:
        if not self._is_for_us():
            self._answer(HTTPStatus.FORBIDDEN, {"error": "the Host header names another server"})
        elif self.path not in ("/healthz", "/metrics"):
            self._answer(HTTPStatus.NOT_FOUND, {"error": "ask for /healthz or /metrics"})
        else:
            is_healthy, facts = self._look()
            status = HTTPStatus.OK if is_healthy else HTTPStatus.SERVICE_UNAVAILABLE
            if self.path == "/metrics":
                # A scrape that fails tells nothing: the numbers are told with 200, the verdict too.
                self._send(HTTPStatus.OK, "text/plain; version=0.0.4", prometheus(facts))
            else:
                self._answer(status, facts)

    def _look(self) -> tuple[bool, Mapping[str, Any]]:
        try:
            return self.server.look()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is no health
            code = ReasonCode.UNEXPECTED_FAILURE.value
            return False, {"is_healthy": False, "reasons": [code], "error": type(error).__name__}

    def _is_for_us(self) -> bool:
        host = self.headers.get("Host", "").strip().lower()
        name, colon, port = host.rpartition(":")
        return (name if colon and port.isdecimal() else host) in self.server.names

    def _answer(self, status: HTTPStatus, facts: Mapping[str, Any]) -> None:
        body = json.dumps(facts, sort_keys=True, default=str) + "\n"
        self._send(status, "application/json", body)

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
        """Say nothing: a monitor asks every few seconds."""


def prometheus(facts: Mapping[str, Any]) -> str:
    """Write the numbers of a look in Prometheus' text format, and each reason as a gauge of 1.

    A sign that cannot be seen is NaN, never 0.
    """
    rows = [_row("healthy", facts.get("is_healthy", False))]
    rows += [_row("unhealthy", 1, reason=code) for code in facts.get("reasons", ())]
    signs: Mapping[str, Any] = facts.get("signs", {})
    rows += [_row(name, value) for name, value in signs.items() if not isinstance(value, str)]
    if "state" in signs:
        rows.append(_row("state", 1, state=signs["state"]))
    return "".join(rows)


def _row(name: str, value: float | None, **labels: str) -> str:
    shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
    number = "NaN" if value is None else f"{float(value):.10g}"
    full = f"{_PREFIX}{name}"
    return f"# TYPE {full} gauge\n{full}{{{shown}}} {number}\n"
