"""The factors of the proof and their values: what a cycle and a symbol may look like."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from instgov_dagster.capital.book import BookRisk
from instgov_dagster.capital.risk.gates import (
    gate_correlation,
    gate_cvar,
    gate_drawdown,
    gate_execution,
    gate_hurdle,
    gate_leverage,
    gate_marginal,
    gate_prefix,
    gate_sector,
)
from instgov_dagster.governance.decisions import SymbolCase
from instgov_dagster.governance.state import cause_of, fold_events
from instgov_dagster.vocabulary.capital import ExecutionRegime, GateResult, RiskMeasure
from instgov_dagster.vocabulary.governance import (
    Chain,
    EventKind,
    StateEvent,
    StrategyLifecycle,
    SystemState,
)
from instgov_dagster.vocabulary.policy.capital import CVaRConfig, RiskLimits
from instgov_dagster.vocabulary.reasons import ReasonCode

CVAR, LIMITS = CVaRConfig(), RiskLimits()
MINIMUM = 1e-3
_NAN = math.nan

#: How the state came about: the one cause that was raised; None for none.
STATES: Mapping[str, ReasonCode | None] = MappingProxyType(
    {
        "RUNNING": None,
        "REDUCE_ONLY": ReasonCode.REGIME_CRISIS_REDUCE_ONLY,
        "HALT_SYSTEM": ReasonCode.OPERATOR_HALT,
        "STOP_SYSTEM": ReasonCode.AUDIT_WRITE_FAILED,
        "UNKNOWN": ReasonCode.STATE_UNKNOWN,
    }
)
#: Held and wanted weight of each move a decision may be about.
MOVES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "increase": (0.01, 0.03),
        "open": (0.0, 0.02),
        "turn": (0.01, -0.02),
        "decrease": (0.03, 0.01),
        "close": (0.02, 0.0),
        "small": (0.01, 0.0105),
        "at target": (0.01, 0.01),
        "empty": (0.0, 0.0),
        "unknown": (0.01, _NAN),
    }
)
#: Moves that make a position larger, and those that make it smaller.
GROWING, SHRINKING = frozenset({"increase", "open", "turn"}), frozenset({"decrease", "close"})
ELIGIBILITY = ("eligible", "ineligible", "no route")


def state_of(name: str) -> SystemState:
    """Fold the state of a value from journal events, as a session reads it."""
    code = STATES[name]
    heads = dict.fromkeys(Chain, 1)
    if name == "UNKNOWN":
        return fold_events((), heads={Chain.LOOP: 1})  # two chains could not be read
    if code is None:
        return fold_events((), heads=heads)
    event = StateEvent(
        kind=EventKind.RAISED, chain=Chain.LOOP, sequence=1, cause=cause_of(code, "proof")
    )
    return fold_events((event,), heads=heads)


def risk_of(current: float, filtered: float, stressed: float) -> BookRisk:
    """Give a book's risk by its three measures; the gate number is the largest, NaN with a NaN."""
    measures = (
        (RiskMeasure.CURRENT, current),
        (RiskMeasure.FILTERED, filtered),
        (RiskMeasure.STRESSED, stressed),
    )
    values = [value for _, value in measures]
    gate = max(values) if all(math.isfinite(value) for value in values) else _NAN
    return BookRisk(
        measures=measures,
        gate=gate,
        standard_error=0.0,
        n_scenarios=CVAR.min_scenarios,
        reason_codes=(ReasonCode.CVAR_WITHIN_LIMITS,),
    )


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One gate's real answers to a number within its limit, above it, and none at all."""

    open: GateResult
    shut: GateResult
    blind: GateResult

    def __post_init__(self) -> None:
        told = (self.open.passed, self.shut.passed, self.blind.passed)
        if told != (True, False, False):
            raise ValueError(f"{self.open.name} must open on the first number alone, was {told}")


def _named(name: str, gate: GateResult) -> GateResult:
    return replace(gate, name=name)


def order_gates() -> dict[str, Verdicts]:
    """Ask every gate of an order for its three answers; each comes from the gate itself."""
    calm = risk_of(0.01, 0.01, 0.01)
    over = (risk_of(0.07, 0.01, 0.01), risk_of(0.01, 0.07, 0.01), risk_of(0.01, 0.01, 0.07))
    unseen = risk_of(_NAN, 0.01, 0.01)
    crisis = ExecutionRegime.CRISIS
    rows: dict[str, tuple[GateResult, GateResult, GateResult]] = {
        f"joint {name.value.lower()}": (
            gate_cvar(calm, calm, config=CVAR),
            gate_cvar(calm, above, config=CVAR),
            gate_cvar(calm, unseen, config=CVAR),
        )
        for name, above in zip(
            (RiskMeasure.CURRENT, RiskMeasure.FILTERED, RiskMeasure.STRESSED), over, strict=True
        )
    }
    rows["last-in marginal"] = _three(lambda x: gate_marginal(x, config=CVAR), 0.001, 0.02)
    rows["last-in hurdle"] = _three(
        lambda x: gate_hurdle(0.01, x, hurdle=0.02, is_forced=False, limits=LIMITS), 0.01, 0.0
    )
    rows["prefix"] = _three(lambda x: gate_prefix(0.01, x, config=CVAR), 0.02, 0.07)
    rows["leverage"] = _three(lambda x: gate_leverage(0.5, x, limits=LIMITS), 0.6, 1.1)
    rows["drawdown"] = _three(
        lambda x: gate_drawdown(x, is_increase=True, limits=LIMITS), 0.01, 0.2
    )
    rows["correlation"] = _three(
        lambda x: gate_correlation(x, is_increase=True, limits=LIMITS), 0.1, 0.95
    )
    rows["sector"] = _three(
        lambda x: gate_sector(0.1, x, sector="TECHNOLOGY", limits=LIMITS), 0.2, 0.3
    )
    rows["crisis execution"] = (
        gate_execution(0.001, is_increase=True, regime=ExecutionRegime.CALM),
        gate_execution(0.001, is_increase=True, regime=crisis),
        gate_execution(_NAN, is_increase=True, regime=crisis),
    )
    rows["impact and participation"] = _sizes()
    return {name: Verdicts(*gates) for name, gates in rows.items()}


def _three(
    gate: Callable[[float], GateResult], within: float, beyond: float
) -> tuple[GateResult, GateResult, GateResult]:
    return gate(within), gate(beyond), gate(_NAN)


def _sizes() -> tuple[GateResult, GateResult, GateResult]:
    # The plan's refusal, as casework words it: an order that could not be sized or priced.
    codes = (ReasonCode.WITHIN_LIMIT, ReasonCode.PARTICIPATION, ReasonCode.NO_IMPACT_ESTIMATE)
    first, second, third = (
        GateResult(
            name="execution_size",
            passed=code is ReasonCode.WITHIN_LIMIT,
            value=1.0,
            limit=1.0,
            headroom=0.0,
            reason_codes=(code,),
        )
        for code in codes
    )
    return first, second, third


def book_gates() -> dict[str, Verdicts]:
    """Give the gates of the whole book: those a decision names one by one."""
    orders = order_gates()
    return {
        "book cvar": orders["joint current"],
        **{f"book {n}": orders[n] for n in ("leverage", "drawdown", "correlation", "sector")},
    }


def patterns(gates: Mapping[str, Verdicts]) -> Iterator[tuple[GateResult, ...]]:
    """Give what a set of gates may answer: all open first, then what fails.

    Each alone shut, each alone blind, and all shut.
    """
    names = list(gates)
    everything = {name: gates[name].open for name in names}
    yield tuple(everything.values())
    for name in names:
        yield tuple({**everything, name: gates[name].shut}.values())
        yield tuple({**everything, name: gates[name].blind}.values())
    yield tuple(gates[name].shut for name in names)


def subsets(gates: Mapping[str, Verdicts]) -> Iterator[tuple[GateResult, ...]]:
    """Give every way in which the gates may be open or shut."""
    pairs = [(verdicts.open, verdicts.shut) for verdicts in gates.values()]
    yield from itertools.product(*pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinates:
    """Where one symbol stands in the space: the value of each of its factors."""

    move: str
    has_quote: bool
    is_forecast: bool
    eligibility: str
    has_bid: bool
    is_vetoed: bool
    are_gates_open: bool

    @property
    def may_buy(self) -> bool:
        """Whether nothing of the symbol stands against a purchase, by the specification."""
        return (
            self.move in GROWING
            and self.has_quote
            and self.is_forecast
            and self.eligibility == "eligible"
            and self.has_bid
            and not self.is_vetoed
            and self.are_gates_open
        )

    @property
    def may_sell(self) -> bool:
        """Whether the symbol shrinks and has a way to the market."""
        return self.move in SHRINKING and self.eligibility != "no route"


def circumstances() -> Iterator[Coordinates]:
    """Give every circumstance of a symbol with its gates open."""
    flags = (False, True)
    space = itertools.product(MOVES, flags, flags, ELIGIBILITY, flags, flags)
    for move, has_quote, is_forecast, eligibility, has_bid, is_vetoed in space:
        yield Coordinates(
            move=move,
            has_quote=has_quote,
            is_forecast=is_forecast,
            eligibility=eligibility,
            has_bid=has_bid,
            is_vetoed=is_vetoed,
            are_gates_open=True,
        )


def case_of(symbol: str, at: Coordinates, gates: tuple[GateResult, ...]) -> SymbolCase:
    """Write the case governance is shown of a symbol that stands there."""
    held, target = MOVES[at.move]
    is_eligible = at.eligibility == "eligible"
    return SymbolCase(
        symbol=symbol,
        is_eligible=is_eligible,
        has_route=at.eligibility != "no route",
        eligibility_reasons=() if is_eligible else (ReasonCode.INVALID_DATA,),
        held_weight=held,
        target_weight=target,
        has_bid=at.has_bid,
        auction_reasons=(ReasonCode.ALLOCATED,) if at.has_bid else (),
        mu=0.01 if at.is_forecast else _NAN,
        sigma=0.02,
        cvar=0.03,
        data_quality=1.0,
        model_confidence=1.0,
        gates=gates,
        vetoes=(ReasonCode.VETO_TOO_PERFECT_EXECUTION,) if at.is_vetoed else (),
        is_quote_valid=at.has_quote,
        strategy_id="momentum",
        strategy_stage=StrategyLifecycle.INCUBATING,
    )
