"""The system's state between ticks: one reader a home, reading only what is new at each tick."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.governance import SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode

if TYPE_CHECKING:
    from instgov_dagster.loop.state_log import StateLog


class StateReaders:
    """Readers of the journal that outlive a tick: the code server's process stays the same."""

    def __init__(self) -> None:
        self._readers: dict[Path, StateLog] = {}
        self._lock = threading.Lock()  # sensors tick in threads

    def read(self, platform: PlatformResource) -> SystemState:
        """Read the state of a home; what cannot be read is STOP_SYSTEM."""
        home = platform.home_dir()
        with self._lock:
            reader = self._readers.pop(home, None) or platform.state_log()
            state = reader.refresh()
            if ReasonCode.STATE_UNKNOWN not in state.reason_codes:
                self._readers[home] = reader  # one that failed begins at the first frame again
        return state


STATES = StateReaders()
