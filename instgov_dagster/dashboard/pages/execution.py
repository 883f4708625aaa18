"""Execution: what orders were said to cost, what they cost, and what became of each."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from instgov_dagster.dashboard.figures.execution import cost_figure, last_states, states_figure
from instgov_dagster.dashboard.model import Cell, Page, Rhythm, Section, Table
from instgov_dagster.dashboard.reading.board import Board

KEY, TITLE = "execution", "Execution"
FOLDERS = ("live", "dashboard")
RHYTHM = Rhythm.PUBLICATION
_LISTED = 200


def page(board: Board, query: Mapping[str, str]) -> Page:
    """Lay the page out."""
    del query
    sections = (
        cost_section(board),
        states_section(board),
        fills_section(board),
        plan_section(board),
    )
    return Page(key=KEY, title=TITLE, sections=sections)


def cost_section(board: Board) -> Section:
    """Set what orders cost against what they were said to cost."""
    costs, source = board.table("live", "execution_costs"), board.source("live")
    done = costs.drop_nulls("realised_cost_bps") if costs.height else costs
    title = "Predicted against realised cost"
    columns = ("client_order_id", "symbol", "side", "predicted_cost_bps", "realised_cost_bps",
               "filled_share")  # fmt: skip
    rows = done.tail(_LISTED).select(columns).rows() if done.height else []
    return Section(
        key="costs",
        title=title,
        says=f"{done.height} filled orders: predicted cost across, realised cost up, basis points.",
        source=source,
        figure=cost_figure(costs) if done.height else None,
        tables=(Table(caption="Costs of filled orders", columns=columns, rows=tuple(rows)),),
        missing="" if done.height else "No order is filled yet.",
    )


def states_section(board: Board) -> Section:
    """Count what became of the orders."""
    orders, source = board.table("live", "orders"), board.source("live")
    title = "What became of the orders"
    if orders.is_empty():
        missing = "No order was sent."
        return Section(key="states", title=title, says=title, source=source, missing=missing)
    states = last_states(orders)
    return Section(
        key="states",
        title=title,
        says=f"The last state of each of {int(states['orders'].sum())} orders.",
        source=source,
        figure=states_figure(states),
        tables=(
            Table(caption="Orders by state", columns=("state", "orders"),
                  rows=tuple(states.rows())),
        ),
    )  # fmt: skip


def fills_section(board: Board) -> Section:
    """List the last fills."""
    fills, source = board.table("live", "fills"), board.source("live")
    columns = ("client_order_id", "symbol", "side", "quantity", "price", "mid_price", "cost_usd",
               "is_aggressive", "filled_at")  # fmt: skip
    rows = fills.tail(_LISTED).select(columns).rows() if fills.height else []
    return Section(
        key="fills",
        title="Fills",
        says=f"The last {len(rows)} fills, the newest first.",
        source=source,
        tables=(
            Table(
                caption="Fills",
                columns=columns,
                rows=tuple(tuple(_cell(c) for c in row) for row in reversed(rows)),
            ),
        ),
    )


def plan_section(board: Board) -> Section:
    """List what the night would trade and what that would cost."""
    plan, source = board.table("dashboard", "execution_plan"), board.source("dashboard")
    columns = ("symbol", "side", "style", "quantity", "notional_usd", "temporary_impact_bps",
               "permanent_impact_bps", "spread_cost_bps", "total_cost_bps", "regime")  # fmt: skip
    rows = plan.select(columns).rows() if plan.height else []
    return Section(
        key="plan",
        title="The night's plan",
        says="What the night would trade, with its modelled cost part by part.",
        source=source,
        tables=(
            Table(
                caption="Execution plan",
                columns=columns,
                rows=tuple(tuple(_cell(c) for c in row) for row in rows),
            ),
        ),
    )


def _cell(value: Any) -> Cell:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime):
        return value.isoformat()
    cell: Cell = value
    return cell
