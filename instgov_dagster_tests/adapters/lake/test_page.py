"""The page's own commands, word for word, on a lake of the test's own; and a writer that dies."""

import os
import re
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from instgov_dagster.adapters.lake import Lake, differences, push
from instgov_dagster.adapters.runtime import Home, RealClock
from instgov_dagster.adapters.store.night_store import read_night
from instgov_dagster.adapters.store.projector.rows import LIVE_TABLES
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster_tests.adapters.lake.lakes import add_bars, empty_home
from instgov_dagster_tests.adapters.lake.writers import start
from instgov_dagster_tests.adapters.store.stores import NIGHT, bars
from instgov_dagster_tests.loop.homes import ASOF, write_config
from instgov_dagster_tests.repository.roadmap import ROOT

NIGHTLY_TABLES = ("data_quality", "regime_beliefs", "model_forecasts", "governance_decisions")


def commands() -> str:
    """Give the page's first block, without the lines that name its lake."""
    text = (ROOT / "docs" / "lake.md").read_text(encoding="utf-8")
    block = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[0]
    lines = [line for line in block.splitlines() if not line.startswith("export ")]
    return "\n".join(lines)


@pytest.mark.nightly
def test_the_page_s_commands_run_as_they_stand(
    lake: Lake, environment: dict[str, str], tmp_path: Path
) -> None:
    variables = {
        **os.environ,
        **environment,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "INSTGOV_CONFIG": str(write_config(tmp_path / "config")),
    }
    done = subprocess.run(
        ["bash", "-euxc", commands()],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (Home(tmp_path / name / "data") for name in ("first", "second"))
    found = {one.table: one for one in differences(lake, first)}
    assert {one.table for one in found.values() if one.missing or one.extra} == set()
    # The night pushed by itself: what came with the push after it are the session's tables.
    pushed = re.search(r"^\d+ rows into (\d+) tables: snapshot \d+$", done.stdout, re.MULTILINE)
    assert pushed is not None
    assert 1 <= int(pushed.group(1)) <= len(LIVE_TABLES)
    assert found["warehouse.governance_decisions"].rows > 0
    assert found["live.live_cycles"].rows == 3
    assert set(pl.read_parquet(tmp_path / "bars.parquet")["symbol"]) == {"KO", "SPY"}
    mine, theirs = (WarehouseResource(database=str(home.warehouse)) for home in (first, second))
    with mine.reader() as here, theirs.reader() as back, lake.reader() as con:
        for table in NIGHTLY_TABLES:
            wanted = read_night(here, table, asof=ASOF)
            assert wanted.height > 0
            assert wanted.equals(read_night(back, table, asof=ASOF)), table
            assert wanted.equals(read_night(con, table, asof=ASOF)), table
    assert (tmp_path / "third" / "data" / "warehouse.duckdb").is_file()


@pytest.mark.nightly
@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.7, 2.4])
def test_a_writer_that_is_killed_leaves_the_lake_as_it_was_or_whole(
    lake: Lake, environment: dict[str, str], tmp_path: Path, seconds: float
) -> None:
    home, clock = empty_home(tmp_path / "one"), RealClock()
    add_bars(home, bars("ABC", range(1, 9), payload="first"))
    push(lake, home, pushed_at=NIGHT)
    for symbol in ("DEF", "GHI"):
        add_bars(home, bars(symbol, range(1, 200), payload=symbol))
    writer = start(home, environment)
    assert writer.stdin is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()
    clock.sleep_until(clock.now() + timedelta(seconds=seconds))
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    missing = {one.table: one.missing for one in differences(lake, home) if one.missing}
    whole = {"warehouse.bar_sources": 2, "warehouse.bar_versions": 398}
    assert missing in ({}, whole)
    push(lake, home, pushed_at=NIGHT)
    assert [one for one in differences(lake, home) if one.missing or one.extra] == []
