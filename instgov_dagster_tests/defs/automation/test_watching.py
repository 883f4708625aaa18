"""The health sensor: what is wrong arrives at a mail server and a webhook, and so does its end."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
)
from dagster._daemon.types import DaemonHeartbeat

from instgov_dagster.adapters.runtime import Home, RealClock
from instgov_dagster.adapters.store.published import publish
from instgov_dagster.cli.instance import open_instance
from instgov_dagster.defs.automation.watching import health_sensor
from instgov_dagster.defs.vitals import LOOP_SENSOR, NEEDED_DAEMONS, daemon_age, session_wanted
from instgov_dagster.governance.state import unknown_state
from instgov_dagster_tests.adapters.alerts.servers import Listeners, listening
from instgov_dagster_tests.adapters.store.projector.journals import (
    open_journal,
    run_project,
    write_cycle,
    write_session,
)
from instgov_dagster_tests.defs.conftest import Installation


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as started:
        beat(started, RealClock().now())
        yield started


@pytest.fixture
def listeners(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listeners]:
    with listening() as both:
        for name, value in both.environment.items():
            monkeypatch.setenv(name, value)
        yield both


def beat(instance: dg.DagsterInstance, at: datetime, *, but: str | None = None) -> None:
    for name in NEEDED_DAEMONS:
        if name != but:
            instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), name, "d", []))


def tick(instance: dg.DagsterInstance, fresh: Installation, cursor: str | None = None) -> str:
    platform = fresh.platform()
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"platform": platform}
    ) as context:
        answer = health_sensor(context)
    assert isinstance(answer, dg.SensorResult)
    assert answer.cursor is not None
    return answer.cursor


def age_loop(home: Home, seconds: float) -> None:
    then = RealClock().now().timestamp() - seconds
    for path in (home.heartbeat, *(home.journal_dir / "loop").glob("*.igj")):
        path.touch()
        os.utime(path, times=(then, then))


def lead(home: Home) -> None:
    """Leave what a session leaves that has not ended: frames, a heartbeat, a projection."""
    home.dagster.mkdir(parents=True)
    with open_journal(home) as journal:
        write_cycle(journal, 0)
    run_project(home, recorded_at=RealClock().now())


def test_a_hung_leader_is_told_once_and_its_return_as_well(
    instance: dg.DagsterInstance, fresh: Installation, listeners: Listeners
) -> None:
    home = Home(fresh.home)
    lead(home)
    age_loop(home, 1.0)
    cursor = tick(instance, fresh)
    assert (cursor, listeners.events()) == ("HEALTHY", [])
    age_loop(home, 40.0)
    cursor = tick(instance, fresh, cursor)
    assert cursor == "LEADER_SILENT"
    assert tick(instance, fresh, cursor) == "LEADER_SILENT"
    assert listeners.events() == [("health", ["LEADER_SILENT"])]
    (post,) = listeners.hook.posts
    assert post["facts"]["home"] == str(fresh.home)
    assert post["facts"]["numbers"]["LEADER_SILENT"]["value"] == pytest.approx(40.0, abs=15.0)
    age_loop(home, 1.0)
    assert tick(instance, fresh, cursor) == "HEALTHY"
    assert listeners.events()[1:] == [("health", ["HEALTHY"])]


def test_a_projection_that_lags_is_told_with_by_how_much(
    instance: dg.DagsterInstance, fresh: Installation, listeners: Listeners
) -> None:
    home = Home(fresh.home)
    home.dagster.mkdir(parents=True)
    write_session(home, range(2))
    run_project(home, recorded_at=RealClock().now() - timedelta(seconds=300))
    write_session(home, range(2, 4))
    assert tick(instance, fresh) == "PROJECTION_LAGS"
    (post,) = listeners.hook.posts
    told = post["facts"]["numbers"]["PROJECTION_LAGS"]
    assert told["value"] >= 300.0
    assert told["bound"] == 60.0
    assert post["level"] == "WARNING"
    assert listeners.events() == [("health", ["PROJECTION_LAGS"])]


def test_a_chain_that_cannot_be_read_is_no_health(
    instance: dg.DagsterInstance, fresh: Installation
) -> None:
    home = Home(fresh.home)
    home.dagster.mkdir(parents=True)
    write_session(home, range(4), segment_bytes=2000)
    min((home.journal_dir / "loop").glob("*.igj")).unlink()
    # The state is unknown, which is STOP: nobody is missed, and readers see nothing new.
    assert tick(instance, fresh) == "PROJECTION_LAGS"


def test_the_daemons_are_as_old_as_the_oldest_and_one_that_never_beat_is_unseen() -> None:
    now = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        assert daemon_age(instance, now) is None
        beat(instance, now - timedelta(seconds=10), but="SCHEDULER")
        assert daemon_age(instance, now) is None
        beat(instance, now - timedelta(seconds=30), but="SENSOR")
        assert daemon_age(instance, now) == 30.0


def turn_on(instance: dg.DagsterInstance, at: datetime) -> None:
    origin = RemoteInstigatorOrigin(
        repository_origin=RemoteRepositoryOrigin(
            code_location_origin=RegisteredCodeLocationOrigin("here"), repository_name="r"
        ),
        instigator_name=LOOP_SENSOR,
    )
    instance.add_instigator_state(
        InstigatorState(
            origin,
            InstigatorType.SENSOR,
            InstigatorStatus.RUNNING,
            SensorInstigatorData(last_sensor_start_timestamp=at.timestamp()),
        )
    )


def test_a_session_is_missed_from_when_it_was_first_wanted(fresh: Installation) -> None:
    home, now = Home(fresh.home), RealClock().now()
    state = fresh.platform().state_log().refresh()
    with open_instance(fresh.home) as instance:
        beat(instance, now)
        assert session_wanted(home, instance, state, now) is None
        turn_on(instance, now - timedelta(seconds=400))
        assert session_wanted(home, instance, state, now) is None  # no night is published
        pointer = home.published / "night" / "CURRENT.json"
        pointer.parent.mkdir(parents=True)
        pointer.write_text("{}")
        os.utime(pointer, times=((now - timedelta(hours=8)).timestamp(),) * 2)
        assert session_wanted(home, instance, state, now) == pytest.approx(400.0)
        assert session_wanted(home, instance, unknown_state("a drill"), now) is None
        assert tick(instance, fresh) == "SESSION_MISSING"


@pytest.mark.parametrize(
    ("symbols", "instant", "wanted"),
    [
        ("SPY", "2025-03-12T15:00", 5400.0),  # New York opened at 13:30 UTC
        ("SPY", "2025-03-12T13:29", None),
        ("SPY", "2025-03-12T20:00", None),
        ("SPY", "2025-03-15T15:00", None),  # a Saturday
        ("SPY EURUSD=X", "2025-03-12T03:00", 10_800.0),  # FX: since midnight
        ("SPY BTC-USD", "2025-03-15T15:00", 54_000.0),  # crypto: always
    ],
)
def test_in_the_market_live_no_session_is_missed_while_every_market_is_closed(
    fresh: Installation, symbols: str, instant: str, wanted: float | None
) -> None:
    home, at = Home(fresh.home), datetime.fromisoformat(instant).replace(tzinfo=UTC)
    state = fresh.platform().state_log().refresh()
    rows = "".join(f'  - {{symbol: "{one}", sector: UNKNOWN}}\n' for one in symbols.split())
    rules = fresh.folder / "config"
    (rules / "universe.yaml").write_text(f"symbols:\n{rows}")
    table = {"symbols": pl.DataFrame({"symbol": ["SPY"]})}
    publish(home.published / "night", table, meta={"market": "live"}, keep=2)
    pointer = home.published / "night" / "CURRENT.json"
    os.utime(pointer, times=((at - timedelta(days=1)).timestamp(),) * 2)
    with open_instance(fresh.home) as instance:
        turn_on(instance, at - timedelta(days=2))
        found = session_wanted(home, instance, state, at, rules)
    assert found == (None if wanted is None else pytest.approx(wanted))
