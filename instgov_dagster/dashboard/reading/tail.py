"""The end of the loop's journal as it grows: its cycles at the pace they are written."""

from collections import deque
from typing import Any

import polars as pl

from instgov_dagster.adapters.journal import Frame
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.projector.rows import LEADER, rows_by_table
from instgov_dagster.loop.live.frames import CYCLE_KIND, SESSION_KIND
from instgov_dagster.loop.state_log import StateLog, head_of, state_since
from instgov_dagster.vocabulary.governance import Chain, SystemState

_CYCLES = "live_cycles"


class JournalTail:
    """Follows the three chains without a lock: a writer never knows that it is read.

    Parameters
    ----------
    home
        Whose journal is read.
    key
        The journal's HMAC key, if it has one.
    keep
        How many of the last cycles are kept.

    Notes
    -----
    Every frame is verified as it is read, so what is shown is what the audit holds. The first
    look reads the chains from their beginning, each later one only what is new.
    """

    def __init__(self, home: Home, key: bytes | None, *, keep: int) -> None:
        self.log = StateLog(home, key)
        self.log.listener = self._hear
        self._cycles: deque[Frame] = deque(maxlen=keep)
        self._rows: deque[dict[str, Any]] = deque(maxlen=keep)
        self.is_session_open = False

    def refresh(self) -> SystemState:
        """Read what is new and give the state; what cannot be read is STOP_SYSTEM."""
        state = self.log.refresh()
        while self._cycles:
            frame = self._cycles.popleft()
            self._rows.extend(rows_by_table([frame])[_CYCLES].to_pylist())
        return state

    def _hear(self, frame: Frame) -> None:
        if frame.chain != LEADER:
            return
        if frame.kind == CYCLE_KIND:
            self._cycles.append(frame)
            self.is_session_open = True
        elif frame.kind == SESSION_KIND:
            self.is_session_open = frame.meta.get("event") != "ended"

    def cycles(self) -> pl.DataFrame:
        """Give the last cycles' facts, the columns of ``live_cycles``, in order; may be empty."""
        return pl.DataFrame(list(self._rows), infer_schema_length=None)

    @property
    def sequence(self) -> int:
        """The last sequence of the loop's chain that was read."""
        return self.log.heads[Chain.LOOP]

    def heads(self) -> dict[str, tuple[int, str]]:
        """Give each chain's last sequence and digest."""
        digests = self.log.head_hashes
        return {chain.value: (n, digests[chain.value]) for chain, n in self.log.heads.items()}

    def head(self) -> str:
        """Give the digest the home is known by."""
        return head_of(self.log)

    def since(self, state: SystemState) -> str | None:
        """Say since when the gravest cause stands, as ISO 8601; None where nothing stands."""
        instant = state_since(self.log, state) if state.causes else None
        return instant.isoformat() if instant else None
