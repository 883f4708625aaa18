"""Data quality: which rule took what from whom, how whole the history is, who delivered it."""

from collections.abc import Mapping

import polars as pl

from instgov_dagster.bars.providers import CAPABILITIES
from instgov_dagster.dashboard.figures.data_quality import (
    coverage_figure,
    penalties,
    quality_figure,
    score_figure,
)
from instgov_dagster.dashboard.model import Page, Rhythm, Section, Table
from instgov_dagster.dashboard.reading.board import Board

KEY, TITLE = "data-quality", "Data quality"
FOLDERS = ("night", "dashboard")
RHYTHM = Rhythm.PUBLICATION


def page(board: Board, query: Mapping[str, str]) -> Page:
    """Lay the page out."""
    del query
    return Page(
        key=KEY,
        title=TITLE,
        sections=(
            rules_section(board),
            scores_section(board),
            coverage_section(board),
            governed_section(board),
            capability_section(),
            answers_section(board),
        ),
    )


def rules_section(board: Board) -> Section:
    """Show what each rule took from each symbol's score."""
    quality, source = board.table("dashboard", "data_quality"), board.source("dashboard")
    title = "Which rule fired on which symbol"
    if quality.is_empty():
        missing = "No night has scored its bars yet."
        return Section(key="rules", title=title, says=title, source=source, missing=missing)
    taken = penalties(quality)
    rows = [
        (symbol, rule, value)
        for symbol, rules in sorted(taken.items())
        for rule, value in sorted(rules.items())
    ]
    return Section(
        key="rules",
        title=title,
        says="Penalty of each rule on each flagged symbol; a rule of penalty 0 only reports.",
        source=source,
        figure=quality_figure(quality) if rows else None,
        tables=(Table(caption="Flags", columns=("symbol", "rule", "penalty"), rows=tuple(rows)),),
        missing="" if rows else "No rule fired.",
    )


def scores_section(board: Board) -> Section:
    """Show each symbol's score."""
    quality, source = board.table("dashboard", "data_quality"), board.source("dashboard")
    title = "Quality scores"
    if quality.is_empty():
        missing = "No night has scored its bars yet."
        return Section(key="scores", title=title, says=title, source=source, missing=missing)
    below = board.policy.quality.invalid_below
    n_invalid = quality.filter(pl.col("status") == "INVALID_DATA").height
    rows = quality.sort(["quality_score", "symbol"]).select(
        "symbol", "asset_class", "quality_score", "status", "rows"
    )
    return Section(
        key="scores",
        title=title,
        says=f"{n_invalid} of {quality.height} symbols are INVALID_DATA: a score below {below:g}.",
        source=source,
        figure=score_figure(quality, invalid_below=below),
        tables=(
            Table(
                caption="Scores",
                columns=("symbol", "class", "score", "status", "rows"),
                rows=tuple(rows.rows()),
            ),
        ),
    )


def coverage_section(board: Board) -> Section:
    """Show the sessions held of those the calendars expect."""
    coverage, source = board.table("dashboard", "history_coverage"), board.source("dashboard")
    title = "Sessions expected and held"
    if coverage.is_empty():
        missing = "No night has compared its history yet."
        return Section(key="sessions", title=title, says=title, source=source, missing=missing)
    columns = ("symbol", "asset_class", "expected", "rows", "required", "passes", "status")
    return Section(
        key="sessions",
        title=title,
        says=f"{int(coverage['passes'].sum())} of {coverage.height} symbols hold what is required.",
        source=source,
        figure=coverage_figure(coverage),
        tables=(
            Table(
                caption="Sessions",
                columns=columns,
                rows=tuple(coverage.sort("symbol").select(columns).rows()),
            ),
        ),
    )


def governed_section(board: Board) -> Section:
    """List who may trade what: class, provider, confidence, route, eligibility."""
    governed, source = board.table("night", "data_governance"), board.source("night")
    columns = ("symbol", "asset_class", "sector", "provider", "provider_confidence", "has_route",
               "is_eligible", "status")  # fmt: skip
    rows = governed.sort("symbol").select(columns).rows() if governed.height else []
    return Section(
        key="governed",
        title="Verdicts of data governance",
        says="Each symbol's class, provider, confidence in it, route and eligibility.",
        source=source,
        tables=(Table(caption="Verdicts", columns=columns, rows=tuple(rows)),),
    )


def capability_section() -> Section:
    """List what each provider may be asked for: the immutable matrix."""
    rows = tuple(
        (
            row.provider,
            ", ".join(sorted(kind.value for kind in row.asset_classes)) or "references only",
            row.max_history_days,
            row.requires_entitlement,
            ", ".join(sorted(purpose.value for purpose in row.purposes)),
        )
        for row in CAPABILITIES.values()
    )
    columns = ("provider", "classes", "days of history", "needs entitlement", "purposes")
    return Section(
        key="capability",
        title="What each provider may be asked for",
        says="The capability matrix: fixed in the code, no run can change it.",
        source="instgov_dagster/bars/providers.py",
        tables=(Table(caption="Capability matrix", columns=columns, rows=rows),),
    )


def answers_section(board: Board) -> Section:
    """Count what became of each question to a provider, night by night."""
    answers, source = board.table("dashboard", "provider_answers"), board.source("dashboard")
    columns = ("night", "provider", "reason", "questions", "requests", "rows")
    listed: tuple[tuple[object, ...], ...] = ()
    if answers.height:
        counted = answers.group_by("asof", "provider", "reason_code").agg(
            pl.len(), pl.col("requests").sum(), pl.col("rows").sum()
        )
        ordered = counted.sort(["asof", "provider", "reason_code"], descending=[True, False, False])
        listed = tuple((str(night), *rest) for night, *rest in ordered.rows())
    return Section(
        key="answers",
        title="Answers and rejects of the providers",
        says="Every question of a night ends with a reason; the embedded market asks nobody.",
        source=source,
        tables=(Table(caption="Answers", columns=columns, rows=listed),),  # type: ignore[arg-type]
    )
