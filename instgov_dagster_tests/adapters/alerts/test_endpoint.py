"""The endpoint: 200 or 503 with what is wrong, to whoever asks by a name it answers to."""

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from instgov_dagster.adapters.alerts.endpoint import Endpoint, prometheus

SIGNS = {"daemon_age_seconds": 12.5, "chain_sequence": 7, "state": "RUNNING", "lag": None}
WELL = (True, {"is_healthy": True, "reasons": ["HEALTHY"], "signs": SIGNS})
ILL = (False, {"is_healthy": False, "reasons": ["DAEMON_SILENT"], "signs": SIGNS})


class Platform:
    """What the endpoint looks at, to be changed by a test."""

    def __init__(self) -> None:
        self.now: tuple[bool, Mapping[str, Any]] | Exception = WELL

    def look(self) -> tuple[bool, Mapping[str, Any]]:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def endpoint(platform: Platform) -> Iterator[Endpoint]:
    served = Endpoint("127.0.0.1", 0, platform.look, names=frozenset({"watch.example.org"}))
    with served.serving():
        yield served


def ask(
    endpoint: Endpoint, path: str = "/healthz", *, method: str = "GET", host: str | None = None
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=10)
    try:
        connection.request(method, path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_healthy_platform_answers_200_and_an_ill_one_503_with_what_is_wrong(
    endpoint: Endpoint, platform: Platform
) -> None:
    status, body = ask(endpoint)
    assert (status, json.loads(body)["reasons"]) == (200, ["HEALTHY"])
    platform.now = ILL
    status, body = ask(endpoint)
    assert (status, json.loads(body)["reasons"]) == (503, ["DAEMON_SILENT"])


def test_a_look_that_fails_is_no_health_and_tells_no_more_than_its_kind(
    endpoint: Endpoint, platform: Platform
) -> None:
    platform.now = OSError("/secret/path")
    status, body = ask(endpoint)
    assert status == 503
    assert json.loads(body)["reasons"] == ["UNEXPECTED_FAILURE"]
    assert "secret" not in body


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8051", 200),
        ("[::1]:8051", 200),
        ("watch.example.org", 200),
        ("evil.example.org", 403),
        ("localhost.evil.example.org", 403),
    ],
)
def test_only_a_host_it_is_known_by_is_answered(endpoint: Endpoint, host: str, status: int) -> None:
    assert ask(endpoint, host=host)[0] == status


@pytest.mark.parametrize("path", ["/", "/healthz/", "/healthz?x=1", "/../etc/passwd"])
def test_there_is_nothing_else_to_ask_for(endpoint: Endpoint, path: str) -> None:
    assert ask(endpoint, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_get_is_answered(endpoint: Endpoint, method: str) -> None:
    assert ask(endpoint, method=method)[0] == 501


def test_the_metrics_are_the_same_numbers_and_an_unseen_one_is_no_number(
    endpoint: Endpoint, platform: Platform
) -> None:
    platform.now = ILL
    status, body = ask(endpoint, "/metrics")
    assert status == 200
    rows = {line for line in body.splitlines() if not line.startswith("#")}
    assert rows == {
        "instgov_healthy{} 0",
        'instgov_unhealthy{reason="DAEMON_SILENT"} 1',
        "instgov_daemon_age_seconds{} 12.5",
        "instgov_chain_sequence{} 7",
        "instgov_lag{} NaN",
        'instgov_state{state="RUNNING"} 1',
    }
    assert prometheus({"error": "OSError"}).splitlines()[-1] == "instgov_healthy{} 0"
