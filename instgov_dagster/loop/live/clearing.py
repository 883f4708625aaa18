"""An operator clears vetoes: one frame of his chain that names each, and reading them back."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import polars as pl
import pyarrow as pa

from instgov_dagster.adapters.journal import Frame, Journal, read_anchors, read_frames
from instgov_dagster.adapters.runtime import Clock, Home
from instgov_dagster.adapters.store.published import read_snapshot
from instgov_dagster.governance.veto import CLEAR_SCHEMA, vetoes_from_frame
from instgov_dagster.loop.state_log import append_anchored
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import Chain, Veto, VetoKey

CLEAR_KIND = "veto_clear"
_CLEARED = "cleared"
_SCHEMA = pa.schema(
    [
        ("strategy_id", pa.string()),
        ("symbol", pa.string()),
        ("reason_code", pa.string()),
        ("raised_on", pa.date32()),
    ]
)


def clears_frame(frames: Iterable[Frame]) -> pl.DataFrame:
    """Read what operators cleared from the frames of their chain, as rows of `CLEAR_SCHEMA`."""
    rows = [
        {
            **row,
            "raised_on": date.fromisoformat(row["raised_on"]),
            "operator": frame.meta["operator"],
            "reason": frame.meta["reason"],
            "sequence": frame.sequence,
        }
        for frame in frames
        if frame.kind == CLEAR_KIND
        for row in frame.meta[_CLEARED]
    ]
    return pl.DataFrame(rows, schema=CLEAR_SCHEMA)


def standing_now(home: Home, key: bytes | None) -> tuple[pl.DataFrame, frozenset[VetoKey]]:
    """Give the vetoes of the newest published night, and those an operator cleared.

    Returns
    -------
    Rows of `VETO_SCHEMA` of the vetoes that stand in it, and the keys of all that was ever cleared:
    a clearing counts from the next night that is published.

    Raises
    ------
    SystemHalt
        ``SNAPSHOT_MISSING`` where no night is published or it does not verify.
    """
    told = read_snapshot(home.published / "night").tables["vetoes"]
    clears = clears_frame(read_frames(home.journal_dir, Chain.OPERATOR.value, key=key))
    keys = frozenset(
        VetoKey(strategy_id=k, symbol=s, reason_code=code, raised_on=day)
        for k, s, code, day, *_ in clears.iter_rows()
    )
    return told.filter(pl.col("is_standing")), keys


def clear_vetoes(
    home: Home,
    key: bytes | None,
    *,
    symbol: str,
    strategy_id: str | None,
    operator: str,
    reason: str,
    clock: Clock | None = None,
) -> tuple[tuple[Veto, ...], int]:
    """Clear the sticky vetoes that stand on a symbol; they fall with the next night published.

    Parameters
    ----------
    symbol, strategy_id
        Whom the veto was raised on, ``*`` for one on every symbol or strategy; without a strategy
        those of all strategies on the symbol.
    clock
        Stamps the frame; the machine's clock by default.

    Returns
    -------
    What was cleared, and the sequence of the frame that says so.

    Raises
    ------
    InputError
        If a word is blank, or no veto stands there that an act can clear; nothing is written then.
    SystemHalt
        ``SNAPSHOT_MISSING`` where no night is published.
    LeaseHeld
        If another operator is writing.
    """
    if not operator.strip() or not reason.strip():
        raise InputError(
            f"--operator and --reason must not be blank, were {operator!r} and {reason!r}"
        )
    rows, cleared = standing_now(home, key)
    here = [
        veto
        for veto in vetoes_from_frame(rows)
        if veto.symbol == symbol and strategy_id in (None, veto.strategy_id)
    ]
    chosen = tuple(v for v in here if not v.is_condition and v.key not in cleared)
    if not chosen:
        raise InputError(_why_none(here, symbol, strategy_id))
    chain = Chain.OPERATOR.value
    with Journal.open(
        home.journal_dir, chain, key=key, clock=clock, anchors=read_anchors(home.anchors, chain)
    ) as journal:
        keys = [asdict(veto.key) for veto in chosen]
        receipt = append_anchored(
            home,
            journal,
            CLEAR_KIND,
            pa.Table.from_pylist(keys, schema=_SCHEMA),
            {"operator": operator, "reason": reason, _CLEARED: _plain(keys)},
        )
    return chosen, receipt.sequence


def _plain(keys: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "raised_on": row["raised_on"].isoformat()} for row in keys]


def _why_none(here: Sequence[Veto], symbol: str, strategy_id: str | None) -> str:
    whom = symbol if strategy_id is None else f"{strategy_id} on {symbol}"
    conditions = sorted({veto.reason_code.value for veto in here if veto.is_condition})
    if conditions:
        return f"{', '.join(conditions)} on {whom} ends with its condition, no act clears it"
    if here:
        return f"the vetoes on {whom} are cleared already; the next night drops them"
    return f"SYMBOL must be one a veto stands on, was {whom}: see `instgov veto list`"
