"""Numbered SQL migrations, each known by its hash; a store of another schema stops the system."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import duckdb

from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

SCHEMA_SETS = ("warehouse", "live")
_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_FIRST_LINE = re.compile(r"-- databases: ((?:warehouse|live)(?: (?:warehouse|live))*)")
_VERSION_TABLE = """
CREATE TABLE IF NOT EXISTS schema_version (
    version INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered step of a schema."""

    version: int
    name: str
    sha256: str
    sql: str


@cache
def load_migrations(schema_set: str, folder: Path = _MIGRATIONS) -> tuple[Migration, ...]:
    """Read the migrations of one schema set in order.

    Raises
    ------
    ValueError
        If the set is unknown, a file is misnamed, or does not say which databases it is for.
    """
    if schema_set not in SCHEMA_SETS:
        raise ValueError(f"schema_set must be one of {SCHEMA_SETS}, was {schema_set!r}")
    found = []
    for path in sorted(folder.glob("*.sql")):
        sql = path.read_text(encoding="utf-8")
        name, targets = _FILE_NAME.fullmatch(path.name), _FIRST_LINE.match(sql)
        if name is None or targets is None:
            raise ValueError(f"{path.name} must be NNNN_name.sql and begin '-- databases: …'")
        if schema_set in targets.group(1).split():
            digest = hashlib.sha256(sql.encode()).hexdigest()
            found.append(
                Migration(version=int(name.group(1)), name=name.group(2), sha256=digest, sql=sql)
            )
    return tuple(found)


def migrate(
    con: duckdb.DuckDBPyConnection,
    schema_set: str,
    *,
    applied_at: datetime,
    folder: Path = _MIGRATIONS,
) -> tuple[int, ...]:
    """Apply the missing migrations and the current reason codes, all in one transaction.

    Raises
    ------
    SystemHalt
        ``SCHEMA_MISMATCH`` if what was applied differs from what this version would apply.
    """
    wanted = load_migrations(schema_set, folder)
    con.execute("BEGIN TRANSACTION")
    try:
        con.execute(_VERSION_TABLE)
        applied = _applied(con)
        _require_same(applied, wanted[: len(applied)])
        for step in wanted[len(applied) :]:
            con.execute(step.sql)
            con.execute(
                "INSERT INTO schema_version VALUES (?, ?, ?, ?)",
                [step.version, step.name, step.sha256, applied_at],
            )
        _seed_reason_codes(con)
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
    return tuple(step.version for step in wanted[len(applied) :])


def require_current(
    con: duckdb.DuckDBPyConnection, schema_set: str, *, folder: Path = _MIGRATIONS
) -> None:
    """Refuse a store whose schema is not exactly this version's.

    Raises
    ------
    SystemHalt
        ``SCHEMA_MISMATCH``, naming the first step that differs.
    """
    try:
        applied = _applied(con)
    except duckdb.CatalogException as error:
        raise SystemHalt(ReasonCode.SCHEMA_MISMATCH, "the store was never migrated") from error
    _require_same(applied, load_migrations(schema_set, folder))


def _applied(con: duckdb.DuckDBPyConnection) -> list[tuple[int, str]]:
    rows = con.execute("SELECT version, sha256 FROM schema_version ORDER BY version").fetchall()
    return [(int(version), str(digest)) for version, digest in rows]


def _require_same(applied: list[tuple[int, str]], wanted: tuple[Migration, ...]) -> None:
    for (version, digest), step in zip(applied, wanted, strict=False):
        if (version, digest) != (step.version, step.sha256):
            raise SystemHalt(
                ReasonCode.SCHEMA_MISMATCH,
                f"migration {step.version:04d}_{step.name} must be {step.sha256[:12]},"
                f" was {version:04d} {digest[:12]}",
            )
    if len(applied) != len(wanted):
        raise SystemHalt(
            ReasonCode.SCHEMA_MISMATCH,
            f"the store must have {len(wanted)} migrations, had {len(applied)}",
        )


def _seed_reason_codes(con: duckdb.DuckDBPyConnection) -> None:
    rows = [(code.value, code.severity.value, code.sentence) for code in ReasonCode]
    stored = con.execute("SELECT code, severity, sentence FROM reason_codes").fetchall()
    if sorted(stored) == sorted(rows):
        return
    con.execute("DELETE FROM reason_codes")
    con.execute(
        "INSERT INTO reason_codes SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]),"
        " unnest(?::VARCHAR[])",
        [list(column) for column in zip(*rows, strict=True)],
    )
