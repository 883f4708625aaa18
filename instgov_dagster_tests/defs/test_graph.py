"""The day as a partition: New York's, whatever the clock of the machine says."""

from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from instgov_dagster.defs.graph import DAYS, Wing, day_of, market_day
from instgov_dagster.vocabulary.errors import InputError


def test_the_day_of_a_step_is_its_partition() -> None:
    context = dg.build_asset_context(partition_key="2025-03-12")
    assert day_of(context).isoformat() == "2025-03-12"


def test_a_run_without_a_partition_has_no_day() -> None:
    with pytest.raises(InputError, match="one day: launch it with a partition"):
        day_of(dg.build_asset_context())


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2025, 3, 12, 3, 59, tzinfo=UTC), "2025-03-11"),
        (datetime(2025, 3, 12, 4, 0, tzinfo=UTC), "2025-03-12"),
        (datetime(2025, 1, 15, 4, 59, tzinfo=UTC), "2025-01-14"),
        (datetime(2025, 1, 15, 5, 0, tzinfo=UTC), "2025-01-15"),
    ],
)
def test_a_day_turns_at_midnight_in_new_york_in_summer_and_winter(
    instant: datetime, day: str
) -> None:
    assert market_day(instant).isoformat() == day


def test_todays_partition_is_open_from_its_own_midnight() -> None:
    first_minute = datetime(2025, 3, 12, 4, 1, tzinfo=UTC)
    with partition_loading_context(effective_dt=first_minute):
        assert DAYS.get_last_partition_key() == "2025-03-12"


def test_each_wing_has_one_team() -> None:
    assert [wing.owners for wing in Wing] == [
        ["team:bars"], ["team:beliefs"], ["team:capital"], ["team:governance"]
    ]  # fmt: skip
