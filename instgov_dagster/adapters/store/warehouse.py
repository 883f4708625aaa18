"""The warehouse as a Dagster resource: one writer or many readers, never both, never leaked."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from dagster_duckdb import DuckDBResource
from pydantic import Field, PrivateAttr

from instgov_dagster.adapters.runtime import Clock, RealClock
from instgov_dagster.adapters.store.errors import WarehouseCorrupt, is_locked, translated
from instgov_dagster.adapters.store.schema import migrate, require_current
from instgov_dagster.vocabulary.errors import WarehouseBusy

# Files stay readable by 1.5 when a 2.x has written them.
_CONNECTION = {"custom_user_agent": "dagster", "storage_compatibility_version": "v1.5.0"}


@contextmanager
def registered(con: duckdb.DuckDBPyConnection, name: str, rows: object) -> Iterator[None]:
    """Let SQL read some rows by a name, which is taken back however the block ends.

    Where a statement fails its own error is told: a transaction that failed can take no name back.
    """
    con.register(name, rows)
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):
            con.unregister(name)
        raise
    con.unregister(name)


class WarehouseResource(DuckDBResource):
    """A DuckDB file that is opened for a piece of work and closed, whatever happens.

    Unlike its parent it closes on an error as well, waits only for a lock, reads in read-only
    mode, and refuses a missing, damaged or unmigrated file.
    """

    busy_wait_seconds: float = Field(
        default=120.0, ge=0, description="How long to wait for another process's lock."
    )
    busy_poll_seconds: float = Field(
        default=0.1, gt=0, description="How often to try while waiting for the lock."
    )
    schema_set: str = Field(
        default="warehouse", description="Which migrations apply: warehouse or live."
    )
    _clock: Clock = PrivateAttr(default_factory=RealClock)

    @classmethod
    def _is_dagster_maintained(cls) -> bool:
        return False

    @property
    def path(self) -> Path:
        """The database file."""
        return Path(self.database)

    @contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file read-only.

        Raises
        ------
        WarehouseBusy
            If a writer kept the file past the wait.
        WarehouseCorrupt
            If the file is missing or damaged.
        SystemHalt
            ``SCHEMA_MISMATCH`` if its schema is not this version's.
        """
        with self._opened(read_only=True) as con:
            require_current(con, self.schema_set)
            yield con

    @contextmanager
    def writer(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file for writing; statements commit one by one, see :meth:`txn`.

        Raises
        ------
        WarehouseBusy
            If another process kept the file past the wait.
        WarehouseCorrupt
            If the file is missing or damaged.
        SystemHalt
            ``SCHEMA_MISMATCH``, or ``DISK_FULL``.
        """
        self._require_file()
        with self._opened(read_only=False) as con:
            require_current(con, self.schema_set)
            yield con

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file for writing, as :meth:`writer` does."""
        with self.writer() as con:
            yield con

    @contextmanager
    def txn(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file for writing and run the body in one transaction: all of it or nothing."""
        with self.writer() as con, transaction(con):
            yield con

    def ensure_schema(self, *, applied_at: datetime, create: bool) -> tuple[int, ...]:
        """Apply the migrations that are missing and return their versions.

        Parameters
        ----------
        applied_at
            The instant recorded with each.
        create
            Whether a missing file may be made: only for a home that never had one.

        Raises
        ------
        WarehouseCorrupt
            If the file is missing and ``create`` is false, or it is damaged.
        SystemHalt
            ``SCHEMA_MISMATCH`` if a migration already applied differs from this version's.
        """
        if create:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        else:
            self._require_file()
        with self._opened(read_only=False) as con:
            return migrate(con, self.schema_set, applied_at=applied_at)

    def _require_file(self) -> None:
        # Opening for a write would make an empty database out of a lost one.
        if not self.path.is_file():
            raise WarehouseCorrupt(f"{self.path}: the file is missing")

    @contextmanager
    def _opened(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        with translated(self.path), closing(self._connect(read_only=read_only)) as con:
            # A naive timestamp must never take the machine's zone.
            con.execute("SET TimeZone = 'UTC'")
            yield con

    def _connect(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        config: dict[str, Any] = {**_CONNECTION, **self.connection_config}
        deadline = self._clock.now() + timedelta(seconds=self.busy_wait_seconds)
        while True:
            try:
                return duckdb.connect(self.database, read_only=read_only, config=config)
            except duckdb.IOException as error:
                now = self._clock.now()
                if not is_locked(error):
                    raise
                if now >= deadline:
                    waited = f"{self.busy_wait_seconds:g} s"
                    raise WarehouseBusy(
                        f"{self.path} stayed locked for {waited}: {error}"
                    ) from error
                self._clock.sleep_until(now + timedelta(seconds=self.busy_poll_seconds))


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Run the body in one transaction that commits as a whole or not at all.

    Notes
    -----
    DuckDB's COMMIT after a failed statement succeeds and discards everything. The transaction is
    therefore asked for its number before the commit: an aborted one cannot answer, and one the
    body ended and began again answers another number.
    """
    con.execute("BEGIN TRANSACTION")
    try:
        number = con.execute("SELECT txid_current()").fetchall()
        yield
        _require_number(con, number)
        con.execute("COMMIT")
    except BaseException:
        _rollback(con)
        raise


def _require_number(con: duckdb.DuckDBPyConnection, number: list[tuple[Any, ...]]) -> None:
    if con.execute("SELECT txid_current()").fetchall() != number:
        raise duckdb.TransactionException("the body ended the transaction by itself")


def _rollback(con: duckdb.DuckDBPyConnection) -> None:
    try:
        con.execute("ROLLBACK")
    except duckdb.Error:
        # Nothing is open any more, or the instance is dead: either way nothing more is written,
        # and the error that led here is the one to raise.
        con.close()
