"""The server: GET alone, own names alone, a strict policy, and STALE where nothing beats."""

import http.client
import json
from base64 import b64encode

import pytest

from instgov_dagster.adapters.runtime import Home, VirtualClock
from instgov_dagster.dashboard.model import Standing
from instgov_dagster.dashboard.pages import PAGES
from instgov_dagster.dashboard.reading.board import BoardReader
from instgov_dagster.dashboard.serving.server import DashboardServer, require_safe
from instgov_dagster.dashboard.serving.watcher import Watcher
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster_tests.dashboard.conftest import served

Answer = tuple[int, dict[str, str], bytes]


def ask(server: DashboardServer, path: str, method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"])
def test_every_method_but_get_is_refused(server: DashboardServer, method: str) -> None:
    status, headers, _ = ask(server, "/overview", method)
    assert (status, headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8050", "127.0.0.1.evil.example", ""]
)
def test_a_foreign_host_is_refused_wherever_it_asks(server: DashboardServer, host: str) -> None:
    for path in ("/overview", "/api/overview", "/metrics", "/healthz", "/static/board.js"):
        status, _, body = ask(server, path, Host=host)
        assert status == 421
        assert b"NAV" not in body


def test_the_policy_allows_this_server_s_own_files_and_no_inline_script(
    server: DashboardServer,
) -> None:
    for path in ("/overview", "/api/overview", "/static/board.js", "/metrics", "/nowhere"):
        _, headers, _ = ask(server, path)
        rules = dict(
            rule.strip().partition(" ")[::2]
            for rule in headers["Content-Security-Policy"].split(";")
        )
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == rules["style-src"] == "'self'"
        assert rules["frame-ancestors"] == "'none'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("key", PAGES)
def test_each_page_is_a_document_with_its_tables_and_no_script_of_its_own(
    server: DashboardServer, key: str
) -> None:
    status, headers, body = ask(server, f"/{key}")
    text = body.decode()
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert text.count("<script") == text.count('<script src="/static/')
    assert " style=" not in text
    assert "onclick" not in text
    assert "<table>" in text
    assert "SIMULATED" in text


@pytest.mark.parametrize("key", PAGES)
def test_each_page_s_parts_name_a_picture_and_what_it_says(
    server: DashboardServer, key: str
) -> None:
    told = json.loads(ask(server, f"/api/{key}")[2])
    assert (told["state"], told["standing"]) == ("RUNNING", "ENDED")
    keys = [row["key"] for row in told["sections"]]
    assert len(keys) == len(set(keys))
    for row in told["sections"]:
        assert (row["figure"] is not None) == ('class="plot"' in row["html"])
        if row["figure"] is not None:
            assert 'role="img" aria-label="' in row["html"]
            assert "<table>" in row["html"]


def test_what_is_known_is_not_sent_again(server: DashboardServer) -> None:
    tag = json.loads(ask(server, "/api/beliefs")[2])["tag"]
    assert ask(server, f"/api/beliefs?known={tag}")[2] == b"{}"
    assert ask(server, "/api/beliefs?known=other")[2] != b"{}"


def test_one_decision_is_taken_apart_by_its_address(server: DashboardServer) -> None:
    told = json.loads(ask(server, "/api/decisions?symbol=KO")[2])
    (section,) = [row for row in told["sections"] if row["key"] == "decision"]
    assert "KO was decided" in section["html"]
    for caption in ("Gates", "Reasons", "Inputs and where they come from", "Bids of the auction"):
        assert caption in section["html"]
    body = ask(server, "/decisions?symbol=%3Cscript%3Ealert(1)%3C/script%3E")[2]
    assert b"<script>alert" not in body
    assert b"&lt;script&gt;alert(1)" in body


def test_an_unknown_place_is_not_found(server: DashboardServer) -> None:
    for path in ("/nowhere", "/api/nowhere", "/static/../server.py", "/static/server.py", "/api"):
        assert ask(server, path)[0] == 404


def test_metrics_and_health_tell_the_state_and_the_limits(server: DashboardServer) -> None:
    status, headers, body = ask(server, "/metrics")
    rows = [line for line in body.decode().splitlines() if not line.startswith("#")]
    told = dict(line.rsplit(" ", 1) for line in rows)
    assert (status, headers["Content-Type"][:10]) == (200, "text/plain")
    assert told['instgov_system_state{state="RUNNING"}'] == "1"
    assert told['instgov_standing{standing="ENDED"}'] == "1"
    assert float(told['instgov_limit_limit{name="CVaR, gate"}']) == Policy().cvar.portfolio_limit
    assert float(told["instgov_nav_usd"]) > 0
    status, _, body = ask(server, "/healthz")
    assert (status, json.loads(body)["is_healthy"]) == (200, True)


def test_a_halt_is_in_the_banner_with_its_cause_and_its_words_are_escaped(halted: Home) -> None:
    with served(halted) as running:
        text = ask(running, "/overview")[2].decode()
        assert 'data-state="HALT_SYSTEM"' in text
        assert "OPERATOR_HALT" in text
        assert "<b>fire</b>" not in text
        assert ask(running, "/healthz")[0] == 200
        assert b'instgov_causes{reason_code="OPERATOR_HALT"} 1' in ask(running, "/metrics")[2]


def test_a_dead_leader_is_stale_on_every_page_and_no_health(stale: Home) -> None:
    with served(stale) as running:
        for key in PAGES:
            assert b'data-standing="STALE"' in ask(running, f"/{key}")[2]
        assert ask(running, "/healthz")[0] == 503


def test_an_empty_home_has_every_page_and_says_what_is_missing(empty: Home) -> None:
    with served(empty) as running:
        for key in PAGES:
            status, _, body = ask(running, f"/{key}")
            assert status == 200
            assert b'data-standing="EMPTY"' in body
        assert b"instgov_nav_usd NaN" in ask(running, "/metrics")[2]
    assert not empty.root.exists()


def test_a_reading_that_is_old_is_never_shown_as_live(recorded: Platform) -> None:
    reader = BoardReader(recorded.home, Policy(), key=None)
    clock = VirtualClock(reader.read().at)
    watcher = Watcher(reader, clock=clock)
    assert watcher.board.standing is Standing.ENDED
    clock.sleep_until(watcher.board.at.replace(year=2100))
    board = watcher.board
    assert board.standing is Standing.STALE
    assert "was last read" in board.problems[-1]


def test_a_reading_that_fails_leaves_the_last_one_as_stale(
    recorded: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = BoardReader(recorded.home, Policy(), key=None)
    watcher = Watcher(reader)

    def fail() -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(reader, "read", fail)
    watcher.refresh()
    assert watcher.board.standing is Standing.STALE
    assert "MemoryError: no room" in watcher.board.problems[-1]


def test_another_address_needs_a_token_long_enough() -> None:
    require_safe("127.0.0.1", None)
    require_safe("::1", None)
    require_safe("localhost", None)
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):  # noqa: S104  # what is refused
        with pytest.raises(InputError, match="--host must be of the loopback"):
            require_safe(host, None)
        with pytest.raises(InputError, match="at least 16 characters, had 5"):
            require_safe(host, "short")
        require_safe(host, "x" * 16)


def test_with_a_token_nobody_is_answered_without_it(recorded: Platform) -> None:
    token = "a-token-of-enough-length"  # noqa: S105  # of this test
    basic = b64encode(f"me:{token}".encode()).decode()
    wrong = b64encode(b"me:another-token-of-enough").decode()
    with served(recorded.home, token=token) as running:
        status, headers, _ = ask(running, "/overview")
        assert (status, headers["WWW-Authenticate"]) == (401, "Basic")
        for given in (f"Basic {wrong}", "Basic !", "Bearer no", f"Digest {token}", token):
            assert ask(running, "/metrics", Authorization=given)[0] == 401
        assert ask(running, "/overview", Authorization=f"Bearer {token}")[0] == 200
        assert ask(running, "/overview", Authorization=f"Basic {basic}")[0] == 200


def test_a_reader_that_goes_away_is_no_failure_and_a_page_that_fails_is_told(
    recorded: Platform, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with served(recorded.home) as running:

        def gone(*_: object) -> bytes:
            raise BrokenPipeError("the reader left")

        monkeypatch.setattr(running.watcher, "document_of", gone)
        with pytest.raises(http.client.RemoteDisconnected):
            ask(running, "/overview")

        def fail(*_: object) -> bytes:
            raise ValueError("a page that cannot be made")

        monkeypatch.setattr(running.watcher, "document_of", fail)
        status, headers, body = ask(running, "/overview")
        assert (status, body) == (500, b"the page cannot be made: ValueError\n")
        assert "Content-Security-Policy" in headers
    assert "BrokenPipeError" not in capfd.readouterr().err
