"""Files written durably, and the space they need."""

import os
import shutil
from pathlib import Path

from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode


def require_free_space(path: Path, *, needed_bytes: int) -> int:
    """Refuse to start what the disk could not hold; return the bytes free.

    Parameters
    ----------
    path
        Any path on the file system; the nearest folder that exists is asked.
    needed_bytes
        Least number of bytes that must be free.

    Raises
    ------
    SystemHalt
        ``DISK_FULL`` if fewer are free.
    """
    folder = path
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise SystemHalt(
            ReasonCode.DISK_FULL, f"{folder} must have {needed_bytes} bytes free, had {free}"
        )
    return free


def fsync_directory(folder: Path) -> None:
    """Make the names in a folder as durable as the files they name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(path: Path, body: bytes) -> None:
    """Replace a file so that a reader sees the old bytes or the new ones, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(body)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)
