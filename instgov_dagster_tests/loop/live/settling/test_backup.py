"""A backup taken while another process leads is a home that any session goes on from."""

import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from instgov_dagster.adapters.backup import restore_backup, take_backup
from instgov_dagster.adapters.journal import read_anchors, verify_chain
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.loop.folding.replay import Replay
from instgov_dagster.loop.platform import open_platform
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster_tests.loop.homes import run_night, settings_of, write_config
from instgov_dagster_tests.loop.live.witness import (
    Ended,
    Executioner,
    require_nothing_lost,
    require_whole,
)

NOW = datetime(2025, 3, 12, 20, tzinfo=UTC)
CYCLES = 30


def back_up_while_it_leads(block: Executioner, home: Path, folder: Path) -> list[Path]:
    """Take backups one after the other until a session of another process ends."""
    ended: list[Ended] = []
    session = threading.Thread(target=lambda: ended.append(block.lead(home, cycles=CYCLES)))
    session.start()
    taken: list[Path] = []
    while session.is_alive():
        taken.append(folder / f"backup-{len(taken)}")
        take_backup(Home(home), taken[-1], key=None, taken_at=NOW)
    session.join()
    assert ended[0].report is not None
    assert ended[0].report["cycles"] == CYCLES
    return taken


def frames_of(backup: Path) -> int:
    return (
        len(list((backup / "home" / "journal" / "loop").glob("*.igj")))
        and verify_chain(backup / "home" / "journal", Chain.LOOP.value).frames
    )


@pytest.mark.roadmap("0.6")
def test_a_backup_of_a_running_loop_verifies_replays_and_goes_on(
    block: Executioner, home: Path, tmp_path: Path
) -> None:
    taken = back_up_while_it_leads(block, home, tmp_path)
    require_whole(home)
    whole = verify_chain(Home(home).journal_dir, Chain.LOOP.value).frames
    chosen = next(path for path in reversed(taken) if 1 < frames_of(path) < whole)
    place = tmp_path / "another"
    write_config(place / "config")
    again = Home(place / "data")
    restored = restore_backup(chosen, again, key=None, restored_at=NOW, published_cycles=60, keep=2)
    assert restored.frames > 1
    for chain in Chain:
        anchors = read_anchors(again.anchors, chain.value)
        assert verify_chain(again.journal_dir, chain.value, anchors=anchors).ok
    require_nothing_lost(again.root, Ended(status=0, receipts={}, report=None, refused=[]))
    platform = open_platform(settings_of(again.root), {})
    replay = Replay(again, platform.policy, key=None, code_hash=platform.code_hash).run()
    assert (replay.different, replay.is_other_code) == ([], False)
    assert replay.identical == replay.cycles > 0
    went_on = block.lead(again.root, cycles=1)
    assert went_on.report is not None
    assert went_on.report["state"] == "RUNNING"
    require_whole(again.root)
    run_night(platform, date(2025, 3, 13), run_id="night-2")
    assert platform.state_log().refresh().name.value == "RUNNING"
