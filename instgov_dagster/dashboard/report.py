"""The static governance report: every page in one file that asks nobody for anything."""

import base64
import hashlib
from dataclasses import replace
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from instgov_dagster.adapters.runtime import Home, replace_durably
from instgov_dagster.dashboard.html import banner_html, section_html, tiles_html
from instgov_dagster.dashboard.model import Page, Section, Table
from instgov_dagster.dashboard.pages import PAGES
from instgov_dagster.dashboard.reading.board import Board, read_board
from instgov_dagster.dashboard.serving.payload import figure_json
from instgov_dagster.dashboard.serving.server import static_file
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import InputError

#: The most a report may weigh.
MOST_BYTES: Final = 6_000_000
#: Rows of a table that are printed; the pages of the dashboard show all.
MOST_ROWS: Final = 60
REPORT_FILE: Final = "report.html"


def report_path(home: Home) -> Path:
    """Name the file a report is written to where nobody names another."""
    return home.published / REPORT_FILE


def write_report(
    home: Home, policy: Policy, *, key: bytes | None, out: Path | None = None
) -> tuple[Path, int]:
    """Read a home once and write its report whole, or not at all.

    Returns
    -------
    The file, and how many bytes it has.

    Raises
    ------
    InputError
        If the file cannot be written where it was asked for.
    """
    path = out or report_path(home)
    body = report_html(read_board(home, policy, key=key)).encode()
    try:
        replace_durably(path, body)
    except OSError as error:
        raise InputError(
            f"--out must be a file that can be written, was {path}: {error}"
        ) from error
    return path, len(body)


def report_html(board: Board) -> str:
    """Lay every page out in one document, its scripts and styles inside it.

    Notes
    -----
    Tables are cut at `MOST_ROWS` rows, which say how many there are; a document that would weigh
    more than `MOST_BYTES` all the same loses its largest figures, their tables stay.
    """
    pages = [(module.page(board, {}), module.TITLE) for module in PAGES.values()]
    laid = [_Laid(page, title) for page, title in pages]
    scripts = (static_file("plotly.min.js")[0].decode(), _web("report.js"))
    fixed = sum(len(text.encode()) for text in scripts) + 40_000
    _fit(laid, MOST_BYTES - fixed)
    body = "".join(page.html() for page in laid)
    return _document(board, body, scripts)


class _Laid:
    # A page being laid out: each section once, however often it stands on a page.
    def __init__(self, page: Page, title: str) -> None:
        self.page, self.title = page, title
        self.sections = [
            (replace(s, key=f"{page.key}-{s.key}", tables=tuple(map(_cut, s.tables))))
            for s in page.sections
        ]
        self.figures = {section.key: figure_json(section) for section in self.sections}

    def weight(self) -> int:
        figures = sum(len(text.encode()) for text in self.figures.values())
        return figures + sum(len(section_html(s).encode()) for s in self.sections)

    def drop(self, key: str) -> None:
        self.figures[key] = "null"
        self.sections = [
            replace(s, figure=None, missing="The picture is too large for this file.")
            if s.key == key
            else s
            for s in self.sections
        ]

    def html(self) -> str:
        parts = "".join(section_html(section) + self._data(section) for section in self.sections)
        return (
            f'<div class="page" id="{self.page.key}"><h1>{escape(self.title)}</h1>'
            f"{tiles_html(self.page.tiles)}{parts}</div>"
        )

    def _data(self, section: Section) -> str:
        if section.figure is None:
            return ""
        text = self.figures[section.key]
        return f'<script type="application/json" id="{section.key}-plot-data">{text}</script>'


def _fit(laid: list[_Laid], room: int) -> None:
    while sum(page.weight() for page in laid) > room:
        heaviest = max(
            ((len(text), page, key) for page in laid for key, text in page.figures.items()),
            key=lambda row: row[0],
        )
        if heaviest[0] <= len("null"):
            return
        heaviest[1].drop(heaviest[2])


def _cut(table: Table) -> Table:
    if len(table.rows) <= MOST_ROWS:
        return replace(table, links=())
    caption = f"{table.caption}, the first {MOST_ROWS} of {len(table.rows)}"
    return replace(table, rows=table.rows[:MOST_ROWS], caption=caption, links=())


def _web(name: str) -> str:
    return files("instgov_dagster.dashboard").joinpath("web", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def _document(board: Board, body: str, scripts: tuple[str, ...]) -> str:
    # The file forbids itself everything but its own two scripts.
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; "
        "style-src 'unsafe-inline'; img-src data:"
    )
    contents = "".join(
        f'<li><a href="#{key}">{escape(module.TITLE)}</a></li>' for key, module in PAGES.items()
    )
    styles = "".join(_web(name) for name in ("board.css", "plotly.css", "report.css"))
    told = "".join(f"<script>{text}</script>" for text in scripts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Governance report {escape(board.asof or "")} · instgov</title>
<style>{styles}</style>
</head>
<body data-state="{board.state.name.value}" data-standing="{board.standing.value}">
<main>
<div class="cover"><h1>Governance report</h1>
<p>Night of {escape(board.asof or "no night yet")}; read {board.at.isoformat(timespec="seconds")} \
from <code>{escape(board.home)}</code>. Every number is read back from the audited stores.</p>
<div id="banner">{banner_html(board)}</div>
<nav aria-label="Contents"><ul>{contents}</ul></nav></div>
{body}
</main>
{told}
</body>
</html>
"""
