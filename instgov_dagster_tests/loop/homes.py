"""A small simulated installation that several test folders share; a night of it takes seconds."""

import os
import shutil
from datetime import date
from pathlib import Path

import polars as pl

from instgov_dagster.bars.govern import ANSWERS_SCHEMA
from instgov_dagster.governance.veto.rows import CLEAR_SCHEMA, VETO_SCHEMA
from instgov_dagster.loop.folding.evidence import ACCOUNT_SCHEMA, FILL_SCHEMA, PASSIVE_SCHEMA
from instgov_dagster.loop.night import STEPS
from instgov_dagster.loop.night_run.run import NightRun
from instgov_dagster.loop.platform import Platform, Settings, open_platform

ASOF = date(2025, 3, 12)
SYMBOLS = (
    "AAPL", "JPM", "KO", "SPY", "TLT", "XOM", "EURUSD=X", "BTC-USD", "GC=F", "^GSPC", "^VIX",
)  # fmt: skip
CONFIG = Path(__file__).resolve().parent.parent.parent / "config"


def inputs_of_no_past() -> dict[str, pl.DataFrame]:
    """Give what a night is told of answers, sessions and vetoes where there never were any."""
    schemas = {
        "provider_answers": ANSWERS_SCHEMA,
        "past_provider_answers": {**ANSWERS_SCHEMA, "asof": pl.Date()},
        "previous_vetoes": VETO_SCHEMA,
        "veto_clears": CLEAR_SCHEMA,
        "session_accounts": ACCOUNT_SCHEMA,
        "recorded_fills": FILL_SCHEMA,
        "passive_orders": PASSIVE_SCHEMA,
    }
    return {name: pl.DataFrame(schema=schema) for name, schema in schemas.items()}


def write_config(folder: Path) -> Path:
    """Write the packaged rules beside a universe of eleven symbols, four classes in it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(CONFIG / "policy.yaml", folder / "policy.yaml")
    rows = [
        line
        for line in (CONFIG / "universe.yaml").read_text(encoding="utf-8").splitlines()
        if not line.strip().startswith("- {symbol:")
        or line.split("symbol: ")[1].split(",")[0] in SYMBOLS
    ]
    (folder / "universe.yaml").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def settings_of(home: Path) -> Settings:
    """Settings of an installation whose rules lie beside its home."""
    return Settings(home=home, config_dir=home.parent / "config")


def run_night(platform: Platform, asof: date = ASOF, *, run_id: str = "night-1") -> None:
    """Run one whole night: ingest, every step, publish."""
    with NightRun(platform, asof, run_id=run_id) as night:
        night.ingest()
        for step in STEPS:
            night.run_step(step.name)
        night.publish()


def make_home(folder: Path) -> Platform:
    """Make an installation and run its first night."""
    write_config(folder / "config")
    platform = open_platform(settings_of(folder / "data"), os.environ)
    run_night(platform)
    return platform


def copy_home(source: Platform, folder: Path) -> Platform:
    """Copy an installation, so that a test may change what it likes."""
    origin = source.home.root.parent
    shutil.copytree(origin, folder, dirs_exist_ok=True)
    return open_platform(settings_of(folder / "data"), os.environ)
