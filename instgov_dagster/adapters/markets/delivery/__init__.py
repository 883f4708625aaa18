"""What a market delivered on its way into the store: by one night, or by the shards of one."""

from instgov_dagster.adapters.markets.delivery.night import (
    Arrival,
    Delivery,
    deliver,
    fetch_earlier,
    stage_delivery,
)
from instgov_dagster.adapters.markets.delivery.shards import (
    Shipment,
    Voyage,
    bring_shard,
    gather_shards,
    missing_shards,
    prune_shards,
)

__all__ = [
    "Arrival",
    "Delivery",
    "Shipment",
    "Voyage",
    "bring_shard",
    "deliver",
    "fetch_earlier",
    "gather_shards",
    "missing_shards",
    "prune_shards",
    "stage_delivery",
]
