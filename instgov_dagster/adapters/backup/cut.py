"""One instant of a home at work: where each chain ends, with the account and the pointer of then.

A leader writes a frame, then asks the broker, then writes what it answered. An account from before
a frame and a journal from after it contradict each other; the two of one instant are what a killed
leader leaves, and any session goes on from that. The instant is found, not made: all is read
between two looks at the chains that see the same ends.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from instgov_dagster.adapters.journal.segments import list_segments, segment_path
from instgov_dagster.adapters.runtime import Clock, Home
from instgov_dagster.adapters.store.published import CURRENT_FILE
from instgov_dagster.vocabulary.errors import LeaseHeld
from instgov_dagster.vocabulary.governance import Chain

_TRIES = 2000
_PAUSE = timedelta(milliseconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What was true at one instant.

    Attributes
    ----------
    ends
        The last segment of each chain that has any, and its bytes; a frame that was being written
        may be among them and is no part of the chain yet.
    night
        What then pointed to the published night; None where none was published.
    account
        The broker's record as of then, readable while the cut is held; None where there is none.
    """

    ends: Mapping[Chain, tuple[int, int]]
    night: bytes | None
    account: sqlite3.Connection | None


@contextmanager
def hold_cut(home: Home, *, clock: Clock) -> Iterator[Cut]:
    """Find an instant and keep what was true then, as long as the block lasts.

    Raises
    ------
    LeaseHeld
        If the chains never stood still for as long as it takes to look at the account.
    """
    for _ in range(_TRIES):
        before = _ends(home)
        with _account(home.paper_account) as account:
            night = _pointer(home.published / "night" / CURRENT_FILE)
            if _ends(home) == before:
                yield Cut(ends=before, night=night, account=account)
                return
        clock.sleep_until(clock.now() + _PAUSE)
    raise LeaseHeld(f"{home.journal_dir} was written to without a pause: try again")


def _ends(home: Home) -> dict[Chain, tuple[int, int]]:
    found = {}
    for chain in Chain:
        segments = list_segments(home.journal_dir, chain.value)
        if segments:
            path = segment_path(home.journal_dir, chain.value, segments[-1])
            found[chain] = (segments[-1], path.stat().st_size)
    return found


def _pointer(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


@contextmanager
def _account(path: Path) -> Iterator[sqlite3.Connection | None]:
    if not path.exists():
        yield None
        return
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        # A transaction begins with its first read: from here on it sees this instant.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        yield connection
