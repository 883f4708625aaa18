"""Every drill by name: the control, the fault, and what the control must do. Words only."""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode


class MaySend(StrEnum):
    """What may still reach the broker once the fault is in."""

    NOTHING = "nothing, not even a cancel"
    CANCELS = "cancels only"
    REDUCTIONS = "sales and cancels only"
    ELSEWHERE = "orders only in symbols the fault did not touch"
    BOUGHT_ELSEWHERE = "purchases only in symbols the fault did not touch"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillSpec:
    """One fire drill: a control holds where every line of it is observed.

    Attributes
    ----------
    control
        What the control promises, in one sentence.
    injected
        The fault, in words.
    reason_code
        The code that must be told, by an error, a cause of the state or a decision.
    state
        The state of the system that must follow.
    """

    name: str
    control: str
    injected: str
    reason_code: ReasonCode
    state: SystemStateName
    may_send: MaySend


_RUNNING = SystemStateName.RUNNING
_REDUCE = SystemStateName.REDUCE_ONLY
_HALT = SystemStateName.HALT_SYSTEM
_STOP = SystemStateName.STOP_SYSTEM
_NOTHING, _CANCELS, _REDUCTIONS, _ELSEWHERE, _BOUGHT_ELSEWHERE = MaySend

_Row = tuple[str, str, ReasonCode, SystemStateName, MaySend]

_AUDIT: dict[str, _Row] = {
    "audit_unwritable": (
        "A cycle whose frame is not on disk sends nothing.",
        "the operating system refuses to let the journal's file grow (RLIMIT_FSIZE)",
        ReasonCode.AUDIT_WRITE_FAILED, _STOP, _CANCELS,
    ),
    "disk_full": (
        "Without the free space it needs nothing begins.",
        "the disk holds less free space than the policy asks for",
        ReasonCode.DISK_FULL, _STOP, _NOTHING,
    ),
    "broken_chain": (
        "A chain with one altered bit carries no session.",
        "one bit of the loop's journal is flipped",
        ReasonCode.CHAIN_BROKEN, _STOP, _NOTHING,
    ),
    "cut_chain": (
        "A chain shorter than its anchors carries no session.",
        "the last frame of the loop's journal is cut off",
        ReasonCode.ANCHOR_MISMATCH, _STOP, _NOTHING,
    ),
    "snapshot_damaged": (
        "A published night that does not hash carries no session.",
        "one bit of a published table is flipped",
        ReasonCode.SNAPSHOT_MISSING, _STOP, _NOTHING,
    ),
    "wrong_config_hash": (
        "Rules other than the night's carry no session.",
        "a number of policy.yaml is edited after the night",
        ReasonCode.CONFIG_HASH_MISMATCH, _STOP, _NOTHING,
    ),
    "wrong_code_hash": (
        "A night made by other code carries no session.",
        "the published night names other code",
        ReasonCode.CODE_HASH_MISMATCH, _STOP, _NOTHING,
    ),
    "phase_out_of_order": (
        "A session needs the stamps of all six phases before it.",
        "the published night lacks the stamp of the execution simulation",
        ReasonCode.PHASE_ORDER_VIOLATED, _STOP, _NOTHING,
    ),
    "phase_skipped_at_night": (
        "A step of the night needs the stamps of the phases before its own.",
        "the night runs cvar_coverage straight after the first phase",
        ReasonCode.PHASE_ORDER_VIOLATED, _STOP, _NOTHING,
    ),
    "forged_order": (
        "The router takes only what governance minted with its key.",
        "an order minted with another key, one altered after minting and one never minted",
        ReasonCode.ORDER_NOT_APPROVED, _RUNNING, _NOTHING,
    ),
}  # fmt: skip
_DATA: dict[str, _Row] = {
    "stale_feed": (
        "A quote older than its limit is not traded on.",
        "every quote of the feed is a minute old",
        ReasonCode.QUOTE_INVALID, _RUNNING, _CANCELS,
    ),
    "crossed_quotes": (
        "A crossed quote is not traded on.",
        "the feed sells below what it bids in the symbols that trade most",
        ReasonCode.QUOTE_INVALID, _RUNNING, _ELSEWHERE,
    ),
    "nan_forecast": (
        "What no model can say is not bought.",
        "every model forecasts NaN for the symbols that trade most",
        ReasonCode.FORECAST_NOT_FINITE, _RUNNING, _BOUGHT_ELSEWHERE,
    ),
    "history_missing": (
        "A symbol of the universe without its history halts the system.",
        "a symbol enters the universe of which the market delivers half the history",
        ReasonCode.HISTORY_MISSING, _HALT, _REDUCTIONS,
    ),
    "reference_invalid": (
        "A reference series that is not valid halts the system.",
        "the market delivers every close of ^VIX as zero",
        ReasonCode.REFERENCE_INVALID, _HALT, _REDUCTIONS,
    ),
    "crisis_regime": (
        "A likely crisis allows reductions only.",
        "^VIX at 85 and the market a third lower over the last sessions",
        ReasonCode.REGIME_CRISIS_REDUCE_ONLY, _REDUCE, _REDUCTIONS,
    ),
    "crisis_execution": (
        "In a crisis no order that adds risk is executed.",
        "the night believes that a crisis is on",
        ReasonCode.EXECUTION_CRISIS_NO_INCREASE, _RUNNING, _REDUCTIONS,
    ),
    "missing_stress_set": (
        "Without a stress set the multiplied current tail is the gate's number.",
        "the published night holds no stressed scenarios",
        ReasonCode.STRESS_SET_MISSING, _RUNNING, _ELSEWHERE,
    ),
}  # fmt: skip
_CAPITAL: dict[str, _Row] = {
    "solver_failure": (
        "An auction that is not solved buys nothing new.",
        "the solver answers that it found nothing",
        ReasonCode.AUCTION_NO_TRADE, _RUNNING, _CANCELS,
    ),
    "solver_lie": (
        "An answer that breaks a cap is not believed, whatever the solver says of it.",
        "the solver answers a ten-thousandth more than the caps allow and calls it solved",
        ReasonCode.AUCTION_NO_TRADE, _RUNNING, _CANCELS,
    ),
    "cvar_breach": (
        "A book above its CVaR limit is scaled down and nothing in it grows.",
        "the portfolio limit is set to half of the tail risk that is held",
        ReasonCode.CVAR_BREACH_SCALED, _RUNNING, _REDUCTIONS,
    ),
    "cvar_scale_refused": (
        "A breach that may not be scaled away halts the system.",
        "the same breach where the policy refuses to scale",
        ReasonCode.CVAR_SCALE_REFUSED, _HALT, _REDUCTIONS,
    ),
    "marginal_cvar": (
        "No order adds more tail risk than one order may.",
        "the orders of an auction under a looser limit meet a tighter gate",
        ReasonCode.MARGINAL_CVAR_BREACH, _RUNNING, _REDUCTIONS,
    ),
    "leverage": (
        "No order takes the gross above its limit.",
        "the orders of an auction under a looser limit meet a gate at what is held",
        ReasonCode.LEVERAGE_LIMIT, _RUNNING, _REDUCTIONS,
    ),
    "drawdown": (
        "Past the drawdown limit nothing grows.",
        "the drawdown limit is set below what the book has lost",
        ReasonCode.DRAWDOWN_LIMIT, _RUNNING, _REDUCTIONS,
    ),
    "correlation": (
        "Nothing that moves with the book held is added to it.",
        "the correlation limit is set below that of every symbol that trades",
        ReasonCode.CORRELATION_LIMIT, _RUNNING, _REDUCTIONS,
    ),
    "sector": (
        "No order takes a sector above its limit.",
        "the sector limit is set to less than any order adds",
        ReasonCode.SECTOR_LIMIT, _RUNNING, _REDUCTIONS,
    ),
    "standing_veto": (
        "What is vetoed does not grow while the veto stands.",
        "a veto stands on every strategy in every symbol",
        ReasonCode.VETO_TOO_PERFECT_EXECUTION, _RUNNING, _REDUCTIONS,
    ),
}  # fmt: skip
_SYSTEM: dict[str, _Row] = {
    "clock_jump": (
        "A late cycle holds what is held.",
        "the clock jumps ten minutes ahead in the first cycle",
        ReasonCode.LATE_CYCLE_HOLD, _RUNNING, _CANCELS,
    ),
    "locked_warehouse": (
        "A night that cannot have the warehouse does nothing and latches nothing.",
        "another process holds the warehouse open for a write",
        ReasonCode.WAREHOUSE_BUSY, _RUNNING, _NOTHING,
    ),
    "corrupt_warehouse": (
        "A warehouse that cannot be read halts the system.",
        "the warehouse's first page is overwritten",
        ReasonCode.WAREHOUSE_CORRUPT, _HALT, _REDUCTIONS,
    ),
    "two_leaders": (
        "One session leads; a second one writes nothing.",
        "another holder keeps the lease",
        ReasonCode.LEASE_HELD, _RUNNING, _NOTHING,
    ),
    "reconciliation_difference": (
        "A broker that holds other units than the journal stops the system.",
        "one unit more of one position stands in the broker's own record",
        ReasonCode.RECONCILIATION_UNRESOLVED, _STOP, _NOTHING,
    ),
    "unknown_outcome": (
        "An answer of the broker that cannot be established stops the system.",
        "the broker's record is locked by another process when it must be written",
        ReasonCode.ORDER_UNKNOWN_OUTCOME, _STOP, _NOTHING,
    ),
    "feed_failure": (
        "A failure no rule foresees stops the system and leaves what rests alone.",
        "the feed raises an error of its own between two cycles",
        ReasonCode.UNEXPECTED_FAILURE, _STOP, _NOTHING,
    ),
    "stopped_system": (
        "A stopped system sends nothing, not even a cancel of what rests.",
        "a session leads while a stop is latched and orders rest at the broker",
        ReasonCode.STATE_STOPPED, _STOP, _NOTHING,
    ),
    "operator_halt": (
        "An operator's halt holds until he resumes.",
        "an operator halts the system and a session leads",
        ReasonCode.STATE_HALTED, _HALT, _REDUCTIONS,
    ),
}  # fmt: skip


def _spec(name: str, row: _Row) -> DrillSpec:
    control, injected, code, state, may_send = row
    return DrillSpec(
        name=name,
        control=control,
        injected=injected,
        reason_code=code,
        state=state,
        may_send=may_send,
    )


#: Every drill by name, in the order they are run.
CATALOG: MappingProxyType[str, DrillSpec] = MappingProxyType(
    {
        name: _spec(name, row)
        for group in (_AUDIT, _DATA, _CAPITAL, _SYSTEM)
        for name, row in group.items()
    }
)
