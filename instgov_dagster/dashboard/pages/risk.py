"""Risk: each measure of the tail, who makes it, which caps bind, whether the forecasts hold."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.cvar.tail import cvar as exact_cvar
from instgov_dagster.capital.cvar.tail import value_at_risk
from instgov_dagster.capital.scenarios import symbols_hash
from instgov_dagster.dashboard.figures.risk import (
    contribution_figure,
    limits_figure,
    loss_figure,
)
from instgov_dagster.dashboard.model import Page, Rhythm, Section, Table
from instgov_dagster.dashboard.pages.overview import cvar_section, limits_section
from instgov_dagster.dashboard.reading.board import Board
from instgov_dagster.vocabulary.bars import AssetClass

KEY, TITLE = "risk", "Risk"
FOLDERS = ("night", "live", "dashboard")
RHYTHM = Rhythm.CYCLE
_MEASURE = "CURRENT"


def page(board: Board, query: Mapping[str, str]) -> Page:
    """Lay the page out."""
    del query
    return Page(
        key=KEY,
        title=TITLE,
        sections=(
            limits_section(board),
            cvar_section(board),
            loss_section(board),
            contribution_section(board),
            caps_section(board),
            coverage_section(board),
        ),
    )


def last_allocations(board: Board) -> tuple[pl.DataFrame, str]:
    """Give the last cycle's grants, else the night's, and where they come from."""
    live = board.table("live", "capital_allocations")
    if live.height:
        last = live["cycle_id"][-1]
        return live.filter(pl.col("cycle_id") == last), f"{board.source('live')}, cycle {last}"
    return board.table("night", "capital_allocations"), board.source("night")


def net_weights(allocations: pl.DataFrame) -> dict[str, float]:
    """Sum the grants of all strategies by symbol, shares of NAV."""
    rows = allocations.group_by("symbol").agg(pl.col("weight").sum())
    return {symbol: float(weight) for symbol, weight in rows.iter_rows()}


def scenario_losses(board: Board, weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Give the losses of a book over the night's current scenarios; empty where unknown."""
    scenarios = board.table("night", "stress_scenarios")
    symbols = board.table("night", "market_impact")
    if scenarios.is_empty() or symbols.is_empty():
        return np.empty(0)
    names = tuple(sorted(symbols["symbol"].to_list()))
    mine = scenarios.filter(
        pl.col("measure") == _MEASURE, pl.col("symbols_hash") == symbols_hash(names)
    )
    rows = mine["returns"].to_list()
    if not rows:
        return np.empty(0)
    held = np.array([weights.get(name, 0.0) for name in names])
    losses: NDArray[np.float64] = -(np.asarray(rows) @ held)
    return losses


def loss_section(board: Board) -> Section:
    """Show the distribution of the book's losses and where its tail begins."""
    allocations, source = last_allocations(board)
    weights = net_weights(allocations) if allocations.height else {}
    losses = scenario_losses(board, weights)
    level = board.policy.cvar.confidence_level
    title = "Losses of the granted book over the night's scenarios"
    if losses.size == 0 or not any(weights.values()):
        missing = "Nothing is granted, or no scenarios are published: there is no loss to show."
        return Section(key="losses", title=title, says=title, source=source, missing=missing)
    tail = exact_cvar(losses, confidence_level=level)
    quantile = value_at_risk(losses, confidence_level=level)
    table = Table(
        caption="Tail of the granted book",
        columns=("measure", "share of NAV"),
        rows=(
            (f"VaR {level:.0%}", quantile),
            (f"CVaR {level:.0%}", tail),
            ("worst scenario", float(losses.max())),
            ("best scenario", float(losses.min())),
            ("scenarios", int(losses.size)),
        ),
    )
    return Section(
        key="losses",
        title=title,
        says=f"{losses.size} scenarios of five sessions; CVaR {tail:.3%}, VaR {quantile:.3%}.",
        source=source,
        figure=loss_figure(losses.tolist(), cvar=tail, quantile=quantile),
        tables=(table,),
    )


def contribution_section(board: Board) -> Section:
    """Show whose tail the book's tail is."""
    allocations, source = last_allocations(board)
    title = "Who makes the tail"
    if allocations.is_empty():
        missing = "No allocation is published."
        return Section(key="contributions", title=title, says=title, source=source, missing=missing)
    rows = allocations.group_by("symbol").agg(
        pl.col("cvar_contribution").sum(), pl.col("weight").sum()
    )
    rows = rows.sort(["cvar_contribution", "symbol"], descending=[True, False])
    held = rows.filter(pl.col("weight") != 0.0)
    total = float(rows["cvar_contribution"].sum())
    return Section(
        key="contributions",
        title=title,
        says=f"Euler contributions to current CVaR by symbol; together {total:.3%} of NAV.",
        source=source,
        figure=contribution_figure(rows) if held.height else None,
        tables=(
            Table(
                caption="Contributions to CVaR",
                columns=("symbol", "contribution", "weight"),
                rows=tuple(held.select("symbol", "cvar_contribution", "weight").rows()),
            ),
        ),
        missing="" if held.height else "Nothing is granted: all in cash.",
    )


def caps_section(board: Board) -> Section:
    """Show how much of the name, sector and class caps the grants use."""
    allocations, source = last_allocations(board)
    governed = board.table("night", "data_governance")
    title = "Caps of name, sector and class"
    if allocations.is_empty() or governed.is_empty():
        missing = "No allocation is published."
        return Section(key="caps", title=title, says=title, source=source, missing=missing)
    rows = cap_rows(board, net_weights(allocations), governed)
    return Section(
        key="caps",
        title=title,
        says="Share of each cap that the grants use: the heaviest name, each sector, each class.",
        source=source,
        figure=limits_figure(rows),
        tables=(
            Table(
                caption="Caps",
                columns=("cap", "granted", "at most"),
                rows=tuple((row["name"], row["value"], row["limit"]) for row in rows),
            ),
        ),
    )


def cap_rows(
    board: Board, weights: Mapping[str, float], governed: pl.DataFrame
) -> list[dict[str, float | str]]:
    """Gather the caps of the auction and what is granted under each, shares of NAV."""
    auction = board.policy.auction
    rows: list[dict[str, float | str]] = []
    if weights:
        heaviest = max(weights, key=lambda name: abs(weights[name]))
        rows.append(
            {
                "name": f"name {heaviest}",
                "value": abs(weights[heaviest]),
                "limit": auction.name_cap,
            }
        )
    told = governed.select("symbol", "sector", "asset_class").rows()
    by_sector: dict[str, float] = {}
    by_class: dict[str, float] = {}
    for symbol, sector, asset_class in told:
        weight = abs(weights.get(symbol, 0.0))
        if sector != auction.uncapped_sector:
            by_sector[sector] = by_sector.get(sector, 0.0) + weight
        by_class[asset_class] = by_class.get(asset_class, 0.0) + weight
    rows += [
        {"name": f"sector {name}", "value": value, "limit": auction.sector_cap}
        for name, value in sorted(by_sector.items())
        if value > 0.0
    ]
    caps = {name.value: auction.class_caps.of(name) for name in AssetClass}
    rows += [
        {"name": f"class {name}", "value": by_class.get(name, 0.0), "limit": cap}
        for name, cap in caps.items()
    ]
    return rows


def coverage_section(board: Board) -> Section:
    """Show whether the losses that came agree with the CVaR that was said."""
    rows = board.table("dashboard", "cvar_coverage")
    title = "Does the forecast of the tail hold"
    if rows.is_empty():
        missing = "No night has published its coverage tests."
        source = board.source("dashboard")
        return Section(key="coverage", title=title, says=title, source=source, missing=missing)
    columns = ("scope", "test", "value", "p_value", "limit_value", "outcomes", "exceedances",
               "is_judged", "passed")  # fmt: skip
    return Section(
        key="coverage",
        title=title,
        says="Coverage tests of the forecast CVaR; a test is judged once it has outcomes enough.",
        source=board.source("dashboard"),
        tables=(
            Table(
                caption="Coverage tests",
                columns=columns,
                rows=tuple(rows.sort("scope", "test").select(columns).rows()),
            ),
        ),
    )
