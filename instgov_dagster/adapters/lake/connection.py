"""The lake opened for a piece of work: now, or as it stood; its errors in the system's words."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Final

import duckdb

from instgov_dagster.adapters.lake.address import LakeAddress
from instgov_dagster.adapters.store.errors import is_full
from instgov_dagster.adapters.store.schema import require_current
from instgov_dagster.vocabulary.errors import LakeUnavailable, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The schemas of the lake: one a store of the home.
SCHEMAS: Final = ("warehouse", "live")
# Nothing is fetched behind our back, and two commits at once are tried again rather than lost.
_SETTINGS: Final = (
    "SET TimeZone = 'UTC'",
    "SET enable_progress_bar = false",  # `python -c` would find it in its standard output
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
)
_AFTER_LOADING: Final = "SET ducklake_max_retry_count = 100"


class Lake:
    """A DuckLake: Parquet in a folder or an object store, its catalog in Postgres.

    Parameters
    ----------
    address
        See `lake_from`.
    """

    def __init__(self, address: LakeAddress) -> None:
        self.address = address

    @contextmanager
    def reader(
        self, schema: str = "warehouse", *, at: datetime | int | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open one schema read-only: the names of its tables are those of the home's store.

        Parameters
        ----------
        at
            The lake as it stood: after a snapshot, or at an aware instant; None for now.

        Raises
        ------
        LakeUnavailable
            If catalog or data cannot be reached, or there was nothing then.
        SystemHalt
            ``SCHEMA_MISMATCH`` if its schema is not this version's.
        """
        with self.opened(read_only=True, at=at) as con:
            if not _has_schema(con, schema):
                raise LakeUnavailable(f"{self.address.data}: nothing was pushed to the lake then")
            con.execute(f"USE lake.{_name(schema)}")
            require_current(con, schema)
            yield con

    @contextmanager
    def opened(
        self, *, read_only: bool, at: datetime | int | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the lake itself; for those who make or change its schemas."""
        with self.translated(), closing(duckdb.connect()) as con:
            for statement in _SETTINGS:
                con.execute(statement)
            for path in self.address.extensions:
                con.execute(f"LOAD {_text(str(path))}")
            con.execute(_AFTER_LOADING)
            self._reach_store(con)
            con.execute(self._attach(read_only=read_only, at=at))
            yield con

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn DuckDB's errors on the lake into the system's, without a secret in them.

        Raises
        ------
        LakeUnavailable
            Whatever DuckDB, the catalog or the object store refused.
        SystemHalt
            ``DISK_FULL`` if the disk is full.
        """
        try:
            yield
        except duckdb.Error as error:
            told = self.address.without_secrets(str(error))
            # Without its cause: that one's text may hold the password.
            if is_full(told):
                raise SystemHalt(ReasonCode.DISK_FULL, told) from None
            raise LakeUnavailable(told) from None

    def _attach(self, *, read_only: bool, at: datetime | int | None) -> str:
        options = [f"DATA_PATH {_text(self.address.data)}"]
        if read_only:
            options.append("READ_ONLY")
        if isinstance(at, datetime):
            if at.tzinfo is None:
                raise ValueError(f"at must be aware, was {at!r}")
            options.append(f"SNAPSHOT_TIME {_text(at.isoformat())}")
        elif at is not None:
            options.append(f"SNAPSHOT_VERSION {int(at)}")
        where = _text(f"ducklake:postgres:{self.address.catalog}")
        return f"ATTACH {where} AS lake ({', '.join(options)})"

    def _reach_store(self, con: duckdb.DuckDBPyConnection) -> None:
        store = self.address.store
        if store is None:
            return
        words = [
            "TYPE s3", f"KEY_ID {_text(store.key_id)}", f"SECRET {_text(store.secret)}",
            f"REGION {_text(store.region)}", f"USE_SSL {str(store.is_encrypted).lower()}",
        ]  # fmt: skip
        if store.endpoint:
            words += [f"ENDPOINT {_text(store.endpoint)}", "URL_STYLE 'path'"]
        con.execute(f"CREATE SECRET ({', '.join(words)})")


def last_snapshot(con: duckdb.DuckDBPyConnection) -> int:
    """Give the number of the newest snapshot of the lake."""
    found = con.execute("SELECT max(snapshot_id) FROM ducklake_snapshots('lake')").fetchall()
    return int(found[0][0])


@contextmanager
def lake_transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Run the body in one transaction: one snapshot of the lake, or nothing.

    Notes
    -----
    As in a file, COMMIT after a failed statement succeeds and discards everything; an aborted
    transaction cannot answer, so it is asked before.
    """
    con.execute("BEGIN TRANSACTION")
    try:
        yield
        con.execute("SELECT 1").fetchall()
        con.execute("COMMIT")
    except BaseException:
        _roll_back(con)
        raise


def _roll_back(con: duckdb.DuckDBPyConnection) -> None:
    try:
        con.execute("ROLLBACK")
    except duckdb.Error:
        con.close()  # the catalog is gone, and with it the transaction


def _has_schema(con: duckdb.DuckDBPyConnection, schema: str) -> bool:
    found = con.execute(
        "SELECT count(*) FROM duckdb_schemas() WHERE database_name = 'lake' AND schema_name = ?",
        [schema],
    ).fetchall()
    return bool(found[0][0])


def _name(schema: str) -> str:
    if schema not in SCHEMAS:
        raise ValueError(f"schema must be one of {SCHEMAS}, was {schema!r}")
    return schema


def _text(value: str) -> str:
    # A literal: these statements take no parameters.
    return "'" + value.replace("'", "''") + "'"
