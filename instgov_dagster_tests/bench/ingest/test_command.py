"""The ingestion bench: two engines, one set of rules, honest rows."""

from pathlib import Path

import polars as pl
import pytest

from instgov_dagster.adapters.runtime.processes.memory import peak_rss_mb
from instgov_dagster.bench.ingest import command as ingest
from instgov_dagster.bench.ingest import ours as ingest_ours
from instgov_dagster.bench.ingest import peer as ingest_peer
from instgov_dagster.bench.ingest.worker import ENGINES, measure
from instgov_dagster.bench.synthetic_bars import SyntheticBars, write_bars
from instgov_dagster.vocabulary.errors import InputError

SMALL = SyntheticBars(n_symbols=60, n_sessions=400, faulty_share=0.25)


def test_the_peer_in_pandas_gives_every_symbol_the_score_ours_gives(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars", SMALL)
    ours = ingest_ours.run_night(tmp_path / "bars", tmp_path, asof=SMALL.asof, run_id="a")
    peer = ingest_peer.run_night(tmp_path / "bars", tmp_path, asof=SMALL.asof, run_id="a")
    assert ours.scores == pytest.approx(peer.scores, abs=1e-12)
    assert ours.rows_added == peer.rows_added
    scores = sorted(set(ours.scores.values()))
    # 60 symbols, every fourth faulty: three of each of the five kinds.
    assert sum(score == 1.0 for score in ours.scores.values()) == 45
    assert len(scores) >= 4
    assert scores[0] < 0.6


@pytest.mark.parametrize("engine", ENGINES)
def test_an_unchanged_second_night_adds_nothing(engine: str, tmp_path: Path) -> None:
    write_bars(tmp_path / "bars", SMALL)
    row = measure(engine, tmp_path / "bars", tmp_path, asof=SMALL.asof)
    assert row["second_rows"] == 0
    # One bar is missing in three symbols and one comes twice in three others.
    assert row["rows"] == 60 * 400
    assert row["cpu_seconds"] > 0
    assert 0 < row["rss_mb"] <= peak_rss_mb() + 1
    assert (row["matrix_ms"] is None) == (engine != "instgov")


def test_only_what_differs_is_added_when_a_bar_changes(tmp_path: Path) -> None:
    file = write_bars(tmp_path / "bars", SMALL)
    ingest_ours.run_night(tmp_path / "bars", tmp_path, asof=SMALL.asof, run_id="a")
    frame = pl.read_parquet(file)
    is_last = pl.int_range(pl.len()) == pl.len() - 1
    frame.with_columns(volume=pl.when(is_last).then(1.0).otherwise("volume")).write_parquet(file)
    again = ingest_ours.run_night(tmp_path / "bars", tmp_path, asof=SMALL.asof, run_id="b")
    assert again.rows_added == 1


def test_the_bench_runs_each_engine_in_its_own_process_ours_first() -> None:
    seen = []
    rows = ingest.bench_ingest([20], n_sessions=80, peer_symbols=20, on_row=seen.append)
    assert [(row["engine"], row["n"]) for row in rows] == [("instgov", 20), ("pandas-sqlite", 20)]
    assert seen == rows
    for row in rows:
        assert row["s"] == 80
        assert row["second_rows"] == 0
        assert row["rss_mb"] > 0
        assert row["timed_out"] is False


def test_a_peer_out_of_time_is_a_row_that_says_so(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars", SMALL)
    row = ingest._measured("pandas-sqlite", SMALL, tmp_path / "bars", tmp_path / "home", 0.01)
    assert row["timed_out"] is True
    assert row["n"] == 60
    assert row["seconds"] is None


@pytest.mark.parametrize("size", [0, -5, 2.5, True])
def test_a_size_that_is_no_count_is_refused(size: object) -> None:
    with pytest.raises(InputError, match="sizes"):
        ingest.bench_ingest([size])  # type: ignore[list-item]  # the point
