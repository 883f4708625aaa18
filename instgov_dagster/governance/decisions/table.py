"""One decision a symbol a cycle: the verdicts of every wing meet here, by one truth table.

The first row that fits, from the top. An increase makes the weight larger or turns its
sign, a decrease takes it toward zero; a *change* is one of at least the minimum.

====================================================  ======================================
what is found                                         decision
====================================================  ======================================
no route, or not eligible and no decrease to make     INELIGIBLE
vetoed, and more is wanted or a bid won nothing       VETO
a weight that is not a finite number                  REJECT (RISK_NOT_FINITE)
a change, in STOP_SYSTEM                              REJECT (STATE_STOPPED)
the cycle is late                                     HOLD (LATE_CYCLE_HOLD)
a decrease                                            REDUCE, whatever else is found
an increase that something blocks                     REJECT with everything that blocks it
an increase that nothing blocks                       EXECUTE
less than the minimum, something held or wanted       HOLD (at target, or ORDER_BELOW_MINIMUM)
nothing held or wanted, no bid                        HOLD (NO_POSITION_NO_BID)
nothing held or wanted, every bid lost                REJECT with the reasons it lost by
====================================================  ======================================

An increase is blocked by any state but RUNNING, a stale snapshot, a quote that is not valid, a
forecast that is not finite, no grant by the auction, and a gate of the symbol or of the book that
failed or was not judged. All reasons found are carried, not only the first.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from instgov_dagster.governance.decisions.cases import CycleCase, SymbolCase
from instgov_dagster.vocabulary.capital import GateResult
from instgov_dagster.vocabulary.governance import (
    Decision,
    Gate,
    GovernanceDecision,
    SystemStateName,
    state_code,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

# Stand-ins for numbers that are missing: the worst their unit allows, never a flattering zero.
_WORST_SIGMA = 1.0
_WORST_CVAR = 1.0

_Codes = tuple[ReasonCode, ...]


class _Move(Enum):
    UNKNOWN = "unknown"
    INCREASE = "increase"
    DECREASE = "decrease"
    SMALL = "small"
    AT_TARGET = "at target"
    EMPTY = "empty"


# Words in the names of gates; the joint, last-in and prefix gates all judge CVaR (SPEC 4).
_GATE_WORDS = (
    *((gate.value, gate) for gate in Gate),
    ("joint", Gate.CVAR),
    ("last_in", Gate.CVAR),
    ("prefix", Gate.CVAR),
)


@lru_cache(maxsize=256)
def gate_of(name: str) -> Gate | None:
    """Tell which named check a gate belongs to, by the first known word in its name."""
    return next((gate for word, gate in _GATE_WORDS if word in name.lower()), None)


@dataclass(frozen=True, slots=True)
class _Judged:
    # Gates of a symbol and of the book together: the named checks, and why any failed.
    checks: dict[Gate, bool]
    failures: _Codes
    headroom: tuple[tuple[str, float], ...]


def _judge(gates: Iterable[GateResult], base: _Judged | None = None) -> _Judged:
    checks = dict(base.checks) if base else {}
    failures = list(base.failures) if base else []
    headroom = list(base.headroom) if base else []
    for gate in gates:
        named = gate_of(gate.name)
        if named is not None:
            checks[named] = checks.get(named, True) and gate.passed
        if not gate.passed:
            failures += gate.reason_codes
        if gate.headroom is not None and math.isfinite(gate.headroom):
            headroom.append((gate.name, gate.headroom))
    return _Judged(checks, tuple(failures), tuple(headroom))


def _move(case: SymbolCase, minimum: float) -> _Move:
    held, target = case.held_weight, case.target_weight
    if not (math.isfinite(held) and math.isfinite(target)):
        return _Move.UNKNOWN
    if held == target:
        return _Move.AT_TARGET if held else _Move.EMPTY
    if abs(target - held) < minimum:
        return _Move.SMALL
    is_decrease = target * held >= 0 and abs(target) < abs(held)
    return _Move.DECREASE if is_decrease else _Move.INCREASE


def _wants_more(case: SymbolCase, move: _Move) -> bool:
    if move is _Move.SMALL:
        return abs(case.target_weight) > abs(case.held_weight)
    return move is _Move.INCREASE or (move in (_Move.EMPTY, _Move.UNKNOWN) and case.has_bid)


def _is_forecast_finite(case: SymbolCase) -> bool:
    numbers = (case.mu, case.sigma, case.cvar)
    shares = (case.data_quality, case.model_confidence)
    return (
        all(math.isfinite(value) for value in numbers)
        and case.sigma >= 0
        and all(0.0 <= value <= 1.0 for value in shares)
    )


def _notes(case: SymbolCase, cycle: CycleCase) -> _Codes:
    # What holds of the case whichever way it is decided; it blocks every increase.
    codes: list[ReasonCode] = []
    if not (case.is_eligible and case.has_route):
        codes += case.eligibility_reasons
    if cycle.state.name is not SystemStateName.RUNNING:
        codes += cycle.state.reason_codes
    if cycle.is_stale:
        codes.append(ReasonCode.STALE_DATA)
    if not case.is_quote_valid:
        codes.append(case.quote_reason)
    if not _is_forecast_finite(case):
        codes.append(ReasonCode.FORECAST_NOT_FINITE)
    return tuple(codes)


def _blocks(case: SymbolCase, cycle: CycleCase, judged: _Judged) -> _Codes:
    codes = list(judged.failures)
    if len(judged.checks) < len(Gate) or not (case.gates and cycle.book_gates):
        codes.append(ReasonCode.RISK_NOT_FINITE)  # a gate that was not judged has not passed
    if not case.has_bid:
        codes.append(ReasonCode.AUCTION_NOT_PASSED)
    return tuple(codes)


def _settle(  # noqa: PLR0911  # one return a row of the truth table
    case: SymbolCase, cycle: CycleCase, judged: _Judged, move: _Move
) -> tuple[Decision, _Codes]:
    # The truth table of the module, row by row.
    notes = _notes(case, cycle)
    if not case.has_route or (not case.is_eligible and move is not _Move.DECREASE):
        return Decision.INELIGIBLE, notes
    if case.vetoes and _wants_more(case, move):
        return Decision.VETO, (*case.vetoes, *judged.failures, *notes)
    if move is _Move.UNKNOWN:
        return Decision.REJECT, (ReasonCode.RISK_NOT_FINITE, *notes)
    is_change = move in (_Move.INCREASE, _Move.DECREASE)
    if is_change and not cycle.state.allows_reduction:
        return Decision.REJECT, (state_code(cycle.state.name), *judged.failures, *notes)
    if cycle.is_late:
        return Decision.HOLD, (ReasonCode.LATE_CYCLE_HOLD, *notes)
    if move is _Move.DECREASE:
        why = ReasonCode.FORCED_SELL if case.is_forced_sell else ReasonCode.TARGET_DECREASE
        return Decision.REDUCE, (why, *case.vetoes, *judged.failures, *notes)
    if move is _Move.INCREASE:
        return _settle_increase(case, cycle, judged, notes)
    return _settle_still(case, move, notes)


def _settle_increase(
    case: SymbolCase, cycle: CycleCase, judged: _Judged, notes: _Codes
) -> tuple[Decision, _Codes]:
    blocks = (*_blocks(case, cycle, judged), *notes)
    if blocks or not cycle.state.allows_increase:
        return Decision.REJECT, blocks
    passed = (ReasonCode.TARGET_INCREASE, *case.auction_reasons, ReasonCode.CVAR_WITHIN_LIMITS)
    return Decision.EXECUTE, (*passed, ReasonCode.NO_VETO, ReasonCode.STATE_RUNNING)


def _settle_still(case: SymbolCase, move: _Move, notes: _Codes) -> tuple[Decision, _Codes]:
    if move is _Move.AT_TARGET:
        return Decision.HOLD, (ReasonCode.HOLD_AT_TARGET, *case.vetoes, *notes)
    if move is _Move.SMALL:
        return Decision.HOLD, (ReasonCode.ORDER_BELOW_MINIMUM, *case.vetoes, *notes)
    if not case.has_bid:
        return Decision.HOLD, (ReasonCode.NO_POSITION_NO_BID, *notes)
    return Decision.REJECT, (*case.auction_reasons, *notes)


def _or_worst(value: float, worst: float) -> float:
    return value if math.isfinite(value) else worst


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _share(value: float) -> float:
    return value if 0.0 <= value <= 1.0 else 0.0  # NaN compares false


def _build(
    case: SymbolCase, cycle: CycleCase, judged: _Judged, verdict: tuple[Decision, _Codes]
) -> GovernanceDecision:
    decision, codes = verdict
    mu = _or_worst(case.mu, 0.0)
    sigma = case.sigma if case.sigma >= 0 and math.isfinite(case.sigma) else _WORST_SIGMA
    cvar = _or_worst(case.cvar, _WORST_CVAR)
    size = case.target_weight if decision.is_tradable else case.held_weight
    headroom = judged.headroom
    if case.passing_size is not None and math.isfinite(case.passing_size):
        headroom = (*headroom, ("passing_size", case.passing_size))
    is_vetoed = decision is Decision.VETO
    return GovernanceDecision(
        decision=decision,
        reason_codes=tuple(dict.fromkeys(codes)),
        mu=mu,
        sigma=sigma,
        cvar=cvar,
        data_quality=_share(case.data_quality),
        model_confidence=_share(case.model_confidence),
        vetoed=is_vetoed,
        veto_reason=case.vetoes[0] if is_vetoed else None,
        cycle_id=cycle.cycle_id,
        timestamp=cycle.timestamp,
        symbol=case.symbol,
        position_size=_or_none(size),
        expected_return=_or_none(mu * size),
        expected_risk=_or_none(cvar * abs(size)),
        strategy_id=case.strategy_id,
        strategy_stage=case.strategy_stage,
        cvar_limit_check=judged.checks.get(Gate.CVAR),
        leverage_limit_check=judged.checks.get(Gate.LEVERAGE),
        drawdown_limit_check=judged.checks.get(Gate.DRAWDOWN),
        correlation_limit_check=judged.checks.get(Gate.CORRELATION),
        sector_limit_check=judged.checks.get(Gate.SECTOR),
        veto_triggers=case.vetoes,
        headroom=headroom,
    )


def _decide(case: SymbolCase, cycle: CycleCase, book: _Judged) -> GovernanceDecision:
    judged = _judge(case.gates, book) if case.gates else book
    move = _move(case, cycle.minimum_change)
    return _build(case, cycle, judged, _settle(case, cycle, judged, move))


def decide_symbol(case: SymbolCase, cycle: CycleCase) -> GovernanceDecision:
    """Decide one symbol in one cycle by the truth table of this module (roadmap 9.1, 9.3).

    Numbers of the case that are not finite are replaced by the worst their unit allows (sigma and
    CVaR 1, mu, quality and confidence 0) beside ``FORECAST_NOT_FINITE``: they never pass.
    """
    return _decide(case, cycle, _judge(cycle.book_gates))


def compose_decisions(
    cases: Iterable[SymbolCase], cycle: CycleCase
) -> tuple[GovernanceDecision, ...]:
    """Decide every symbol of a cycle, in the order given; the gates of the book are read once.

    Raises
    ------
    ValueError
        If a symbol occurs twice: there is one decision a symbol a cycle.
    """
    listed = list(cases)
    if len({case.symbol for case in listed}) != len(listed):
        raise ValueError("a cycle must decide each symbol once")
    book = _judge(cycle.book_gates)
    return tuple(_decide(case, cycle, book) for case in listed)
