"""Where everything of one installation lives; nothing is opened here."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of one installation lives, below one folder."""

    root: Path

    @property
    def warehouse(self) -> Path:
        """The batch store: opened for a write and closed, never by the loop."""
        return self.root / "warehouse.duckdb"

    @property
    def live(self) -> Path:
        """The projection of the loop's journal; rebuildable at any time."""
        return self.root / "live.duckdb"

    @property
    def projection_lock(self) -> Path:
        """Held by whoever writes the projection."""
        return self.root / "projection.lock"

    @property
    def journal_dir(self) -> Path:
        """The hash-chained journals, one folder a chain."""
        return self.root / "journal"

    @property
    def published(self) -> Path:
        """Versioned Parquet snapshots and the anchors: what every reader reads."""
        return self.root / "published"

    @property
    def anchors(self) -> Path:
        """The chains' anchors, one file a chain."""
        return self.published / "anchors"

    @property
    def raw(self) -> Path:
        """Immutable provider payloads, one folder a run (roadmap 2.6)."""
        return self.root / "runtime" / "raw"

    @property
    def shards(self) -> Path:
        """What the shards of a night brought, one folder a day: ready to be appended."""
        return self.root / "runtime" / "shards"

    @property
    def rates(self) -> Path:
        """Whose turn it is to ask a provider, one file each: shared by this host's processes."""
        return self.root / "runtime" / "rates"

    @property
    def pinned(self) -> Path:
        """The published nights that sessions stood on, kept for good: what a replay stands on."""
        return self.root / "runtime" / "snapshots"

    @property
    def dagster(self) -> Path:
        """The Dagster instance's folders."""
        return self.root / "dagster"

    @property
    def night_lock(self) -> Path:
        """Held by whoever runs a night."""
        return self.root / "night.lock"

    @property
    def lease(self) -> Path:
        """Held by the leading live session."""
        return self.root / "live.lease"

    @property
    def paper_account(self) -> Path:
        """The paper broker's own record of orders, fills and cash."""
        return self.root / "paper" / "account.sqlite"

    @property
    def heartbeat(self) -> Path:
        """Written by the leader each cycle: how many cycles are done; its age is the heartbeat."""
        return self.root / "heartbeat"

    @property
    def sessions(self) -> Path:
        """Who leads and who stands by, one small file a process."""
        return self.root / "live"

    @property
    def night_progress(self) -> Path:
        """Written by the night after each step: how many steps are done."""
        return self.root / "night.progress"
