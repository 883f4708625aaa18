import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instgov_dagster.adapters.journal import (
    Frame,
    canonical_json,
    chain_position,
    read_frames,
    unbundle,
)
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.solver import unsolved
from instgov_dagster.loop.folding.continuity import STATE_HASH, Trail
from instgov_dagster.loop.folding.fold import SessionFold
from instgov_dagster.loop.folding.replay import ORIGIN_FACTS, Replay, ReplayReport, last_session
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF, copy_home

FIRST, SECOND = 64, 3


def lead(platform: Platform, cycles: int, *, run_id: str = "run") -> str:
    report = run_session(platform, ASOF, cycles=cycles, period_seconds=0.0, run_id=run_id)
    return report.session_id


def replay(platform: Platform, *, wanted: str | None = None) -> ReplayReport:
    return Replay(
        platform.home, platform.policy, key=None, code_hash=platform.code_hash, wanted=wanted
    ).run()


def frames(platform: Platform) -> Iterator[Frame]:
    return read_frames(platform.home.journal_dir, Chain.LOOP.value)


@pytest.fixture(scope="module")
def led(night_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """An installation after two sessions of one day; shared, so it is only read."""
    platform = copy_home(night_platform, tmp_path_factory.mktemp("replayed"))
    lead(platform, FIRST, run_id="one")
    lead(platform, SECOND, run_id="two")
    return platform


@pytest.mark.roadmap("9.1")
def test_every_cycle_of_a_day_folds_again_to_the_same_bytes(led: Platform) -> None:
    for _ in range(2):
        report = replay(led)
        assert (report.cycles, report.identical) == (FIRST + SECOND, FIRST + SECOND)
        assert report.different == []
        assert report.ok
        assert not report.is_other_code


def test_a_cycle_is_folded_from_the_cold_start_before_it(led: Platform) -> None:
    session = next(f for f in frames(led) if f.kind == "cycle").meta["session"]
    report = replay(led, wanted=f"{session}-000062")
    assert (report.cycles, report.identical, report.different) == (3, 3, [])


def test_a_session_is_folded_alone_where_it_is_asked_for(led: Platform) -> None:
    last = last_session(led.home, None)
    report = replay(led, wanted=last)
    assert (report.cycles, report.identical) == (SECOND, SECOND)


def test_the_second_session_of_a_day_goes_on_where_the_first_stopped(led: Platform) -> None:
    started = [f.meta for f in frames(led) if f.meta.get("event") == "started"]
    ended = [f.meta for f in frames(led) if f.meta.get("event") == "ended"]
    assert started[1][STATE_HASH] == started[1]["told_hash"] == ended[0][STATE_HASH]
    assert started[1]["first_cycle"] == FIRST
    cycles = [f.meta for f in frames(led) if f.kind == "cycle"]
    instants = [meta["timestamp"] for meta in cycles]
    assert instants == sorted(set(instants))


def test_the_state_after_a_frame_is_restored_bit_by_bit(led: Platform) -> None:
    trail, seen = Trail(day=ASOF), 0
    snapshot_of = Replay(led.home, led.policy, key=None, code_hash=led.code_hash)
    snapshot_of.run()
    snapshot = snapshot_of.kept
    assert snapshot is not None
    for frame in frames(led):
        trail.follow(frame)
        if STATE_HASH in frame.meta:
            from instgov_dagster.loop.folding.continuity import state_sha256

            assert state_sha256(trail.restore(snapshot)) == frame.meta[STATE_HASH]
            seen += 1
    assert seen > FIRST + SECOND


def test_a_state_that_is_not_the_one_that_was_left_stops_the_session(led: Platform) -> None:
    replayed = Replay(led.home, led.policy, key=None, code_hash=led.code_hash)
    replayed.run()
    assert replayed.kept is not None
    trail = Trail(day=ASOF)
    for frame in frames(led):
        trail.follow(frame)
    trail.told_hash = "0" * 64
    with pytest.raises(SystemHalt) as halt:
        trail.restore(replayed.kept)
    assert halt.value.reason_code is ReasonCode.STATE_NOT_CONTINUED


def decision_payloads(platform: Platform) -> list[tuple[str, dict[str, Any]]]:
    # What was decided, without the names of the processes that wrote it.
    out = []
    for frame in frames(platform):
        if frame.kind not in ("cycle", "outcomes"):
            continue
        told = {k: v for k, v in frame.meta.items() if k not in (*ORIGIN_FACTS, "snapshot_id")}
        tables = {name: table.to_pydict() for name, table in unbundle(frame.table()).items()}
        out.append((canonical_json(told), tables))
    return out


def test_two_homes_of_one_seed_decide_the_same_bytes(
    night_platform: Platform, tmp_path: Path
) -> None:
    from instgov_dagster_tests.loop.homes import make_home

    other = make_home(tmp_path / "other")
    mine = copy_home(night_platform, tmp_path / "mine")
    lead(mine, 5, run_id="mine")
    lead(other, 5, run_id="other")
    ours, theirs = decision_payloads(mine), decision_payloads(other)
    assert len(ours) > 5
    assert repr(ours) == repr(theirs)


def test_a_decision_that_does_not_follow_from_its_inputs_is_named(
    led: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HotSolver, "solve", lambda *_: unsolved("another solver"))
    last = last_session(led.home, None)
    report = replay(led, wanted=last)
    assert report.identical == 0
    assert not report.ok
    assert report.different[0].cycle_id == f"{last}-000000"
    assert "capital_allocations" in report.different[0].what


def test_fills_that_lead_to_another_book_are_named(
    led: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = SessionFold.settle

    def losing(self: SessionFold, changes: list[Any]) -> dict[str, Any]:
        return settle(self, changes[1:])

    monkeypatch.setattr(SessionFold, "settle", losing)
    report = replay(led)
    assert any("book" in row.what for row in report.different)


def test_other_rules_are_refused_and_other_code_is_said(led: Platform, tmp_path: Path) -> None:
    report = Replay(led.home, led.policy, key=None, code_hash="0" * 64).run()
    assert report.is_other_code
    assert report.ok
    from instgov_dagster.adapters.config import load_policy

    source = led.home.root.parent / "config" / "policy.yaml"
    text = source.read_text().replace("portfolio_limit: 0.06", "portfolio_limit: 0.05")
    (tmp_path / "policy.yaml").write_text(text)
    other = load_policy(tmp_path)
    with pytest.raises(InputError, match="--config must hold the policy"):
        Replay(led.home, other, key=None, code_hash=led.code_hash).run()


def test_a_night_that_is_not_kept_cannot_be_replayed(led: Platform, tmp_path: Path) -> None:
    platform = copy_home(led, tmp_path)
    shutil.rmtree(platform.home.pinned)
    with pytest.raises(SystemHalt) as halt:
        replay(platform)
    assert halt.value.reason_code is ReasonCode.SNAPSHOT_MISSING


def test_a_cycle_that_never_was_is_bad_input(led: Platform) -> None:
    with pytest.raises(InputError, match="--cycle must be in the loop's chain"):
        replay(led, wanted="live-2025-03-12-00000001-009999")
    assert chain_position(led.home.journal_dir, "loop").sequence > 0
