"""What a new leader remembers is what the whole chain tells, however often it was read along."""

from dataclasses import replace
from datetime import timedelta

import pytest

from instgov_dagster.adapters.journal import BrokenFrame, Journal, read_frames
from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.loop import session as session_module
from instgov_dagster.loop.live.leading.memory import Memory
from instgov_dagster.loop.live.recovery import last_book, last_told
from instgov_dagster.loop.live.report import SessionReport
from instgov_dagster.loop.live.settling.told import fold_account
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Chain, SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF

LOOP = Chain.LOOP.value


def lead(platform: Platform, *, cycles: int = 3) -> SessionReport:
    return run_session(platform, ASOF, cycles=cycles, period_seconds=0.0, run_id="test")


@pytest.mark.roadmap("3.4")
def test_what_is_remembered_frame_by_frame_is_what_the_whole_chain_tells(
    platform: Platform,
) -> None:
    memory, log = Memory(ASOF), platform.state_log()
    log.listener = memory.take
    for _ in range(3):
        lead(platform)
        log.refresh()
    told = fold_account(platform, ASOF)
    assert memory.told == told
    assert memory.book == last_book(platform)
    assert memory.flows == (last_told(platform, "flows") or {})
    assert memory.values == {
        row["strategy_id"]: row["value_usd"] for row in last_told(platform, "results")
    }
    assert memory.trail.cycles == 9
    assert memory.latest == memory.trail
    assert memory.trail.told_hash == last_told(platform, "state_hash")
    assert memory.last_due is None  # back to back: no beat of a real clock


def test_a_chain_that_was_read_is_opened_from_where_it_was_read_to(platform: Platform) -> None:
    lead(platform)
    log = platform.state_log()
    log.require_sound()
    at = log.position(Chain.LOOP)
    lead(platform)
    words = (platform.home.journal_dir, LOOP)
    with Journal.open(*words) as whole:
        end = whole.anchor()
    with Journal.open(*words, proven=at) as rest:
        assert rest.anchor() == end
    frames = list(read_frames(*words))
    segment = next((platform.home.journal_dir / LOOP).glob("*.igj"))
    body = bytearray(segment.read_bytes())
    body[frames[-1].offset + 60] ^= 1  # behind what was read: found
    segment.write_bytes(bytes(body))
    with pytest.raises(BrokenFrame):
        Journal.open(*words, proven=at)


def test_bytes_outside_a_frame_of_another_chain_keep_a_session_from_leading(
    platform: Platform,
) -> None:
    segment = next((platform.home.journal_dir / "night").glob("*.igj"))
    segment.write_bytes(segment.read_bytes() + b"\0" * 7)
    with pytest.raises(SystemHalt, match=r"CHAIN_BROKEN: night/.*bytes stand outside a frame"):
        lead(platform)


@pytest.mark.roadmap("3.3")
@pytest.mark.parametrize(
    ("minutes", "state"),
    [
        (59.0, SystemStateName.RUNNING),
        (61.0, SystemStateName.RUNNING),
        (121.0, SystemStateName.HALT_SYSTEM),
    ],
)
def test_a_night_not_verified_in_time_takes_no_increase_and_at_twice_the_time_halts(
    platform: Platform,
    monkeypatch: pytest.MonkeyPatch,
    minutes: float,
    state: SystemStateName,
) -> None:
    is_stale = minutes > 60.0
    clock = VirtualClock(platform.now())
    timed = replace(platform, clock=clock)

    def silent(*_: object) -> None:
        raise OSError("the disk does not answer")

    def aged(*words: object) -> Memory:
        clock.advance(timedelta(minutes=minutes))  # between the first reading and the first cycle
        return take_over(*words)

    take_over = session_module.Session._take_over
    monkeypatch.setattr(session_module.Session, "_take_over", aged)
    monkeypatch.setattr(session_module, "verify_snapshot", silent)
    report = lead(timed, cycles=2)
    cycles = [f.meta for f in read_frames(platform.home.journal_dir, LOOP) if f.kind == "cycle"]
    assert [meta["is_stale"] for meta in cycles] == [is_stale] * 2
    assert {meta["state"] for meta in cycles} == {state.value}
    assert (report.orders > 0) is not is_stale
    found = {cause.reason_code for cause in report.state.causes}
    assert found == ({ReasonCode.SNAPSHOT_EXPIRED} if minutes > 120 else set())
