"""Why one symbol was decided as it was: its gates in order, with numbers and what would pass."""

import difflib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from instgov_dagster.adapters.journal import unbundle
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.capital.auction.result import AuctionResult
from instgov_dagster.governance.decisions import SymbolCase
from instgov_dagster.loop.cycle import CycleDecision
from instgov_dagster.loop.decision.casework import symbol_cases
from instgov_dagster.loop.folding.explaining.lineage import trace_lineage
from instgov_dagster.loop.folding.explaining.recall import RecalledCycle, recall_cycle, vetoes_of
from instgov_dagster.vocabulary.capital import GateResult
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import state_code
from instgov_dagster.vocabulary.reasons import ReasonCode

_BPS = 1e4
_OPEN = ReasonCode.WITHIN_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLine:
    """One gate as a person reads it.

    Attributes
    ----------
    passing_size
        The largest weight that passes every gate of the order, by bisection on the gates
        themselves; None where the gate passed, or where no size does.
    passing_mu
        The expected return that would have won the auction, by the price of the bid's next unit;
        None where the bid won or is refused whatever it promises.
    """

    name: str
    passed: bool
    value: float | None
    limit: float | None
    headroom: float | None
    reason_code: str
    passing_size: float | None = None
    passing_mu: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer to "why": the decision, its gates in order, its inputs and where they come from.

    ``is_exact`` says whether the gates are those that decided: the fold gave the journal's
    decisions again, bit by bit.
    """

    cycle_id: str
    symbol: str
    decision: str
    reason_codes: tuple[str, ...]
    gates: tuple[GateLine, ...]
    inputs: dict[str, Any]
    lineage: dict[str, Any]
    is_exact: bool

    def to_dict(self) -> dict[str, Any]:
        """Write the answer as plain JSON values."""
        return asdict(self)


def explain_symbol(
    home: Home,
    policy: Policy,
    *,
    key: bytes | None,
    code_hash: str,
    symbol: str,
    cycle_id: str | None = None,
) -> Explanation:
    """Explain the decision of a symbol in a cycle, the last one by default.

    Reads the journal and the pinned night only: no store is opened, nobody is kept waiting.

    Raises
    ------
    InputError
        If the symbol was not decided, naming the nearest that was; if there is no such cycle, or
        it was decided under other rules.
    SystemHalt
        Where the journal does not verify or the night is not kept.
    """
    recalled = recall_cycle(home, policy, key=key, code_hash=code_hash, cycle_id=cycle_id)
    snapshot, decision = recalled.snapshot, recalled.decision
    n = _place_of(symbol, snapshot.symbols)
    rows = unbundle(recalled.frame.table())["governance_decisions"].to_pylist()
    told = next(row for row in rows if row["symbol"] == symbol)
    found, valued = recalled.found, decision.valued
    cases = symbol_cases(snapshot, valued, found, vetoes_of(decision, snapshot, policy))
    case = next(case for case in cases if case.symbol == symbol)
    return Explanation(
        cycle_id=decision.cycle_id,
        symbol=symbol,
        decision=told["decision"],
        reason_codes=tuple(told["reason_codes"]),
        gates=_gates(case, recalled, policy, n),
        inputs=_inputs(recalled, case, n, policy),
        lineage=trace_lineage(home, recalled, symbol, told),
        is_exact=recalled.is_exact,
    )


def _place_of(symbol: str, symbols: tuple[str, ...]) -> int:
    if symbol in symbols:
        return symbols.index(symbol)
    by_name = {name.upper(): name for name in symbols}
    near = difflib.get_close_matches(symbol.upper(), by_name, n=1, cutoff=0.0)
    raise InputError(
        f"SYMBOL must be one that was decided, was {symbol!r}; the nearest is {by_name[near[0]]}"
    )


def _gates(
    case: SymbolCase, recalled: RecalledCycle, policy: Policy, n: int
) -> tuple[GateLine, ...]:
    return (
        *_standing_gates(case, recalled.decision, policy, n),
        _auction_gate(case, recalled.found.auction),
        *(_order_gate(gate, case) for gate in case.gates),
        *(_order_gate(gate, None, prefix="book_") for gate in recalled.found.verdict.book_gates),
    )


def _standing_gates(
    case: SymbolCase, cycle: CycleDecision, policy: Policy, n: int
) -> tuple[GateLine, ...]:
    # What stands before any price is asked: data, route, state, time, quote, forecast, vetoes.
    told, seen = cycle.told, cycle.quotes.observed_at[n]
    instant = np.datetime64(told.timestamp.replace(tzinfo=None), "us")
    age = None if np.isnat(seen) else float((instant - seen) / np.timedelta64(1, "s"))
    first = next(iter(case.eligibility_reasons), ReasonCode.DATA_VALID)
    no_route = ReasonCode.SIM_ONLY in case.eligibility_reasons
    least = policy.quality.invalid_below
    state, numbers = told.system, (case.mu, case.sigma, case.cvar)
    is_finite = bool(np.isfinite(numbers).all())
    pick = _pick
    return (
        _line("route", pick(case.has_route, ReasonCode.PROVIDER_SELECTED,
                            ReasonCode.SIM_ONLY if no_route else first)),
        _line("eligible", pick(case.is_eligible, ReasonCode.DATA_VALID, first),
              value=case.data_quality, limit=least, headroom=case.data_quality - least),
        _line("state", pick(state.allows_increase, ReasonCode.STATE_RUNNING,
                            state_code(state.name))),
        _line("snapshot", pick(not told.is_stale, _OPEN, ReasonCode.STALE_DATA)),
        _line("on_time", pick(not told.is_late, _OPEN, ReasonCode.LATE_CYCLE_HOLD)),
        _line("quote", pick(case.is_quote_valid, _OPEN, case.quote_reason), value=age,
              limit=policy.loop.quote_max_age_seconds),
        _line("forecast", pick(is_finite, ReasonCode.FORECAST_STATED,
                               ReasonCode.FORECAST_NOT_FINITE), value=_number(case.mu)),
        _line("veto", pick(not case.vetoes, ReasonCode.NO_VETO, next(iter(case.vetoes), _OPEN))),
    )  # fmt: skip


def _pick(passed: bool, yes: ReasonCode, no: ReasonCode) -> tuple[bool, ReasonCode]:  # noqa: FBT001  # a verdict and its two reasons
    return passed, (yes if passed else no)


def _line(name: str, verdict: tuple[bool, ReasonCode], **numbers: float | None) -> GateLine:
    passed, code = verdict
    blank: dict[str, float | None] = {"value": None, "limit": None, "headroom": None}
    return GateLine(name=name, passed=passed, reason_code=code.value, **{**blank, **numbers})


def _auction_gate(case: SymbolCase, auction: AuctionResult) -> GateLine:
    row = _lead(case, auction)
    if row is None:
        code = ReasonCode.AUCTION_NOT_PASSED
        return _line("auction", (False, code))
    worth, short = row["mu_hat"], row["priced_out_bps"] / _BPS
    price = worth + short
    passed = row["weight"] > 0.0
    # The penalties are factors: mu_hat grows in step with mu, and so does what is missing of it.
    kept = worth / case.mu if worth > 0.0 and case.mu > 0.0 else None
    has_price = not passed and short > 0.0 and kept is not None
    return GateLine(
        name="auction",
        passed=passed,
        value=worth,
        limit=None if passed else price,
        headroom=None if passed else worth - price,
        reason_code=row["reason_codes"][0],
        passing_mu=price / kept if has_price and kept is not None else None,
    )


def _lead(case: SymbolCase, auction: AuctionResult) -> dict[str, Any] | None:
    rows = auction.bids.to_dicts()
    mine = (case.symbol, case.strategy_id)
    return next((row for row in rows if (row["symbol"], row["strategy_id"]) == mine), None)


def _order_gate(gate: GateResult, case: SymbolCase | None, *, prefix: str = "") -> GateLine:
    size = case.passing_size if case is not None and not gate.passed else None
    return GateLine(
        name=prefix + gate.name,
        passed=gate.passed,
        value=gate.value,
        limit=gate.limit,
        headroom=gate.headroom,
        reason_code=gate.reason_codes[0].value,
        passing_size=size,
    )


def _inputs(recalled: RecalledCycle, case: SymbolCase, n: int, policy: Policy) -> dict[str, Any]:
    cycle, snapshot, meta = recalled.decision, recalled.snapshot, recalled.frame.meta
    numbers = {
        "mu": case.mu,
        "sigma": case.sigma,
        "cvar": case.cvar,
        "held_weight": case.held_weight,
        "target_weight": case.target_weight,
        "data_quality": case.data_quality,
        "model_confidence": case.model_confidence,
        "provider_confidence": snapshot.provider_confidence[n],
        "bid": cycle.quotes.bid[n],
        "ask": cycle.quotes.ask[n],
        "mark": cycle.valued.marks[n],
        "adv_usd": snapshot.adv_usd[n],
        "spread_bps": snapshot.spread_bps[n],
        "impact_bps": snapshot.impact_bps[n],
        "nav_usd": cycle.valued.nav_usd,
        "drawdown": cycle.valued.drawdown,
        "hurdle": policy.auction.hurdle,
        "lambda_star": cycle.auction.lambda_star,
        "p_hit_crisis_5d": snapshot.regime.state.p_hit_crisis_5d,
        "gross_multiplier": snapshot.regime.gross_multiplier,
    }
    told = ("inputs_hash", "config_hash", "code_hash", "snapshot_id", "state", "timestamp")
    return {
        **{name: _number(value) for name, value in numbers.items()},
        "asset_class": snapshot.asset_class[n].value,
        "sector": snapshot.sector[n],
        "status": snapshot.status[n].value,
        "history_days": int(snapshot.history_days[n]),
        "strategy_id": case.strategy_id,
        "strategy_stage": None if case.strategy_stage is None else case.strategy_stage.value,
        **{name: meta[name] for name in told},
        "prices": _prices(cycle),
    }


def _prices(cycle: CycleDecision) -> list[dict[str, Any]]:
    # The caps that cost something in this auction: what one more unit of each would be worth.
    return [
        {"reason_code": p.code.value, "key": p.key, "price": p.price, "slack": p.slack}
        for p in cycle.auction.prices
    ]


def _number(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
