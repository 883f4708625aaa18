"""The schedules: the day each asks for, and when it does not ask."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from instgov_dagster.defs.automation.schedules import after_session_schedule, nightly_schedule
from instgov_dagster.defs.resources import PlatformResource

NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as started:
        yield started


def tick(instance: dg.DagsterInstance, *clock: int) -> dg.RunRequest | dg.SkipReason:
    year, month, day, hour, minute = clock
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime(year, month, day, hour, minute, tzinfo=NEW_YORK),
        resources={"platform": PlatformResource()},
    ) as context:
        answer = nightly_schedule(context)
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


@pytest.mark.roadmap("2.1")
@pytest.mark.parametrize(
    ("clock", "day"),
    [
        ((2025, 3, 12, 2, 0), "2025-03-12"),  # a Wednesday
        ((2025, 3, 15, 2, 0), "2025-03-15"),  # a Saturday: crypto has no weekend
        ((2025, 3, 9, 3, 0), "2025-03-09"),  # the night without a two o'clock
        ((2025, 11, 2, 2, 0), "2025-11-02"),  # the night with an hour twice
        ((2025, 12, 25, 2, 0), "2025-12-25"),
    ],
)
def test_a_tick_asks_for_the_day_that_has_just_begun(
    instance: dg.DagsterInstance, clock: tuple[int, ...], day: str
) -> None:
    request = tick(instance, *clock)
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.run_key) == (day, f"night-{day}")


@pytest.mark.roadmap("2.1")
@pytest.mark.parametrize(
    ("clock", "is_asked"),
    [
        ((2025, 3, 12, 2, 0), True),
        ((2025, 3, 12, 10, 0), False),  # the exchange trades
        ((2025, 3, 12, 17, 59), False),  # it closed less than two hours ago
        ((2025, 3, 12, 18, 0), True),
        ((2025, 3, 12, 8, 31), False),  # it opens within the hour
        ((2025, 3, 15, 12, 0), True),  # a Saturday
    ],
)
def test_the_live_market_is_asked_for_outside_trading_hours_only(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    clock: tuple[int, ...],
    is_asked: bool,  # noqa: FBT001  # a column of the table
) -> None:
    monkeypatch.setenv("INSTGOV_MARKET", "live")
    answer = tick(instance, *clock)
    assert isinstance(answer, dg.RunRequest) is is_asked
    if isinstance(answer, dg.SkipReason):
        assert answer.skip_message
        assert "INGESTION_WINDOW_CLOSED" in answer.skip_message


def follow(instance: dg.DagsterInstance, home: Path, *clock: int) -> dg.RunRequest | dg.SkipReason:
    year, month, day, hour, minute = clock
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime(year, month, day, hour, minute, tzinfo=NEW_YORK),
        resources={"platform": PlatformResource(home=str(home))},
    ) as context:
        answer = after_session_schedule(context)
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def test_what_follows_a_day_is_asked_for_once_it_has_ended_and_was_traded(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    clock = (2025, 3, 12, 1, 30)
    assert isinstance(follow(instance, tmp_path, *clock), dg.SkipReason)
    (tmp_path / "journal" / "loop").mkdir(parents=True)
    request = follow(instance, tmp_path, *clock)
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.run_key) == ("2025-03-11", "after-2025-03-11")
