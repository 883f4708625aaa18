"""What a session stands on when it opens: the published night, proved to be this one."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.adapters.markets.quote_stream import QuoteStream, SessionSpan
from instgov_dagster.adapters.store.published import read_snapshot
from instgov_dagster.governance.stamps import require_stamps, stamps_from_frame
from instgov_dagster.loop.decision.snapshot import LIVE_TABLES, Snapshot, snapshot_from_tables
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.governance import Phase
from instgov_dagster.vocabulary.reasons import ReasonCode

#: Conditions that a session proves to be over: by opening, and by reaching its end.
PROVED_BY_OPENING = frozenset(
    {
        ReasonCode.ANCHOR_MISMATCH,
        ReasonCode.CHAIN_BROKEN,
        ReasonCode.CODE_HASH_MISMATCH,
        ReasonCode.CONFIG_HASH_MISMATCH,
        ReasonCode.DISK_FULL,
        ReasonCode.PHASE_ORDER_VIOLATED,
        ReasonCode.RECONCILIATION_UNRESOLVED,
        ReasonCode.SNAPSHOT_MISSING,
        ReasonCode.STATE_NOT_CONTINUED,
    }
)
PROVED_BY_ENDING = frozenset({ReasonCode.RISK_NOT_FINITE, ReasonCode.SNAPSHOT_EXPIRED})


def open_snapshot(platform: Platform, asof: date) -> Snapshot:
    """Read the published night and prove that it is this day's, by these rules and this code.

    Raises
    ------
    InputError
        If a night of another day or market is published: a wrong question, which latches nothing.
    SystemHalt
        ``SNAPSHOT_MISSING``, ``CONFIG_HASH_MISMATCH``, ``CODE_HASH_MISMATCH`` or
        ``PHASE_ORDER_VIOLATED``.
    """
    published = read_snapshot(platform.home.published / "night")
    _require_same(published.meta, platform, asof)
    stamps = stamps_from_frame(published.tables["phase_stamps"])
    require_stamps(stamps, Phase.LIVE_TRADING, asof)
    return snapshot_from_tables(
        {name: published.tables[name] for name in LIVE_TABLES},
        snapshot_id=published.snapshot_id,
        asof=asof,
        policy=platform.policy,
    )


def verify_snapshot(platform: Platform, snapshot_id: str) -> None:
    """Read what is published again and verify every byte of it.

    A newer night is left for the next session: this one keeps what it opened with.

    Raises
    ------
    SystemHalt
        ``SNAPSHOT_MISSING`` where what is published does not verify or went back in time.
    """
    found = read_snapshot(platform.home.published / "night").snapshot_id
    if found < snapshot_id:
        raise SystemHalt(
            ReasonCode.SNAPSHOT_MISSING,
            f"{found} is published, the session stands on {snapshot_id}",
        )


def open_quotes(platform: Platform, snapshot: Snapshot, span: SessionSpan) -> QuoteStream:
    """Open the day's quotes for every symbol of the snapshot."""
    return platform.source.quote_stream(
        snapshot.symbols,
        span,
        last_closes=_known(snapshot.symbols, snapshot.last_close),
        half_spread_bps=_known(snapshot.symbols, 0.5 * snapshot.spread_bps),
    )


def require_asked(meta: Mapping[str, Any], *, asof: date, market: Market) -> None:
    """Refuse a session of another day or market than the published night's.

    Parameters
    ----------
    meta
        What the publisher said beside the snapshot.

    Raises
    ------
    InputError
        Naming what was asked for and what is published.
    """
    for name, asked in (("asof", asof.isoformat()), ("market", market.value)):
        if meta.get(name) != asked:
            raise InputError(
                f"{name} must be {meta.get(name)}, the published night's, was {asked}: "
                "run the night of it first"
            )


def _require_same(meta: Mapping[str, Any], platform: Platform, asof: date) -> None:
    require_asked(meta, asof=asof, market=platform.settings.market)
    checks = (
        (ReasonCode.CONFIG_HASH_MISMATCH, "config_hash", platform.config_hash),
        (ReasonCode.CODE_HASH_MISMATCH, "code_hash", platform.code_hash),
    )
    for code, name, wanted in checks:
        if meta.get(name) != wanted:
            raise SystemHalt(code, f"{name} must be {wanted}, the snapshot says {meta.get(name)}")


def _known(symbols: tuple[str, ...], values: NDArray[np.float64]) -> dict[str, float]:
    return {s: float(v) for s, v in zip(symbols, values, strict=True) if np.isfinite(v)}
