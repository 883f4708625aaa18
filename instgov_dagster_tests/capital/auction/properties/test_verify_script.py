"""The script in docs proves a stored night from DuckDB alone, and refuses a forged one."""

import ast
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from instgov_dagster.adapters.store.night_store import write_night
from instgov_dagster.adapters.store.schema import migrate
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.result import certificate_frame
from instgov_dagster.capital.scenarios import scenarios_to_frame
from instgov_dagster_tests.capital.auction.properties.oddities import with_returns
from instgov_dagster_tests.capital.auction.settings import run
from instgov_dagster_tests.capital.worlds import random_instance, returns_of, small_config

pytestmark = pytest.mark.roadmap("4.3", "DOC.4")

SCRIPT = Path(__file__).parents[4] / "docs" / "evidence" / "verify_certificate.py"
ASOF = date(2026, 1, 5)
NOW = datetime(2026, 1, 5, 6, tzinfo=UTC)


def store(path: Path, instance: AuctionInstance, changes: dict[str, object]) -> None:
    """Write an auction's scenarios and its certificate as a night does, altered as asked."""
    result = run(instance)
    row = certificate_frame(instance, result, scenario_symbols=instance.symbols)
    row = row.with_columns(pl.lit("night-2026-01-05").alias("cycle_id"))
    for name, value in changes.items():
        row = row.with_columns(pl.Series(name, [value], dtype=row.schema[name]))
    with duckdb.connect(str(path)) as con:
        con.execute("SET TimeZone = 'UTC'")
        migrate(con, "warehouse", applied_at=NOW)
        for table, frame in (
            ("stress_scenarios", scenarios_to_frame(instance.scenarios)),
            ("auction_certificate", row),
        ):
            write_night(con, table, frame, asof=ASOF, run_id="run", recorded_at=NOW)


def verify(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(path)], capture_output=True, text=True, check=False
    )


def instance_of(seed: int) -> AuctionInstance:
    base = random_instance(
        seed, n_symbols=9, n_scenarios=133, is_holding=True, config=small_config(), mu_scale=0.02
    )
    if seed % 2:
        return base
    return with_returns(base, returns_of(133, 9, seed), 3.0 * returns_of(90, 9, seed + 1))


def test_the_script_imports_nothing_of_ours() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert "instgov" not in text
    body = [node for node in ast.parse(text).body if not isinstance(node, ast.Import)][1:]
    code = text.splitlines()[body[0].lineno - 1 :]
    assert len([line for line in code if line and not line.startswith("#")]) <= 30


@pytest.mark.parametrize("seed", range(3))
def test_a_stored_night_is_proved_again_from_duckdb_alone(seed: int, tmp_path: Path) -> None:
    store(tmp_path / "w.duckdb", instance_of(seed), {})
    done = verify(tmp_path / "w.duckdb")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gap" in done.stdout


def test_a_forged_night_is_refused(tmp_path: Path) -> None:
    instance = instance_of(1)
    result = run(instance)
    less = (result.weights * 0.9).tolist()
    assert result.certificate is not None
    for place, changes in enumerate(
        (
            {"weights": less},
            {"upper_bound": result.certificate.upper_bound + 1e-6},
            {"bid_values": (instance.values * 1.01).tolist()},
        )
    ):
        path = tmp_path / f"{place}.duckdb"
        store(path, instance, dict(changes))
        done = verify(path)
        assert "gap" in done.stdout, done.stderr
        assert done.returncode == 1, place
