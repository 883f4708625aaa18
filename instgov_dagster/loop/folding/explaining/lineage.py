"""Where a decision comes from: order, decision, bid, forecast, bars, the payload that was sent."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from instgov_dagster.adapters.journal import unbundle
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.archive import archive_path, read_archived
from instgov_dagster.adapters.store.pinned import read_pinned
from instgov_dagster.adapters.store.published import PublishedSnapshot
from instgov_dagster.loop.folding.explaining.recall import RecalledCycle
from instgov_dagster.loop.live.frames import FILLS_KIND
from instgov_dagster.vocabulary.errors import SystemHalt

BARS_TABLE = "bar_lineage"
_FORECAST_TABLE = "model_decay_metrics"


def trace_lineage(
    home: Home, recalled: RecalledCycle, symbol: str, told: Mapping[str, Any]
) -> dict[str, Any]:
    """Follow one symbol's decision back to the bytes a provider sent.

    Parameters
    ----------
    told
        The symbol's row of the frame's decisions.

    Returns
    -------
    dict[str, Any]
        ``orders`` with what became of each, ``decision`` with the frame it stands in, ``bids`` of
        every strategy, ``forecast`` of the model behind the leading bid, ``bars`` the last ones
        known to the night, and ``payloads`` the archived answers these were read from, each
        hashed again.

    Raises
    ------
    SystemHalt
        ``SNAPSHOT_MISSING`` if the night is not kept or damaged.
    """
    frame = recalled.frame
    night = read_pinned(home, str(frame.meta["snapshot_id"]))
    bars = _bars(night, symbol)
    return {
        "orders": _orders(recalled, symbol),
        "decision": {
            "frame": frame.name,
            "frame_sha256": frame.head.hex(),
            "cycle_id": frame.meta["cycle_id"],
            "sequence": told["sequence"],
            "session": frame.meta["session"],
        },
        "bids": _bids(recalled, symbol),
        "forecast": _forecast(night, recalled, symbol, told["strategy_id"]),
        "bars": bars,
        "payloads": _payloads(home, bars),
    }


def _orders(recalled: RecalledCycle, symbol: str) -> list[dict[str, Any]]:
    planned = unbundle(recalled.frame.table())["orders"].to_pylist()
    rows = [row for row in planned if row["symbol"] == symbol]
    became: dict[str, dict[str, Any]] = {}
    fills: dict[str, list[dict[str, Any]]] = {}
    for frame in recalled.after:
        if frame.kind != FILLS_KIND or not rows:
            continue
        tables = unbundle(frame.table())
        became |= {row["client_order_id"]: row for row in tables["orders"].to_pylist()}
        for fill in tables["fills"].to_pylist():
            fills.setdefault(fill["client_order_id"], []).append(fill)
    words = ("client_order_id", "side", "quantity", "limit_price", "decision_mid", "total_cost_bps")
    return [
        {
            **{name: _plain(row[name]) for name in words},
            "status": became.get(row["client_order_id"], row)["status"],
            "fills": [
                {name: _plain(fill[name]) for name in ("quantity", "price", "filled_at")}
                for fill in fills.get(row["client_order_id"], [])
            ],
        }
        for row in rows
    ]


def _bids(recalled: RecalledCycle, symbol: str) -> list[dict[str, Any]]:
    words = ("strategy_id", "rank", "weight", "decision", "mu_contribution", "cvar_contribution",
             "priced_out_bps", "reason_codes")  # fmt: skip
    rows = unbundle(recalled.frame.table())["capital_allocations"].to_pylist()
    mine = sorted((row for row in rows if row["symbol"] == symbol), key=lambda row: row["rank"])
    return [{name: row[name] for name in words} for row in mine]


def _forecast(
    night: PublishedSnapshot, recalled: RecalledCycle, symbol: str, strategy_id: str | None
) -> dict[str, Any] | None:
    views = {view.strategy_id: view.model_id for view in recalled.snapshot.strategies}
    if strategy_id is None:
        return None
    table = night.tables[_FORECAST_TABLE]
    found = table.filter(pl.col("symbol") == symbol, pl.col("model_id") == views[strategy_id])
    digests = {file.name: file.sha256 for file in night.files}
    return {
        **{name: _plain(value) for name, value in found.to_dicts()[0].items()},
        "snapshot_id": night.snapshot_id,
        "table": _FORECAST_TABLE,
        "table_sha256": digests[_FORECAST_TABLE],
        "night_run_id": night.meta.get("run_id"),
    }


def _bars(night: PublishedSnapshot, symbol: str) -> list[dict[str, Any]]:
    # A night published before bars were has none: an empty list says so.
    if BARS_TABLE not in night.tables:
        return []
    rows = night.tables[BARS_TABLE].filter(pl.col("symbol") == symbol).to_dicts()
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _payloads(home: Home, bars: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = {(row["run_id"], row["symbol"], row["provider"], row["source_sha256"]) for row in bars}
    return [
        {
            "run_id": run_id,
            "sha256": digest,
            "path": str(path.relative_to(home.root)),
            "is_verified": _is_verified(path, digest),
        }
        for run_id, symbol, provider, digest in sorted(found)
        for path in (archive_path(home.raw, run_id, symbol, provider),)
    ]


def _is_verified(path: Path, digest: str) -> bool:
    try:
        read_archived(path, sha256=digest)
    except SystemHalt:
        return False
    return True


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, float) and value != value:  # noqa: PLR0124  # NaN alone differs from itself
        return None
    return value
