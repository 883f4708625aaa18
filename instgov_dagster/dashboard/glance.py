"""A table at a glance: its key numbers as a small SVG and as Markdown; pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final, Literal

import polars as pl

from instgov_dagster.dashboard.html import cell_text

How = Literal["count", "sum", "max", "min"]

_WIDTH: Final = 640
_LEFT: Final = 190
_RIGHT: Final = 90
_ROW: Final = 20
_TOP: Final = 34
_BLUE: Final = "#0072B2"
_VERMILION: Final = "#D55E00"
#: Bars of a picture and rows of a table: more would not be a glance.
MOST_BARS: Final = 16
MOST_ROWS: Final = 8
MOST_COLUMNS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What is drawn of a table.

    Attributes
    ----------
    label, value
        The columns; ``value`` is not read where ``how`` counts.
    weights
        Where what is drawn is a weighted sum of columns: the weight of each.
    columns
        Of a table of one row: the columns that are drawn, a bar each; nothing else is read.
    how
        What becomes of the rows of one label.
    first
        Which labels are kept where there are too many: of the largest values or the smallest.
    """

    title: str
    label: str = ""
    value: str = ""
    how: How = "count"
    first: Literal["largest", "smallest"] = "largest"
    weights: Mapping[str, float] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    @property
    def needs(self) -> set[str]:
        """The columns a table must have to be drawn."""
        return {self.label, self.value, *self.weights, *self.columns} - {""}


#: What is drawn of each table of a night, by the table's name.
GLANCES: Final[Mapping[str, Glance]] = {
    "raw_bars": Glance(title="Bars of the window by symbol", label="symbol"),
    "data_quality": Glance(title="Lowest quality scores", label="symbol", value="quality_score",
                           how="min", first="smallest"),
    "price_history": Glance(title="Bars by class", label="asset_class"),
    "history_coverage": Glance(title="Symbols by status", label="status"),
    "data_governance": Glance(title="Symbols by provider", label="provider"),
    "model_forecasts": Glance(title="Forecasts by model", label="model_id"),
    "model_decay_metrics": Glance(title="Lowest decay factor by model", label="model_id",
                                  value="final_decay_factor", how="min", first="smallest"),
    # Glosten, Jagannathan and Runkle (1993): half of the returns bear gamma.
    "sigma_fits": Glance(title="Persistence of volatility, alpha + gamma / 2 + beta",
                         label="symbol", how="max",
                         weights={"alpha": 1.0, "gamma": 0.5, "beta": 1.0}),
    "regime_beliefs": Glance(
        title="Regime, today and in five sessions",
        columns=("current_belief_normal", "current_belief_volatile", "current_belief_crisis",
                 "p_normal_5d", "p_volatile_5d", "p_crisis_5d", "p_hit_crisis_5d",
                 "gross_multiplier"),
    ),
    "auction_certificate": Glance(title="What was found beside what is possible, of NAV",
                                  columns=("objective", "upper_bound", "gap", "rounding")),
    "model_evaluation": Glance(title="Scores by metric", label="metric"),
    "model_trials": Glance(title="Trials by family", label="family"),
    "strategy_lifecycle_log": Glance(title="Capital, percent of NAV", label="strategy_id",
                                     value="capital_pct", how="max"),
    "stress_scenarios": Glance(title="Scenarios by measure", label="measure"),
    "market_impact": Glance(title="Impact of 1 % of NAV, bps", label="symbol",
                            value="market_impact_bps", how="max"),
    "risk_forecasts": Glance(title="Forecast CVaR by scope", label="scope", value="cvar",
                             how="max"),
    "cvar_coverage": Glance(title="Outcomes by scope", label="scope", value="outcomes", how="max"),
    "veto_findings": Glance(title="Findings by rule", label="trigger"),
    "vetoes": Glance(title="Vetoes by code", label="reason_code"),
    "auction_bids": Glance(title="Largest bids, adjusted mean", label="symbol", value="mu_hat",
                           how="max"),
    "capital_allocations": Glance(title="Granted weight by symbol", label="symbol",
                                  value="weight", how="sum"),
    "risk_verdicts": Glance(title="Verdicts by gate", label="gate"),
    "execution_plan": Glance(title="Planned notional, USD", label="symbol", value="notional_usd",
                             how="sum"),
    "report_card": Glance(title="Controls by status", label="status"),
    "fire_drills": Glance(title="Drills by the state they led to", label="state"),
    "governance_decisions": Glance(title="Symbols by decision", label="decision"),
}  # fmt: skip


def glance_rows(frame: pl.DataFrame, glance: Glance) -> list[tuple[str, float]]:
    """Give the bars of a table: label and value, in the order they are drawn.

    Raises
    ------
    ValueError
        If the table lacks a column that is drawn.
    """
    if missing := glance.needs - set(frame.columns):
        raise ValueError(f"a glance needs the columns {sorted(missing)}")
    if glance.columns:
        return known_bars(frame.select(glance.columns).head(1).to_dicts())
    column = pl.col(glance.value or glance.label)
    if glance.weights:
        column = pl.sum_horizontal(
            (weight * pl.col(name) for name, weight in glance.weights.items()), ignore_nulls=False
        )
    made = {"count": pl.len(), "sum": column.sum(), "max": column.max(), "min": column.min()}
    rows = frame.group_by(glance.label).agg(made[glance.how].cast(pl.Float64).alias("drawn"))
    known = rows.filter(pl.col("drawn").is_finite()).sort(
        ["drawn", glance.label], descending=[glance.first == "largest", False]
    )
    return [(str(name), float(value)) for name, value in known.head(MOST_BARS).iter_rows()]


def known_bars(rows: Sequence[Mapping[str, float | None]]) -> list[tuple[str, float]]:
    """Give the numbers of rows as named bars, in their order; what is not finite is left out."""
    return [
        (name, float(value))
        for row in rows
        for name, value in row.items()
        if value is not None and math.isfinite(value)
    ]


def bars_svg(title: str, rows: Sequence[tuple[str, float]]) -> str:
    """Draw named bars from zero, those below it in another colour; each says its number.

    The text of a title, a name or a number is escaped; nothing is drawn where there are no rows.
    """
    height = _TOP + _ROW * max(len(rows), 1) + 10
    top = max((abs(value) for _, value in rows), default=0.0) or 1.0
    ground = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="12" role="img">'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/><title>{escape(title)}</title>'
        f'<text x="8" y="20" font-size="14">{escape(title)}</text>'
    )
    parts = [ground]
    for place, (name, value) in enumerate(rows):
        y = _TOP + _ROW * place
        width = (_WIDTH - _LEFT - _RIGHT) * abs(value) / top
        colour = _BLUE if value >= 0.0 else _VERMILION
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="15" fill="{colour}"/>'
            f'<text x="{_LEFT + width + 6:.1f}" y="{y + 12}">{escape(cell_text(value))}</text>'
        )
    if not rows:
        parts.append(f'<text x="8" y="{_TOP + 12}">no rows</text>')
    return "".join([*parts, "</svg>"])


def table_markdown(frame: pl.DataFrame) -> str:
    """Write the head of a table as Markdown: its first columns, and how many rows there are."""
    plain = [
        name
        for name, kind in frame.schema.items()
        if not kind.is_nested() and kind != pl.Binary() and name not in ("svg", "points")
    ][:MOST_COLUMNS]
    if not plain:
        return f"{frame.height} rows"
    lines = [f"| {' | '.join(plain)} |", f"| {' | '.join(['---'] * len(plain))} |"]
    for row in frame.select(plain).head(MOST_ROWS).iter_rows():
        cells = (
            cell_text(value if isinstance(value, str | int | float | None) else str(value))
            for value in row
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|')[:60] for cell in cells)} |")
    return "\n".join([*lines, "", f"{frame.height} rows in all."])
