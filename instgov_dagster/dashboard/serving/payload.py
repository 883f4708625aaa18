"""A page as bytes for a browser: the document, and its parts as JSON; the same for every reader."""

import hashlib
import json
from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode

from instgov_dagster.dashboard.html import banner_html, section_html, tiles_html
from instgov_dagster.dashboard.model import DecisionForm, Page, Section
from instgov_dagster.dashboard.pages import PAGES
from instgov_dagster.dashboard.reading.board import Board

_DIGEST_CHARS = 16


def figure_json(section: Section) -> str:
    """Write a section's figure as JSON that may stand inside a script element; null without one."""
    if section.figure is None:
        return "null"
    text: str = section.figure.to_json()
    # Nothing in a string may end the element it stands in.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def page_json(board: Board, page: Page, *, tag: str) -> str:
    """Write all that a page shows as one JSON object.

    Parameters
    ----------
    tag
        What this content is known by: a browser that names it is told that nothing changed.

    Notes
    -----
    Each section carries a digest, so that a browser draws again only what changed.
    """
    sections = ",".join(_section_json(section) for section in page.sections)
    told = {
        "tag": tag,
        "state": board.state.name.value,
        "standing": board.standing.value,
        "at": board.at.isoformat(timespec="seconds"),
        "cycle": str(board.last_cycle.get("cycle_id", "")),
        "banner": banner_html(board),
        "tiles": tiles_html(page.tiles),
    }
    return f'{json.dumps(told)[:-1]}, "sections": [{sections}]}}'


def _section_json(section: Section) -> str:
    html, figure = section_html(section), figure_json(section)
    digest = hashlib.sha256(f"{html}\0{figure}".encode()).hexdigest()[:_DIGEST_CHARS]
    told = {"key": section.key, "digest": digest, "html": html}
    return f'{json.dumps(told)[:-1]}, "figure": {figure}}}'


def document(board: Board, page: Page) -> str:
    """Write the whole document of a page; its tables can be read without any script."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(page.title)} · instgov</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/board.css">
<link rel="stylesheet" href="/static/plotly.css" id="plotly.js-style-global" \
class="no-inline-styles">
<script src="/static/strict.js" defer></script>
<script src="/static/plotly.min.js" defer></script>
<script src="/static/board.js" defer></script>
</head>
<body data-page="{escape(page.key)}" data-state="{board.state.name.value}" \
data-standing="{board.standing.value}">
<a class="skip" href="#content">Skip to the content</a>
<header>
<div class="name"><p>instgov</p><button type="button" id="theme">Dark or light</button></div>
<div id="banner" role="status" aria-live="polite" aria-label="State of the system">\
{banner_html(board)}</div>
{navigation(page.key)}
</header>
<main id="content" tabindex="-1">
<h1>{escape(page.title)}</h1>
{form_html(page.form)}
<div id="tiles">{tiles_html(page.tiles)}</div>
<div id="sections">{"".join(section_html(section) for section in page.sections)}</div>
</main>
<footer><p>Home <code>{escape(board.home)}</code>, read \
<span id="read">{board.at.isoformat(timespec="seconds")}</span>. Read-only: nothing on this page \
changes anything.</p></footer>
</body>
</html>
"""


def navigation(current: str) -> str:
    """Write the way to every page; the one that is shown is marked."""
    links = "".join(
        f'<li><a href="/{key}"{_mark(key, current)}>{escape(module.TITLE)}</a></li>'
        for key, module in PAGES.items()
    )
    return f'<nav aria-label="Pages"><ul>{links}</ul></nav>'


def _mark(key: str, current: str) -> str:
    return ' aria-current="page"' if key == current else ""


def form_html(form: DecisionForm | None) -> str:
    """Write the form that chooses a decision: a GET, so that its answer has an address."""
    if form is None:
        return ""
    options = "".join(
        f"<option{' selected' if name == form.symbol else ''}>{escape(name)}</option>"
        for name in form.symbols
    )
    cycle = escape(form.cycle, quote=True)
    return (
        '<form action="/decisions" method="get"><label>Symbol <select name="symbol">'
        f'{options}</select></label><label>Cycle <input name="cycle" value="{cycle}" size="34">'
        '</label><button type="submit">Take it apart</button></form>'
    )


def query_key(key: str, query: Mapping[str, str]) -> str:
    """Name a page with its query."""
    return f"{key}?{urlencode(sorted(query.items()))}"
