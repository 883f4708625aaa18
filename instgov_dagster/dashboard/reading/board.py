"""Everything the pages are made of, read at one instant; read-only, and no store is opened."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from instgov_dagster.adapters.alerts.gauges import LoopPulse, loop_pulse
from instgov_dagster.adapters.journal import read_anchors
from instgov_dagster.adapters.runtime import Clock, Home, RealClock
from instgov_dagster.adapters.store.projector import ProjectionLag, projection_lag
from instgov_dagster.adapters.store.published import (
    CURRENT_FILE,
    SUMMARY_FILE,
    PublishedSnapshot,
    current_snapshot_id,
    read_snapshot,
)
from instgov_dagster.dashboard.model import Rhythm, Standing
from instgov_dagster.dashboard.reading.tail import JournalTail
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Chain, SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The published folders that the pages read; what is not there is told as missing.
FOLDERS: Final = ("night", "live", "dashboard", "report_card")
#: Left out of memory: the models' bytes say nothing to a person.
_UNREAD: Final = frozenset({"belief_state"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One reading of a home.

    Attributes
    ----------
    at
        When it was read, UTC, by the machine's clock.
    since
        Since when the gravest cause stands; None where nothing stands.
    cycles
        The last cycles' facts, the columns of ``live_cycles``; empty where there were none.
    heads
        By chain: last sequence and digest; ``anchored`` the last anchored sequence of each.
    snapshots
        By folder of `FOLDERS`; a folder without a sound snapshot is left out.
    session
        The last session's summary; empty where none ended yet.
    problems
        What could not be read, in words. Where there is one, nothing is shown as live.
    """

    at: datetime
    home: str
    state: SystemState
    since: str | None
    standing: Standing
    pulse: LoopPulse
    lag: ProjectionLag
    policy: Policy
    head: str = ""
    cycles: pl.DataFrame = field(default_factory=pl.DataFrame)
    heads: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    anchored: Mapping[str, int] = field(default_factory=dict)
    snapshots: Mapping[str, PublishedSnapshot] = field(default_factory=dict)
    session: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def table(self, folder: str, name: str) -> pl.DataFrame:
        """Give a published table; without rows and columns where it is not published."""
        snapshot = self.snapshots.get(folder)
        found = snapshot.tables.get(name) if snapshot else None
        return pl.DataFrame() if found is None else found

    def source(self, *folders: str) -> str:
        """Name the snapshots that a section stands on."""
        told = [
            f"{folder} {self.snapshots[folder].snapshot_id}"
            for folder in folders
            if folder in self.snapshots
        ]
        return ", ".join(told) or "nothing published"

    def version(self, rhythm: Rhythm, *folders: str) -> str:
        """Name what a page stands on: it changes when the page does."""
        causes = (f"{cause.reason_code} {cause.detail}" for cause in self.state.causes)
        parts = [self.source(*folders), self.state.name.value, self.standing.value, *causes]
        if rhythm is not Rhythm.PUBLICATION:
            parts += [f"{n}:{head[:12]}" for n, head in self.heads.values()]
        if rhythm is Rhythm.SECOND:
            parts.append(self.at.isoformat())
        return "|".join([*parts, *self.problems])

    @property
    def market(self) -> str | None:
        """The market of the published night."""
        night = self.snapshots.get("night")
        return None if night is None else str(night.meta["market"])

    @property
    def asof(self) -> str | None:
        """The day of the published night."""
        night = self.snapshots.get("night")
        return None if night is None else str(night.meta["asof"])

    @property
    def last_cycle(self) -> Mapping[str, Any]:
        """The facts of the last cycle; empty where there was none."""
        return self.cycles.row(-1, named=True) if self.cycles.height else {}


class BoardReader:
    """Reads one home again and again; what did not change is not read twice.

    Parameters
    ----------
    home
        Which installation.
    policy
        The limits that are shown, and when a heartbeat is stale.
    key
        The journal's HMAC key, if it has one.
    """

    def __init__(
        self, home: Home, policy: Policy, *, key: bytes | None, clock: Clock | None = None
    ) -> None:
        self._home = home
        self._policy = policy
        self._clock: Clock = clock or RealClock()
        self._tail = JournalTail(home, key, keep=policy.loop.published_cycles)
        self._held: dict[str, PublishedSnapshot] = {}
        self._anchored: dict[str, tuple[int, int]] = {}

    def read(self) -> Board:
        """Read the home as it stands now.

        Nothing is raised for what a home lacks or holds damaged: it is told in ``problems``.
        """
        problems: list[str] = []
        state = self._tail.refresh()
        now = self._clock.now()
        pulse, lag = self._signs(now, problems)
        snapshots = {name: s for name in FOLDERS if (s := self._snapshot(name, problems))}
        session = self._summary(problems)
        return Board(
            at=now,
            home=str(self._home.root),
            state=state,
            since=self._tail.since(state),
            standing=self._standing(state, pulse, problems),
            pulse=pulse,
            lag=lag,
            policy=self._policy,
            head=self._tail.head(),
            cycles=self._tail.cycles(),
            heads=self._tail.heads(),
            anchored={chain.value: self._last_anchor(chain.value) for chain in Chain},
            snapshots=MappingProxyType(snapshots),
            session=session,
            problems=tuple(problems),
        )

    def _signs(self, now: datetime, problems: list[str]) -> tuple[LoopPulse, ProjectionLag]:
        try:
            return loop_pulse(self._home, now=now), projection_lag(self._home, now=now)
        except (SystemHalt, OSError, ValueError, KeyError) as error:
            problems.append(f"the loop's pulse cannot be read: {error}")
            pulse = LoopPulse(
                heartbeat_age_seconds=None, chain_age_seconds=None, sequence=0, is_open=True
            )
            return pulse, ProjectionLag(frames={}, seconds=None)

    def _standing(self, state: SystemState, pulse: LoopPulse, problems: list[str]) -> Standing:
        # A journal that cannot be read is an unknown state: what is shown beside it is old.
        if problems or ReasonCode.STATE_UNKNOWN in state.reason_codes:
            return Standing.STALE
        if not self._tail.sequence:
            return Standing.EMPTY
        if not pulse.is_open:
            return Standing.ENDED
        age = pulse.heartbeat_age_seconds
        is_beating = age is not None and age <= self._policy.loop.heartbeat_stale_seconds
        return Standing.LIVE if is_beating else Standing.STALE

    def _snapshot(self, name: str, problems: list[str]) -> PublishedSnapshot | None:
        folder = self._home.published / name
        if not (folder / CURRENT_FILE).exists():
            return None
        held = self._held.get(name)
        try:
            if held is not None and held.snapshot_id == current_snapshot_id(folder):
                return held
            wanted = _wanted(folder)
            self._held[name] = read_snapshot(folder, tables=wanted)
        except (SystemHalt, OSError, ValueError, KeyError) as error:
            problems.append(f"published/{name} cannot be read: {error}")
            return None
        return self._held[name]

    def _summary(self, problems: list[str]) -> Mapping[str, Any]:
        path = self._home.published / SUMMARY_FILE
        if not path.is_file():
            return {}
        try:
            told: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            problems.append(f"{SUMMARY_FILE} cannot be read: {error}")
            return {}
        return told

    def _last_anchor(self, chain: str) -> int:
        path = self._home.anchors / f"{chain}.jsonl"
        size = path.stat().st_size if path.exists() else 0
        known = self._anchored.get(chain, (0, 0))
        if known[0] != size:
            try:
                anchors = read_anchors(self._home.anchors, chain)
            except SystemHalt:
                return known[1]  # the state says why already: an anchor is no longer believed
            known = (size, max((anchor.sequence for anchor in anchors), default=0))
            self._anchored[chain] = known
        return known[1]


def _wanted(folder: Path) -> tuple[str, ...]:
    listed = json.loads((folder / CURRENT_FILE).read_bytes())["tables"]
    return tuple(name for name in listed if name not in _UNREAD)


def read_board(home: Home, policy: Policy, *, key: bytes | None) -> Board:
    """Read a home once."""
    return BoardReader(home, policy, key=key).read()
