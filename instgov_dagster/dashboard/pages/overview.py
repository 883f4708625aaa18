"""The overview: may it trade, why not, what is it worth, how near is each limit."""

from collections.abc import Mapping
from typing import Any

from instgov_dagster.dashboard.figures.risk import (
    cvar_figure,
    limits_figure,
    nav_figure,
    used_share,
)
from instgov_dagster.dashboard.model import Page, Rhythm, Section, Standing, Table, Tile
from instgov_dagster.dashboard.reading.board import Board

KEY, TITLE = "overview", "Overview"
FOLDERS = ("night", "live")
RHYTHM = Rhythm.SECOND
#: Rows of the table beside a line: the picture shows all, the table the last.
LAST_ROWS = 30
_WARNED_FROM = 0.8


def page(board: Board, query: Mapping[str, str]) -> Page:
    """Lay the overview out."""
    del query
    return Page(
        key=KEY,
        title=TITLE,
        tiles=tiles(board),
        sections=(limits_section(board), nav_section(board), cvar_section(board)),
    )


def limit_rows(board: Board) -> list[dict[str, Any]]:
    """Gather what is limited: name, value, limit; a value nobody knows is None."""
    last, policy = board.last_cycle, board.policy
    regime = board.table("night", "regime_beliefs")
    p_hit = regime["p_hit_crisis_5d"][0] if regime.height else None
    cvar = policy.cvar.portfolio_limit
    return [
        {"name": "CVaR, gate", "value": last.get("cvar_gate"), "limit": cvar},
        {"name": "CVaR, current", "value": last.get("cvar_current"), "limit": cvar},
        {"name": "CVaR, filtered", "value": last.get("cvar_filtered"), "limit": cvar},
        {"name": "CVaR, stressed", "value": last.get("cvar_stressed"), "limit": cvar},
        {"name": "gross", "value": last.get("gross"), "limit": policy.limits.leverage},
        {"name": "drawdown", "value": last.get("drawdown"), "limit": policy.limits.drawdown},
        {
            "name": "P(crisis in 5 sessions)",
            "value": p_hit,
            "limit": policy.regime.derisk_threshold,
        },
    ]


def tiles(board: Board) -> tuple[Tile, ...]:
    """Give the numbers a risk officer looks for first."""
    last, policy = board.last_cycle, board.policy
    rows = {str(row["name"]): row for row in limit_rows(board)}
    cvar, p_hit = rows["CVaR, gate"], rows["P(crisis in 5 sessions)"]
    late = int(board.cycles["is_late"].sum()) if board.cycles.height else 0
    return (
        Tile(
            name="NAV",
            value=_number(last.get("nav_usd"), ",.2f", " USD"),
            note=f"drawdown {_number(last.get('drawdown'), '.4%')}",
            level=_level(last.get("drawdown"), policy.limits.drawdown),
        ),
        Tile(
            name="CVaR against its limit",
            value=f"{_number(cvar['value'], '.3%')} of {cvar['limit']:.2%}",
            note=f"gross {_number(last.get('gross'), '.2%')}",
            level=_level(cvar["value"], cvar["limit"]),
        ),
        Tile(
            name="P(crisis in 5 sessions)",
            value=_number(p_hit["value"], ".2%"),
            note=f"budget is cut above {policy.regime.derisk_threshold:.0%}",
            level=_level(p_hit["value"], p_hit["limit"]),
        ),
        _lag_tile(board, late),
        _heartbeat_tile(board),
        Tile(
            name="Chain head",
            value=board.head[:12] if board.heads else "none",
            note=", ".join(f"{name} {n}" for name, (n, _) in board.heads.items()) + " frames",
            level="ok" if any(n for n, _ in board.heads.values()) else "none",
        ),
    )


def _lag_tile(board: Board, late: int) -> Tile:
    age = board.pulse.chain_age_seconds
    is_live = board.standing is Standing.LIVE
    limit = board.policy.loop.heartbeat_stale_seconds
    behind = board.lag.frames.get("loop")
    note = f"{late} of the last {board.cycles.height} cycles late; readers {behind} frames behind"
    return Tile(
        name="Cycle lag",
        value=_number(age, ".1f", " s") if is_live else "not running",
        note=note,
        level=_level(age, limit) if is_live else "none",
    )


def _heartbeat_tile(board: Board) -> Tile:
    age, limit = board.pulse.heartbeat_age_seconds, board.policy.loop.heartbeat_stale_seconds
    level = {Standing.LIVE: "ok", Standing.STALE: "bad"}.get(board.standing, "none")
    return Tile(
        name="Heartbeat",
        value=f"{_number(age, '.1f', ' s')} old" if age is not None else "none",
        note=f"{board.standing.value}; stale from {limit:g} s",
        level=level,
    )


def _number(value: Any, form: str, unit: str = "") -> str:
    return "unknown" if value is None else f"{format(float(value), form)}{unit}"


def _level(value: Any, limit: float) -> str:
    if value is None:
        return "none"
    share = used_share(float(value), limit)
    if share >= 1.0:
        return "bad"
    return "warn" if share >= _WARNED_FROM else "ok"


def limits_section(board: Board) -> Section:
    """Show how much of each limit is used."""
    rows = limit_rows(board)
    table = Table(
        caption="Limits",
        columns=("limit", "value", "at most", "headroom"),
        rows=tuple(
            (r["name"], r["value"], r["limit"], _headroom(r["value"], r["limit"])) for r in rows
        ),
    )
    is_known = any(row["value"] is not None for row in rows)
    return Section(
        key="limits",
        title="How near each limit is",
        says="Share of each limit that is used; the dashed line is the limit itself.",
        source=_cycle_source(board),
        figure=limits_figure(rows) if is_known else None,
        tables=(table,),
        missing="" if is_known else "No cycle and no night has been published yet.",
    )


def _headroom(value: float | None, limit: float) -> float | None:
    return None if value is None else limit - value


def nav_section(board: Board) -> Section:
    """Show the value of the last cycles."""
    cycles = board.cycles
    return Section(
        key="nav",
        title="Net asset value, last cycles",
        says="Net asset value of each cycle in US dollars.",
        source=_cycle_source(board),
        figure=nav_figure(cycles) if cycles.height else None,
        tables=(_last(board, "Value", ("timestamp", "nav_usd", "gross", "drawdown")),)
        if cycles.height
        else (),
        missing="" if cycles.height else "No cycle is journalled.",
    )


def cvar_section(board: Board) -> Section:
    """Show each measure of the tail against the limit."""
    cycles, limit = board.cycles, board.policy.cvar.portfolio_limit
    columns = ("timestamp", "cvar_current", "cvar_filtered", "cvar_stressed", "cvar_gate")
    return Section(
        key="cvar",
        title="CVaR, last cycles",
        says=f"CVaR of each cycle by measure, against the limit of {limit:.2%} of NAV.",
        source=_cycle_source(board),
        figure=cvar_figure(cycles, limit=limit) if cycles.height else None,
        tables=(_last(board, "CVaR", columns),) if cycles.height else (),
        missing="" if cycles.height else "No cycle is journalled.",
    )


def _last(board: Board, caption: str, columns: tuple[str, ...]) -> Table:
    rows = board.cycles.tail(LAST_ROWS).select("cycle_id", *columns).rows()
    return Table(
        caption=f"{caption} of the last {min(LAST_ROWS, board.cycles.height)} cycles",
        columns=("cycle", *columns),
        rows=tuple(
            tuple(c.isoformat() if hasattr(c, "isoformat") else c for c in row)
            for row in reversed(rows)
        ),
    )


def _cycle_source(board: Board) -> str:
    last = board.last_cycle
    if not last:
        return "the journal holds no cycle"
    return f"journal, cycle {last['cycle_id']} of {last['timestamp'].isoformat()}"
