"""A home's history into the lake: what the lake lacks, in one snapshot a store; nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from instgov_dagster.adapters.lake.connection import Lake, lake_transaction, last_snapshot
from instgov_dagster.adapters.lake.locks import PartLocks, part_locks
from instgov_dagster.adapters.lake.parts import KEYS, Division, divisions
from instgov_dagster.adapters.lake.schema import Tables, ensure_lake_schema, require_same_market
from instgov_dagster.adapters.markets.binding import binding_path
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.night_store import REPLACED_TABLES
from instgov_dagster.adapters.store.projector.follow import live_store
from instgov_dagster.adapters.store.warehouse import WarehouseResource, registered
from instgov_dagster.vocabulary.errors import InputError

# Rows of so many parts are in memory at once.
_PARTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """What one push added.

    Attributes
    ----------
    added
        Rows by ``schema.table``; a table that lacked nothing is not named.
    snapshot
        The lake's newest snapshot after it: with it the lake is read as this push left it.
    """

    added: Mapping[str, int]
    snapshot: int


def push(lake: Lake, home: Home, *, pushed_at: datetime) -> PushReport:
    """Append to the lake what it lacks of a home's warehouse and of its projection.

    Parameters
    ----------
    pushed_at
        When this runs, UTC.

    Raises
    ------
    InputError
        If the home has no warehouse, or the lake belongs to another market or holds another
        history of the same bar, class or night; the lake is as it was then.
    LakeUnavailable
        If the lake cannot be reached, or another writer kept a part past the wait.
    WarehouseBusy
        If a night kept the warehouse past the wait.
    """
    added: dict[str, int] = {}
    with part_locks(lake.address) as locks, ExitStack() as stack:
        with locks.making():
            con = stack.enter_context(lake.opened(read_only=False))
            tables = _made(con, home, pushed_at)
        for schema, store in stores(home):
            con.execute(f'USE lake."{schema}"')
            with store.reader() as here:
                rows = _Push(here, con, locks, schema).run(tables[schema])
            added.update({f"{schema}.{name}": count for name, count in rows.items() if count})
        return PushReport(added=added, snapshot=last_snapshot(con))


def _made(con: duckdb.DuckDBPyConnection, home: Home, pushed_at: datetime) -> dict[str, Tables]:
    with lake_transaction(con):
        require_same_market(con, _binding(home))
        return {
            schema: ensure_lake_schema(con, schema, applied_at=pushed_at)
            for schema, _ in stores(home)
        }


def stores(home: Home) -> Iterator[tuple[str, WarehouseResource]]:
    """Give the stores of a home that are history, each with its schema in the lake.

    Raises
    ------
    InputError
        If the home has no warehouse.
    """
    if not home.warehouse.is_file():
        raise InputError(f"--home must hold a warehouse, had none: {home.warehouse}")
    yield "warehouse", WarehouseResource(database=str(home.warehouse))
    if home.live.is_file():
        yield "live", live_store(home)


def _binding(home: Home) -> str:
    path: Path = binding_path(home)
    if not path.is_file():
        raise InputError(f"--home must belong to a market, had no {path.name}: {home.root}")
    return path.read_text(encoding="utf-8").strip()


class _Push:
    """One store on its way into one schema of the lake."""

    def __init__(
        self,
        here: duckdb.DuckDBPyConnection,
        there: duckdb.DuckDBPyConnection,
        locks: PartLocks,
        schema: str,
    ) -> None:
        self._here, self._there, self._locks, self._schema = here, there, locks, schema

    def run(self, tables: Tables) -> dict[str, int]:
        wanted = []
        for division in divisions(tables):
            if parts := division.differing(self._here, self._there):
                self._locks.take(f"{self._schema}.{division.table}", parts)
                wanted.append((division, parts))
        added = {}
        # What another writer added before the locks were had is seen in here.
        with lake_transaction(self._there):
            for division, parts in wanted:
                added[division.table] = self._append(division, parts)
            self._locks.require_held()
        return added

    def _append(self, division: Division, parts: Sequence[str]) -> int:
        if division.table in REPLACED_TABLES:
            return self._replace(division)
        added = 0
        for at in range(0, len(parts), _PARTS_AT_ONCE):
            some = list(parts[at : at + _PARTS_AT_ONCE])
            added += self._insert(division, some, self._lacking(division, some))
            self._require_one_history(division, some)
        return added

    def _lacking(self, division: Division, parts: list[str]) -> str:
        held = self._there.execute(
            f'SELECT count(*) FROM "{division.table}" WHERE {division.part} = ANY(?)',  # noqa: S608  # names stand in the catalog
            [parts],
        ).fetchall()[0][0]
        if not held:
            return division.staged  # in the order in which it was written
        return (
            f"{division.staged} EXCEPT ALL"  # noqa: S608  # names stand in the catalog
            f' SELECT {division.names} FROM "{division.table}" WHERE {division.part} = ANY($parts)'
        )

    def _replace(self, division: Division) -> int:
        newest = f'SELECT max(recorded_at) FROM "{division.table}"'  # noqa: S608  # a table of the catalog
        mine, theirs = (con.execute(newest).fetchall()[0][0] for con in (self._here, self._there))
        if theirs is not None and theirs >= mine:
            return 0  # a later night is there already
        self._there.execute(f'DELETE FROM "{division.table}"')  # noqa: S608  # a table of the catalog
        return self._insert(division, ["all"], division.staged)

    def _insert(self, division: Division, parts: list[str], lacking: str) -> int:
        rows = self._here.execute(
            f'SELECT {division.names} FROM "{division.table}"'  # noqa: S608  # names stand in the catalog
            f" WHERE {division.part} = ANY(?) ORDER BY {division.order}",
            [parts],
        ).to_arrow_table()
        with registered(self._there, "staged", rows):
            done = self._there.execute(
                f'INSERT INTO "{division.table}" ({division.names}) {lacking}',
                {"parts": parts} if "$parts" in lacking else None,
            )
            return int(done.fetchall()[0][0])

    def _require_one_history(self, division: Division, parts: list[str]) -> None:
        key = ", ".join(f'"{name}"' for name in KEYS.get(division.table, ()))
        if not key:
            return
        twice = self._there.execute(
            f'SELECT {key} FROM "{division.table}" WHERE {division.part} = ANY(?)'  # noqa: S608  # names stand in the catalog
            f" GROUP BY {key} HAVING count(*) > 1 LIMIT 1",
            [parts],
        ).fetchall()
        if twice:
            named = ", ".join(str(value) for value in twice[0])
            raise InputError(
                f"the lake holds another history of {division.table} ({named}): two homes that"
                " went their own ways have a lake each"
            )
