"""Where a night's bars come from: the market by itself, or the shards that workers brought."""

from datetime import date
from pathlib import Path

from instgov_dagster.adapters.markets.delivery import (
    Arrival,
    Shipment,
    Voyage,
    bring_shard,
    deliver,
    gather_shards,
)
from instgov_dagster.adapters.runtime import require_free_space
from instgov_dagster.adapters.runtime.shards import SHARDS_VARIABLE, Shard
from instgov_dagster.adapters.store.bar_reads import first_dates_held
from instgov_dagster.bars.ingestion import require_ingestion_open
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.errors import InputError

_MIB = 1024 * 1024


def voyage_of(platform: Platform, asof: date) -> Voyage:
    """Say which night's shards are meant, and by whose rules and code."""
    return Voyage(
        folder=platform.home.shards,
        raw_dir=platform.home.raw,
        asof=asof,
        symbols=tuple(entry.symbol for entry in platform.universe.symbols),
        market=platform.settings.market.value,
        config_hash=platform.config_hash,
        code_hash=platform.code_hash,
    )


def receive_bars(platform: Platform, asof: date, *, run_id: str) -> Arrival:
    """Give a night's bars: from the market, or from all of its shards where there are several.

    Raises
    ------
    DataRejected
        ``INGESTION_WINDOW_CLOSED`` for the live market while it trades; ``SHARDS_INCOMPLETE``.
    SystemHalt
        ``DISK_FULL``, or where the archive cannot be written or is not what it was.
    """
    held = _ready(platform)
    voyage = voyage_of(platform, asof)
    if platform.shards > 1:
        return gather_shards(voyage, platform.shards)
    return deliver(
        platform.source,
        voyage.symbols,
        held,
        asof=asof,
        raw_dir=platform.home.raw,
        run_id=run_id,
        policy=platform.policy.history,
    )


def archive_of(platform: Platform, asof: date, run_id: str) -> Path:
    """Name, below the home, what a night's bars were read from."""
    home = platform.home
    folder = home.raw / run_id if platform.shards == 1 else home.shards / asof.isoformat()
    return folder.relative_to(home.root)


def bring_night_shard(platform: Platform, asof: date, shard: Shard, *, run_id: str) -> Shipment:
    """Bring one shard of a night into the archive; the warehouse is only read.

    Raises
    ------
    InputError
        If the installation has another number of shards, or one.
    DataRejected
        ``INGESTION_WINDOW_CLOSED`` for the live market while it trades.
    SystemHalt
        ``DISK_FULL``, or where the archive cannot be written.
    LeaseHeld
        If another worker brings the same shard.
    """
    if platform.shards == 1 or shard.of != platform.shards:
        raise InputError(
            f"{SHARDS_VARIABLE} must be {max(shard.of, 2)} to bring the shard {shard.key},"
            f" was {platform.shards}"
        )
    return bring_shard(
        voyage_of(platform, asof),
        shard,
        platform.source,
        _ready(platform),
        run_id=run_id,
        policy=platform.policy.history,
    )


def _ready(platform: Platform) -> dict[str, date]:
    # Space and hour first, then the first bar the store holds of each symbol.
    needed = platform.policy.loop.min_free_disk_mib * _MIB
    require_free_space(platform.home.root, needed_bytes=needed)
    require_ingestion_open(platform.settings.market, platform.now(), platform.policy.history)
    with platform.warehouse.reader() as con:
        return dict(first_dates_held(con))
