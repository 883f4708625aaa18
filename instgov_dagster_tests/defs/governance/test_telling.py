"""A session's minutes in the event log; and the alert where that log is full."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.cli.instance import open_instance
from instgov_dagster.defs.governance.telling import MinuteTeller
from instgov_dagster.loop.live.report import Minute
from instgov_dagster_tests.adapters.alerts.servers import Listeners, listening

MINUTE = Minute(
    cycles=60,
    late=1,
    orders=4,
    fills=2,
    cycle_ms_p50=12.0,
    cycle_ms_p99=31.5,
    cycle_ms_max=40.25,
    behind_ms_max=1.5,
    nav_usd=10_000_000.0,
    gross=0.07,
    cvar=0.01,
    cvar_gate=0.02,
)


@pytest.fixture
def listeners(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listeners]:
    with listening() as both:
        for name, value in both.environment.items():
            monkeypatch.setenv(name, value)
        yield both


@contextmanager
def full_event_log() -> Iterator[None]:
    """Let SQLite itself refuse every page that would make a file of it grow."""

    def no_more_pages(connection: sqlite3.Connection, record: Any) -> None:
        del record
        connection.execute("PRAGMA max_page_count = 1")  # SQLite makes it the pages there are

    event.listen(Engine, "connect", no_more_pages)
    try:
        yield
    finally:
        event.remove(Engine, "connect", no_more_pages)


def run_told(home: Path, *, minutes: int, is_full: bool) -> tuple[bool, list[dict[str, Any]]]:
    """Tell minutes from within a step of a recorded run; give whether it ended well, and them."""

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["2025-03-12"]))
    def live_decisions(context: dg.AssetExecutionContext) -> None:
        if is_full:
            with full_event_log(), MinuteTeller(context, str(home)) as teller:
                for _ in range(minutes):
                    teller.tell(MINUTE)
        else:
            with MinuteTeller(context, str(home)) as teller:
                for _ in range(minutes):
                    teller.tell(MINUTE)

    with open_instance(home) as instance:
        result = dg.materialize([live_decisions], instance=instance, partition_key="2025-03-12")
        records = instance.fetch_observations(dg.AssetKey("live_decisions"), limit=100).records
        told = [row.asset_observation for row in reversed(records)]
    facts = [
        {name: value.value for name, value in row.metadata.items()} | {"partition": row.partition}
        for row in told
        if row is not None
    ]
    return result.success, facts


@pytest.mark.roadmap("3.2")
def test_each_minute_is_one_observation_of_the_run_with_its_numbers(tmp_path: Path) -> None:
    success, told = run_told(tmp_path, minutes=2, is_full=False)
    assert success
    assert len(told) == 2
    assert told[0]["partition"] == "2025-03-12"
    assert (told[0]["cycles"], told[0]["late"], told[0]["left_out"]) == (60, 1, 0)
    assert (told[0]["cycle_ms_p99"], told[0]["gross"], told[0]["cvar"]) == (31.5, 0.07, 0.01)


@pytest.mark.roadmap("3.2")
def test_a_full_event_log_raises_an_alert_that_arrives_and_the_session_goes_on(
    tmp_path: Path, listeners: Listeners
) -> None:
    home = Home(tmp_path / "data")
    success, told = run_told(home.root, minutes=40, is_full=True)
    assert success
    assert len(told) < 40
    assert listeners.events() == [("event_log_unwritable", ["EVENT_LOG_UNWRITABLE"])]
    (post,) = listeners.hook.posts
    assert post["level"] == "ERROR"
    assert post["facts"]["home"] == str(home.root)
    assert "OperationalError" in post["facts"]["message"]
