"""What a table is divided into, and which parts two stores hold alike; read only."""

from dataclasses import dataclass
from typing import Final

import duckdb

from instgov_dagster.adapters.lake.schema import Columns
from instgov_dagster.adapters.store.night_store import REPLACED_TABLES

#: What may stand once in the whole history; a second row of the same is another history.
KEYS: Final = {
    "bar_versions": ("symbol", "date", "ordinal", "version"),
    "bar_sources": ("symbol", "sequence"),
    "symbol_classes": ("symbol",),
    "night_writes": ("sequence",),
}
# A version of a bar is never changed: what names it and when it was stored say which it is.
_MARKED: Final = {"bar_versions": ("date", "ordinal", "version", "recorded_at", "run_id")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """How one table is divided: by symbol, by night, or not at all where it is replaced."""

    table: str
    columns: Columns

    @property
    def part(self) -> str:
        """The expression that names a row's part."""
        if self.table in REPLACED_TABLES:
            return "'all'"
        return 'CAST("asof" AS VARCHAR)' if "asof" in self.columns else "symbol"

    @property
    def names(self) -> str:
        """The columns, as a statement lists them."""
        return ", ".join(f'"{name}"' for name in self.columns)

    @property
    def staged(self) -> str:
        """The query of the rows that are about to be appended."""
        return f"SELECT {self.names} FROM staged"  # noqa: S608  # names stand in the catalog

    @property
    def order(self) -> str:
        """What rows are copied by: bars so that one symbol lies together, nights as written."""
        return "symbol, date, version" if self.table == "bar_versions" else "rowid"

    def marks(self, con: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, int]]:
        """Give rows and a mark of each part; parts that differ have, but for a chance, others."""
        names = ", ".join(f'"{n}"' for n in _MARKED.get(self.table, tuple(self.columns)))
        found = con.execute(
            f"SELECT {self.part}, count(*), sum(CAST(hash({names}) AS HUGEINT))"  # noqa: S608  # names stand in the catalog
            f' FROM "{self.table}" GROUP BY 1'
        ).fetchall()
        return {str(part): (int(rows), int(mark)) for part, rows, mark in found}

    def differing(
        self, here: duckdb.DuckDBPyConnection, there: duckdb.DuckDBPyConnection
    ) -> list[str]:
        """Name the parts of one store that the other does not hold alike, sorted."""
        mine = self.marks(here)
        held = self.marks(there) if mine else {}
        return sorted(part for part, mark in mine.items() if held.get(part) != mark)


def divisions(tables: dict[str, Columns]) -> tuple[Division, ...]:
    """Divide every table of history, in the order in which their locks are taken."""
    return tuple(Division(table=name, columns=tables[name]) for name in sorted(tables))
