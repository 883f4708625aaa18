"""The board as a monitor reads it: Prometheus' text format, and one verdict for /healthz."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from instgov_dagster.dashboard.model import Standing
from instgov_dagster.dashboard.pages.overview import limit_rows
from instgov_dagster.dashboard.reading.board import Board
from instgov_dagster.vocabulary.governance import SystemStateName

_PREFIX = "instgov_"


def health(board: Board) -> tuple[bool, dict[str, Any]]:
    """Judge whether what is shown can be relied on; a halt that is shown is no illness.

    Returns
    -------
    False exactly where the numbers are STALE or the state is STOP_SYSTEM, and the facts.
    """
    is_healthy = (
        board.standing is not Standing.STALE and board.state.name is not SystemStateName.STOP_SYSTEM
    )
    return is_healthy, {
        "is_healthy": is_healthy,
        "state": board.state.name.value,
        "standing": board.standing.value,
        "causes": [cause.reason_code.value for cause in board.state.causes],
        "heartbeat_age_seconds": board.pulse.heartbeat_age_seconds,
        "read_at": board.at.isoformat(),
        "problems": list(board.problems),
    }


def prometheus(board: Board) -> str:
    """Write the board's numbers; one that is not known is NaN, never 0."""
    lines: list[str] = []
    for name, kind, rows in _metrics(board):
        lines.append(f"# HELP {_PREFIX}{name} {kind}")
        lines.append(f"# TYPE {_PREFIX}{name} gauge")
        lines += [_row(name, labels, value) for labels, value in rows]
    return "\n".join(lines) + "\n"


_Rows = list[tuple[Mapping[str, str], float | None]]


def _metrics(board: Board) -> Iterator[tuple[str, str, _Rows]]:
    last, is_healthy = board.last_cycle, health(board)[0]
    states: _Rows = [
        ({"state": name.value}, float(name is board.state.name)) for name in SystemStateName
    ]
    standings: _Rows = [
        ({"standing": name.value}, float(name is board.standing)) for name in Standing
    ]
    yield "board_healthy", "1 where the numbers can be relied on.", [({}, float(is_healthy))]
    yield "system_state", "1 for the state of the system.", states
    yield "standing", "1 for what the numbers are worth now.", standings
    yield (
        "causes",
        "What stands against trading.",
        [({"reason_code": cause.reason_code.value}, 1.0) for cause in board.state.causes],
    )
    yield "nav_usd", "Net asset value, USD.", [({}, _float(last.get("nav_usd")))]
    for row in ("value", "limit"):
        rows: _Rows = [({"name": str(r["name"])}, _float(r[row])) for r in limit_rows(board)]
        yield f"limit_{row}", f"The {row} of each limited quantity.", rows
    yield (
        "heartbeat_age_seconds",
        "Age of the leader's heartbeat.",
        [({}, _float(board.pulse.heartbeat_age_seconds))],
    )
    yield (
        "projection_lag_frames",
        "Frames of each chain that readers do not see yet.",
        [({"chain": name}, float(n)) for name, n in board.lag.frames.items()],
    )
    yield (
        "chain_frames",
        "Frames of each chain, verified.",
        [({"chain": name}, float(n)) for name, (n, _) in board.heads.items()],
    )
    yield (
        "chain_anchored_frames",
        "Frames of each chain that an anchor covers.",
        [({"chain": name}, float(n)) for name, n in board.anchored.items()],
    )
    late = float(board.cycles["is_late"].sum()) if board.cycles.height else None
    yield "late_cycles", "Late ones of the last cycles.", [({}, late)]


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _row(name: str, labels: Mapping[str, str], value: float | None) -> str:
    told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    number = "NaN" if value is None or not math.isfinite(value) else f"{value:.10g}"
    return f"{_PREFIX}{name}{{{told}}} {number}" if told else f"{_PREFIX}{name} {number}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
