"""`instgov bench auction` from outside: what it prints, what it writes, what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from instgov_dagster.bench.auction import command
from instgov_dagster.cli.commands.bench import auction_command
from instgov_dagster_tests.cli.processes import instgov


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sizes", "fifty"], "--sizes"),
        (["--sizes", "5", "--write", "no-such-folder/page.md"], "--write"),
    ],
)
def test_a_bad_word_is_refused_before_anything_is_measured(words: list[str], said: str) -> None:
    done = instgov("bench", "auction", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_one_json_object_holds_every_row_and_the_page_is_written_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def small(*_: Any, **options: Any) -> list[dict[str, Any]]:
        # The real bench at its least: one engine, one size, one second.
        return _bench(
            [5],
            n_scenarios=60,
            engines=("scipy highs-ds",),
            n_ticks=1,
            tick_seconds=1.0,
            **options,
        )

    _bench = command.bench_auction
    monkeypatch.setattr(command, "bench_auction", small)
    auction_command(sizes="5", write=tmp_path / "page.md", as_json=True)
    told = json.loads(capfd.readouterr().out)
    assert [(row["engine"], row["n"]) for row in told["rows"]] == [("scipy highs-ds", 5)]
    wanted = {"n", "s", "cpu_seconds", "cold_ms", "tick_ms_p50", "tick_ms_p99", "objective", "gap"}
    assert all(wanted <= set(row) for row in told["rows"])
    stored = json.loads((tmp_path / "evidence" / "auction.json").read_text(encoding="utf-8"))
    assert stored["rows"] == told["rows"]
    assert (tmp_path / "page.md").read_text(encoding="utf-8").startswith("# Performance\n")
