"""The one resource of the shell: the installation, opened once a run, its night held to the end."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field, PrivateAttr

from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import InputError, SystemHalt

if TYPE_CHECKING:  # the loop stands on polars, duckdb and pandas: only a run pays for them
    from instgov_dagster.adapters.runtime import Home
    from instgov_dagster.loop.night_run.run import NightRun
    from instgov_dagster.loop.platform import Platform, Settings
    from instgov_dagster.loop.state_log import StateLog
    from instgov_dagster.vocabulary.bars import AssetClass
    from instgov_dagster.vocabulary.config import Policy

#: Where everything lives when neither the run nor the environment names a folder.
DEFAULT_HOME = Path("data")


class PlatformResource(dg.ConfigurableResource):
    """One installation: home, market and rules, from the run's configuration or the environment.

    What is left out is read from INSTGOV_HOME, INSTGOV_MARKET, INSTGOV_BARS, INSTGOV_QUOTES,
    INSTGOV_SEED and INSTGOV_CONFIG when a run starts, never when the definitions load.
    """

    home: str | None = Field(default=None, description="Folder of everything written; data/.")
    market: str | None = Field(default=None, description="simulated, files or live.")
    bars: str | None = Field(default=None, description="Folder of vendor bars, market files only.")
    quotes: str | None = Field(default=None, description="Folder of real quotes, market files.")
    seed: int | None = Field(default=None, description="Which simulated world.")
    config_dir: str | None = Field(default=None, description="Folder of the YAML rules.")

    # Private fields are not configuration; each run works on its own copy of the resource.
    _stack: ExitStack = PrivateAttr(default_factory=ExitStack)
    _platform: "Platform | None" = PrivateAttr(default=None)
    _night: "NightRun | None" = PrivateAttr(default=None)
    _asof: date | None = PrivateAttr(default=None)

    def settings(self) -> "Settings":
        """Resolve what a person chose: the run's configuration first, then the environment.

        Raises
        ------
        InputError
            On a market or a seed that does not exist, naming the value.
        """
        from instgov_dagster.loop.platform import DEFAULT_SEED, Settings

        bars = self.bars or _variable("INSTGOV_BARS")
        quotes = self.quotes or _variable("INSTGOV_QUOTES")
        config_dir = self.config_dir or _variable("INSTGOV_CONFIG")
        seed = self.seed if self.seed is not None else _seed(_variable("INSTGOV_SEED"))
        return Settings(
            home=self.home_dir(),
            market=_market(self.market or _variable("INSTGOV_MARKET") or Market.SIMULATED.value),
            bars=Path(bars) if bars else None,
            quotes=Path(quotes) if quotes else None,
            seed=DEFAULT_SEED if seed is None else seed,
            config_dir=Path(config_dir) if config_dir else None,
        )

    def rules(self) -> "Policy":
        """Read the policy without opening anything."""
        from instgov_dagster.adapters.config import find_config_dir, load_policy

        named = self.settings().config_dir
        return load_policy(find_config_dir(named, environment=os.environ, working_dir=Path.cwd()))

    def classes(self) -> "frozenset[AssetClass]":
        """Name the classes of the configured universe, without opening anything."""
        return traded_classes(self.settings().config_dir)

    def home_dir(self) -> Path:
        """Resolve the folder everything of this installation lives in."""
        return Path(self.home or _variable("INSTGOV_HOME") or DEFAULT_HOME).resolve()

    def layout(self) -> "Home":
        """Name the places below the home without opening anything."""
        from instgov_dagster.adapters.runtime import Home

        return Home(self.home_dir())

    def night_folder(self) -> Path:
        """Name the folder in which nights are published."""
        return self.layout().published / "night"

    def state_log(self) -> "StateLog":
        """Open the reader of the system's state; it needs the journal and nothing else."""
        from instgov_dagster.adapters.journal import key_from
        from instgov_dagster.loop.state_log import StateLog

        return StateLog(self.layout(), key_from(os.environ))

    def open(self) -> "Platform":
        """Open the installation; the second call of a run gives the same one."""
        if self._platform is None:
            from instgov_dagster.loop.platform import open_platform

            self._platform = open_platform(self.settings(), os.environ)
        return self._platform

    def night(self, asof: date, *, run_id: str) -> "NightRun":
        """Open the night of a day, or give the one this run holds; it is held to the run's end.

        Raises
        ------
        LeaseHeld
            If another night runs on this home.
        InputError
            If this run already holds the night of another day.
        """
        if self._night is None:
            from instgov_dagster.loop.night_run.run import NightRun

            night = NightRun(self.open(), asof, run_id=run_id)
            self._night, self._asof = self._stack.enter_context(night), asof
        if self._asof != asof:
            raise InputError(f"one run holds one night, held {self._asof}, was asked for {asof}")
        return self._night

    def journal_stop(self, halt: SystemHalt) -> None:
        """Write why the system stops into the night's chain, where this run holds a night."""
        if self._night is not None:
            self._night.stop(halt)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Let go of the night's lock and its chain when the run ends, however it ends."""
        del context
        self._stack.close()


def traded_classes(config_dir: Path | None) -> "frozenset[AssetClass]":
    """Name the classes that the universe of a folder of rules trades; None for the usual folder."""
    from instgov_dagster.adapters.config import find_config_dir, load_universe
    from instgov_dagster.bars.classify import classify_symbol

    folder = find_config_dir(config_dir, environment=os.environ, working_dir=Path.cwd())
    return frozenset(
        entry.asset_class or classify_symbol(entry.symbol)
        for entry in load_universe(folder).symbols
        if not entry.is_reference
    )


def _variable(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    # Set to nothing is not set.
    return environment.get(name, "").strip() or None


def _market(text: str) -> Market:
    names = [market.value for market in Market]
    if text not in names:
        raise InputError(f"market must be one of {', '.join(names)}, was {text!r}")
    return Market(text)


def _seed(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"INSTGOV_SEED must be a whole number >= 0, was {text!r}")
    return int(text)
