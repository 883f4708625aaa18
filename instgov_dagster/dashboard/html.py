"""Pages as HTML text: every word escaped, a table beside every picture; no number is made here."""

import math
from collections.abc import Sequence
from html import escape

from instgov_dagster.dashboard.model import Cell, Page, Section, Standing, Table, Tile
from instgov_dagster.dashboard.reading.board import Board

#: What each standing means to whoever looks, in one sentence.
STANDING_WORDS = {
    Standing.LIVE: "A leader beats; the numbers are of this moment.",
    Standing.STALE: "STALE: nothing here is live. No leader beats, or what it left cannot be read.",
    Standing.ENDED: "No session runs; the numbers are the last session's.",
    Standing.EMPTY: "This home has no session yet.",
}
_MARKETS = {"simulated": "SIMULATED", "files": "FILES (replay)", "live": "LIVE MARKET"}


def cell_text(value: Cell) -> str:
    """Write one cell: six digits of a number, a dash for what is not known."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    return str(value)


def table_html(table: Table) -> str:
    """Write a table with its caption and the scope of its headers."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    body = "".join(
        _row(row, table.links[k] if table.links else "") for k, row in enumerate(table.rows)
    )
    if not table.rows:
        body = f'<tr><td colspan="{len(table.columns)}">none</td></tr>'
    label = escape(table.caption, quote=True)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table>'
        f"<caption>{label}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def _row(row: Sequence[Cell], link: str) -> str:
    cells = []
    for k, value in enumerate(row):
        text = escape(cell_text(value))
        if k == 0 and link:
            text = f'<a href="{escape(link, quote=True)}">{text}</a>'
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if k == 0:
            cells.append(f'<th scope="row">{text}</th>')
        else:
            cells.append(f'<td class="number">{text}</td>' if is_number else f"<td>{text}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def section_html(section: Section) -> str:
    """Write a section: heading, picture, what it says, its tables, where it comes from."""
    key, title = escape(section.key, quote=True), escape(section.title)
    parts = [f'<h2 id="{key}-title">{title}</h2>']
    if section.missing:
        parts.append(f'<p class="missing">{escape(section.missing)}</p>')
    if section.figure is not None:
        says = escape(section.says, quote=True)
        parts.append(
            f'<figure><div class="plot" id="{key}-plot" role="img" aria-label="{says}"></div>'
            f"<figcaption>{says}</figcaption></figure>"
        )
    elif section.tables:
        parts.append(f"<p>{escape(section.says)}</p>")
    for table in section.tables:
        if section.figure is None:
            parts.append(table_html(table))
        else:
            parts.append(
                f"<details><summary>{escape(table.caption)}, as a table</summary>"
                f"{table_html(table)}</details>"
            )
    parts.append(f'<p class="source">Source: {escape(section.source)}</p>')
    return f'<section id="{key}" aria-labelledby="{key}-title">{"".join(parts)}</section>'


def tiles_html(tiles: Sequence[Tile]) -> str:
    """Write the tiles as a list of names and values."""
    if not tiles:
        return ""
    rows = "".join(
        f'<div class="tile {escape(tile.level)}"><dt>{escape(tile.name)}</dt>'
        f"<dd>{escape(tile.value)}<small>{escape(tile.note)}</small></dd></div>"
        for tile in tiles
    )
    return f'<dl class="tiles">{rows}</dl>'


def banner_html(board: Board) -> str:
    """Write the state, its causes and what the numbers are worth: the first thing on each page."""
    state = board.state.name.value
    since = f" since {escape(board.since)}" if board.since else ""
    market = _MARKETS.get(board.market or "", "no market yet")
    first = (
        f'<p class="state"><strong>{escape(state)}</strong>{since} '
        f'<span class="standing">{board.standing.value}</span> '
        f'<span class="market">{escape(market)}</span></p>'
    )
    parts = [first, f"<p>{escape(STANDING_WORDS[board.standing])}</p>"]
    causes = "".join(
        f"<li><strong>{escape(cause.state.value)}</strong> <code>{escape(cause.reason_code.value)}"
        f"</code> {escape(cause.detail)}</li>"
        for cause in board.state.causes
    )
    problems = "".join(f"<li>{escape(problem)}</li>" for problem in board.problems)
    if causes or problems:
        parts.append(f"<ul>{causes}{problems}</ul>")
    return "".join(parts)


def body_html(page: Page) -> str:
    """Write the part of a page below its heading."""
    return tiles_html(page.tiles) + "".join(section_html(row) for row in page.sections)
