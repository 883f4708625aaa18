"""A ratio that falls is told, and nothing that was not measured passes for one that held."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.bench.regression import suite
from instgov_dagster.bench.regression.judging import (
    COLUMNS,
    Baseline,
    Finding,
    Ratio,
    judge,
    read_baselines,
    table,
    write_baselines,
)
from instgov_dagster.cli.commands import bench as commands
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster_tests.repository.roadmap import ROOT

TIME = Ratio(
    name="t", bench="b", ours={"engine": "ours"}, peer={"engine": "peer"}, measure="seconds"
)
RATE = Ratio(
    name="r", bench="b", ours={"engine": "ours"}, peer={"engine": "peer"}, measure="seconds",
    is_rate=True,
)  # fmt: skip
COMMITTED = ROOT / "docs" / "evidence" / "bench.json"


def rows(ours: object, peer: object) -> list[dict[str, object]]:
    return [{"engine": "ours", "seconds": ours}, {"engine": "peer", "seconds": peer}]


def test_more_is_better_whether_time_or_rate_is_compared() -> None:
    assert TIME.of(rows(2.0, 10.0)) == 5.0
    assert RATE.of(rows(10.0, 2.0)) == 5.0


@pytest.mark.parametrize("value", [None, 0.0, -1.0, float("nan"), float("inf"), True, "2"])
def test_a_row_without_a_number_gives_no_ratio(value: object) -> None:
    assert TIME.of(rows(value, 1.0)) is None
    assert TIME.of(rows(1.0, value)) is None


def test_rows_that_are_missing_or_mistakable_give_no_ratio() -> None:
    assert TIME.of([{"engine": "ours", "seconds": 1.0}]) is None
    assert TIME.of([*rows(1.0, 2.0), {"engine": "peer", "seconds": 9.0}]) is None


@pytest.mark.parametrize(
    ("ratio", "finding"),
    [
        (10.0, Finding.HELD),
        (10.01, Finding.BETTER),
        (6.5, Finding.HELD),  # exactly what a tolerance of 0.35 leaves
        (6.49, Finding.REGRESSED),
        (0.0, Finding.REGRESSED),
        (None, Finding.NOT_MEASURED),
        (float("nan"), Finding.NOT_MEASURED),
    ],
)
def test_a_ratio_is_judged_by_its_baseline_less_the_tolerance(
    ratio: float | None, finding: Finding
) -> None:
    (one,) = judge({"a": ratio}, {"a": Baseline(ratio=10.0, tolerance=0.35)})
    assert one.finding is finding
    assert finding.passes == (finding in (Finding.HELD, Finding.BETTER))


def test_what_is_only_on_one_side_fails() -> None:
    judged = judge({"new": 3.0}, {"gone": Baseline(ratio=1.0, tolerance=0.1)})
    found = {one.name: one.finding for one in judged}
    assert found == {"gone": Finding.NOT_MEASURED, "new": Finding.NO_BASELINE}
    assert not any(one.finding.passes for one in judged)


@given(st.floats(0.01, 1e6), st.floats(0.0, 0.99), st.floats(0.01, 1e6))
def test_a_better_ratio_never_fails_where_a_worse_one_passed(
    baseline: float, tolerance: float, ratio: float
) -> None:
    kept = {"a": Baseline(ratio=baseline, tolerance=tolerance)}
    (worse,), (better,) = judge({"a": ratio}, kept), judge({"a": ratio * 1.5}, kept)
    assert better.finding.passes or not worse.finding.passes


def test_what_was_written_is_read_back_and_holds(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    write_baselines(path, {"a": 12.3456}, tolerances={"a": 0.5}, machine={"cores": 2})
    assert read_baselines(path) == {"a": Baseline(ratio=12.3, tolerance=0.5)}
    assert json.loads(path.read_text())["machine"] == {"cores": 2}
    with pytest.raises(InputError, match="a baseline must hold every ratio, lacked b"):
        write_baselines(path, {"a": 1.0, "b": None}, tolerances={"a": 0.5}, machine={})


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", '{"ratios": []}', '{"ratios": {"a": 1}}', '{"ratios": {"a": {"ratio": 1}}}',
        '{"ratios": {"a": {"ratio": 0, "tolerance": 0.1}}}',
        '{"ratios": {"a": {"ratio": 1, "tolerance": 1}}}',
        '{"ratios": {"a": {"ratio": NaN, "tolerance": 0.1}}}',
    ],
)  # fmt: skip
def test_baselines_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(InputError):
        read_baselines(path)
    with pytest.raises(InputError, match="--baselines must name a file that exists"):
        read_baselines(tmp_path / "none.json")


def test_the_table_has_a_row_a_ratio_under_its_columns() -> None:
    kept = {"a": Baseline(ratio=10.0, tolerance=0.5), "b": Baseline(ratio=2.0, tolerance=0.5)}
    shown = table(judge({"a": 4.0, "b": None}, kept))
    assert shown == [("a", "10", "5", "4", "regressed"), ("b", "2", "1", "–", "not measured")]
    assert all(len(row) == len(COLUMNS) for row in shown)


def test_every_ratio_has_a_bench_and_a_name_of_its_own() -> None:
    listed = suite.ratios()
    assert {ratio.bench for ratio, _ in listed} == set(suite.BENCHES)
    assert len({ratio.name for ratio, _ in listed}) == len(listed)


def test_the_baselines_committed_are_those_of_the_suite() -> None:
    if not COMMITTED.is_file():
        pytest.skip("no baselines are committed: make bench ARGS=--write on an idle machine")
    kept = read_baselines(COMMITTED)
    assert {name: one.tolerance for name, one in kept.items()} == suite.tolerances()
    # A walk with gates, fills and lifecycles is slower than an optimiser alone, and is known to be.
    slower = {name for name, one in kept.items() if one.ratio <= 1.0}
    assert slower == {"survive: sessions_per_second beside skfolio"}


@pytest.mark.parametrize(("now", "code"), [(9.0, 0), (1.0, 1)])
def test_the_command_ends_with_one_where_a_ratio_fell(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    now: float,
    code: int,
) -> None:
    path, one = tmp_path / "bench.json", suite.ratios()[0][0]
    write_baselines(path, {one.name: 9.0}, tolerances={one.name: 0.5}, machine={})
    told = [{"engine": "instgov", "cpu_seconds": 1.0}]
    told.append({"engine": "pandas-sqlite", "cpu_seconds": now})
    monkeypatch.setattr(suite, "BENCHES", {"ingest": lambda: told})
    monkeypatch.setattr(suite, "ratios", lambda: ((one, 0.5),))
    ended = 0
    try:
        commands.all_command(baselines=path, only=None, write=False, as_json=False)
    except commands.typer.Exit as end:
        ended = end.exit_code
    assert ended == code
    assert ("regressed" in capsys.readouterr().out) == bool(code)


def test_a_bench_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(commands.typer.Exit) as end:
        commands.all_command(baselines=COMMITTED, only="ingest,what", write=False, as_json=False)
    assert end.value.exit_code == 2
    assert "--only must name ingest, shards" in capsys.readouterr().err
