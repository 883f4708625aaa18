"""Whether a cycle decided on another machine is the same decision; nothing is folded here."""

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from instgov_dagster.adapters.journal import Frame, unbundle

#: What is decided of a symbol, beside numbers: equal on any machine, or the decision is another.
DECIDED: Final = (
    "symbol", "decision", "reason_codes", "vetoed", "veto_reason", "veto_triggers", "strategy_id",
    "strategy_stage", "cvar_limit_check", "leverage_limit_check", "drawdown_limit_check",
    "correlation_limit_check", "sector_limit_check",
)  # fmt: skip
_ORDERED: Final = ("client_order_id", "symbol", "side")
_PROOF: Final = ("hurdle", "lambda_star", "objective", "gap")


def decision_differences(
    frame: Frame, table: pa.Table, facts: Mapping[str, Any], *, tolerance: float
) -> tuple[str, ...]:
    """Name what differs between a cycle's frame and the same cycle decided on another machine.

    Decisions, reasons, gates and orders must be equal; the numbers of the auction's certificate
    within the tolerance; every other number is left to the machine.

    Parameters
    ----------
    table, facts
        What this machine makes of the frame's inputs.
    tolerance
        Of each number of the certificate, absolute.
    """
    theirs, ours = unbundle(frame.table()), unbundle(table)
    told = (("governance_decisions", DECIDED), ("orders", _ORDERED))
    wrong = [
        f"{name}.{column}"
        for name, columns in told
        for column in columns
        if ours[name][column].to_pylist() != theirs[name][column].to_pylist()
    ]
    mine, yours = facts["auction"], frame.meta["auction"]
    if mine["status"] != yours["status"]:
        wrong.append("auction.status")
    wrong += [
        f"auction.{name}" for name in _PROOF if not _is_near(mine[name], yours[name], tolerance)
    ]
    return tuple(wrong)


def _is_near(ours: float | None, theirs: float | None, tolerance: float) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return abs(ours - theirs) <= tolerance  # NaN compares false
