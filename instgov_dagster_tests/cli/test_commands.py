import json
from pathlib import Path

import polars as pl
import pytest

from instgov_dagster.adapters.journal import read_frames
from instgov_dagster.adapters.runtime import Home
from instgov_dagster_tests.cli.processes import (
    bars_frame,
    copy_tree,
    instgov,
    run_words,
    told,
)
from instgov_dagster_tests.loop.homes import ASOF, SYMBOLS, write_config

RUN_FIELDS = {
    "state", "causes", "market", "asof", "symbols", "eligible", "bars", "invalid", "ineligible",
    "cycles", "decisions", "verdicts", "reasons", "orders", "fills", "nav", "gross", "cvar",
    "cvar_gate", "cvar_limit", "p_hit_crisis_5d", "cycle_ms_p50", "cycle_ms_p99", "chain_head",
    "report", "seconds",
}  # fmt: skip
N_TRADABLE = len([symbol for symbol in SYMBOLS if not symbol.startswith("^")])


@pytest.mark.roadmap("2.1", "3.5")
def test_run_tells_every_field_of_the_contract(ran: Path) -> None:
    fields = json.loads((ran / "told.json").read_text())
    assert set(fields) >= RUN_FIELDS
    assert [name for name in RUN_FIELDS if fields[name] is None] == []
    assert (fields["market"], fields["state"]) == ("simulated", "RUNNING")
    assert fields["symbols"] == N_TRADABLE
    assert fields["decisions"] == 3 * N_TRADABLE
    assert max(fields["cvar"], fields["cvar_gate"]) <= fields["cvar_limit"]
    assert Path(fields["report"]).is_file()


def test_run_is_repeatable_on_one_home(ran: Path, tmp_path: Path) -> None:
    copied = copy_tree(ran, tmp_path)
    done = instgov(*run_words(copied))
    assert done.returncode == 0, done.stderr[-2000:]
    fields = told(done)
    assert (fields["state"], fields["cycles"]) == ("RUNNING", 3)
    first = json.loads((ran / "told.json").read_text())
    assert fields["bars"] == first["bars"]
    assert fields["chain_head"] != first["chain_head"]


def test_status_says_how_near_each_limit_is(ran: Path) -> None:
    done = instgov("status", "--home", str(ran / "data"), "--json")
    assert done.returncode == 0, done.stderr
    fields = told(done)
    assert fields["state"] == "RUNNING"
    assert fields["last_night"] == ASOF.isoformat()
    for row in fields["limits"]:
        assert row["headroom"] == pytest.approx(row["limit"] - row["value"])


def test_audit_verify_passes_on_a_sound_home(ran: Path) -> None:
    done = instgov("audit", "verify", "--home", str(ran / "data"), "--json")
    assert done.returncode == 0, done.stderr
    fields = told(done)
    assert fields["ok"]
    assert fields["anchored"] == fields["frames"] > 3


@pytest.mark.roadmap("0.6")
def test_audit_verify_names_the_frame_one_byte_of_which_was_changed(
    ran: Path, tmp_path: Path
) -> None:
    home = Home(copy_tree(ran, tmp_path) / "data")
    frames = list(read_frames(home.journal_dir, "loop"))
    segment = home.journal_dir / "loop" / "000001.igj"
    body = bytearray(segment.read_bytes())
    body[frames[2].end - 20] ^= 1
    segment.write_bytes(bytes(body))
    done = instgov("audit", "verify", "--home", str(home.root), "--json")
    assert done.returncode == 1
    assert told(done)["first_bad"] == frames[2].name


@pytest.mark.roadmap("0.6")
def test_audit_verify_notices_that_the_last_frame_is_gone(ran: Path, tmp_path: Path) -> None:
    home = Home(copy_tree(ran, tmp_path) / "data")
    frames = list(read_frames(home.journal_dir, "loop"))
    segment = home.journal_dir / "loop" / "000001.igj"
    segment.write_bytes(segment.read_bytes()[: frames[-1].offset])
    done = instgov("audit", "verify", "--home", str(home.root), "--json")
    assert done.returncode == 1
    assert told(done)["first_bad"] == frames[-1].name


@pytest.mark.roadmap("9.1")
def test_audit_replay_folds_every_cycle_again(ran: Path) -> None:
    words = ("audit", "replay", "--home", str(ran / "data"), "--config", str(ran / "config"))
    done = instgov(*words, "--all", "--json")
    assert done.returncode == 0, done.stderr
    fields = told(done)
    assert (fields["cycles"], fields["identical"], fields["different"]) == (3, 3, [])
    assert not fields["is_other_code"]
    frames = read_frames(ran / "data" / "journal", "loop")
    session = next(frame.meta["session"] for frame in frames if frame.kind == "cycle")
    done = instgov(*words, "--cycle", f"{session}-000001", "--json")
    assert told(done)["identical"] == 2
    done = instgov(*words, "--cycle", f"{session}-000001", "--all")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_audit_replay_by_other_rules_is_bad_input(ran: Path, tmp_path: Path) -> None:
    config = copy_tree(ran / "config", tmp_path / "config")
    text = (config / "policy.yaml").read_text()
    (config / "policy.yaml").write_text(text.replace("hurdle: 0.02", "hurdle: 0.021"))
    words = ("audit", "replay", "--home", str(ran / "data"), "--config", str(config), "--all")
    done = instgov(*words)
    assert done.returncode == 2
    assert "--config must hold the policy" in done.stderr


def test_a_halt_is_told_and_ends_with_three_until_it_is_resumed(ran: Path, tmp_path: Path) -> None:
    home = str(copy_tree(ran, tmp_path) / "data")
    acts = ("--home", home, "--operator", "risk officer", "--reason", "drill", "--json")
    assert told(instgov("halt", *acts))["state"] == "HALT_SYSTEM"
    status = instgov("status", "--home", home, "--json")
    assert status.returncode == 3
    assert told(status)["causes"][0]["reason_code"] == "OPERATOR_HALT"
    assert told(instgov("resume", *acts))["state"] == "RUNNING"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--asof", "yesterday"], "--asof must be a date YYYY-MM-DD, was 'yesterday'"),
        (["--cycles", "0"], "--cycles must be >= 1, was 0"),
        (["--period", "-1"], "--period must be in [0, 3600], was -1.0"),
        (["--market", "moon"], "--market must be one of simulated, files, live, was 'moon'"),
        (["--market", "files"], "--bars must name a folder for the market files, was nothing"),
        (["--seed", "-4"], "--seed must be >= 0, was -4"),
    ],
)
def test_bad_usage_ends_with_two_one_line_and_nothing_written(
    tmp_path: Path, words: list[str], line: str
) -> None:
    home = tmp_path / "data"
    done = instgov("run", "--home", str(home), *words)
    assert done.returncode == 2
    assert done.stderr == f"instgov: {line}\n"
    assert done.stdout == ""
    assert not home.exists()


@pytest.mark.parametrize(
    ("frame", "word"),
    [
        (bars_frame().drop("close"), "close"),
        (bars_frame(asset_class=["BONDS"]), "BONDS"),
        (bars_frame(date=["2024-01-02 15:30:00"]), "INTRADAY_FORBIDDEN"),
    ],
)
def test_bad_bars_end_with_two_and_name_what_is_wrong(
    tmp_path: Path, frame: pl.DataFrame, word: str
) -> None:
    frame.write_parquet(tmp_path / "bars.parquet")
    home = tmp_path / "data"
    done = instgov("run", "--home", str(home), "--bars", str(tmp_path), "--period", "0")
    assert done.returncode == 2, done.stderr
    assert word in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (home / "warehouse.duckdb").exists()


def test_a_bad_rule_names_its_key_value_and_bound(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config")
    text = (config / "policy.yaml").read_text()
    (config / "policy.yaml").write_text(text.replace("portfolio_limit: 0.06", "portfolio_limit: 7"))
    done = instgov("run", "--home", str(tmp_path / "data"), "--config", str(config))
    assert done.returncode == 2
    assert "cvar.portfolio_limit" in done.stderr
    assert "was 7" in done.stderr


def test_a_corrupted_warehouse_halts_and_loses_nothing(ran: Path, tmp_path: Path) -> None:
    copied = copy_tree(ran, tmp_path)
    warehouse = copied / "data" / "warehouse.duckdb"
    warehouse.write_bytes(b"\0" * 4096 + warehouse.read_bytes()[4096:])
    done = instgov(*run_words(copied))
    assert done.returncode == 3
    assert "WAREHOUSE_CORRUPT" in done.stderr
    fields = told(done)
    assert fields["state"] == "HALT_SYSTEM"
    assert [cause["reason_code"] for cause in fields["causes"]] == ["WAREHOUSE_CORRUPT"]
    assert instgov("audit", "verify", "--home", str(copied / "data")).returncode == 0
