"""How a session ends before its last cycle: asked to, refused, or out of disk."""

import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from instgov_dagster.adapters.journal import read_frames
from instgov_dagster.adapters.paper.store import read_account
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.loop.live.operator import act
from instgov_dagster.loop.platform import Platform, open_platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF, settings_of
from instgov_dagster_tests.loop.live.witness import (
    LOOP,
    Executioner,
    require_nothing_lost,
    require_whole,
)

TERM, INT = signal.SIGTERM, signal.SIGINT
# Bytes the segment may still grow by: less than a cycle's frame.
LESS_THAN_A_FRAME = 12_000


class Usage(NamedTuple):
    """What the operating system says of a disk."""

    total: int
    used: int
    free: int


def sent(home: Path) -> list[str]:
    account = read_account(Home(home).paper_account)
    return [outcome.order.client_order_id for outcome in account.outcomes] if account else []


def last_frame(home: Path) -> dict[str, object]:
    return dict(list(read_frames(Home(home).journal_dir, LOOP))[-1].meta)


@pytest.mark.parametrize(("number", "period"), [(TERM, 0.0), (INT, 3600.0)])
def test_a_session_that_is_asked_to_end_ends_in_order_after_the_cycle_in_hand(
    block: Executioner, home: Path, number: signal.Signals, period: float
) -> None:
    # Asked in its first cycles, or while it waits an hour for the second.
    after = 3 if period else 6
    ended = block.lead(home, cycles=1000, period=period, signals=((after, number),))
    assert (ended.status, ended.refused) == (0, [])
    assert ended.report is not None
    assert 1 <= ended.report["cycles"] < 20
    assert ended.report["ended_by"] == number.name
    assert ended.report["reason_codes"][-2:] == ["SESSION_ENDED", "SESSION_STOP_REQUESTED"]
    told = last_frame(home)
    assert (told["event"], told["ended_by"]) == ("ended", number.name)
    assert told["reason_codes"] == ["SESSION_ENDED", "SESSION_STOP_REQUESTED"]
    account = read_account(Home(home).paper_account)
    assert account is not None
    assert "RESTING" not in {outcome.status for outcome in account.outcomes}
    require_whole(home)


def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(
    block: Executioner, home: Path
) -> None:
    ended = block.lead(home, cycles=1000, point="asked_twice", times=2)
    assert ended.report is None, ended.report
    assert ended.status == -TERM
    require_nothing_lost(home, ended)
    assert block.lead(home, cycles=1).report is not None
    require_whole(home)


@pytest.mark.roadmap("0.6")
def test_a_disk_that_fills_in_the_middle_of_a_frame_stops_before_an_order(
    block: Executioner, home: Path
) -> None:
    assert block.lead(home, cycles=2).report is not None
    before = sent(home)
    ended = block.lead(home, cycles=50, room=LESS_THAN_A_FRAME)
    assert ended.refused == ["SystemHalt", "AUDIT_WRITE_FAILED"]
    assert sent(home) == before != []
    require_nothing_lost(home, ended)
    platform = open_platform(settings_of(home), {})
    state = platform.state_log().refresh()
    assert state.name is SystemStateName.STOP_SYSTEM
    assert [cause.reason_code for cause in state.causes] == [ReasonCode.AUDIT_WRITE_FAILED]
    # Written off to the last good frame by the writer itself: no byte is left over.
    assert max(ended.receipts) == list(read_frames(platform.home.journal_dir, LOOP))[-1].sequence
    stopped = block.lead(home, cycles=1)
    assert stopped.report is not None
    assert (stopped.report["orders"], stopped.report["torn"]) == (0, None)
    act(platform.home, platform.key, operator="ro", reason="freed space", is_halt=False)
    assert block.lead(home, cycles=1).report is not None
    require_whole(home)


@pytest.mark.roadmap("0.6")
def test_a_writer_that_dies_on_the_full_disk_leaves_a_tail_that_the_next_one_cuts(
    block: Executioner, home: Path
) -> None:
    assert block.lead(home, cycles=2).report is not None
    before = sent(home)
    ended = block.lead(home, cycles=50, room=LESS_THAN_A_FRAME, point="disk_full", times=1)
    assert ended.status == -signal.SIGKILL
    assert sent(home) == before
    require_nothing_lost(home, ended)
    again = block.lead(home, cycles=1)
    assert again.report is not None
    assert again.report["torn"]["bytes"] > 0
    assert "TORN_TAIL_CUT" in again.report["reason_codes"]
    require_whole(home)


def test_a_disk_that_fills_under_the_broker_leaves_an_answer_to_be_looked_up(
    block: Executioner, home: Path
) -> None:
    ended = block.lead(home, cycles=2)
    assert ended.report is not None
    ended = block.lead(home, cycles=50, point="account_full", times=1)
    assert ended.refused == ["SystemHalt", "ORDER_UNKNOWN_OUTCOME"]
    require_nothing_lost(home, ended)
    stopped = block.lead(home, cycles=1)
    assert stopped.report is not None
    assert (stopped.report["orders"], stopped.report["state"]) == (0, "STOP_SYSTEM")
    assert stopped.report["recovered"] > 0
    require_whole(home)


def test_space_that_runs_out_between_two_cycles_stops_before_the_next(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def usage(path: Path) -> Usage:
        asked.append(path)
        return Usage(10**12, 0, 10**12 if len(asked) < 4 else 0)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(SystemHalt) as halt:
        run_session(platform, ASOF, cycles=50, period_seconds=0.0, run_id="test")
    assert halt.value.reason_code is ReasonCode.DISK_FULL
    kinds = [frame.kind for frame in read_frames(platform.home.journal_dir, LOOP)]
    assert kinds.count("cycle") == 2  # asked at the start, then before each cycle
    assert platform.state_log().refresh().name is SystemStateName.STOP_SYSTEM
