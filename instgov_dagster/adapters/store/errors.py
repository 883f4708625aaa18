"""What DuckDB's errors mean to the system; nothing else translates them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from instgov_dagster.vocabulary.errors import InstgovError, SystemHalt, WarehouseBusy
from instgov_dagster.vocabulary.reasons import ReasonCode

_LOCKED = "Could not set lock"
_OTHER_MODE = "different configuration"
_FULL = ("No space left on device", "File too large", "Disk quota exceeded")
_CORRUPT = (
    "database does not exist",
    "not a valid DuckDB database file",
    "Corrupt database file",
    "Could not read enough bytes",
    "checksum",
    "trying to read a database file with version number",
    "Failure while replaying WAL file",
)


class WarehouseCorrupt(InstgovError):  # noqa: N818  # a state of the world, not a mistake
    """The store is missing or cannot be read: HALT_SYSTEM, resumed by an operator.

    Parameters
    ----------
    detail
        Which file, and what was found.
    """

    reason_code = ReasonCode.WAREHOUSE_CORRUPT

    def __init__(self, detail: str) -> None:
        super().__init__(f"{self.reason_code}: {detail}")
        self.detail = detail


def is_locked(error: duckdb.Error) -> bool:
    """Say whether another process holds the file; the only error worth waiting on."""
    return isinstance(error, duckdb.IOException) and _LOCKED in str(error)


def is_full(text: str) -> bool:
    """Say whether an error's text says that a disk is full."""
    return any(words in text for words in _FULL)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn DuckDB's errors on the file itself into the system's; the others pass.

    Raises
    ------
    WarehouseBusy
        If another process, or another mode in this one, holds the file.
    WarehouseCorrupt
        If the file is missing or damaged.
    SystemHalt
        ``DISK_FULL`` if the disk is full.
    """
    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        detail = f"{path}: {' '.join(text.split())}"
        if is_locked(error) or _OTHER_MODE in text:
            raise WarehouseBusy(detail) from error
        if is_full(text):
            raise SystemHalt(ReasonCode.DISK_FULL, detail) from error
        is_fatal = isinstance(error, duckdb.FatalException | duckdb.InternalException)
        is_torn = isinstance(error, duckdb.IOException | duckdb.SerializationException)
        is_torn = is_torn or type(error) is duckdb.Error  # what DuckDB 2.0 calls a bad checksum
        if is_fatal or (is_torn and any(words in text for words in _CORRUPT)):
            raise WarehouseCorrupt(detail) from error
        raise
