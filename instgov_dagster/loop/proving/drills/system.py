"""Drills of the system itself: clock, locks, other processes, broker, operator, stop."""

import sqlite3
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta

from instgov_dagster.adapters.runtime import FileLock, VirtualClock
from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.loop.live.operator import act
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.proving.drills.faults import (
    add_a_unit,
    believe,
    held_by_another_process,
    spoilt,
)
from instgov_dagster.loop.proving.drills.stage import Stage

_JUMP = timedelta(minutes=10)
_FIRST_PAGE = 4096
_SHORT_WAIT_SECONDS = 0.2


def clock_jump(stage: Stage) -> None:
    """Put the clock forward in the first cycle: it sends nothing any more, and the next is late.

    From the third on the session keeps time again, which is no fault.
    """
    clock = VirtualClock(stage.platform.now())

    def jump(quotes: Quotes, cycle: int) -> Quotes:
        if cycle == 0:
            stage.mark()
            clock.advance(_JUMP)
        return quotes

    jumped = replace(spoilt(stage.platform, spoil=jump), clock=clock)
    stage.lead(jumped, cycles=2, period=1.0)


def locked_warehouse(stage: Stage) -> None:
    """Begin a night while another process holds the warehouse."""
    warehouse = stage.platform.warehouse.model_copy(
        update={"busy_wait_seconds": _SHORT_WAIT_SECONDS}
    )
    with held_by_another_process(stage.platform.home.warehouse):
        stage.night_until(replace(stage.platform, warehouse=warehouse), "data_quality")


def corrupt_warehouse(stage: Stage) -> None:
    """Overwrite the warehouse's first page, and come as a new process."""
    session = stage.platform
    with session.home.warehouse.open("r+b") as stream:
        stream.write(b"\x00" * _FIRST_PAGE)
    stage.attempt(stage.reopen)
    stage.lead(session)


def two_leaders(stage: Stage) -> None:
    """Ask to lead while another leads."""
    frames = len(stage.frames())
    with FileLock(stage.platform.home.lease):
        stage.lead()
    written = len(stage.frames()) - frames
    stage.statistic = float(written)
    if written:
        stage.failures.append(f"the second leader wrote {written} frames")


def reconciliation_difference(stage: Stage) -> None:
    """Let the broker hold one unit more than the journal says."""
    stage.touched = frozenset({add_a_unit(stage.platform.home.paper_account)})
    stage.lead()


def unknown_outcome(stage: Stage) -> None:
    """Lock the broker's record from outside before the second cycle's answers are written."""
    account = stage.platform.home.paper_account
    with ExitStack() as held:

        def lock(quotes: Quotes, cycle: int) -> Quotes:
            if cycle == 1:
                stage.mark()
                other = held.enter_context(closing(sqlite3.connect(account, isolation_level=None)))
                other.execute("BEGIN IMMEDIATE")
            return quotes

        stage.lead(spoilt(stage.platform, spoil=lock), cycles=3)


def feed_failure(stage: Stage) -> None:
    """Let the feed raise between the first cycle's orders and the second's decisions."""
    believe(stage, "normal")  # in a calm market orders rest
    stage.lead(_failing(stage), cycles=3)
    stage.statistic = float(stage.resting())
    if not stage.resting():
        stage.failures.append("no order rested when the feed failed: the drill shows nothing")


def stopped_system(stage: Stage) -> None:
    """Lead a session after the stop of `feed_failure`, with its orders still resting."""
    feed_failure(stage)
    stage.codes.clear()
    stage.mark()
    stage.lead(cycles=2)


def _failing(stage: Stage) -> Platform:
    def fail(quotes: Quotes, cycle: int) -> Quotes:
        if cycle == 1:
            stage.mark()
            raise OSError("the feed is gone")
        return quotes

    return spoilt(stage.platform, spoil=fail)


def operator_halt(stage: Stage) -> None:
    """Halt as an operator does, then lead."""
    home, key = stage.platform.home, stage.platform.key
    act(home, key, operator="drill", reason="fire drill", is_halt=True)
    stage.lead()
