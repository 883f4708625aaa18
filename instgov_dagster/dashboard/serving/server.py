"""The dashboard over HTTP: GET alone, own host names alone, nothing from elsewhere."""

import base64
import hashlib
import hmac
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from instgov_dagster.adapters.alerts.endpoint import LOOPBACK
from instgov_dagster.dashboard.pages import PAGES
from instgov_dagster.dashboard.serving.metrics import health, prometheus
from instgov_dagster.dashboard.serving.watcher import Watcher
from instgov_dagster.vocabulary.errors import InputError

LOGGER = logging.getLogger("instgov.dashboard")

#: Nothing but this server's own files may be loaded, run or asked.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
#: The least characters of a token that lets others than this machine in.
LEAST_TOKEN: Final = 16
_KINDS: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_OWN_FILES: Final = ("board.css", "board.js", "icon.svg", "plotly.css", "strict.js")
_ASKING_SECONDS: Final = 10.0
_LONGEST_QUERY: Final = 512


@cache
def static_file(name: str) -> tuple[bytes, str]:
    """Give a file the pages load, and its tag.

    Raises
    ------
    KeyError
        If it is none of them.
    """
    if name == "plotly.min.js":
        body = files("plotly").joinpath("package_data", name).read_bytes()
    elif name in _OWN_FILES:
        body = files("instgov_dagster.dashboard").joinpath("web", name).read_bytes()
    else:
        raise KeyError(name)
    return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'


def require_safe(host: str, token: str | None) -> None:
    """Refuse an address that others reach, unless a token keeps them out.

    Raises
    ------
    InputError
        If the address is not of the loopback and there is no token, or a short one.
    """
    if is_loopback(host):
        return
    if token is None:
        raise InputError(
            f"--host must be of the loopback unless INSTGOV_DASHBOARD_TOKEN is set, was {host}"
        )
    if len(token) < LEAST_TOKEN:
        raise InputError(
            f"INSTGOV_DASHBOARD_TOKEN must have at least {LEAST_TOKEN} characters, had {len(token)}"
        )


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class DashboardServer(ThreadingHTTPServer):
    """Serves the pages of one watcher.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.
    token
        What every request must carry, as a password or a bearer; None on the loopback.

    Raises
    ------
    InputError
        See `require_safe`.
    OSError
        If the address cannot be bound.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: str, port: int, watcher: Watcher, *, token: str | None = None) -> None:
        require_safe(host, token)
        self.watcher = watcher
        self.token = token
        self.names = LOOPBACK | {host.lower()}
        super().__init__((host, port), _Question)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer in a thread until the block ends."""
        thread = threading.Thread(target=self.serve_forever, daemon=True, name="dashboard")
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class _Question(BaseHTTPRequestHandler):
    server: DashboardServer
    timeout = _ASKING_SECONDS
    protocol_version = "HTTP/1.1"
    server_version = "instgov"
    sys_version = ""

    def do_GET(self) -> None:
        if not self._is_for_us():
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "the Host header names another server")
        elif not self._is_allowed():
            self._refuse(
                HTTPStatus.UNAUTHORIZED, "a token is asked for", {"WWW-Authenticate": "Basic"}
            )
        else:
            try:
                self._route()
            except ConnectionError:
                self.close_connection = True  # the reader has gone to another page
            except Exception as error:  # whatever a page stumbles over, others are served
                LOGGER.exception("%s could not be answered", self.path)
                why = f"the page cannot be made: {type(error).__name__}"
                self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, why)

    def _refuse_method(self) -> None:
        # Whatever a body holds is not read: the connection ends with the answer.
        self.close_connection = True
        self._refuse(
            HTTPStatus.METHOD_NOT_ALLOWED, "this server only answers GET", {"Allow": "GET"}
        )

    def __getattr__(self, name: str) -> Callable[[], None]:
        # The base looks a method up by its name: every one but GET is refused, known or not.
        if name.startswith("do_"):
            return self._refuse_method
        raise AttributeError(name)

    def _route(self) -> None:
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query[:_LONGEST_QUERY], max_num_fields=8))
        place, _, name = address.path.strip("/").rpartition("/")
        watcher = self.server.watcher
        if not place and (name or "overview") in PAGES:
            body = watcher.document_of(name or "overview", query)
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", body)
        elif place == "api" and name in PAGES:
            payload = watcher.json_of(name, {k: v for k, v in query.items() if k != "known"})
            is_known = query.get("known") == payload.tag
            self._send(HTTPStatus.OK, "application/json", b"{}" if is_known else payload.body)
        elif place == "static":
            self._send_static(name)
        elif not place and name == "metrics":
            text = prometheus(watcher.board).encode()
            self._send(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", text)
        elif not place and name == "healthz":
            is_healthy, facts = health(watcher.board)
            status = HTTPStatus.OK if is_healthy else HTTPStatus.SERVICE_UNAVAILABLE
            self._send(status, "application/json", (json.dumps(facts) + "\n").encode())
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is: {', '.join(PAGES)}, metrics, healthz")

    def _send_static(self, name: str) -> None:
        try:
            body, tag = static_file(name)
        except KeyError:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such file")
            return
        kind = _KINDS[name[name.rindex(".") :]]
        self._send_tagged(f"{kind}; charset=utf-8", body, tag)

    def _send_tagged(self, kind: str, body: bytes, tag: str) -> None:
        if self.headers.get("If-None-Match") == tag:
            self._send(HTTPStatus.NOT_MODIFIED, kind, b"", {"ETag": tag})
        else:
            self._send(HTTPStatus.OK, kind, body, {"ETag": tag, "Cache-Control": "no-cache"})

    def _is_for_us(self) -> bool:
        host = self.headers.get("Host", "").strip().lower()
        name, colon, port = host.rpartition(":")
        return (name if colon and port.isdecimal() else host) in self.server.names

    def _is_allowed(self) -> bool:
        token = self.server.token
        if token is None:
            return True
        kind, _, rest = self.headers.get("Authorization", "").partition(" ")
        given = rest.strip()
        if kind.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except ValueError:
                return False
        return kind.lower() in ("basic", "bearer") and hmac.compare_digest(
            given.encode(), token.encode()
        )

    def _refuse(self, status: HTTPStatus, why: str, extra: Mapping[str, str] | None = None) -> None:
        self._send(status, "text/plain; charset=utf-8", (why + "\n").encode(), extra)

    def _send(
        self, status: HTTPStatus, kind: str, body: bytes, extra: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        headers = {"Cache-Control": "no-store", **HEADERS, **(extra or {})}
        if status is not HTTPStatus.NOT_MODIFIED:
            headers |= {"Content-Type": kind, "Content-Length": str(len(body))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing: a page asks every second."""
