"""The report card of one home: the drills of its warehouse and the firings of its three chains."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from instgov_dagster.adapters.journal import Position
from instgov_dagster.adapters.journal.firings import Firing, last_firings
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.published import publish, read_snapshot
from instgov_dagster.governance.reporting.card import DRILL_COLUMNS, card_codes, card_frame
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Chain

FOLDER = "report_card"
_FIRINGS = "reason_firings"
_DRILLS = "fire_drills"
_SCHEMA = pl.Schema({"code": pl.String(), "at": pl.String(), "frame": pl.String()})


def publish_card(platform: Platform) -> tuple[pl.DataFrame, str]:
    """Make the card anew, publish it, and give it with the id of its snapshot.

    The chains are read on from where the last card stopped; what they told before is published
    beside the card and taken over.

    Raises
    ------
    SystemHalt
        ``CHAIN_BROKEN`` where a chain does not verify.
    """
    home = platform.home
    held, positions = _last(home)
    for chain in Chain:
        found, at = last_firings(
            home.journal_dir,
            chain.value,
            [code.value for code in card_codes()],
            key=platform.key,
            start=positions.get(chain.value),
        )
        held |= found
        positions[chain.value] = at
    firings = {code: {"at": row.at, "frame": row.frame} for code, row in held.items()}
    card = card_frame(_drills(platform), firings)
    rows = [{"code": code, **row} for code, row in sorted(firings.items())]
    snapshot_id = publish(
        home.published / FOLDER,
        {"report_card": card, _FIRINGS: pl.DataFrame(rows, schema=_SCHEMA)},
        meta={"positions": {name: _told(at) for name, at in positions.items()}},
        keep=platform.policy.loop.published_snapshots,
    )
    return card, snapshot_id


def _last(home: Home) -> tuple[dict[str, Firing], dict[str, Position]]:
    try:
        before = read_snapshot(home.published / FOLDER)
    except SystemHalt:
        return {}, {}  # none yet, or a damaged one: the chains tell it all again
    held = {row["code"]: Firing(**row) for row in before.tables[_FIRINGS].to_dicts()}
    return held, {name: _position(told) for name, told in before.meta["positions"].items()}


def _told(at: Position) -> dict[str, Any]:
    return {
        "segment": at.segment,
        "offset": at.offset,
        "sequence": at.sequence,
        "head": at.head.hex(),
    }


def _position(told: Mapping[str, Any]) -> Position:
    return Position(**{**told, "head": bytes.fromhex(told["head"])})


def _drills(platform: Platform) -> list[dict[str, Any]]:
    # A home whose drills were never run has no table of them: every control was never drilled.
    with platform.warehouse.reader() as con:
        known = con.execute(
            "SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [_DRILLS]
        ).fetchall()
        if not {name for (name,) in known} >= set(DRILL_COLUMNS):
            return []
        columns = ", ".join(f'"{name}"' for name in DRILL_COLUMNS)
        rows = con.execute(f"SELECT {columns} FROM {_DRILLS}").fetchall()  # noqa: S608  # this module's own names
    return [dict(zip(DRILL_COLUMNS, row, strict=True)) for row in rows]
