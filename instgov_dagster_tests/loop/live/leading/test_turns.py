"""Sessions in turn: one leads, one stands by, warm; each in a process of its own."""

import os
import signal
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from instgov_dagster.adapters.journal import Frame, read_frames
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.loop.live.leading.memory import PACED
from instgov_dagster.loop.live.leading.register import Role
from instgov_dagster.loop.platform import Platform, open_platform
from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster_tests.loop.homes import settings_of
from instgov_dagster_tests.loop.live.leading.hosts import Hosts, hosts
from instgov_dagster_tests.loop.live.witness import LOOP, require_whole

PERIOD = 0.25


def cycles_of(home: Path) -> list[Frame]:
    return [f for f in read_frames(Home(home).journal_dir, LOOP) if f.kind == "cycle"]


def began(frame: Frame) -> datetime:
    return datetime.fromisoformat(frame.meta[PACED]["began"])


def require_turns(home: Path, pids: list[int]) -> None:
    """Each led in turn, alone, and every cycle of the day was decided once."""
    frames = cycles_of(home)
    led = [frame.meta[PACED]["pid"] for frame in frames]
    assert list(dict.fromkeys(led)) == pids
    assert led == sorted(led, key=pids.index)
    instants = [frame.meta["timestamp"] for frame in frames]
    assert len(set(instants)) == len(instants)
    assert sorted(instants) == instants
    assert all(began(a) < began(b) for a, b in pairwise(frames))


@pytest.mark.roadmap("3.2", "3.4")
def test_a_standby_leads_on_where_the_leader_ends_or_is_killed(platform: Platform) -> None:
    home = platform.home.root
    with hosts(home) as started:
        first = started.start(cycles=24)
        started.until(Role.LEADER, first)
        second = started.start(cycles=4000)
        started.until_ready(second)
        assert started.outcome(first) == "led 24"
        started.until(Role.LEADER, second)
        third = started.start(cycles=4)
        started.until(Role.STANDBY, third)
        os.kill(second, signal.SIGKILL)
        assert started.outcome(third) == "led 4"
    require_turns(home, [first, second, third])
    require_whole(home)
    started_by = [f.meta for f in read_frames(Home(home).journal_dir, LOOP) if "event" in f.meta]
    begins = [meta for meta in started_by if meta["event"] == "started"]
    assert [meta["told_hash"] in (None, meta["started_hash"]) for meta in begins] == [True] * 3


@pytest.mark.nightly
def test_a_standby_that_is_asked_to_end_never_led_and_wrote_nothing(platform: Platform) -> None:
    home = platform.home.root
    with hosts(home) as started:
        leader = started.start(cycles=400)
        started.until(Role.LEADER, leader)
        standby = started.start(cycles=4)
        started.until(Role.STANDBY, standby)
        os.kill(standby, signal.SIGTERM)
        said = started.outcome(standby)
        assert said.startswith("refused LeaseHeld this session never led: asked by SIGTERM")
        os.kill(leader, signal.SIGTERM)
        assert started.outcome(leader).startswith("led ")
    require_turns(home, [leader])


def test_sessions_whose_parent_ends_send_nothing_more_and_latch_nothing(
    platform: Platform,
) -> None:
    home = platform.home.root
    with hosts(home) as started:
        leader = started.start(cycles=4000)
        started.until(Role.LEADER, leader)
        standby = started.start(cycles=4000)
        started.until(Role.STANDBY, standby)
        started.server.kill()
        Hosts.until(started, Role.LEADER, leader, is_so=False)
        Hosts.until(started, Role.STANDBY, standby, is_so=False)
    last = list(read_frames(Home(home).journal_dir, LOOP))[-1]
    assert (last.meta["event"], last.meta["ended_by"]) == ("ended", "FENCED")
    assert last.meta["reason_codes"] == ["SESSION_ENDED", "FENCED"]
    require_turns(home, [leader])  # the standby did not take over from an orphan
    opened = open_platform(settings_of(home), {})
    assert opened.state_log().refresh().name is SystemStateName.RUNNING
    require_whole(home)


@pytest.mark.nightly
def test_a_leader_that_was_stopped_goes_on_at_the_next_beat_and_sends_nothing_late(
    platform: Platform,
) -> None:
    home = platform.home.root
    with hosts(home) as started:
        leader = started.start(cycles=20)
        started.until(Role.LEADER, leader)
        started.until_beats(3)
        os.kill(leader, signal.SIGSTOP)
        standby = started.start(cycles=40)
        started.until_ready(standby)  # takes seconds; the lease stays the stopped one's
        os.kill(leader, signal.SIGCONT)
        assert started.outcome(leader) == "led 20"
        assert started.outcome(standby) == "led 40"
    require_turns(home, [leader, standby])
    late = [frame for frame in cycles_of(home) if frame.meta["is_late"]]
    assert late
    assert all(frame.meta["shares"] == {} for frame in late)  # held: nothing was ordered
    assert max(frame.meta[PACED]["missed"] for frame in late) > 1.0 / PERIOD
    require_whole(home)
