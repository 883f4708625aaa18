"""The step of the projector: follow the journal, then publish what is new."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from instgov_dagster.adapters.journal import Position
from instgov_dagster.adapters.runtime import FileLock, Home
from instgov_dagster.adapters.store.projector.follow import (
    cursors,
    follow,
    live_store,
    make_usable,
)
from instgov_dagster.adapters.store.projector.lag import tell_progress
from instgov_dagster.adapters.store.projector.readers import publish_live
from instgov_dagster.adapters.store.projector.rows import CHAINS
from instgov_dagster.vocabulary.errors import LeaseHeld, WarehouseBusy

# How long one projector waits for another: its work is small, a rebuild's last part may not be.
_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionResult:
    """What one projection did: frames read, rows added by table, where it stands by chain."""

    frames: int
    rows: Mapping[str, int]
    positions: Mapping[str, Position]
    snapshot_id: str | None


def project(
    home: Home,
    *,
    recorded_at: datetime,
    key: bytes | None = None,
    published_cycles: int,
    keep: int,
) -> ProjectionResult | None:
    """Bring the projection up to the journal and publish it where it is not yet.

    Parameters
    ----------
    recorded_at
        When this runs, UTC; recorded with the cursors.
    key
        The journal's HMAC key.
    published_cycles
        How many of the last cycles are published; see `readers.publish_live`.
    keep
        How many published snapshots stay.

    Returns
    -------
    None where another process was at it all the while: whoever leads does not wait for readers.

    Raises
    ------
    SystemHalt
        ``CHAIN_BROKEN`` at the first frame that does not verify; the frames before it in the
        same batch are not projected.
    ValueError
        If a frame's rows do not fit their table.

    Notes
    -----
    Rows and cursor move in one transaction, so a kill at any instant loses and repeats nothing.
    A projection that is missing, damaged or of an older schema is begun again: it holds nothing
    that the journal does not.
    """
    lock = FileLock(home.projection_lock)
    try:
        lock.acquire(_WAIT_SECONDS)
    except LeaseHeld:
        return None
    with lock:
        try:
            return _project(home, recorded_at, key, published_cycles, keep)
        except WarehouseBusy:
            return None


def _project(
    home: Home, recorded_at: datetime, key: bytes | None, published_cycles: int, keep: int
) -> ProjectionResult:
    make_usable(home, recorded_at=recorded_at)
    with live_store(home).writer() as con:
        before = cursors(con)
        rows = follow(con, home, recorded_at=recorded_at, key=key)
        after = cursors(con)
        snapshot_id = publish_live(con, home, after, cycles=published_cycles, keep=keep)
    with suppress(OSError):  # what is not told looks like lag, and is alarmed as such
        tell_progress(home, after, at=recorded_at)
    return ProjectionResult(
        frames=sum(after[chain].sequence - before[chain].sequence for chain in CHAINS),
        rows=rows,
        positions=after,
        snapshot_id=snapshot_id,
    )
