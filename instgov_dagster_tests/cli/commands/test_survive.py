"""`instgov survive`: a question nobody can walk ends with two and one clear line."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from instgov_dagster.cli.app import app
from instgov_dagster_tests.loop.homes import write_config


def asked(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["survive", *words])
    return done.exit_code, done.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--market", "files"), "--bars must name a folder for the market files"),
        (("--market", "simulated", "--bars", "."), "--bars must go with the market files"),
        (("--market", "live"), "--market must be files or simulated"),
        (("--market", "simulated", "--years", "0"), "--years must be in [1, 20], was 0"),
        (("--bars", ".", "--years", "2"), "--years must go with --market simulated"),
        (("--market", "simulated", "--seed", "-1"), "--seed must be >= 0, was -1"),
        (("--bars", ".", "--start", "tomorrow"), "--start must be a date YYYY-MM-DD"),
        (
            ("--bars", ".", "--start", "2024-02-01", "--end", "2024-01-01"),
            "--end must be >= --start",
        ),
        (
            ("--market", "simulated", "--gates", "cvar,reigme"),
            "lifecycle, book, coverage, was 'reigme'",
        ),
    ],
)
def test_a_question_nobody_can_walk_ends_with_two_and_one_line(
    words: tuple[str, ...], line: str
) -> None:
    code, told = asked(*words)
    assert code == 2
    assert line in told
    assert told.count("\n") == 1


def test_a_folder_without_bars_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    empty, out = tmp_path / "bars", tmp_path / "out"
    empty.mkdir()
    code, told = asked("--bars", str(empty), "--out", str(out))
    assert code == 2
    assert "must hold bars.parquet" in told
    assert not out.exists()


def test_the_gates_asked_for_are_walked_without_and_no_other(
    tmp_path: Path,
) -> None:
    out, rules = tmp_path / "out", write_config(tmp_path / "config")
    span = ("--market", "simulated", "--start", "2025-03-11", "--end", "2025-03-11")
    code, told = asked(
        *span, "--config", str(rules), "--out", str(out), "--gates", "regime, cvar", "--json"
    )
    assert code == 0, told
    walked = pl.read_parquet(out / "tables" / "sessions.parquet")["walk"]
    assert set(walked) == {"governed", "governance_off", "without_cvar", "without_regime"}
