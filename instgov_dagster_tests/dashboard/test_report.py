"""The report: one file, whole, that forbids itself everything but its own two scripts."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.dashboard import report as report_module
from instgov_dagster.dashboard.pages import PAGES
from instgov_dagster.dashboard.reading.board import Board
from instgov_dagster.dashboard.report import MOST_BYTES, report_html, write_report
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import InputError

ADDRESS = re.compile(r'(?:src|href)="([^"#][^"]*)"')


@pytest.fixture(scope="module")
def text(board: Board) -> str:
    return report_html(board)


def test_the_report_holds_every_page_and_every_figure_with_its_data(text: str) -> None:
    for key in PAGES:
        assert f'<div class="page" id="{key}">' in text
    plots = re.findall(r'class="plot" id="([^"]+)"', text)
    assert len(plots) == len(set(plots)) > 12
    for plot in plots:
        assert f'id="{plot}-data"' in text
    assert len(text.encode()) < MOST_BYTES


def test_the_report_loads_nothing_and_runs_only_the_scripts_it_names(text: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(scripts) == 2
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy.group(1)
    assert "default-src 'none'" in policy.group(1)
    body = text[: text.rindex("<script>", 0, text.rindex("<script>"))]
    assert ADDRESS.findall(body) == []


def test_writing_is_whole_and_a_home_of_any_kind_has_a_report(
    recorded: Platform, halted: Home, empty: Home, tmp_path: Path
) -> None:
    for number, home in enumerate((recorded.home, halted, empty)):
        path, size = write_report(home, Policy(), key=None, out=tmp_path / f"{number}.html")
        assert path.stat().st_size == size
        assert path.read_text().startswith("<!doctype html>")
    assert "OPERATOR_HALT" in (tmp_path / "1.html").read_text()


def test_a_place_that_cannot_be_written_is_refused_by_name(
    recorded: Platform, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--out must be a file that can be written"):
        write_report(recorded.home, Policy(), key=None, out=tmp_path / "file" / "report.html")


def test_a_report_too_large_loses_its_largest_pictures_and_keeps_their_tables(
    board: Board, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(report_module, "MOST_BYTES", len(text.encode()) - 20_000)
    smaller = report_html(board)
    assert len(smaller.encode()) <= len(text.encode()) - 20_000
    assert "The picture is too large for this file." in smaller
    assert smaller.count("<table>") == text.count("<table>")
