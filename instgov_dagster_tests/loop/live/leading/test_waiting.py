"""How a standby waits: for the kernel's lease, on a virtual clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from instgov_dagster.adapters.runtime import FileLock, VirtualClock
from instgov_dagster.adapters.runtime.stopping import StopRequest
from instgov_dagster.loop.live.leading.waiting import wait_to_lead
from instgov_dagster.vocabulary.errors import LeaseHeld

NOON = datetime(2025, 3, 12, 12, tzinfo=UTC)


class Wait:
    """One wait; at an instant of the virtual clock something is done."""

    def __init__(self, path: Path) -> None:
        self.leader, self.lease = FileLock(path), FileLock(path)
        self.leader.acquire()
        self.stop, self.obstacle = StopRequest(), ""
        self.clock = VirtualClock(NOON)
        self.caught_up: list[datetime] = []

    def catch_up(self) -> None:
        self.caught_up.append(self.clock.now())
        if self.clock.now() >= NOON + timedelta(seconds=10):
            self.leader.release()

    def run(self, *, until: datetime | None = None) -> None:
        wait_to_lead(
            self.lease,
            clock=self.clock,
            stop=self.stop,
            obstacle=lambda: self.obstacle or None,
            catch_up=self.catch_up,
            catch_up_seconds=1.0,
            until=until,
        )


@pytest.fixture
def wait(tmp_path: Path) -> Wait:
    return Wait(tmp_path / "live.lease")


def test_the_lease_is_taken_within_a_poll_of_its_release(wait: Wait) -> None:
    wait.run()
    assert wait.lease.is_intact()
    assert wait.clock.now() - wait.caught_up[-1] <= timedelta(seconds=0.05)
    # Read along once a second meanwhile.
    assert len(wait.caught_up) == 11


def test_a_standby_that_is_asked_to_end_says_that_it_never_led(wait: Wait) -> None:
    wait.stop.signal_name = "SIGTERM"
    with pytest.raises(LeaseHeld, match="never led: asked by SIGTERM"):
        wait.run()
    assert not wait.lease.is_held


def test_an_orphan_does_not_take_over_even_a_lease_that_is_free(wait: Wait) -> None:
    wait.leader.release()
    wait.obstacle = "its parent, process 7, has ended"
    with pytest.raises(LeaseHeld, match="its parent, process 7, has ended"):
        wait.run()
    assert not wait.lease.is_held


def test_a_wait_that_lasts_too_long_ends_without_leading(wait: Wait) -> None:
    with pytest.raises(LeaseHeld, match="is held by pid"):
        wait.run(until=NOON + timedelta(seconds=5))
    assert wait.clock.now() == NOON + timedelta(seconds=5)


def test_a_lease_whose_file_was_replaced_is_not_intact(wait: Wait) -> None:
    assert wait.leader.is_intact()
    wait.leader.path.unlink()
    assert not wait.leader.is_intact()
    wait.leader.path.write_text("another file")
    assert not wait.leader.is_intact()
    assert FileLock(wait.leader.path).try_acquire()  # which somebody else could hold beside it
