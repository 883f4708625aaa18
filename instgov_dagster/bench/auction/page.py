"""The results page of the bench: a function of its rows and of where they were measured."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from instgov_dagster.bench.auction.arrays import Programme
from instgov_dagster.bench.auction.command import N_SCENARIOS, PEER_SECONDS, SCENARIO_SIZE
from instgov_dagster.bench.auction.engines import OURS
from instgov_dagster.bench.auction.picture import render_picture
from instgov_dagster.bench.auction.targets import judge_targets

Row = Mapping[str, Any]

_FOLDER: Final = "evidence"
_HEAD: Final = """# Performance

Written by `make performance` (`instgov bench auction --write docs/performance.md`) from the
numbers in [{folder}/auction.json]({folder}/auction.json); do not edit.

## The capital auction

Measured {date} on {processor}, {cores} cores, {memory_gb} GB, {system}, Python {python};
{libraries}. One thread for linear algebra, every engine in a process of its own, on the same
arrays. S is the number of scenarios, N of bids, one symbol each. A peer has {seconds:g} s a size,
its imports included.

![Time over size]({folder}/auction.svg)

- **cold**: from arrays to weights, the first auction of the day, the median of up to five where
  they take less than two seconds; libraries are loaded and the night's scenarios laid out before.
- **tick**: the next second on what is kept hot: 1 % of the bids are forecast again, the book
  drifts.
- **×**: how many times ours, in processor time.
- **Δ**: distance of the objective from ours; every engine's weights are valued by the same code.
- **broken**: by how much the weights break a limit at worst; an answer that breaks one is none.

Ours is the whole of `run_auction`: refusals before the solver, exact checks after it, weights
rounded down to 1e-10, the certificate, and a reason for every bid. The peers only solve.
"""
_SIMPLE: Final = "Maximise μ'w − λ·CVaR(w), Σw ≤ 1, 0 ≤ w ≤ u."
_FULL: Final = (
    "Strategy, name, sector and class caps, spread, impact of order 3/2 in twelve chords, volume "
    "limits, forced sales, and a CVaR limit that binds at the larger sizes."
)
_SECTIONS: Final = (
    (Programme.SIMPLE, "What every library can express", _SIMPLE),
    (Programme.FULL, "The whole programme", _FULL),
)


def write_page(path: Path, facts: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write the page, its numbers and its picture.

    Parameters
    ----------
    path
        The page; the rest goes into the folder ``performance`` beside it.
    facts
        ``date`` and what `describe_machine` tells.
    rows
        Of `bench_auction`.
    """
    folder = path.parent / _FOLDER
    folder.mkdir(exist_ok=True)
    text = json.dumps({"facts": facts, "rows": rows}, indent=1, ensure_ascii=False)
    (folder / "auction.json").write_text(text + "\n", encoding="utf-8")
    (folder / "auction.svg").write_text(render_picture(rows), encoding="utf-8")
    path.write_text(render_page(facts, rows), encoding="utf-8")


def render_page(facts: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Write the bench's rows as tables, with ratios to ours."""
    libraries = ", ".join(f"{name} {version}" for name, version in facts["libraries"].items())
    told = {**facts, "libraries": libraries, "folder": _FOLDER, "seconds": PEER_SECONDS}
    parts = [_HEAD.format(**told)]
    for programme, title, text in _SECTIONS:
        parts += [f"### {title}\n", f"{text}\n"]
        sizes = sorted({row["n"] for row in rows if row["programme"] == programme.value})
        for n in sizes:
            chosen = [row for row in rows if _is_main(row, programme, n)]
            parts.append(_table(f"N = {n}, S = {chosen[0]['s']}", chosen))
    parts += ["### Ours against its targets\n", _targets(rows)]
    parts += ["### More scenarios, one more measure\n", _ours_alone(rows)]
    return "\n".join(parts)


def _is_main(row: Row, programme: Programme, n: int) -> bool:
    if (row["programme"], row["n"]) != (programme.value, n):
        return False
    return row["s"] == N_SCENARIOS or n != SCENARIO_SIZE


def _table(caption: str, rows: Sequence[Row]) -> str:
    ours = next((row for row in rows if row["engine"] == OURS), None)
    lines = [
        f"**{caption}**\n",
        "| engine | cold CPU ms | × | cold ms | tick p50 ms | tick p99 ms | × | Δ | broken | MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_line(row, ours) for row in rows]
    return "\n".join([*lines, ""])


def _line(row: Row, ours: Row | None) -> str:
    name = f"**{row['engine']}**" if row["engine"] == OURS else row["engine"]
    name = f"{name} {row['version'] or ''}".strip()
    if row["cpu_seconds"] is None:
        why = row["note"] or f"not done in {PEER_SECONDS:g} s"
        return f"| {name} | {why} |" + " |" * 8
    cells = [
        _ms(1e3 * row["cpu_seconds"]),
        _ratio(row, ours, "cpu_seconds"),
        _ms(row["cold_ms"]),
        _ms(row["tick_ms_p50"]),
        _ms(row["tick_ms_p99"]),
        _ratio(row, ours, "tick_cpu_ms_p50"),
        _power(row["objective_difference"]),
        _power(row["violation"]),
        f"{row['rss_mb']:.0f}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _power(value: float | None) -> str:
    return "–" if value is None else "0" if value == 0.0 else f"{value:.0e}"


def _ratio(row: Row, ours: Row | None, measure: str) -> str:
    if ours is None or row[measure] is None or not ours[measure]:
        return "–"
    ratio = row[measure] / ours[measure]
    return f"{ratio:.2f}" if ratio < 1 else f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"


def _targets(rows: Sequence[Row]) -> str:
    lines = ["| target | measured | met |", "|---|--:|---|"]
    for verdict in judge_targets(rows):
        measured = "not measured" if verdict.measured is None else f"{verdict.measured:.3g}"
        met = "–" if verdict.is_met is None else "yes" if verdict.is_met else "no"
        lines.append(f"| {verdict.target} | {measured} | {met} |")
    return "\n".join([*lines, ""])


def _ours_alone(rows: Sequence[Row]) -> str:
    lines = [
        "| programme | N | S | cold CPU ms | tick p50 ms | tick p99 ms | gap | MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    full = [row for row in rows if row["engine"] == OURS and row["programme"].startswith("full")]
    for row in sorted(full, key=lambda row: (row["n"], row["s"], row["programme"])):
        cells = [
            row["programme"],
            str(row["n"]),
            str(row["s"]),
            _ms(1e3 * row["cpu_seconds"]),
            _ms(row["tick_ms_p50"]),
            _ms(row["tick_ms_p99"]),
            _power(row["gap"]),
            f"{row['rss_mb']:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
