"""Five hundred cycles with kills, halts and interruptions: every one of them folds again."""

import signal
from pathlib import Path

import pytest

from instgov_dagster.adapters.journal import compact_chain, read_anchors, read_frames, verify_chain
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.loop.folding.replay import Replay, ReplayReport
from instgov_dagster.loop.live.operator import act
from instgov_dagster.loop.platform import Platform, open_platform
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster_tests.loop.homes import copy_home, settings_of
from instgov_dagster_tests.loop.live.victims import KILLS
from instgov_dagster_tests.loop.live.witness import Executioner, executioner

WANTED = 500
LOOP = Chain.LOOP.value


def replay_all(home: Path) -> ReplayReport:
    platform = open_platform(settings_of(home), {})
    return Replay(
        platform.home, platform.policy, key=platform.key, code_hash=platform.code_hash
    ).run()


def count_cycles(home: Path) -> int:
    chain = read_frames(Home(home).journal_dir, LOOP)
    return sum(frame.kind == "cycle" for frame in chain)


def operate(home: Path, *, is_halt: bool) -> None:
    act(Home(home), None, operator="ro", reason="a drill", is_halt=is_halt)


def lead_through_faults(block: Executioner, home: Path, *, wanted: int, cycles: int) -> None:
    """Lead sessions, a fault in each, until the chain holds so many cycles."""
    instants = list(KILLS)
    round_ = 0
    while count_cycles(home) < wanted:
        point = instants[round_ % len(instants)]
        # A book at its target sends nothing: a kill that waits for an order may never come.
        block.lead(home, cycles=cycles, point=point, times=2)
        operate(home, is_halt=True)
        block.lead(home, cycles=max(cycles // 8, 2))  # halted: reductions only, every cycle told
        operate(home, is_halt=False)
        block.lead(home, cycles=cycles, signals=((max(cycles // 2, 2), signal.SIGTERM),))
        block.lead(home, cycles=cycles, kill_after=(max(cycles // 3, 2), 0.01))
        round_ += 1


def compact(home: Path) -> int:
    place = Home(home)
    anchors = read_anchors(place.anchors, LOOP)
    done = compact_chain(place.journal_dir, LOOP, key=None, anchors=anchors)
    assert verify_chain(place.journal_dir, LOOP, anchors=anchors).ok
    return len(done)


def small_segments(home: Path) -> None:
    rules = home.parent / "config" / "policy.yaml"
    text = rules.read_text().replace("journal_segment_mib: 64", "journal_segment_mib: 1")
    rules.write_text(text)


@pytest.mark.roadmap("9.1")
def test_a_halt_an_interruption_and_a_kill_fold_again_as_every_cycle_does(
    platform: Platform,
) -> None:
    home = platform.home.root
    with executioner() as block:
        lead_through_faults(block, home, wanted=4, cycles=2)
    report = replay_all(home)
    assert report.different == []
    assert report.identical == report.cycles == count_cycles(home) >= 4


@pytest.mark.nightly
@pytest.mark.roadmap("9.1")
def test_five_hundred_cycles_with_faults_fold_again_all_of_them(
    night_platform: Platform, tmp_path: Path
) -> None:
    from instgov_dagster_tests.loop.homes import run_night

    home = copy_home(night_platform, tmp_path).home.root
    small_segments(home)
    run_night(open_platform(settings_of(home), {}), run_id="again")  # a night of the new rules
    with executioner() as block:
        lead_through_faults(block, home, wanted=WANTED, cycles=60)
    report = replay_all(home)
    assert report.different == []
    assert report.identical == report.cycles == count_cycles(home) >= WANTED
    # The same, once most of the journal stands in Parquet.
    assert compact(home) >= 5
    again = replay_all(home)
    assert (again.identical, again.different) == (report.cycles, [])
