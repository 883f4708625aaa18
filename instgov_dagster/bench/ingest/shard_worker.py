"""One process of a sharded night: it brings shards, or takes the night in; it tells how long."""

import json
import os
import sys
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from instgov_dagster.adapters.runtime import RealClock
from instgov_dagster.adapters.runtime.shards import Shard
from instgov_dagster.loop.night_run.ingest import bring_night_shard
from instgov_dagster.loop.platform import Platform, Settings, open_platform
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import InstgovError

#: What a worker does that takes the night in; any other word is a shard's name.
NIGHT = "night"
_REFUSED = 3


class ShiftedClock(RealClock):
    """The machine's clock moved to another day, by the same amount in every process of a run."""

    def __init__(self, shift: timedelta) -> None:
        self._shift = shift

    def now(self) -> datetime:
        """Return the shifted instant."""
        return super().now() + self._shift


def open_home(folder: Path, shift_seconds: float) -> Platform:
    """Open the installation of a folder on the market live, its rules beside it."""
    settings = Settings(home=folder / "data", market=Market.LIVE, config_dir=folder / "config")
    clock = ShiftedClock(timedelta(seconds=shift_seconds))
    return open_platform(settings, os.environ, clock=clock)


def work(platform: Platform, asof: date, what: str) -> dict[str, Any]:
    """Bring one shard, or take the night in, and measure it."""
    started = time.perf_counter()
    run_id = f"{what}-{os.getpid()}"
    if what == NIGHT:
        from instgov_dagster.loop.night_run.run import NightRun  # a worker pays for none of it

        with NightRun(platform, asof, run_id=run_id) as night:
            report = night.ingest()
        told: dict[str, Any] = {"bars": report.bars, "added": report.added}
    else:
        shipment = bring_night_shard(platform, asof, Shard.named(what), run_id=run_id)
        told = {"bars": shipment.bars, "symbols": shipment.symbols}
    return {"what": what, "seconds": round(time.perf_counter() - started, 3), **told}


def main(arguments: list[str]) -> int:
    """Work through what the command line names; print one JSON object, or why there is none."""
    folder, asof, shift_seconds, *whats = arguments
    try:
        platform = open_home(Path(folder), float(shift_seconds))
        told = [work(platform, date.fromisoformat(asof), what) for what in whats]
    except InstgovError as error:
        os.write(2, f"{error}\n".encode())
        return _REFUSED
    os.write(1, json.dumps(told).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
