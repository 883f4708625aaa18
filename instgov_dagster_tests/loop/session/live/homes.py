"""A small installation of the market `live`, its services on the loopback; its night runs once."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from instgov_dagster.adapters.runtime import Clock
from instgov_dagster.adapters.store.published import publish, read_snapshot
from instgov_dagster.loop.live.report import SessionReport
from instgov_dagster.loop.platform import Platform, Settings, open_platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster_tests.adapters.wire.world import LiveWorld, TickingClock, write_live_config
from instgov_dagster_tests.loop.homes import ASOF, run_night

KNOWN = datetime(2025, 3, 12, 6, 1, tzinfo=UTC)
TRADING = datetime(2025, 3, 12, 15, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveHome:
    """One installation and the services it is pointed at.

    Attributes
    ----------
    folder
        Home and rules lie in it.
    clock
        The installation's, and the services'.
    """

    folder: Path
    world: LiveWorld
    clock: Clock

    def open(self, **more: str) -> Platform:
        """Open the installation with every key set."""
        return open_live(self.folder, {**self.world.environment(), **more}, clock=self.clock)

    def lead(self, *, cycles: int = 3) -> SessionReport:
        """Lead one session, cycles back to back."""
        return run_session(self.open(), ASOF, cycles=cycles, period_seconds=0.0, run_id="live-1")


def open_live(folder: Path, environment: Mapping[str, str], *, clock: Clock) -> Platform:
    """Open the installation of a folder for the market `live`."""
    settings = Settings(home=folder / "data", market=Market.LIVE, config_dir=folder / "config")
    return open_platform(settings, {**os.environ, **environment}, clock=clock)


def make_live_night(folder: Path) -> Path:
    """Make an installation and run its first night over the wire."""
    config, clock = write_live_config(folder / "config"), TickingClock(KNOWN)
    with LiveWorld(config, asof=ASOF, now=clock.now) as world:
        run_night(open_live(folder, world.environment(), clock=clock))
    return folder


@contextmanager
def living(
    night: Path, folder: Path, *, clock: Callable[[datetime], Clock] = TickingClock
) -> Iterator[LiveHome]:
    """Copy an installation after its night, and have services listen while it lives its day."""
    shutil.copytree(night, folder, dirs_exist_ok=True)
    time = clock(TRADING)
    with LiveWorld(folder / "config", asof=ASOF, now=time.now) as world:
        yield LiveHome(folder=folder, world=world, clock=time)


def believe(platform: Platform, regime: str) -> None:
    """Publish the night again with one regime nearly certain: normal, volatile or crisis."""
    folder = platform.home.published / "night"
    held = read_snapshot(folder)
    beliefs = {f"current_belief_{name}": 0.01 for name in ("normal", "volatile", "crisis")}
    beliefs[f"current_belief_{regime}"] = 0.98
    rows = held.tables["regime_beliefs"].with_columns(
        pl.lit(value).alias(name) for name, value in beliefs.items()
    )
    publish(folder, {**held.tables, "regime_beliefs": rows}, meta=held.meta, keep=2)
