"""The system's state read from the three chains, and the writing of what moves it."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from instgov_dagster.adapters.journal import (
    BrokenFrame,
    Frame,
    Journal,
    Position,
    append_anchor,
    read_anchors_from,
    read_frames,
)
from instgov_dagster.adapters.journal.frames import frame_name
from instgov_dagster.adapters.journal.segments import segment_path
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.governance.state import fold_events, observe_causes, unknown_state
from instgov_dagster.governance.state.rows import cause_from_dict, cause_to_dict, causes_json
from instgov_dagster.vocabulary.audit import AppendReceipt
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import (
    Cause,
    Chain,
    EventKind,
    StateEvent,
    SystemState,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

STATE_KIND = "state"
_EVENTS = "events"
_STATE_SCHEMA = pa.schema(
    [
        ("state", pa.string()),
        ("causes", pa.string()),
        ("chain", pa.string()),
        ("sequence", pa.int64()),
    ]
)


def _event_to_dict(event: StateEvent) -> dict[str, Any]:
    return {
        "kind": event.kind.value,
        "heads": {chain.value: sequence for chain, sequence in event.heads},
        "cause": cause_to_dict(event.cause) if event.cause else None,
        "operator": event.operator,
        "reason": event.reason,
    }


def _events_of(frame: Frame) -> list[StateEvent]:
    return [
        StateEvent(
            kind=EventKind(row["kind"]),
            chain=Chain(frame.chain),
            sequence=frame.sequence,
            heads=tuple((Chain(name), sequence) for name, sequence in row["heads"].items()),
            cause=cause_from_dict(row["cause"]) if row["cause"] else None,
            operator=row["operator"],
            reason=row["reason"],
        )
        for row in frame.meta.get(_EVENTS, [])
    ]


class StateLog:
    """Follows the three chains of one home; reads only what is new at each refresh.

    Parameters
    ----------
    home
        Whose journal is read.
    key
        The journal's HMAC key, if it has one.

    Attributes
    ----------
    listener
        Hears every frame that was read and verified.
    """

    def __init__(self, home: Home, key: bytes | None) -> None:
        self._home = home
        self._key = key
        self._at = {chain: Position.start(chain.value) for chain in Chain}
        self._events: list[StateEvent] = []
        self._instants: dict[tuple[Chain, int], datetime] = {}
        # Where each chain's anchors are read to, and the ones its frames have not reached yet.
        self._anchored_to = dict.fromkeys(Chain, 0)
        self._pending: dict[Chain, dict[int, str]] = {chain: {} for chain in Chain}
        # Digests of the frames that no anchor has covered yet: few, for anchors come often.
        self._unanchored: dict[Chain, dict[int, str]] = {chain: {} for chain in Chain}
        # Who else hears each frame as it is read, so that a chain is read once for all.
        self.listener: Callable[[Frame], None] | None = None
        # A chain that once differed from its anchors is believed nothing more by this reader.
        self._refused: SystemHalt | None = None

    @property
    def events(self) -> tuple[StateEvent, ...]:
        """Every event read so far."""
        return tuple(self._events)

    @property
    def heads(self) -> dict[Chain, int]:
        """The last sequence of each chain read so far, 0 for an empty one."""
        return {chain: at.sequence for chain, at in self._at.items()}

    @property
    def head_hashes(self) -> dict[str, str]:
        """The digest each chain stood at when it was last read."""
        return {chain.value: at.head.hex() for chain, at in self._at.items()}

    def refresh(self) -> SystemState:
        """Read what is new, verify it, and fold the state; what cannot be read is STOP_SYSTEM.

        A chain that is shorter than one of its anchors says, or differs from it, is not read.
        """
        try:
            self._read()
        except (SystemHalt, OSError, ValueError, KeyError) as error:
            # The state of a journal that does not verify is unknown, and unknown is STOP.
            return unknown_state(str(error))
        return fold_events(self._events, heads=self.heads)

    def require_sound(self) -> None:
        """Read what is new of all three chains: each must verify to its last byte.

        Raises
        ------
        SystemHalt
            ``CHAIN_BROKEN`` or ``ANCHOR_MISMATCH`` naming what does not hold.
        """
        try:
            self._read()
        except (OSError, ValueError, KeyError) as error:
            raise SystemHalt(ReasonCode.CHAIN_BROKEN, str(error)) from error
        for chain in Chain:
            if not self._has_nothing_new(chain):
                name = frame_name(chain.value, self._at[chain].segment, self.heads[chain] + 1)
                raise BrokenFrame(name, "bytes stand outside a frame")

    def position(self, chain: Chain) -> Position:
        """Give how far a chain was read and verified."""
        return self._at[chain]

    def _read(self) -> None:
        if self._refused is not None:
            raise self._refused
        for chain in Chain:
            # Anchors first: a frame is on disk before its anchor is, never after.
            self._read_anchors(chain)
            self._follow(chain)
            self._require_anchored(chain)

    def instant_of(self, event: StateEvent) -> datetime | None:
        """Give when an event was written."""
        return self._instants.get((event.chain, event.sequence))

    def _follow(self, chain: Chain) -> None:
        journal_dir = self._home.journal_dir
        if self._has_nothing_new(chain):
            return
        for frame in read_frames(journal_dir, chain.value, key=self._key, start=self._at[chain]):
            found = _events_of(frame)
            self._events.extend(found)
            if found:
                self._instants[(chain, frame.sequence)] = frame.ts
            self._at[chain] = Position.after(frame)
            self._hold_against_anchors(chain, frame)
            if self.listener is not None:
                self.listener(frame)

    def _read_anchors(self, chain: Chain) -> None:
        # What was anchored since the last refresh; one stat where nothing was.
        new, end_of_file = read_anchors_from(
            self._home.anchors, chain.value, self._anchored_to[chain]
        )
        heads, pending = self._unanchored[chain], self._pending[chain]
        end, covered = self._at[chain].sequence, 0
        for anchor in new:
            known = heads.get(anchor.sequence, pending.get(anchor.sequence, anchor.head))
            if known != anchor.head:
                self._refused = self._mismatch(chain, anchor.sequence, anchor.head)
                raise self._refused
            if anchor.sequence > end:
                pending[anchor.sequence] = anchor.head
            covered = max(covered, min(anchor.sequence, end))
        self._anchored_to[chain] = end_of_file
        if covered:
            self._unanchored[chain] = {s: head for s, head in heads.items() if s > covered}

    def _hold_against_anchors(self, chain: Chain, frame: Frame) -> None:
        pending, head = self._pending[chain], frame.head.hex()
        wanted = pending.pop(frame.sequence, None)
        if wanted is not None and wanted != head:
            self._refused = self._mismatch(chain, frame.sequence, wanted)
            raise self._refused
        if not pending and wanted is None:
            self._unanchored[chain][frame.sequence] = head

    def _require_anchored(self, chain: Chain) -> None:
        # A chain alone cannot show that its tail is gone: with it a halt would be gone as well.
        if self._pending[chain]:
            last = max(self._pending[chain])
            raise self._mismatch(chain, last, self._pending[chain][last])

    def _mismatch(self, chain: Chain, sequence: int, head: str) -> SystemHalt:
        return SystemHalt(
            ReasonCode.ANCHOR_MISMATCH,
            f"{chain} #{sequence} was anchored as {head[:12]};"
            f" the chain ends at #{self._at[chain].sequence}",
        )

    def _has_nothing_new(self, chain: Chain) -> bool:
        # Two stats a chain instead of a scan: this is asked once a cycle.
        at = self._at[chain]
        path = segment_path(self._home.journal_dir, chain.value, at.segment)
        if segment_path(self._home.journal_dir, chain.value, at.segment + 1).exists():
            return False
        return (path.stat().st_size if path.exists() else 0) == at.offset


def append_anchored(
    home: Home, journal: Journal, kind: str, table: pa.Table, meta: Mapping[str, Any]
) -> AppendReceipt:
    """Append a frame and anchor the chain outside itself at once."""
    receipt = journal.append(kind, table, meta)
    append_anchor(home.anchors, journal.anchor())
    return receipt


def write_events(
    home: Home, journal: Journal, log: StateLog, events: Iterable[StateEvent]
) -> SystemState:
    """Write events as one frame of their chain and give the state that follows.

    Parameters
    ----------
    events
        At least one; each carries the sequence the frame will have.
    """
    rows = list(events)
    state = fold_events(
        [*log.events, *rows], heads={**log.heads, Chain(journal.chain): journal.sequence + 1}
    )
    causes = causes_json(state)
    table = pa.table(
        {
            "state": [state.name.value],
            "causes": [causes],
            "chain": [journal.chain],
            "sequence": [journal.sequence + 1],
        },
        schema=_STATE_SCHEMA,
    )
    meta = {_EVENTS: [_event_to_dict(row) for row in rows]}
    append_anchored(home, journal, STATE_KIND, table, meta)
    return log.refresh()


def observe(
    home: Home,
    journal: Journal,
    log: StateLog,
    found: Collection[Cause],
    *,
    domain: Collection[ReasonCode],
) -> SystemState:
    """Journal what a check found if it changes anything, and give the state that follows.

    Parameters
    ----------
    found
        What stands against trading by the check's finding now.
    domain
        The codes the check speaks for: those it may clear.
    """
    state = log.refresh()
    events = observe_causes(
        log.events,
        found,
        domain=domain,
        chain=Chain(journal.chain),
        sequence=journal.sequence + 1,
        heads=log.heads,
    )
    return write_events(home, journal, log, events) if events else state


def state_since(log: StateLog, state: SystemState) -> datetime | None:
    """Give since when the gravest standing cause stands; None where nothing stands."""
    standing = {cause for cause in state.causes if cause.state is state.name}
    raised = [
        instant
        for event in log.events
        if event.kind is EventKind.RAISED and event.cause in standing
        for instant in [log.instant_of(event)]
        if instant is not None
    ]
    return min(raised, default=None)


def head_of(log: StateLog) -> str:
    """Give the digest a home is known by: its loop's once it has led, its night's before that."""
    chain = Chain.LOOP if log.heads[Chain.LOOP] else Chain.NIGHT
    return log.head_hashes[chain.value]
