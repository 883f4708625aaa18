"""What a session stands on when it opens: the published night, proved to be this one."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.adapters.markets.quote_stream import QuoteStream, SessionSpan
from instgov_dagster.adapters.runtime import Clock, VirtualClock
from instgov_dagster.adapters.store.published import read_snapshot
from instgov_dagster.bars.calendars import knowledge_instant
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
#: By the real clock: a night follows each day, and one may be missing.
_KNOWN_FOR = timedelta(days=2)
PROVED_BY_ENDING = frozenset({ReasonCode.RISK_NOT_FINITE, ReasonCode.SNAPSHOT_EXPIRED})


class SessionTime:
    """The time a session lives in: a virtual day from its open on, or the day as it is.

    Parameters
    ----------
    asof, cycles
        The day, and how many of its cycles the session leads.

    Attributes
    ----------
    clock
        What cycles are stamped with: the machine's in the market `live`, else a virtual one.
    """

    def __init__(self, platform: Platform, asof: date, *, cycles: int) -> None:
        loop = platform.policy.loop
        self.span = SessionSpan(
            day=asof,
            cycles=cycles,
            period_seconds=loop.period_seconds or 1.0,
            seed=platform.settings.seed,
            day_cycles=loop.day_cycles,
        )
        self._begins = knowledge_instant(asof, platform.policy.history)
        self._is_real = platform.settings.market is Market.LIVE
        virtual = VirtualClock(self.span.instant(0))
        self.clock: Clock = platform.clock if self._is_real else virtual

    def require_begun(self) -> None:
        """Refuse a day that has not begun by the real clock.

        Raises
        ------
        InputError
            Naming the instant it begins at, and the clock's.
        """
        now = self.clock.now()
        if self._is_real and now < self._begins:
            raise InputError(f"asof must have begun, at {self._begins}, was asked for at {now}")

    def go_on_from(self, cycles: int) -> None:
        """Go on where the day's earlier sessions ended, after so many cycles."""
        self.span = replace(self.span, first_cycle=cycles)
        self.reach(0)

    def reach(self, cycle: int) -> int:
        """Be at a cycle of the session, and give its number in the day.

        The real clock is there by itself: its cycles are numbered by the seconds of the day.
        """
        if self._is_real:
            since = self.clock.now() - self._begins
            return int(since.total_seconds() // self.span.period_seconds)
        number = self.span.first_cycle + cycle
        self.clock.sleep_until(self.span.instant(number))
        return number

    def is_over(self, now: datetime) -> bool:
        """Tell whether the day and the one after it are over: the night's knowledge is too old."""
        return self._is_real and now - self._begins > _KNOWN_FOR


def asked_while(stream: QuoteStream) -> AbstractContextManager[object]:
    """Have a stream ask while a session leads, where somebody is asked; others are there whole."""
    return stream if isinstance(stream, AbstractContextManager) else nullcontext()


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
