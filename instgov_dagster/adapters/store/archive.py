"""Immutable copies of what providers sent: canonical JSON, gzip, keys redacted (roadmap 2.6)."""

import gzip
import hashlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from instgov_dagster.adapters.runtime import fsync_directory
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

REDACTED = "REDACTED"
# Level 1 halves the work of level 6 and costs a tenth more space on bars.
_COMPRESS_LEVEL = 1
_WORKERS = 2
_SECRET_KEY = re.compile(r"(?i)(api[-_]?key|secret|token|authorization|password|signature)")
_SECRET_PARAMETER = re.compile(
    r"(?i)([?&](?:api[-_]?key|secret|token|password|signature)[^=&]*=)[^&\s\"]+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedPayload:
    """One payload on disk; ``sha256`` is of the uncompressed bytes."""

    path: Path
    sha256: str
    bytes: int


def redact(value: Any) -> Any:
    """Replace what a key names as secret, and secret parameters of addresses, by a word."""
    if isinstance(value, Mapping):
        return {
            k: REDACTED if _SECRET_KEY.search(str(k)) else redact(item) for k, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    if isinstance(value, str):
        return _SECRET_PARAMETER.sub(rf"\1{REDACTED}", value)
    return value


def canonical_payload(value: Any) -> bytes:
    """Write a payload as JSON with sorted keys and no spaces, its secrets redacted."""
    text = json.dumps(redact(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def archive_path(raw_dir: Path, run_id: str, symbol: str, provider: str) -> Path:
    """Name a payload's file; whatever a symbol holds, it stays inside the run's folder.

    Raises
    ------
    ValueError
        If a part is empty or the run is a path step.
    """
    parts = (run_id, symbol, provider)
    if not all(parts) or run_id in {".", ".."}:
        raise ValueError(f"run, symbol and provider must be names, were {parts!r}")
    run, name, source = (quote(part, safe="") for part in parts)
    return raw_dir / run / f"{name}_{source}.json.gz"


def archive_payload(
    raw_dir: Path, *, run_id: str, symbol: str, provider: str, payload: Any
) -> ArchivedPayload:
    """Archive one payload, redacted and made canonical unless it comes as bytes.

    Raises
    ------
    SystemHalt
        ``AUDIT_WRITE_FAILED`` if it cannot be written or another payload has its name.
    """
    path = archive_path(raw_dir, run_id, symbol, provider)
    path.parent.mkdir(parents=True, exist_ok=True)
    body = payload if isinstance(payload, bytes) else canonical_payload(payload)
    return _write(path, body)


def archive_payloads(
    raw_dir: Path,
    *,
    run_id: str,
    provider: str,
    payloads: Mapping[str, bytes],
    progress: Callable[[int], None] | None = None,
) -> dict[str, ArchivedPayload]:
    """Archive one run's payloads, already canonical and free of secrets, by symbol.

    Parameters
    ----------
    payloads
        Read one by one, so that they may be made when read.
    progress
        Told the number of payloads written so far.

    Raises
    ------
    SystemHalt
        ``AUDIT_WRITE_FAILED`` if one cannot be written, or differs from the one archived before.

    Notes
    -----
    Names are made durable once at the end; a payload torn by a power cut is found by its hash.
    """
    folder = archive_path(raw_dir, run_id, "-", provider).parent
    folder.mkdir(parents=True, exist_ok=True)
    archived: dict[str, ArchivedPayload] = {}

    def write(symbol: str) -> tuple[str, ArchivedPayload]:
        return symbol, _write(archive_path(raw_dir, run_id, symbol, provider), payloads[symbol])

    # Compressing and hashing let go of the interpreter; two threads use both cores.
    with ThreadPoolExecutor(_WORKERS) as pool:
        for count, (symbol, done) in enumerate(pool.map(write, payloads), start=1):
            archived[symbol] = done
            if progress is not None:
                progress(count)
    fsync_directory(folder)
    return archived


def _write(path: Path, body: bytes) -> ArchivedPayload:
    digest = hashlib.sha256(body).hexdigest()
    done = ArchivedPayload(path=path, sha256=digest, bytes=len(body))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.exists():
            _require_same(path, digest)
            return done
        temporary.write_bytes(gzip.compress(body, _COMPRESS_LEVEL, mtime=0))
        temporary.rename(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, f"{path}: {error}") from error
    return done


def _require_same(path: Path, digest: str) -> None:
    found = hashlib.sha256(_body(path)).hexdigest()
    if found != digest:
        raise SystemHalt(
            ReasonCode.AUDIT_WRITE_FAILED,
            f"{path} holds payload {found[:12]} and may not become {digest[:12]}",
        )


def _body(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise SystemHalt(ReasonCode.CHAIN_BROKEN, f"{path} cannot be read: {error}") from error


def read_archived(path: Path, *, sha256: str) -> bytes:
    """Read a payload back and prove that it is the one archived.

    Raises
    ------
    SystemHalt
        ``CHAIN_BROKEN`` if the file cannot be read or its bytes are others.
    """
    body = _body(path)
    if hashlib.sha256(body).hexdigest() != sha256:
        raise SystemHalt(ReasonCode.CHAIN_BROKEN, f"{path} does not hash to {sha256}")
    return body


def prune_archive(raw_dir: Path, *, before: datetime) -> tuple[str, ...]:
    """Delete the payloads of runs that ended before an instant; give the runs.

    Notes
    -----
    A run's newest file dates it. What the chains and the warehouse say of a payload stays, its
    digest among it: a payload kept elsewhere can still be held against that.
    """
    gone = []
    for folder in sorted(raw_dir.iterdir()) if raw_dir.is_dir() else []:
        last = max((path.stat().st_mtime for path in folder.iterdir()), default=None)
        if last is not None and last < before.timestamp():
            shutil.rmtree(folder)
            gone.append(folder.name)
    return tuple(gone)
