"""How far the projection stands behind the journal: told by the projector, read by the watch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from instgov_dagster.adapters.journal import Position, chain_position
from instgov_dagster.adapters.runtime import Home, replace_durably
from instgov_dagster.adapters.store.projector.rows import CHAINS, LEADER


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionLag:
    """How much of the journal readers do not see yet.

    Attributes
    ----------
    frames
        Frames not projected, by chain.
    seconds
        How long the oldest one of the loop's chain has waited, at most; 0 where none waits, None
        where frames wait and nothing says since when.
    """

    frames: Mapping[str, int]
    seconds: float | None


def progress_path(home: Home) -> Path:
    """Name the file in which the projector says how far it is: its heartbeat."""
    return home.root / "projector.json"


def tell_progress(home: Home, positions: Mapping[str, Position], *, at: datetime) -> None:
    """Say that everything journalled before an instant is projected.

    Parameters
    ----------
    at
        When the step began to read, UTC, on the machine's clock.
    """
    told = {
        "at": at.isoformat(),
        "sequences": {chain: position.sequence for chain, position in positions.items()},
    }
    replace_durably(progress_path(home), (json.dumps(told, sort_keys=True) + "\n").encode())


def projection_lag(home: Home, *, now: datetime) -> ProjectionLag:
    """Measure how far live.duckdb is behind the journal, without opening either for long.

    Raises
    ------
    SystemHalt
        If a chain's segments cannot be read.
    OSError, ValueError
        If the projector's word cannot be read.

    Notes
    -----
    Frames carry the market's clock, which may be a virtual one, so their own instants say nothing
    about lateness. What waits was journalled after the projector's last step began, and not before
    the leader took the lease: the later of the two bounds the oldest one's age from above.
    """
    path, told = progress_path(home), {}
    if path.exists():
        told = json.loads(path.read_bytes())
    done = told.get("sequences", {})
    frames = {
        chain: max(chain_position(home.journal_dir, chain).sequence - int(done.get(chain, 0)), 0)
        for chain in CHAINS
    }
    if not frames[LEADER]:
        return ProjectionLag(frames=frames, seconds=0.0)
    since = [datetime.fromisoformat(told["at"]).timestamp()] if told else []
    if home.lease.exists():
        since.append(home.lease.stat().st_mtime)
    seconds = max(now.timestamp() - max(since), 0.0) if since else None
    return ProjectionLag(frames=frames, seconds=seconds)
