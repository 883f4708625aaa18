"""Published nights that sessions stood on, kept for good, so that any of them can be replayed."""

import hashlib
import shutil
from pathlib import Path

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.published import (
    MANIFEST_FILE,
    PublishedSnapshot,
    load_snapshot,
    read_manifest,
    write_folder,
)
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode


def pin_snapshot(home: Home, snapshot_id: str) -> Path:
    """Copy a published night to where nothing prunes it; return its folder.

    Parameters
    ----------
    snapshot_id
        A snapshot of ``published/night``; the current one or an older one not yet pruned.

    Raises
    ------
    SystemHalt
        ``SNAPSHOT_MISSING`` if it is neither pinned nor published whole, or cannot be written.

    Notes
    -----
    The id ends with the digest of the manifest, and the manifest holds that of every file: what
    is pinned under an id is that snapshot. A pin already there is verified and left alone; a
    damaged one is made again from the published files, and only where these are whole.
    """
    target = home.pinned / snapshot_id
    if _is_whole(home.pinned, snapshot_id):
        return target
    files = _verified_files(home.published / "night", snapshot_id)
    try:
        shutil.rmtree(target, ignore_errors=True)
        write_folder(target, files)
    except OSError as error:
        if not _is_whole(home.pinned, snapshot_id):  # another process was first otherwise
            raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, f"{target}: {error}") from error
    return target


def read_pinned(home: Home, snapshot_id: str) -> PublishedSnapshot:
    """Read a pinned night into memory and verify every byte of it.

    Raises
    ------
    SystemHalt
        ``SNAPSHOT_MISSING`` if it was never pinned or is damaged.
    """
    manifest = _manifest(home.pinned, snapshot_id)
    try:
        return load_snapshot(home.pinned, manifest)
    except OSError as error:
        detail = f"{home.pinned / snapshot_id}: {error}"
        raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, detail) from error


def _manifest(folder: Path, snapshot_id: str) -> dict[str, dict[str, dict[str, str]]]:
    path = folder / snapshot_id / MANIFEST_FILE
    manifest = read_manifest(path)
    if manifest["snapshot_id"] != snapshot_id:
        detail = f"{path} must be of {snapshot_id}, was of {manifest['snapshot_id']}"
        raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, detail)
    return manifest


def _is_whole(folder: Path, snapshot_id: str) -> bool:
    try:
        _verified_files(folder, snapshot_id)
    except SystemHalt:
        return False
    return True


def _verified_files(folder: Path, snapshot_id: str) -> dict[str, bytes]:
    listed = _manifest(folder, snapshot_id)["tables"]
    place = folder / snapshot_id
    try:
        files = {f"{name}.parquet": (place / f"{name}.parquet").read_bytes() for name in listed}
        told = (place / MANIFEST_FILE).read_bytes()
    except OSError as error:
        raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, f"{place}: {error}") from error
    for name, facts in listed.items():
        if hashlib.sha256(files[f"{name}.parquet"]).hexdigest() != facts["sha256"]:
            detail = f"{place / name}.parquet does not hash to its manifest"
            raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, detail)
    return {**files, MANIFEST_FILE: told}
