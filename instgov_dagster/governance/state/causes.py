"""Every cause that moves the state: where it is raised and what ends it; nothing is folded here."""

from dataclasses import dataclass
from enum import StrEnum

from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster.vocabulary.reasons import ReasonCode

_R = ReasonCode
_LOOP, _NIGHT, _OPERATOR = Chain.LOOP, Chain.NIGHT, Chain.OPERATOR


class Ending(StrEnum):
    """What ends a cause; for a latched one the operator's resume follows it."""

    RESUME = "the operator's resume alone"
    STEP = "the night's step that finds it finds it gone"
    NIGHT = "a night that reaches its end and publishes"
    OPENING = "a session that opens"
    SESSION = "a session that reaches its end"
    RESUMING = "the checks that a resume makes itself"
    READING = "the chains can be read whole again"


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseRow:
    """One cause of the state.

    Attributes
    ----------
    raised_by
        The check that finds it.
    chains
        Where it is latched first; the fallback of a chain that cannot be written is the next one.
    endings
        What ends it, any of them.
    """

    reason_code: ReasonCode
    raised_by: str
    chains: tuple[Chain, ...]
    endings: tuple[Ending, ...]


def _row(code: ReasonCode, raised_by: str, chains: tuple[Chain, ...], *endings: Ending) -> CauseRow:
    return CauseRow(reason_code=code, raised_by=raised_by, chains=chains, endings=endings)


_BOTH = (_NIGHT, _LOOP)

CAUSES: tuple[CauseRow, ...] = (
    _row(_R.REGIME_CRISIS_REDUCE_ONLY, "the night's regime", (_NIGHT,), Ending.STEP),
    _row(_R.HISTORY_MISSING, "the history gate", (_NIGHT,), Ending.STEP),
    _row(_R.REFERENCE_INVALID, "data governance", (_NIGHT,), Ending.STEP),
    _row(_R.NO_VALID_SYMBOL, "data governance", (_NIGHT,), Ending.STEP),
    _row(_R.TOO_FEW_SCENARIOS, "the night's scenarios", (_NIGHT,), Ending.STEP),
    _row(_R.SCENARIO_REFUSED, "the night's scenarios", (_NIGHT,), Ending.STEP),
    _row(_R.MASS_DRAWDOWN_REVIEW, "the lifecycle, half or more down", (_NIGHT,), Ending.RESUME),
    _row(_R.CVAR_SCALE_REFUSED, "a cycle in breach", (_LOOP,), Ending.RESUME),
    _row(_R.AUCTION_INFEASIBLE, "the auction", _BOTH, Ending.RESUME),
    _row(_R.SNAPSHOT_EXPIRED, "a cycle past twice the time to live", (_LOOP,), Ending.RESUME),
    _row(_R.SNAPSHOT_MISSING, "reading what is published", (_LOOP,), Ending.OPENING),
    _row(_R.CONFIG_HASH_MISMATCH, "a session that opens", (_LOOP,), Ending.OPENING),
    _row(_R.CODE_HASH_MISMATCH, "a session that opens", (_LOOP,), Ending.OPENING),
    _row(_R.STATE_NOT_CONTINUED, "restoring the state", (_LOOP,), Ending.OPENING),
    _row(
        _R.RECONCILIATION_UNRESOLVED,
        "the broker against the journal, holdings against the universe",
        _BOTH,
        Ending.OPENING,
        Ending.NIGHT,
    ),
    _row(_R.PHASE_ORDER_VIOLATED, "the stamps", _BOTH, Ending.OPENING, Ending.NIGHT),
    _row(
        _R.CHAIN_BROKEN,
        "walking a chain",
        (_LOOP, _NIGHT, _OPERATOR),
        Ending.OPENING,
        Ending.NIGHT,
        Ending.RESUMING,
    ),
    _row(
        _R.ANCHOR_MISMATCH,
        "a chain against its anchors",
        (_LOOP, _NIGHT, _OPERATOR),
        Ending.OPENING,
        Ending.NIGHT,
        Ending.RESUMING,
    ),
    _row(
        _R.DISK_FULL,
        "the free space before a night and each cycle",
        (_LOOP, _NIGHT, _OPERATOR),
        Ending.OPENING,
        Ending.NIGHT,
        Ending.RESUMING,
    ),
    _row(_R.SCHEMA_MISMATCH, "opening a store", (_NIGHT,), Ending.NIGHT),
    _row(_R.WAREHOUSE_CORRUPT, "reading the warehouse", (_NIGHT,), Ending.NIGHT),
    _row(_R.AUDIT_WRITE_FAILED, "an append that fails", _BOTH, Ending.RESUME),
    _row(_R.HISTORY_IN_LIVE_LOOP, "the router of providers", (_LOOP,), Ending.RESUME),
    _row(_R.ORDER_NOT_APPROVED, "minting, the router, the broker", (_LOOP,), Ending.RESUME),
    _row(_R.ORDER_UNKNOWN_OUTCOME, "the broker's client", (_LOOP,), Ending.RESUME),
    _row(_R.FENCED, "the leader's own fences", (_LOOP,), Ending.RESUME),
    _row(_R.UNEXPECTED_FAILURE, "whatever no rule foresees", _BOTH, Ending.RESUME),
    _row(_R.OPERATOR_HALT, "an operator's halt", (_OPERATOR,), Ending.RESUME),
    _row(_R.STATE_UNKNOWN, "folding chains that do not read", (), Ending.READING),
)

#: What a resume proves itself before it is written: the chains hold, and there is room.
PROVED_BY_RESUMING = frozenset(row.reason_code for row in CAUSES if Ending.RESUMING in row.endings)


def causes_markdown() -> str:
    """Write the table of causes for the governance page."""
    lines = ["| Cause | Least state | Raised by | Ended by |", "| --- | --- | --- | --- |"]
    for row in CAUSES:
        ends = "; ".join(ending.value for ending in row.endings)
        severity = row.reason_code.severity.value
        lines.append(f"| `{row.reason_code.value}` | {severity} | {row.raised_by} | {ends} |")
    return "\n".join(lines)
