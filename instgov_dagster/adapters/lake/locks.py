"""Who may write which part of the lake: advisory locks of the catalog's Postgres, two levels."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from instgov_dagster.adapters.lake.address import LakeAddress
from instgov_dagster.vocabulary.errors import LakeUnavailable

#: How long one writer waits for another one's part.
WAIT_SECONDS: Final = 300
#: More parts than these are locked as the whole table: the server's table of locks is small.
MOST_PARTS: Final = 400
_LIMITS: Final = (
    f"SET lock_timeout = '{WAIT_SECONDS}s'; SET tcp_keepalives_idle = 15;"
    " SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
)
_KEYS: Final = "SELECT hashtext(part) AS k FROM unnest(%s) part ORDER BY k"


class PartLocks:
    """Locks that one writer holds until it ends; a crash or a cut lets go of them.

    Notes
    -----
    A writer of parts holds its table shared and each part alone; a writer of many parts holds
    the table alone. Tables are taken in the order of the calls, parts in that of their keys, so
    two writers never wait for each other.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def take(self, table: str, parts: Sequence[str]) -> None:
        """Wait for a table's parts."""
        name = f"instgov-lake/{table}"
        if len(parts) > MOST_PARTS:
            self._ask("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
            return
        self._ask("SELECT pg_advisory_lock_shared(hashtextextended(%s, 0))", [name])
        self._ask(
            f"SELECT pg_advisory_lock(hashtext(%s), k) FROM ({_KEYS}) keys",  # noqa: S608  # a constant
            [name, sorted(set(parts))],
        )

    @contextmanager
    def making(self) -> Iterator[None]:
        """Be the only one who makes the lake or its tables, for a block."""
        name = ["instgov-lake"]
        self._ask("SELECT pg_advisory_lock(hashtextextended(%s, 0))", name)
        yield
        self._ask("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", name)

    def require_held(self) -> None:
        """Refuse to go on where the connection, and with it every lock, is gone."""
        self._ask("SELECT 1", [])

    def _ask(self, question: str, values: list[Any]) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(question, values)


@contextmanager
def part_locks(address: LakeAddress) -> Iterator[PartLocks]:
    """Open the catalog's Postgres for locks; they end with the block.

    Raises
    ------
    LakeUnavailable
        If the server cannot be reached, is lost, or another writer kept a part past the wait.
    """
    import psycopg2

    try:
        connection = psycopg2.connect(address.catalog, connect_timeout=10)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(_LIMITS)
            yield PartLocks(connection)
        finally:
            connection.close()
    except psycopg2.Error as error:
        # Without its cause: that one's text may hold the password.
        raise LakeUnavailable(address.without_secrets(str(error))) from None
