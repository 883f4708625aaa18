"""A session killed at any instant loses nothing it acknowledged and does nothing twice."""

import random
import signal
import tempfile
from pathlib import Path

import pytest

from instgov_dagster.adapters.journal import read_frames
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.loop.folding.replay import Replay
from instgov_dagster.loop.platform import Platform, open_platform
from instgov_dagster_tests.loop.homes import copy_home, settings_of
from instgov_dagster_tests.loop.live.victims import KILLS as INSTANTS
from instgov_dagster_tests.loop.live.witness import (
    LOOP,
    Executioner,
    require_nothing_lost,
    require_whole,
)

KILLED = -signal.SIGKILL
KILLS, KILLS_A_HOME = 100, 10


def replayed(home: Path) -> bool:
    platform = open_platform(settings_of(home), {})
    replay = Replay(platform.home, platform.policy, key=platform.key, code_hash=platform.code_hash)
    report = replay.run()
    assert report.different == []
    return report.ok


def recovered_rows(home: Path) -> list[tuple[str, str]]:
    """Give what recovering frames say of orders: the status, and the last of its reasons."""
    return [
        (row["status"], row["reason_codes"][-1])
        for frame in read_frames(Home(home).journal_dir, LOOP)
        if frame.meta.get("recovered")
        for row in frame.table().column("orders").combine_chunks().flatten().to_pylist()
    ]


@pytest.mark.roadmap("0.6")
@pytest.mark.parametrize(
    ("point", "times", "expected"),
    [
        ("frame_before_order", 2, {("NEVER_SENT", "ORDER_NEVER_SENT")}),
        ("order_before_commit", 2, {("NEVER_SENT", "ORDER_NEVER_SENT")}),
        ("commit_before_answer", 2, {("FILLED", "ORDER_RECOVERED")}),
        ("answer_before_outcome", 2, {("FILLED", "ORDER_RECOVERED")}),
    ],
)
def test_what_a_killed_leader_left_is_settled_by_the_broker_s_word(
    block: Executioner, home: Path, point: str, times: int, expected: set[tuple[str, str]]
) -> None:
    ended = block.lead(home, cycles=50, point=point, times=times)
    assert ended.status == KILLED
    require_nothing_lost(home, ended)
    again = block.lead(home, cycles=1)
    assert again.report is not None
    assert set(recovered_rows(home)) == expected
    assert again.report["recovered"] == len(recovered_rows(home))
    assert "ORDER_RECOVERED" in again.report["reason_codes"]
    require_whole(home)


@pytest.mark.roadmap("0.6")
def test_a_frame_that_was_half_written_is_cut_and_said(block: Executioner, home: Path) -> None:
    ended = block.lead(home, cycles=50, point="in_frame", times=4)
    assert ended.status == KILLED
    require_nothing_lost(home, ended)
    again = block.lead(home, cycles=1)
    assert again.report is not None
    started = next(
        frame.meta
        for frame in reversed(list(read_frames(Home(home).journal_dir, LOOP)))
        if frame.meta.get("event") == "started"
    )
    assert started["torn"] == again.report["torn"]
    assert started["torn"]["bytes"] == 4096
    assert len(started["torn"]["sha256"]) == 64
    assert "TORN_TAIL_CUT" in started["reason_codes"]
    assert "TORN_TAIL_CUT" in again.report["reason_codes"]
    require_whole(home)


def kill_again_and_again(block: Executioner, home: Path, *, kills: int, seed: int) -> int:
    """Kill sessions one after the other, at instants and points drawn by seed; count the dead."""
    draw, dead = random.Random(seed), 0  # noqa: S311  # not for secrets
    for _ in range(kills):
        if draw.random() < 0.5:
            instant = (draw.randint(1, 12), draw.uniform(0.0005, 0.25))
            ended = block.lead(home, cycles=1000, kill_after=instant)
        else:
            point = draw.choice(sorted(INSTANTS))
            times = draw.randint(1, 6)
            # Where too little is traded for the point to be reached, an instant ends it as well.
            ended = block.lead(home, cycles=1000, kill_after=(40, 0.01), point=point, times=times)
        assert ended.refused == []
        dead += ended.status == KILLED
        require_nothing_lost(home, ended)
    return dead


@pytest.mark.roadmap("0.6")
def test_a_session_killed_at_random_instants_loses_nothing_and_repeats_nothing(
    block: Executioner, home: Path
) -> None:
    assert kill_again_and_again(block, home, kills=3, seed=1) == 3
    assert block.lead(home, cycles=1).report is not None
    require_whole(home)
    assert replayed(home)


@pytest.mark.nightly
@pytest.mark.roadmap("0.6")
def test_a_hundred_kills_lose_nothing_and_repeat_nothing(
    block: Executioner, night_platform: Platform, tmp_path: Path
) -> None:
    dead = 0
    for number in range(KILLS // KILLS_A_HOME):
        # A fresh copy trades most in its first cycles, where a kill has the most to break.
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            home = copy_home(night_platform, Path(folder)).home.root
            dead += kill_again_and_again(block, home, kills=KILLS_A_HOME, seed=number)
            assert block.lead(home, cycles=1).report is not None
            require_whole(home)
            assert replayed(home)
    assert dead == KILLS
