"""The command line run in a process of its own, and what its tests share."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl

from instgov_dagster_tests.loop.homes import ASOF, CONFIG


def instgov(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, where a person would stand."""
    return subprocess.run(
        [sys.executable, "-c", "from instgov_dagster.cli import app; app()", *words],
        cwd=CONFIG.parent,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DAGSTER_DISABLE_TELEMETRY": "1"},
    )


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON object on stdout; anything else there would not parse."""
    assert done.stdout.count("\n") == 1, done.stdout
    fields: dict[str, Any] = json.loads(done.stdout)
    return fields


def run_words(folder: Path, *, command: str = "run") -> list[str]:
    return [
        command, "--home", str(folder / "data"), "--config", str(folder / "config"), "--asof",
        ASOF.isoformat(), "--cycles", "3", "--period", "0", "--json",
    ]  # fmt: skip


def copy_tree(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, dirs_exist_ok=True)
    return target


def files_of(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def bars_frame(**changes: object) -> pl.DataFrame:
    base = {
        "symbol": ["ABC"], "date": ["2024-01-02"], "open": [1.0], "high": [1.0], "low": [1.0],
        "close": [1.0], "adj_close": [1.0], "volume": [1.0],
    }  # fmt: skip
    return pl.DataFrame({**base, **changes}).with_columns(pl.col("date").str.to_datetime())
