"""Small homes to back up: a warehouse, two chains with anchors, an account, payloads."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from instgov_dagster.adapters.backup import Manifest, Restored, restore_backup, take_backup
from instgov_dagster.adapters.journal import Journal, append_anchor
from instgov_dagster.adapters.paper.store import AccountStore
from instgov_dagster.adapters.runtime import Home, VirtualClock
from instgov_dagster.adapters.store.archive import archive_payload
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster_tests.adapters.journal.chains import START, rows

NOW = datetime(2024, 12, 7, 8, tzinfo=UTC)


def write_frames(home: Home, frames: int, *, segment_bytes: int = 64 * 1024 * 1024) -> None:
    """Write frames to the operator's chain, which asks nothing of its rows, and anchor them."""
    with Journal.open(
        home.journal_dir, "operator", clock=VirtualClock(START), segment_bytes=segment_bytes
    ) as journal:
        for number in range(frames):
            journal.append("note", rows(2, number), {"number": number})
        append_anchor(home.anchors, journal.anchor())


def make_home(folder: Path) -> Home:
    """Make a home of everything a backup holds but a published night."""
    home = Home(folder / "data")
    write_frames(home, 5, segment_bytes=2000)
    WarehouseResource(database=str(home.warehouse)).ensure_schema(applied_at=NOW, create=True)
    AccountStore.open(home.paper_account, opening_cash_usd=Decimal(1000)).close()
    archive_payload(home.raw, run_id="run", symbol="SPY", provider="files", payload={"close": 1.0})
    (home.root / "market.json").write_text('{"market": "files"}\n', encoding="utf-8")
    return home


def back_up(home: Home, out: Path) -> Manifest:
    """Back a home up without a key."""
    return take_backup(home, out, key=None, taken_at=NOW)


def put_back(source: Path, home: Home) -> Restored:
    """Restore a backup without a key."""
    return restore_backup(source, home, key=None, restored_at=NOW, published_cycles=10, keep=2)


def names_below(folder: Path) -> set[str]:
    """Name everything below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
