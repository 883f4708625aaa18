"""A walk from question to answer: its fields, its files, and one that is ended and goes on."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from instgov_dagster.loop.proving.survival import run
from instgov_dagster.loop.proving.survival.telling.answer import Answer, Question
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster_tests.loop.proving.survival.conftest import DAYS

FIELDS = {
    "sessions", "seconds", "total_return", "max_drawdown", "worst_5d_loss", "gross_mean",
    "cvar_exceedance_rate", "kupiec_p", "e_value", "days_reduce_only", "days_halted",
    "promotions", "decommissions", "benchmarks",
}  # fmt: skip


class Ended(Exception):  # noqa: N818  # what a kill looks like from inside
    pass


def tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "tables").iterdir())}


@pytest.fixture(scope="module")
def kept(question: Question, tmp_path_factory: pytest.TempPathFactory) -> tuple[Answer, Path]:
    out = tmp_path_factory.mktemp("whole")
    return run.survive(replace(question, end=DAYS[-1]), out=out, environment={}), out


def test_the_answer_has_every_field_of_the_contract(kept: tuple[Answer, Path]) -> None:
    fields = kept[0].fields()
    assert set(fields) == FIELDS
    assert fields["sessions"] == len(DAYS)
    assert fields["gross_mean"] > 0.0
    assert fields["e_value"] == 1.0
    assert kept[0].parity is not None
    assert kept[0].parity.holds


def test_the_page_stands_alone_and_says_what_it_does_not_show(kept: tuple[Answer, Path]) -> None:
    page = (kept[1] / "report.html").read_text(encoding="utf-8")
    assert "What this does not show" in page
    assert page.count("<svg") >= 4
    assert "src=" not in page
    assert "http://www.w3.org/2000/svg" in page
    assert "<script" not in page


def test_a_walk_that_was_ended_goes_on_and_ends_the_same(
    kept: tuple[Answer, Path],
    question: Question,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "CHECKPOINT_EVERY", 1)

    def end(done: int, of: int) -> None:
        if done == of - 1:
            raise Ended

    asked = replace(question, end=DAYS[-1])
    with pytest.raises(Ended):
        run.survive(asked, out=tmp_path, progress=end, environment={})
    seen: list[int] = []
    run.survive(asked, out=tmp_path, progress=lambda done, _: seen.append(done), environment={})
    assert seen == [len(DAYS)]
    assert tables(tmp_path) == tables(kept[1])


def test_a_folder_of_another_walk_is_refused(kept: tuple[Answer, Path], question: Question) -> None:
    before = tables(kept[1])
    with pytest.raises(InputError, match="holds another's"):
        run.survive(replace(question, end=DAYS[1]), out=kept[1], environment={})
    assert tables(kept[1]) == before


def test_a_span_that_nobody_holds_is_refused(question: Question, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold a session"):
        run.survive(
            replace(question, start=DAYS[-1], end=DAYS[0]), out=tmp_path / "o", environment={}
        )
    assert not (tmp_path / "o").exists()


def test_the_sessions_are_kept_as_they_were(kept: tuple[Answer, Path]) -> None:
    rows = pl.read_parquet(kept[1] / "tables" / "sessions.parquet")
    assert rows["date"].to_list() == list(DAYS)
    assert rows["state"].to_list() == ["RUNNING"] * len(DAYS)
    assert set(pl.read_parquet(kept[1] / "tables" / "last_decisions.parquet")["symbol"]) >= {"SPY"}
