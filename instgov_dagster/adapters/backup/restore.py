"""A backup put back: verified file by file and chain by chain beside the home, moved at once."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from instgov_dagster.adapters.backup.manifest import (
    HOME,
    Manifest,
    copy_file,
    read_manifest,
    require_listed,
)
from instgov_dagster.adapters.backup.take import count_rows
from instgov_dagster.adapters.journal import BrokenFrame, read_anchors, verify_chain
from instgov_dagster.adapters.runtime import FileLock, Home, fsync_directory, require_free_space
from instgov_dagster.adapters.store.projector import RebuildResult, rebuild_projection
from instgov_dagster.adapters.store.published import CURRENT_FILE, read_snapshot
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.vocabulary.errors import InputError, LeaseHeld, SystemHalt
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster.vocabulary.reasons import ReasonCode

_SPARE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A home put back; ``tables`` are rows by table, the warehouse's and the projection's."""

    manifest: Manifest
    tables: Mapping[str, int]
    frames: int


def restore_backup(
    source: Path,
    home: Home,
    *,
    key: bytes | None,
    restored_at: datetime,
    published_cycles: int,
    keep: int,
) -> Restored:
    """Make a home of a backup; it appears whole and verified, or nothing of it appears.

    Parameters
    ----------
    home
        Where it goes: nothing may be there yet but an empty folder.
    key
        The HMAC key the chains were written with.
    restored_at
        When this runs, UTC.
    published_cycles, keep
        As for `rebuild_projection`: the projection is made again from the journal.

    Raises
    ------
    InputError
        If the home is not empty or is a mount point, or the backup is not what its manifest says:
        the text names the file.
    LeaseHeld
        If the home is in use, or another restore is under way beside it.
    SystemHalt
        ``CHAIN_BROKEN``, ``ANCHOR_MISMATCH`` or ``SNAPSHOT_MISSING`` where what was restored does
        not verify, ``DISK_FULL`` or ``AUDIT_WRITE_FAILED`` where it cannot be written.
    """
    manifest = _read(source, key)
    _require_empty(home)
    with _alone_beside(home.root):
        require_free_space(home.root.parent, needed_bytes=2 * manifest.size_bytes + _SPARE_BYTES)
        made = Home(home.root.with_name(f".{home.root.name}.restore.tmp"))
        try:
            shutil.rmtree(made.root, ignore_errors=True)  # what a killed restore left
            _copy(source, made, manifest)
            _verify(made, manifest, key)
            projection = rebuild_projection(
                made,
                recorded_at=restored_at,
                key=key,
                published_cycles=published_cycles,
                keep=keep,
            )
            tables = _require_same_tables(made, manifest)
            _sync(made.root)
            made.root.rename(home.root)  # an empty folder gives way to it
            fsync_directory(home.root.parent)
        except OSError as error:
            raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, f"{home.root}: {error}") from error
        finally:
            shutil.rmtree(made.root, ignore_errors=True)
    return Restored(
        manifest=manifest, tables={**tables, **_rows(projection)}, frames=projection.frames
    )


def _read(source: Path, key: bytes | None) -> Manifest:
    manifest = read_manifest(source)
    require_listed(source, manifest)
    if manifest.is_keyed != (key is not None):
        wanted = "needs the key its" if manifest.is_keyed else "must be read without a key: its"
        raise InputError(f"{source} {wanted} chains were written with")
    return manifest


def _rows(projection: RebuildResult) -> dict[str, int]:
    return {f"live.{name}": table.rows for name, table in projection.tables.items()}


def _require_empty(home: Home) -> None:
    root = home.root
    if not root.exists():
        return
    if not root.is_dir():
        raise InputError(f"--home must be a new or an empty folder, was {root}")
    locks = [home.lease, home.night_lock, home.projection_lock, *home.journal_dir.glob("*/lock")]
    for path in locks:
        if path.exists():
            lock = FileLock(path)
            if not lock.try_acquire(is_signed=False):
                raise LeaseHeld(f"{root} is in use: {path} is held by {lock.holder()}")
            lock.release()
    if any(root.iterdir()):
        raise InputError(f"--home must be a new or an empty folder, was {root}")
    if root.is_mount():
        raise InputError(f"--home must not be a mount point, was {root}: name a folder below it")


@contextmanager
def _alone_beside(root: Path) -> Iterator[None]:
    # The parent folder itself is locked: a lock file would be left where the home is to appear.
    root.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LeaseHeld(f"{root.parent} is held by another restore") from error
        yield
    finally:
        os.close(descriptor)


def _copy(source: Path, made: Home, manifest: Manifest) -> None:
    made.root.mkdir(mode=0o700)
    for file in manifest.files:
        path = source / HOME / file.path
        count, digest = copy_file(path, made.root / file.path)
        if (count, digest) != (file.bytes, file.sha256):
            raise InputError(
                f"{path} must have {file.bytes} bytes that hash to {file.sha256}, "
                f"had {count} that hash to {digest}"
            )


def _verify(made: Home, manifest: Manifest, key: bytes | None) -> None:
    for chain in Chain:
        anchors = read_anchors(made.anchors, chain.value)
        report = verify_chain(made.journal_dir, chain.value, key=key, anchors=anchors)
        if not report.ok:
            raise BrokenFrame(str(report.first_bad), str(report.reason))
        told = manifest.chains[chain.value]
        if (report.frames, report.head) != (told.frames, told.head):
            raise BrokenFrame(
                f"{chain.value}#{report.frames}",
                f"the backup's chain must end at #{told.frames} with {told.head}",
            )
    if (made.published / "night" / CURRENT_FILE).exists():
        read_snapshot(made.published / "night")


def _require_same_tables(made: Home, manifest: Manifest) -> dict[str, int]:
    if not manifest.tables:
        return {}
    with WarehouseResource(database=str(made.warehouse)).reader() as con:
        found = count_rows(con)
    wrong = [name for name, rows in manifest.tables.items() if found.get(name) != rows]
    if wrong:
        name = wrong[0]
        raise InputError(
            f"{name} must have {manifest.tables[name]} rows, had {found.get(name, 'no table')}"
        )
    return found


def _sync(root: Path) -> None:
    # The projection was made here; everything else was synced as it was copied.
    for path in root.rglob("*"):
        if path.is_dir():
            fsync_directory(path)
    fsync_directory(root)
