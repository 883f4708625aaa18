"""`why`, `audit export` and `audit compact` from outside: fields, exit codes, one clear line."""

import subprocess
import sys
from pathlib import Path

import pytest

from instgov_dagster.adapters.journal import read_frames
from instgov_dagster.adapters.runtime import Home
from instgov_dagster_tests.cli.processes import copy_tree, files_of, instgov, told
from instgov_dagster_tests.loop.homes import SYMBOLS

WHY_FIELDS = {"cycle_id", "decision", "reason_codes", "gates", "inputs", "lineage"}
GATE_FIELDS = {"name", "passed", "value", "limit", "reason_code", "passing_size"}


def where(ran: Path) -> tuple[str, ...]:
    return ("--home", str(ran / "data"), "--config", str(ran / "config"))


@pytest.mark.roadmap("9.1", "9.3")
def test_why_tells_every_field_of_the_contract_and_writes_nothing(ran: Path) -> None:
    before = files_of(ran / "data" / "journal")
    done = instgov("why", "AAPL", *where(ran), "--json")
    assert done.returncode == 0, done.stderr
    fields = told(done)
    assert set(fields) >= WHY_FIELDS
    assert fields["is_exact"]
    assert all(set(gate) >= GATE_FIELDS for gate in fields["gates"])
    assert [gate["name"] for gate in fields["gates"]][:2] == ["route", "eligible"]
    assert fields["lineage"]["payloads"][0]["is_verified"]
    assert files_of(ran / "data" / "journal") == before


def test_why_reads_as_a_table_for_people(ran: Path) -> None:
    done = instgov("why", "SPY", *where(ran))
    assert done.returncode == 0, done.stderr
    for word in ("SPY", "auction", "book_cvar", "decision", "forecast", "payload", "verified"):
        assert word in done.stdout
    assert "\x1b[" not in done.stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("SPX",), "the nearest is SPY"),
        (("AAPL", "--cycle", "live-1"), "--cycle must be in the loop's chain"),
    ],
)
def test_why_answers_what_it_cannot_explain_with_one_line(
    ran: Path, words: tuple[str, ...], line: str
) -> None:
    done = instgov("why", *words, *where(ran))
    assert (done.returncode, done.stdout) == (2, "")
    assert line in done.stderr
    assert done.stderr.count("\n") == 1


def test_why_of_a_home_that_is_none_is_bad_input(tmp_path: Path) -> None:
    done = instgov("why", "AAPL", "--home", str(tmp_path))
    assert (done.returncode, "--home must hold a journal" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.roadmap("0.6")
def test_an_export_is_verified_by_its_own_script_alone(ran: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    done = instgov("audit", "export", "--home", str(ran / "data"), "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    fields = told(done)
    assert set(fields) >= {"files", "sha256"}
    assert {row["path"] for row in fields["files"]} >= {"verify.py", "README.md", "manifest.json"}
    words = [sys.executable, "-I", str(out / "verify.py"), "--sha256", fields["sha256"]]
    verified = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout
    again = instgov("audit", "export", "--home", str(ran / "data"), "--out", str(out))
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)


@pytest.mark.roadmap("0.6")
def test_compacted_segments_are_verified_replayed_and_explained_as_before(
    ran: Path, tmp_path: Path
) -> None:
    copied = copy_tree(ran, tmp_path)
    rules = copied / "config" / "policy.yaml"
    text = rules.read_text().replace("journal_segment_mib: 64", "journal_segment_mib: 1")
    rules.write_text(text)
    for command, cycles in (("nightly", ()), ("live", ("--cycles", "60", "--period", "0"))):
        done = instgov(command, *where(copied), "--asof", "2025-03-12", *cycles, "--json")
        assert done.returncode == 0, done.stderr[-2000:]
    home = Home(copied / "data")
    before = [frame.head for frame in read_frames(home.journal_dir, "loop")]
    done = instgov("audit", "compact", "--home", str(home.root), "--json")
    assert done.returncode == 0, done.stderr
    fields = told(done)
    assert fields["segments"]
    assert fields["bytes_before"] > 4 * fields["bytes_after"]
    assert [frame.head for frame in read_frames(home.journal_dir, "loop")] == before
    assert told(instgov("audit", "verify", "--home", str(home.root), "--json"))["ok"]
    replayed = told(instgov("audit", "replay", *where(copied), "--json"))
    assert (replayed["cycles"], replayed["identical"]) == (60, 60)
    assert told(instgov("why", SYMBOLS[0], *where(copied), "--json"))["is_exact"]
    assert told(instgov("status", *where(copied), "--json"))["state"] == "RUNNING"
