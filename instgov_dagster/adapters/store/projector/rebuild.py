"""The projection thrown away and made again from the journal, and held against the old one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import duckdb

from instgov_dagster.adapters.journal import Position
from instgov_dagster.adapters.runtime import FileLock, Home
from instgov_dagster.adapters.store.errors import WarehouseCorrupt
from instgov_dagster.adapters.store.projector.follow import (
    cursors,
    follow,
    live_store,
    make_empty,
    store_at,
    swap_in,
)
from instgov_dagster.adapters.store.projector.readers import (
    TableDigest,
    digest_tables,
    publish_live,
)
from instgov_dagster.adapters.store.projector.step import project
from instgov_dagster.vocabulary.errors import SystemHalt

# How long the last part waits for a projector at work.
_WAIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildResult:
    """What a rebuild made of the journal, and how the old projection compared.

    Attributes
    ----------
    frames
        Frames of the three chains together.
    tables
        Rows and Parquet digest of each table.
    snapshot_id
        The first snapshot published of the new projection.
    differing
        Tables of the old projection that did not hold what the journal says; None where there
        was none to read.
    """

    frames: int
    tables: Mapping[str, TableDigest]
    differing: tuple[str, ...] | None
    snapshot_id: str | None

    @property
    def ok(self) -> bool:
        """Whether nothing was found in the old projection but what the journal says."""
        return not self.differing


def rebuild_projection(
    home: Home,
    *,
    recorded_at: datetime,
    key: bytes | None = None,
    published_cycles: int,
    keep: int,
) -> RebuildResult:
    """Make the projection again from the journal, beside the old one, and put it in its place.

    A loop that runs meanwhile is not disturbed: the journal is only read, and the old projection
    is followed and read until the new one is whole.

    Parameters
    ----------
    recorded_at
        When this runs, UTC.
    key
        The journal's HMAC key.
    published_cycles, keep
        As for `project`.

    Raises
    ------
    LeaseHeld
        If another rebuild runs, or a projector did not let go.
    SystemHalt
        ``CHAIN_BROKEN`` at the first frame that does not verify; the old projection stays.
    """
    made = home.live.with_name(f".{home.live.name}.rebuilt")
    with FileLock(home.live.with_name(f"{home.live.name}.rebuild.lock")):
        make_empty(made, recorded_at=recorded_at)
        with store_at(made).writer() as con:
            follow(con, home, recorded_at=recorded_at, key=key)
        lock = FileLock(home.projection_lock)
        lock.acquire(_WAIT_SECONDS)
        with lock:
            with store_at(made).writer() as con:
                follow(con, home, recorded_at=recorded_at, key=key)
                at, tables = cursors(con), digest_tables(con)
            old = _old_digests(home, at, recorded_at=recorded_at, key=key)
            swap_in(made, home.live)
            with live_store(home).writer() as con:
                snapshot_id = publish_live(
                    con, home, at, cycles=published_cycles, keep=keep, is_remade=True
                )
    # What was journalled while this held the projector up.
    project(home, recorded_at=recorded_at, key=key, published_cycles=published_cycles, keep=keep)
    differing = None if old is None else tuple(n for n, d in tables.items() if old[n] != d)
    return RebuildResult(
        frames=sum(position.sequence for position in at.values()),
        tables=tables,
        differing=differing,
        snapshot_id=snapshot_id,
    )


def _old_digests(
    home: Home, at: Mapping[str, Position], *, recorded_at: datetime, key: bytes | None
) -> dict[str, TableDigest] | None:
    # Brought to the same position first; one that cannot be read, or followed, is no projection.
    try:
        with live_store(home).writer() as con:
            follow(con, home, recorded_at=recorded_at, key=key, until=at)
            return digest_tables(con)
    except (WarehouseCorrupt, SystemHalt, duckdb.Error):
        return None
