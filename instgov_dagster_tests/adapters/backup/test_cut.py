"""An instant of a home at work: its account never contradicts its chain."""

import sqlite3
import threading
from pathlib import Path

from instgov_dagster.adapters.backup.cut import hold_cut
from instgov_dagster.adapters.journal import Journal, read_frames
from instgov_dagster.adapters.runtime import Home, RealClock
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster_tests.adapters.journal.chains import rows

CUTS = 25


def trade(home: Home, stop: threading.Event) -> None:
    """Plan in a frame, act at the broker, tell it in a frame: as a leader does, without a pause."""
    with Journal.open(home.journal_dir, "loop") as journal:
        account = sqlite3.connect(home.paper_account, isolation_level=None)
        number = 0
        while not stop.is_set():
            number += 1
            journal.append("cycle", rows(1), {"planned": number})
            account.execute("INSERT INTO acts VALUES (?)", [number])
            journal.append("orders", rows(1), {"told": number})
        account.close()


def test_a_cut_never_holds_an_act_that_no_frame_planned_nor_a_frame_of_no_act(
    tmp_path: Path,
) -> None:
    home, stop = Home(tmp_path), threading.Event()
    home.paper_account.parent.mkdir(parents=True)
    with sqlite3.connect(home.paper_account) as account:
        account.execute("PRAGMA journal_mode = WAL")
        account.execute("CREATE TABLE acts (number INTEGER)")
    leader = threading.Thread(target=trade, args=(home, stop))
    leader.start()
    seen: dict[int, int] = {}
    try:
        while len(seen) < CUTS:
            with hold_cut(home, clock=RealClock()) as cut:
                if Chain.LOOP not in cut.ends:
                    continue
                assert cut.account is not None
                found = cut.account.execute("SELECT coalesce(max(number), 0) FROM acts")
                seen[cut.ends[Chain.LOOP][1]] = int(found.fetchone()[0])
    finally:
        stop.set()
        leader.join()
    frames = list(read_frames(home.journal_dir, "loop"))
    for size, acted in seen.items():
        whole = [frame.meta for frame in frames if frame.end <= size]
        planned = max((meta.get("planned", 0) for meta in whole), default=0)
        told = max((meta.get("told", 0) for meta in whole), default=0)
        assert told <= acted <= planned


def test_a_home_without_an_account_or_a_night_has_an_instant_too(tmp_path: Path) -> None:
    with hold_cut(Home(tmp_path), clock=RealClock()) as cut:
        assert (dict(cut.ends), cut.night, cut.account) == ({}, None, None)
