"""What a session leaves in its chain: the other heads, anchors, receipts; and what keeps it out."""

from dataclasses import replace
from pathlib import Path

import pytest

from instgov_dagster.adapters.journal import (
    BrokenFrame,
    Frame,
    read_anchors,
    read_frames,
    verify_chain,
)
from instgov_dagster.adapters.journal.frames import KEY_VARIABLE, genesis
from instgov_dagster.adapters.store.projector import live_store, rebuild_projection
from instgov_dagster.loop.live.operator import act
from instgov_dagster.loop.platform import Platform, open_platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF, run_night, settings_of, write_config

CYCLES = 3


def lead(platform: Platform, *, run_id: str = "session-1") -> None:
    run_session(platform, ASOF, cycles=CYCLES, period_seconds=0.0, run_id=run_id)


def frames_of(platform: Platform, chain: Chain) -> list[Frame]:
    return list(read_frames(platform.home.journal_dir, chain.value, key=platform.key))


def segment_of(platform: Platform, chain: Chain) -> Path:
    return next((platform.home.journal_dir / chain.value).glob("*.igj"))


@pytest.mark.roadmap("0.6")
def test_every_cycle_s_frame_carries_the_heads_of_the_other_chains(platform: Platform) -> None:
    act(platform.home, None, operator="ann", reason="drill", is_halt=True)
    act(platform.home, None, operator="ann", reason="over", is_halt=False)
    lead(platform)
    cycles = [frame for frame in frames_of(platform, Chain.LOOP) if frame.kind == "cycle"]
    assert len(cycles) == CYCLES
    heads = {chain: frames_of(platform, chain)[-1].head.hex() for chain in Chain}
    for frame in cycles:
        told = frame.meta["heads"]
        assert told["night"] == heads[Chain.NIGHT]
        assert told["operator"] == heads[Chain.OPERATOR]
        assert told["loop"] in {one.head.hex() for one in frames_of(platform, Chain.LOOP)}
        assert told["loop"] != frame.head.hex()


def test_a_chain_never_written_is_told_by_its_own_genesis(platform: Platform) -> None:
    lead(platform)
    (first, *_) = [frame for frame in frames_of(platform, Chain.LOOP) if frame.kind == "cycle"]
    assert first.meta["heads"]["operator"] == genesis("operator").hex()


@pytest.mark.roadmap("0.6")
def test_the_projection_tells_of_each_cycle_what_its_frame_does(platform: Platform) -> None:
    lead(platform)
    frames = [frame for frame in frames_of(platform, Chain.LOOP) if frame.kind == "cycle"]
    (ended,) = [f for f in frames_of(platform, Chain.LOOP) if f.meta.get("event") == "ended"]
    with live_store(platform.home).reader() as con:
        found = con.execute(
            "SELECT cycle_id, nav_usd, gross, cvar_gate, inputs_hash, frame_sequence, chain_head"
            " FROM live_cycles ORDER BY frame_sequence"
        ).fetchall()
        results = con.execute("SELECT strategy_id, pnl, value_usd FROM session_results").fetchall()
        states = con.execute("SELECT DISTINCT chain FROM system_states").fetchall()
    facts = ("cycle_id", "nav_usd", "gross", "cvar_gate", "inputs_hash")
    assert found == [
        (*(frame.meta[name] for name in facts), frame.sequence, frame.head.hex())
        for frame in frames
    ]
    assert results == [
        (row["strategy_id"], row["pnl"], row["value_usd"]) for row in ended.meta["results"]
    ]
    assert results
    assert {chain for (chain,) in states} <= {"loop", "night", "operator"}


@pytest.mark.roadmap("0.6")
def test_under_a_key_the_chains_verify_with_it_and_not_without(tmp_path: Path) -> None:
    write_config(tmp_path / "config")
    environment = {KEY_VARIABLE: "a key nobody else has, thirty-two"}
    keyed = open_platform(settings_of(tmp_path / "data"), environment)
    run_night(keyed)
    lead(keyed)
    for chain in (Chain.NIGHT, Chain.LOOP):
        words = {"anchors": read_anchors(keyed.home.anchors, chain.value)}
        report = verify_chain(keyed.home.journal_dir, chain.value, key=keyed.key, **words)
        assert report.ok
        assert report.anchored == report.frames > 0
        assert not verify_chain(keyed.home.journal_dir, chain.value, **words).ok
    words = {"recorded_at": keyed.now(), "published_cycles": 600, "keep": 3}
    assert rebuild_projection(keyed.home, key=keyed.key, **words).ok
    with pytest.raises(BrokenFrame):
        rebuild_projection(keyed.home, **words)


def test_a_disk_without_the_space_a_session_needs_stops_it_before_a_frame(
    platform: Platform,
) -> None:
    loop = replace(platform.policy.loop, min_free_disk_mib=2**40)
    full = replace(platform, policy=replace(platform.policy, loop=loop))
    with pytest.raises(SystemHalt) as stopped:
        lead(full)
    assert stopped.value.reason_code is ReasonCode.DISK_FULL
    kinds = {frame.kind for frame in frames_of(platform, Chain.LOOP)}
    assert not kinds & {"cycle", "session", "outcomes"}
