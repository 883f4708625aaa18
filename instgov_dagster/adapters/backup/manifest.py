"""What a backup says of itself: every file with its digest, the chains, the tables, one seal."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from instgov_dagster.adapters.journal import canonical_json
from instgov_dagster.vocabulary.errors import InputError

FORMAT: Final = "instgov-backup-1"
MANIFEST: Final = "MANIFEST.json"
SEAL: Final = "MANIFEST.sha256"
#: Below this folder of a backup lies what a home is made of.
HOME: Final = "home"
_BLOCK_BYTES: Final = 1024 * 1024
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """One file of a backup; ``path`` is relative to the home."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainEnd:
    """Where a chain stood at the instant of the backup: its frames and the last one's digest."""

    frames: int
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A whole backup.

    Attributes
    ----------
    taken_at
        The instant, UTC, as ISO 8601.
    code_hash
        Of the code that took it; a replay by other code says so.
    is_keyed
        Whether the chains need a key to be verified. The key is never in a backup.
    tables
        Rows of each table of the warehouse.
    sha256
        Seals the manifest, and by it every file.
    """

    taken_at: str
    code_hash: str
    is_keyed: bool
    chains: Mapping[str, ChainEnd]
    tables: Mapping[str, int]
    files: tuple[BackedUp, ...]
    sha256: str = ""

    @property
    def frames(self) -> int:
        """Frames of all chains together."""
        return sum(chain.frames for chain in self.chains.values())

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.bytes for file in self.files)

    def body(self) -> bytes:
        """Give the manifest's own bytes, without its seal."""
        facts = asdict(self)
        del facts["sha256"]
        facts["files"] = {row.pop("path"): row for row in facts["files"]}
        return (canonical_json({"format": FORMAT, **facts}) + "\n").encode()


def copy_file(source: Path, target: Path, *, limit: int | None = None) -> tuple[int, str]:
    """Copy a file durably, readable by its owner alone; give its length and digest.

    Parameters
    ----------
    limit
        Bytes to copy from the start; all by default.

    Raises
    ------
    FileExistsError
        If the target is there already.
    OSError
        If either cannot be read or written.
    """
    digest, count = hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    with source.open("rb") as reader, os.fdopen(descriptor, "wb") as writer:
        while block := reader.read(
            _BLOCK_BYTES if limit is None else min(_BLOCK_BYTES, limit - count)
        ):
            digest.update(block)
            count += len(block)
            writer.write(block)
        writer.flush()
        os.fsync(writer.fileno())
    return count, digest.hexdigest()


def list_files(folder: Path) -> tuple[str, ...]:
    """Name every file below a folder, in order, by its path there.

    Raises
    ------
    InputError
        If something there is neither a folder nor a plain file.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise InputError(f"a backup must hold plain files, {path} is none")
        if path.is_file():
            found.append(path.relative_to(folder).as_posix())
    return tuple(found)


def write_manifest(folder: Path, manifest: Manifest) -> str:
    """Write the manifest and its seal into a backup; give the seal."""
    body = manifest.body()
    digest = hashlib.sha256(body).hexdigest()
    for name, content in ((MANIFEST, body), (SEAL, f"{digest}\n".encode())):
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    return digest


def read_manifest(folder: Path) -> Manifest:
    """Read what a backup says of itself, and verify that nobody changed that.

    Raises
    ------
    InputError
        If it is not there, does not hash to its seal, is of another format, or names a file
        outside the home.
    """
    path = folder / MANIFEST
    try:
        body = path.read_bytes()
        seal = (folder / SEAL).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--from must be a backup, was {folder}: {error}") from error
    digest = hashlib.sha256(body).hexdigest()
    if digest != seal:
        raise InputError(f"{path} must hash to {seal[:64]}, its seal, hashed to {digest}")
    try:
        return _parse(json.loads(body), digest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} must be a manifest of {FORMAT}, was not: {error}") from error


def _parse(told: Mapping[str, Any], digest: str) -> Manifest:
    if told["format"] != FORMAT:
        raise InputError(f"format must be {FORMAT}, was {told['format']!r}")
    return Manifest(
        taken_at=str(told["taken_at"]),
        code_hash=str(told["code_hash"]),
        is_keyed=bool(told["is_keyed"]),
        chains={name: ChainEnd(**row) for name, row in told["chains"].items()},
        tables={name: int(rows) for name, rows in told["tables"].items()},
        files=tuple(BackedUp(path=_inside(name), **facts) for name, facts in told["files"].items()),
        sha256=digest,
    )


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in name:
        raise InputError(f"a file of a backup must lie inside the home, was {name!r}")
    return name


def require_listed(folder: Path, manifest: Manifest) -> None:
    """Refuse a backup that lacks a file it names, or holds one it does not name.

    Raises
    ------
    InputError
        Naming the file.
    """
    named = {file.path for file in manifest.files}
    held = set(list_files(folder / HOME))
    if missing := sorted(named - held):
        raise InputError(f"{folder / HOME / missing[0]} must be there, is missing")
    if strange := sorted(held - named):
        raise InputError(f"{folder / HOME / strange[0]} must be named by {MANIFEST}, is not")
