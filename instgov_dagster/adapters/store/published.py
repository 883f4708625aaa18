"""Published snapshots: Parquet folders that never change and one pointer that moves at once."""

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from instgov_dagster.adapters.runtime import FileLock, fsync_directory, replace_durably
from instgov_dagster.governance.audit import canonical_json
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

CURRENT_FILE = "CURRENT.json"
MANIFEST_FILE = "MANIFEST.json"
#: What the last session came to, beside the folders.
SUMMARY_FILE = "session.json"
_SNAPSHOT_ID = re.compile(r"\d{8}-[0-9a-f]{12}")
_TABLE_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ID_DIGITS = 12
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTable:
    """One Parquet file of a snapshot."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSnapshot:
    """One verified state of the published tables.

    ``meta`` is what the publisher said beside the tables; ``tables`` are in memory, so nothing
    that happens to the files afterwards can change what a reader stands on.
    """

    snapshot_id: str
    meta: Mapping[str, Any]
    files: tuple[PublishedTable, ...]
    tables: Mapping[str, pl.DataFrame]


def publish(
    folder: Path, tables: Mapping[str, pl.DataFrame], *, meta: Mapping[str, Any], keep: int
) -> str:
    """Write the tables as one snapshot, make it the current one, and return its id.

    Parameters
    ----------
    folder
        One folder a publisher; readers name it too.
    tables
        Snake-case names; at least one.
    meta
        JSON-able facts beside the tables.
    keep
        How many snapshots stay, the current one included; at least 2, for readers under way.

    Raises
    ------
    LeaseHeld
        If another publisher is at work in the folder.
    ValueError
        If a name is no table name, there is no table, or ``keep`` is below 2.
    """
    if keep < 2 or not tables or not all(_TABLE_NAME.fullmatch(name) for name in tables):
        raise ValueError(f"publish needs named tables and keep >= 2, was {list(tables)}, {keep}")
    with FileLock(folder / "publish.lock"):
        bodies = {name: _parquet(frame) for name, frame in sorted(tables.items())}
        listed = tuple(
            PublishedTable(
                name=name, sha256=hashlib.sha256(body).hexdigest(), rows=tables[name].height
            )
            for name, body in bodies.items()
        )
        manifest = _manifest(listed, meta)
        snapshot_id = f"{_next_number(folder):08d}-{_digest(manifest)[:_ID_DIGITS]}"
        body = {"snapshot_id": snapshot_id, "manifest_sha256": _digest(manifest), **manifest}
        told = (canonical_json(body) + "\n").encode()
        files = {f"{name}.parquet": content for name, content in bodies.items()}
        write_folder(folder / snapshot_id, {**files, MANIFEST_FILE: told})
        replace_durably(folder / CURRENT_FILE, told)
        _prune(folder, keep)
    return snapshot_id


def read_snapshot(folder: Path, *, tables: tuple[str, ...] | None = None) -> PublishedSnapshot:
    """Read the current snapshot into memory and verify every byte of it.

    Parameters
    ----------
    tables
        Which tables to read; all by default.

    Raises
    ------
    SystemHalt
        ``SNAPSHOT_MISSING`` if none is published, a file is missing or damaged, or a table that
        was asked for is not in it.

    Notes
    -----
    A snapshot pruned while it was being read is not damage: the pointer has moved, so the new
    one is read instead.
    """
    for _ in range(_TRIES):
        current = _current(folder)
        try:
            return load_snapshot(folder, current, tables)
        except FileNotFoundError as error:
            if _current(folder)["snapshot_id"] == current["snapshot_id"]:
                detail = f"{folder / current['snapshot_id']}: {error}"
                raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, detail) from error
    raise SystemHalt(
        ReasonCode.SNAPSHOT_MISSING, f"{folder}: the pointer moved {_TRIES} times while reading"
    )


def current_snapshot_id(folder: Path) -> str:
    """Name the current snapshot without reading it.

    Raises
    ------
    SystemHalt
        ``SNAPSHOT_MISSING`` if none is published or the pointer is damaged.
    """
    return str(_current(folder)["snapshot_id"])


def published_meta(folder: Path) -> dict[str, Any] | None:
    """Give what the publisher said beside the current snapshot, or None where none is.

    Raises
    ------
    SystemHalt
        ``SNAPSHOT_MISSING`` if the pointer is damaged.
    """
    if not (folder / CURRENT_FILE).exists():
        return None
    return dict(_current(folder)["meta"])


def write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that appears whole and durable, or not at all.

    Raises
    ------
    OSError
        If the folder already exists with files in it, or cannot be written.
    """
    building = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(building, ignore_errors=True)  # what a killed writer left
    building.mkdir(parents=True)
    try:
        for name, body in files.items():
            with (building / name).open("xb") as stream:
                stream.write(body)
                stream.flush()
                os.fsync(stream.fileno())
        fsync_directory(building)
        building.rename(target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    fsync_directory(target.parent)


def _parquet(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_parquet(sink, compression="zstd", compression_level=1)
    return sink.getvalue()


def _manifest(files: tuple[PublishedTable, ...], meta: Mapping[str, Any]) -> dict[str, Any]:
    listed = {f.name: {"sha256": f.sha256, "rows": f.rows} for f in files}
    return {"tables": listed, "meta": dict(meta)}


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(manifest).encode()).hexdigest()


def _snapshots(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if _SNAPSHOT_ID.fullmatch(p.name))


def _next_number(folder: Path) -> int:
    last = _snapshots(folder)[-1:]
    return int(last[0].name[:8]) + 1 if last else 1


def _prune(folder: Path, keep: int) -> None:
    for old in _snapshots(folder)[:-keep]:
        shutil.rmtree(old)
    for left in folder.glob(".*.tmp"):
        if left.is_dir():
            shutil.rmtree(left)


def _current(folder: Path) -> dict[str, Any]:
    path = folder / CURRENT_FILE
    if not path.exists():
        detail = f"{path}: nothing is published; run the job nightly_ingestion first"
        raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, detail)
    return read_manifest(path)


def read_manifest(path: Path) -> dict[str, Any]:
    """Read what a pointer or a snapshot's folder says of the snapshot, and verify that it hashes.

    Raises
    ------
    SystemHalt
        ``SNAPSHOT_MISSING`` if it is not there or damaged.
    """
    try:
        body = json.loads(path.read_bytes())
        digest = _digest({"tables": body["tables"], "meta": body["meta"]})
        is_sound = body["manifest_sha256"] == digest
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, f"{path}: {error}") from error
    name = str(body.get("snapshot_id"))
    if not is_sound or not _SNAPSHOT_ID.fullmatch(name) or not name.endswith(digest[:_ID_DIGITS]):
        raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, f"{path} does not hash to its manifest")
    if not _is_whole(body):
        # The hash has no key: whoever writes the folder can make one. A name is no path.
        detail = f"{path} must name tables, each with its sha256 and rows"
        raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, detail)
    return dict(body)


def _is_whole(body: Mapping[str, Any]) -> bool:
    tables = body["tables"]
    return (
        isinstance(body["meta"], dict)
        and isinstance(tables, dict)
        and all(_TABLE_NAME.fullmatch(name) for name in tables)
        and all(isinstance(row, dict) and set(row) == {"sha256", "rows"} for row in tables.values())
        and all(isinstance(row["rows"], int) for row in tables.values())
    )


def load_snapshot(
    folder: Path, manifest: Mapping[str, Any], tables: tuple[str, ...] | None = None
) -> PublishedSnapshot:
    """Read the tables of the snapshot a manifest describes and verify every byte.

    Parameters
    ----------
    folder
        What holds the snapshots, one folder each.

    Raises
    ------
    FileNotFoundError
        If a file is gone.
    SystemHalt
        ``SNAPSHOT_MISSING`` if a file is damaged or a table is not in the snapshot.
    """
    listed = manifest["tables"]
    names = tuple(listed) if tables is None else tables
    files, frames = [], {}
    for name in names:
        if name not in listed:
            raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, f"{folder} publishes no table {name}")
        path = folder / manifest["snapshot_id"] / f"{name}.parquet"
        body = path.read_bytes()
        if hashlib.sha256(body).hexdigest() != listed[name]["sha256"]:
            raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, f"{path} does not hash to its manifest")
        frame = pl.read_parquet(io.BytesIO(body))
        if frame.height != listed[name]["rows"]:
            detail = f"{path} must have {listed[name]['rows']} rows, had {frame.height}"
            raise SystemHalt(ReasonCode.SNAPSHOT_MISSING, detail)
        frames[name] = frame
        files.append(PublishedTable(name=name, **listed[name]))
    return PublishedSnapshot(
        snapshot_id=manifest["snapshot_id"],
        meta=MappingProxyType(dict(manifest["meta"])),
        files=tuple(files),
        tables=MappingProxyType(frames),
    )
