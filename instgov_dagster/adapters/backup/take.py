"""A backup taken: the warehouse held still for a copy, the chains cut at one instant."""

import contextlib
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import duckdb

from instgov_dagster.adapters.backup.cut import Cut, hold_cut
from instgov_dagster.adapters.backup.manifest import (
    HOME,
    BackedUp,
    ChainEnd,
    Manifest,
    copy_file,
    list_files,
    write_manifest,
)
from instgov_dagster.adapters.journal import (
    Anchor,
    canonical_json,
    list_chains,
    read_anchors,
    verify_chain,
)
from instgov_dagster.adapters.journal.anchors import anchors_path
from instgov_dagster.adapters.journal.segments import (
    BrokenFrame,
    compact_path,
    list_segments,
    segment_body,
    segment_path,
)
from instgov_dagster.adapters.runtime import (
    Clock,
    Home,
    RealClock,
    code_sha256,
    fsync_directory,
    require_free_space,
)
from instgov_dagster.adapters.store.published import (
    CURRENT_FILE,
    read_manifest,
    read_snapshot,
)
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster.vocabulary.reasons import ReasonCode

#: Single files beside the stores, copied where they are.
_FILES = ("market.json", "published/session.json", "published/report.md", "alerts.json")
#: Folders whose files never change once they have their name.
_FIXED = ("runtime/raw", "runtime/snapshots")
_SPARE_BYTES = 16 * 1024 * 1024


def take_backup(
    home: Home, out: Path, *, key: bytes | None, taken_at: datetime, clock: Clock | None = None
) -> Manifest:
    """Copy a home, which may be at work, into a folder that appears whole or not at all.

    The warehouse is held open for reading while it is copied: a night waits for that, a session
    never does. The chains end at a frame, the broker's account is of the same instant, and what
    was copied is verified before the backup gets its name.

    Parameters
    ----------
    out
        A folder that does not exist yet, or an empty one.
    key
        The journal's HMAC key; it is used to verify and never written.
    taken_at
        When this runs, UTC.
    clock
        What pauses between two looks wait on.

    Raises
    ------
    InputError
        If there is nothing to back up, or something stands where the backup should.
    WarehouseBusy, WarehouseCorrupt
        If the warehouse cannot be read.
    LeaseHeld
        If the chains never stood still.
    SystemHalt
        ``CHAIN_BROKEN``, ``ANCHOR_MISMATCH`` or ``SNAPSHOT_MISSING`` where the home does not
        verify, ``DISK_FULL`` or ``AUDIT_WRITE_FAILED`` where the backup cannot be written.
    """
    _require_place(home, out)
    require_free_space(out, needed_bytes=_size(home) + _SPARE_BYTES)
    building = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        building.mkdir(parents=True, mode=0o700)
        manifest = _copy(home, building, key=key, taken_at=taken_at, clock=clock or RealClock())
        seal = write_manifest(building, manifest)
        for folder in [building, *(path for path in building.rglob("*") if path.is_dir())]:
            fsync_directory(folder)
        building.rename(out)  # an empty folder gives way to it
        fsync_directory(out.parent)
    except (OSError, sqlite3.Error) as error:
        raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, f"{out}: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return replace(manifest, sha256=seal)


def _require_place(home: Home, out: Path) -> None:
    if not home.journal_dir.is_dir():
        raise InputError(f"--home must hold a journal, was {home.root}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out must be a new or an empty folder, was {out}")
    if out.resolve().is_relative_to(home.root.resolve()):
        raise InputError(f"--out must lie outside the home {home.root}, was {out}")


def _size(home: Home) -> int:
    parts = [home.journal_dir, home.raw, home.pinned, home.published / "night"]
    files = [path for part in parts for path in part.rglob("*")]
    sizes = 0
    for path in [*files, home.warehouse, home.paper_account]:
        with contextlib.suppress(FileNotFoundError):  # pruned or compacted meanwhile
            sizes += path.stat().st_size
    return sizes


def _copy(
    home: Home, building: Path, *, key: bytes | None, taken_at: datetime, clock: Clock
) -> Manifest:
    made = Home(building / HOME)
    made.root.mkdir(mode=0o700)
    # Before the chains, which may grow meanwhile: these they must honour.
    anchored = {chain: read_anchors(home.anchors, chain.value) for chain in Chain}
    with _held_still(home) as tables:
        with hold_cut(home, clock=clock) as cut:
            if cut.account is not None:
                _copy_account(cut.account, made.paper_account)
            for chain in Chain:
                _copy_segments(home, made, chain, cut)
            _copy_night(home, made, cut)
        # Last: closing a file gives up every lock that this process holds on it.
        _copy_warehouse(home, made)
    ends = {chain.value: _end_of(home, made, chain, key, anchored[chain]) for chain in Chain}
    for name in _FILES:
        if (home.root / name).is_file():
            copy_file(home.root / name, made.root / name)
    for name in _FIXED:
        _copy_fixed(home.root / name, made.root / name)
    if cut.night is not None:
        read_snapshot(made.published / "night")
    return Manifest(
        taken_at=taken_at.isoformat(),
        code_hash=code_sha256(),
        is_keyed=key is not None,
        chains=ends,
        tables=tables,
        files=tuple(_listed(made.root, name) for name in list_files(made.root)),
    )


@contextlib.contextmanager
def _held_still(home: Home) -> Iterator[dict[str, int]]:
    # A reader keeps every writer of another process out, and counts what will be copied.
    if not home.warehouse.exists() and set(list_chains(home.journal_dir)) <= {Chain.OPERATOR}:
        yield {}  # halted before its first night
        return
    with WarehouseResource(database=str(home.warehouse)).reader() as con:
        yield count_rows(con)


def count_rows(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Count the rows of every table of a store."""
    names = con.execute("SELECT table_name FROM duckdb_tables() ORDER BY table_name").fetchall()
    return {
        str(name): int(con.sql(f'SELECT count(*) FROM "{name}"').fetchall()[0][0])  # noqa: S608  # names stand in the catalog
        for (name,) in names
    }


def _copy_warehouse(home: Home, made: Home) -> None:
    log = f"{home.warehouse.name}.wal"
    for name in (home.warehouse.name, log):
        if (home.root / name).exists():
            copy_file(home.root / name, made.root / name)


def _copy_account(source: sqlite3.Connection, target: Path) -> None:
    target.parent.mkdir(mode=0o700)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    with target.open("rb") as stream:
        os.fsync(stream.fileno())


def _copy_segments(home: Home, made: Home, chain: Chain, cut: Cut) -> None:
    if chain not in cut.ends:
        return
    last, size = cut.ends[chain]
    for segment in range(1, last + 1):
        raw = segment_path(home.journal_dir, chain.value, segment)
        target = made.journal_dir / chain.value / raw.name
        try:
            copy_file(raw, target, limit=size if segment == last else None)
        except FileNotFoundError:
            target.unlink(missing_ok=True)
            compacted = compact_path(home.journal_dir, chain.value, segment)
            if compacted is None:
                raise BrokenFrame(f"{chain.value}/{raw.name}", "the segment is missing") from None
            copy_file(compacted, target.with_name(compacted.name))
    torn = home.journal_dir / chain.value / "torn"
    for path in sorted(torn.glob("*.bin")):
        copy_file(path, made.journal_dir / chain.value / "torn" / path.name)


def _end_of(
    home: Home, made: Home, chain: Chain, key: bytes | None, anchored: Sequence[Anchor]
) -> ChainEnd:
    # The copy is cut at its last whole frame, given the anchors of then, and verified.
    name = chain.value
    found = verify_chain(made.journal_dir, name, key=key)
    if found.torn_bytes:
        _cut_tear(made, name, found.torn_bytes)
    later = read_anchors(home.anchors, name)[len(anchored) :]
    kept = [*anchored, *(row for row in later if row.sequence <= found.frames)]
    if kept:
        target = anchors_path(made.anchors, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            "".join(f"{canonical_json(asdict(row))}\n" for row in kept), encoding="utf-8"
        )
        target.chmod(0o600)
    report = verify_chain(made.journal_dir, name, key=key, anchors=kept)
    if not report.ok:
        raise BrokenFrame(str(report.first_bad), str(report.reason))
    return ChainEnd(frames=report.frames, head=report.head)


def _cut_tear(made: Home, chain: str, torn: int) -> None:
    segment = list_segments(made.journal_dir, chain)[-1]
    whole = len(segment_body(made.journal_dir, chain, segment)) - torn
    os.truncate(segment_path(made.journal_dir, chain, segment), whole)


def _copy_night(home: Home, made: Home, cut: Cut) -> None:
    if cut.night is None:
        return
    folder, target = home.published / "night", made.published / "night"
    target.mkdir(parents=True, mode=0o700)
    (target / CURRENT_FILE).write_bytes(cut.night)
    (target / CURRENT_FILE).chmod(0o600)
    snapshot = str(read_manifest(target / CURRENT_FILE)["snapshot_id"])
    for path in sorted((folder / snapshot).iterdir()):
        copy_file(path, target / snapshot / path.name)


def _copy_fixed(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        is_whole = not any(part.startswith(".") for part in path.relative_to(source).parts)
        if path.is_file() and is_whole:
            copy_file(path, target / path.relative_to(source))


def _listed(folder: Path, name: str) -> BackedUp:
    with (folder / name).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return BackedUp(path=name, bytes=(folder / name).stat().st_size, sha256=digest)
