"""The nightly evaluation of all strategies: proof, decay of capital, looks, mass drawdown."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.governance.lifecycle.metrics import sharpe_ratio
from instgov_dagster.governance.lifecycle.records import (
    Measured,
    StrategyRecord,
    Trials,
    measure_strategy,
    returns_of,
)
from instgov_dagster.governance.lifecycle.transitions import Transition, judge_stage
from instgov_dagster.governance.state import cause_of
from instgov_dagster.vocabulary.governance import (
    Cause,
    LifecyclePolicy,
    StrategyLifecycle,
    StrategyLifecycleState,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

_Row = TypeVar("_Row")
_STAGE_CODES = {
    StrategyLifecycle.INCUBATING: ReasonCode.STRATEGY_INCUBATING,
    StrategyLifecycle.SCALING: ReasonCode.STRATEGY_SCALING,
    StrategyLifecycle.HARVESTING: ReasonCode.STRATEGY_HARVESTING,
    StrategyLifecycle.DECOMMISSIONED: ReasonCode.STRATEGY_DECOMMISSIONED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleReport:
    """Where every strategy stands tonight, and what that holds against trading."""

    states: tuple[StrategyLifecycleState, ...]
    causes: tuple[Cause, ...]


def capital_decay(sessions_since_proof: int, policy: LifecyclePolicy) -> float:
    """Give the share of its cap a strategy keeps so many sessions after its last proof (0.8)."""
    if sessions_since_proof < 0:
        raise ValueError(f"sessions_since_proof must be >= 0, was {sessions_since_proof}")
    return math.exp2(-sessions_since_proof / policy.half_life_sessions)


def fresh_state(strategy_id: str, asof: date, policy: LifecyclePolicy) -> StrategyLifecycleState:
    """Start a strategy: INCUBATING from ``asof``, nothing earned, nothing decayed."""
    return StrategyLifecycleState(
        strategy_id=strategy_id,
        stage=StrategyLifecycle.INCUBATING,
        max_capital_pct=policy.stage_caps.of(StrategyLifecycle.INCUBATING),
        total_return=0.0,
        sharpe_rolling=None,
        max_drawdown=0.0,
        profit_factor=None,
        signal_stale_hours=0.0,
        error_rate=0.0,
        last_profit_date=None,
        decay_rate=math.log(2.0) / policy.half_life_sessions,
        start_date=asof,
        capital_decay=1.0,
        sessions_since_proof=0,
        sessions=0,
        deployed_sessions=0,
        looked_at_session=0,
        psr=None,
        psr_min_sessions=None,
        dsr=None,
        dsr_min_sessions=None,
        reason_codes=(ReasonCode.STRATEGY_INCUBATING,),
    )


def is_proof(measured: Measured, *, is_model_healthy: bool, policy: LifecyclePolicy) -> bool:
    """Tell whether tonight proves the strategy (SPEC 8).

    A proof is a night on which the trailing net result is at least zero and the model is healthy,
    or any of the strategy's first sessions. Winning an auction is none.
    """
    if measured.sessions <= policy.grace_sessions:
        return True
    return is_model_healthy and measured.trailing_pnl >= 0.0


@dataclass(frozen=True, slots=True)
class _Night:
    # One strategy tonight: where it stood, what it brought, what was measured of it.
    before: StrategyLifecycleState
    record: StrategyRecord | None
    measured: Measured | None  # None: not measurable tonight, which proves nothing
    sessions: int

    @property
    def elapsed(self) -> int:
        return max(self.sessions - self.before.sessions, 0)


def _measure(
    before: StrategyLifecycleState,
    record: StrategyRecord | None,
    dates: NDArray[np.datetime64],
    trials: Trials,
    policy: LifecyclePolicy,
) -> _Night:
    sessions = int((dates >= np.datetime64(before.start_date, "D")).sum())
    # Broken numbers earn no proof and no promotion; RISK_NOT_FINITE says so in the row.
    if record is None or not record.is_measurable(policy.least_gross):
        return _Night(before, record, None, sessions)
    measured = measure_strategy(
        record, dates, start=before.start_date, trials=trials, policy=policy
    )
    return _Night(before, record, measured, sessions)


def _ratios(
    known: Mapping[str, StrategyLifecycleState],
    records: Iterable[StrategyRecord],
    dates: NDArray[np.datetime64],
    asof: date,
    policy: LifecyclePolicy,
) -> tuple[float, ...]:
    # The Sharpe ratio of every strategy that has one: how far apart trials come out.
    found = []
    for record in records:
        if not record.is_measurable(policy.least_gross):
            continue
        start = known[record.strategy_id].start_date if record.strategy_id in known else asof
        returns, _ = returns_of(record, dates, start=start, policy=policy)
        found.append(sharpe_ratio(returns))
    return tuple(ratio for ratio in found if ratio is not None)


def _decayed(night: _Night, since_proof: int, policy: LifecyclePolicy) -> StrategyLifecycleState:
    share = capital_decay(since_proof, policy)
    codes = [_STAGE_CODES[night.before.stage]]
    if since_proof:
        codes.append(ReasonCode.STRATEGY_CAPITAL_DECAYED)
    if night.measured is None:
        codes.append(ReasonCode.RISK_NOT_FINITE)
    return replace(
        night.before,
        capital_decay=share,
        sessions_since_proof=since_proof,
        sessions=night.sessions,
        reason_codes=tuple(codes),
    )


@dataclass(frozen=True, slots=True)
class _MassDrawdown:
    # Whether strategies broke down together, and the cause on the night that is new.
    is_found: bool
    names: frozenset[str]
    causes: tuple[Cause, ...]


def _settle(
    night: _Night, mass: _MassDrawdown, *, hurdle: float, policy: LifecyclePolicy
) -> StrategyLifecycleState:
    before, record, measured = night.before, night.record, night.measured
    review = (ReasonCode.MASS_DRAWDOWN_REVIEW,) if before.strategy_id in mass.names else ()
    if before.stage is StrategyLifecycle.DECOMMISSIONED:
        codes = (ReasonCode.STRATEGY_DECOMMISSIONED, *review)
        return replace(before, sessions=night.sessions, reason_codes=codes)
    if measured is None or record is None:
        return _decayed(night, before.sessions_since_proof + night.elapsed, policy)
    is_proven = is_proof(measured, is_model_healthy=record.is_model_healthy, policy=policy)
    since_proof = 0 if is_proven else before.sessions_since_proof + night.elapsed
    share = capital_decay(since_proof, policy)
    looks = night.sessions // policy.look_sessions
    is_look = looks > before.looked_at_session // policy.look_sessions
    moved = Transition(stage=before.stage, reason_codes=())
    if is_look:
        moved = judge_stage(
            before.stage,
            measured,
            record,
            capital_decay=share,
            is_mass_drawdown=mass.is_found,
            hurdle=hurdle,
            policy=policy,
        )
    stage = moved.stage
    decay = (ReasonCode.STRATEGY_CAPITAL_DECAYED,) if since_proof else ()
    return replace(
        before,
        stage=stage,
        max_capital_pct=policy.stage_caps.of(stage),
        total_return=measured.total_return,
        sharpe_rolling=measured.sharpe_rolling,
        max_drawdown=measured.max_drawdown,
        profit_factor=measured.profit_factor,
        signal_stale_hours=record.signal_stale_hours,
        error_rate=record.error_rate,
        last_profit_date=measured.last_profit_date,
        decay_rate=math.log(2.0) / policy.half_life_sessions,
        capital_decay=share,
        sessions_since_proof=since_proof,
        sessions=night.sessions,
        deployed_sessions=measured.deployed,
        looked_at_session=night.sessions if is_look else before.looked_at_session,
        psr=measured.psr,
        psr_min_sessions=measured.psr_min_sessions,
        dsr=measured.dsr,
        dsr_min_sessions=measured.dsr_min_sessions,
        reason_codes=tuple(
            dict.fromkeys((_STAGE_CODES[stage], *moved.reason_codes, *review, *decay))
        ),
    )


def _breach_ago(night: _Night) -> int | None:
    return None if night.measured is None else night.measured.first_breach_ago


def _find_mass_drawdown(nights: list[_Night], policy: LifecyclePolicy) -> _MassDrawdown:
    # Whoever broke down inside the window counts, also one that was ended in it.
    rules = policy.decommission
    recent = [
        night
        for night in nights
        if (ago := _breach_ago(night)) is not None and ago < rules.mass_sessions
    ]
    ended = StrategyLifecycle.DECOMMISSIONED
    active = [night for night in nights if night.before.stage is not ended]
    considered = len({night.before.strategy_id for night in (*active, *recent)})
    is_found = bool(recent) and len(recent) >= rules.mass_share * considered
    # The halt latches; it is raised on the night a breakdown is new, not on each night after it.
    is_new = any((_breach_ago(night) or 0) < max(night.elapsed, 1) for night in recent)
    if not (is_found and is_new):
        return _MassDrawdown(is_found=is_found, names=frozenset(), causes=())
    names = frozenset(night.before.strategy_id for night in recent)
    detail = (
        f"{len(recent)} of {considered} strategies fell more than {rules.drawdown:.0%}: "
        + ", ".join(sorted(names))
    )
    cause = cause_of(ReasonCode.MASS_DRAWDOWN_REVIEW, detail)
    return _MassDrawdown(is_found=True, names=names, causes=(cause,))


def _require_calendar(dates: NDArray[np.datetime64], asof: date) -> None:
    is_rising = bool((np.diff(dates) > np.timedelta64(0, "D")).all())
    if dates.size and not (is_rising and dates[-1] < np.datetime64(asof, "D")):
        raise ValueError(f"sessions must ascend and end before {asof}, ended {dates[-1]}")


def _by_name(rows: Iterable[_Row], name_of: Callable[[_Row], str]) -> dict[str, _Row]:
    named: dict[str, _Row] = {}
    for row in rows:
        if name_of(row) in named:
            raise ValueError(f"a strategy must occur once, was twice: {name_of(row)}")
        named[name_of(row)] = row
    return named


def evaluate_lifecycle(
    previous: Iterable[StrategyLifecycleState],
    records: Iterable[StrategyRecord],
    *,
    asof: date,
    sessions: NDArray[np.datetime64],
    n_trials: int,
    hurdle: float,
    policy: LifecyclePolicy,
) -> LifecycleReport:
    """Evaluate every strategy for the night of ``asof`` (roadmap 10.3, 10.4, SPEC 8).

    Parameters
    ----------
    previous
        The states of the last night before ``asof``; a strategy without one starts INCUBATING.
    records
        What the strategies did until yesterday; a strategy without one proves nothing tonight.
    sessions
        Shape ``(n_sessions,)``, ascending dates: the calendar of the records; all before ``asof``.
    n_trials
        Every variant ever tried, the ledger's count: the deflated Sharpe ratio stands on it.
    hurdle
        Lambda of the auction: the return per unit of CVaR that capital must earn.

    Returns
    -------
    One state a strategy, sorted by name, and the causes: MASS_DRAWDOWN_REVIEW where half or more
    of the strategies broke down together, and then none is decommissioned. The same code stands
    in the rows of those that broke down, on the night the breakdown is new.

    Raises
    ------
    ValueError
        If a strategy occurs twice, the sessions do not ascend or one is not before ``asof``.
    """
    dates = sessions.astype("datetime64[D]")
    _require_calendar(dates, asof)
    known = _by_name(previous, lambda state: state.strategy_id)
    brought = _by_name(records, lambda record: record.strategy_id)
    ratios = _ratios(known, brought.values(), dates, asof, policy)
    trials = Trials(count=n_trials, ratios=ratios)
    nights = [
        _measure(
            known.get(name) or fresh_state(name, asof, policy),
            brought.get(name),
            dates,
            trials,
            policy,
        )
        for name in sorted({*known, *brought})
    ]
    mass = _find_mass_drawdown(nights, policy)
    states = tuple(_settle(night, mass, hurdle=hurdle, policy=policy) for night in nights)
    return LifecycleReport(states=states, causes=mass.causes)
