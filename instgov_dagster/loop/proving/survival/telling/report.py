"""What a walk writes: its tables as Parquet, and one HTML page that stands alone."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from instgov_dagster.adapters.runtime import replace_durably
from instgov_dagster.loop.proving.survival.telling import pictures
from instgov_dagster.loop.proving.survival.telling.answer import Answer, measures_frame
from instgov_dagster.loop.proving.survival.variants import GOVERNED, UNGOVERNED

REPORT: Final = "report.html"
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;color:#1d2430}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse}
td,th{border-bottom:1px solid #d6dae0;padding:.2rem .6rem;text-align:right}
td:first-child,th:first-child{text-align:left}figure{margin:1rem 0}figcaption{color:#5b6470}
"""
_NOT_SHOWN: Final = (
    "The universe is the one that is known today, so it holds what survived: results are better"
    " than they would have been. Prices inside a day are a straight walk through the bar, volume"
    " is the median day's, and nobody trades against these orders. The gates and thresholds were"
    " chosen by people who knew these years. A walk of a few years holds few crises or none: it"
    " shows that the limits held on the days walked, not that they hold on days to come."
)


def write_out(answer: Answer, out: Path) -> Path:
    """Write the tables and the page into a folder; give the page.

    Parameters
    ----------
    out
        Made where it is missing. Files of the same names are replaced, each as a whole.
    """
    tables = out / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    frames = {
        **answer.records.tables,
        "measures": measures_frame(answer.measures),
        "breaches": answer.coverage.breaches,
        "paths": _paths(answer),
    }
    if answer.records.decisions is not None:
        frames["last_decisions"] = answer.records.decisions
    for name, frame in frames.items():
        frame.write_parquet(tables / f"{name}.parquet")
    page = out / REPORT
    replace_durably(page, html_of(answer).encode())
    return page


def _paths(answer: Answer) -> pl.DataFrame:
    days = [None, *answer.days]
    return pl.DataFrame({"date": days, **{n: path.tolist() for n, path in answer.paths.items()}})


def html_of(answer: Answer) -> str:
    """Lay everything a risk officer asks out as one page without any other file."""
    fields = answer.fields()
    head = {k: v for k, v in fields.items() if not isinstance(v, (dict, list))}
    span = f"{answer.days[0]} to {answer.days[-1]}, market {answer.question.market.value}"
    parts = [
        f"<h1>Survival: {escape(span)}</h1>",
        _table(("measure", "value"), [(k, _number(v)) for k, v in head.items()]),
        "<h2>Beside simple rules, same bars, same days, same costs</h2>",
        _measures(answer),
        *_figures(answer),
        "<h2>Was the tail as forecast</h2>",
        _coverage(answer),
        "<h2>Breaches of the value at risk, and the state the system was in</h2>",
        _breaches(answer),
        "<h2>Where the result came from</h2>",
        _attribution(answer),
        "<h2>What each gate cost and saved</h2>",
        _gates(answer),
        "<h2>Stages</h2>",
        _rows(answer.records.tables["stage_changes"]),
        "<h2>What the operator's policy did</h2>",
        _rows(answer.records.tables["operator_acts"].filter(pl.col("walk") == GOVERNED)),
        "<h2>The last day decided again, as a home decides it</h2>",
        f"<p>{escape(_parity(answer))}</p>",
        "<h2>What this does not show</h2>",
        f"<p>{escape(_NOT_SHOWN)}</p>",
    ]
    title = f"Survival {answer.days[0]} to {answer.days[-1]}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _figures(answer: Answer) -> list[str]:
    return [
        f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, svg in pictures.draw(answer).items()
    ]


def _measures(answer: Answer) -> str:
    rows = []
    for name, row in answer.measures.items():
        rows.append(
            (
                name, row.n, *(f"{x:.2%}" for x in (
                    row.total_return, row.volatility_annual, row.max_drawdown, row.worst_5d_loss)),
                *(_number(x) for x in (row.sharpe_annual, row.sharpe_error, row.psr, row.dsr)),
                row.trials,
            )
        )  # fmt: skip
    head = (
        "walk", "n", "total return", "volatility", "max drawdown", "worst 5 sessions",
        "Sharpe", "s.e.", "PSR", "DSR", "trials",
    )  # fmt: skip
    return _table(head, rows)


def _coverage(answer: Answer) -> str:
    rows = [
        (v.test.value, v.outcomes, v.exceedances, _number(v.value), _number(v.limit),
         "judged" if v.is_judged else "too few outcomes", "passed" if v.passed else "failed")
        for v in answer.coverage.verdicts
    ]  # fmt: skip
    head = ("test", "outcomes", "exceedances", "value", "limit", "", "")
    return _table(head, rows)


def _breaches(answer: Answer) -> str:
    state = answer.governed.select("date", "state", "gross", "drawdown")
    told = answer.coverage.breaches.join(
        state, left_on="horizon_end", right_on="date", how="left", maintain_order="left"
    )
    return _rows(told)


def _attribution(answer: Answer) -> str:
    told = answer.records.tables["strategies"]
    if told.is_empty():
        return "<p>No session was held.</p>"
    told = (
        told.group_by("strategy_id", maintain_order=True)
        .agg(
            pl.len().alias("sessions"),
            pl.col("pnl").sum().alias("result, fraction of NAV"),
            (pl.col("pnl").std() * pl.len().sqrt()).alias("its standard error"),
            pl.col("gross").mean().alias("mean gross"),
            pl.col("stage").last().alias("last stage"),
            pl.col("capital_decay").last().alias("last decay"),
        )
        .sort("strategy_id")
    )
    return _rows(told)


def _parity(answer: Answer) -> str:
    found = answer.parity
    if found is None:
        return "No session was held on the last day walked here."
    if found.holds:
        return f"Every table of the night of {found.day} and every decision of its session agree."
    return f"{found.day} differs: tables {', '.join(found.tables) or 'none'}; {found}"


def _gates(answer: Answer) -> str:
    base = answer.measures[GOVERNED]
    rows = [
        (
            name,
            f"{row.total_return - base.total_return:+.2%}",
            f"{row.max_drawdown - base.max_drawdown:+.2%}",
            f"{row.worst_5d_loss - base.worst_5d_loss:+.2%}",
        )
        for name, row in answer.measures.items()
        if name == UNGOVERNED or name.startswith("without_")
    ]
    if not rows:
        return "<p>No counterfactual was walked.</p>"
    head = ("without it", "return", "max drawdown", "worst 5 sessions")
    return _table(head, rows)


def _rows(frame: pl.DataFrame, *, most: int = 200) -> str:
    if frame.is_empty():
        return "<p>None.</p>"
    shown = [tuple(_number(value) for value in row) for row in frame.head(most).iter_rows()]
    more = f"<p>{frame.height - most} more in the tables.</p>" if frame.height > most else ""
    return _table(tuple(frame.columns), shown) + more


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    top = "".join(f"<th>{escape(word)}</th>" for word in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def _number(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}" if np.isfinite(value) else "–"
    return str(value)
