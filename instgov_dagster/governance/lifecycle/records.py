"""What a strategy brings to its nightly evaluation, and the numbers drawn from it."""

import math
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.governance.lifecycle.metrics import (
    Vector,
    deflated_sharpe,
    drawdown_path,
    expected_best_sharpe,
    minimum_track_record,
    positive_blocks,
    probabilistic_sharpe,
    profit_factor,
    return_per_cvar,
    sharpe_ratio,
    trials_deviation,
    unit_returns,
)
from instgov_dagster.vocabulary.governance import LifecyclePolicy, Veto
from instgov_dagster.vocabulary.reasons import ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRecord:
    """What one strategy did, session by session, on the calendar given beside it.

    Attributes
    ----------
    pnl
        Shape ``(n_sessions,)``: net of costs, fractions of NAV.
    gross
        The same shape: capital at work, fractions of NAV.
    volatility_annual
        The same shape: ex-ante, of the deployed book per unit of gross; read where deployed.
    is_model_healthy
        The strategy's model passed its validation.
    error_rate
        Share of the strategy's orders and forecasts that ended in an error.
    signal_stale_hours
        Age of the newest forecast.
    e_value
        Of the CVaR coverage test of the strategy's forecasts.
    vetoes
        Every veto raised on the strategy; correlated wins do not count against it.
    """

    strategy_id: str
    pnl: Vector
    gross: Vector
    volatility_annual: Vector
    is_model_healthy: bool
    error_rate: float
    signal_stale_hours: float
    e_value: float
    vetoes: tuple[Veto, ...] = ()

    def __post_init__(self) -> None:
        if not self.strategy_id:
            raise ValueError("StrategyRecord.strategy_id must not be empty")
        if not self.pnl.shape == self.gross.shape == self.volatility_annual.shape:
            raise ValueError(f"the record of {self.strategy_id} must have arrays of one length")

    def is_measurable(self, least_gross: float) -> bool:
        """Tell whether every number that will be read is finite and possible."""
        scalars = (self.error_rate, self.signal_stale_hours, self.e_value)
        if not all(math.isfinite(value) and value >= 0 for value in scalars):
            return False
        is_deployed = ~(self.gross < least_gross)
        volatility = self.volatility_annual[is_deployed]
        arrays = (self.pnl, self.gross, volatility)
        is_finite = all(bool(np.isfinite(array).all()) for array in arrays)
        return is_finite and bool((volatility > 0).all()) and self.error_rate <= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The numbers of one strategy since its start, as of tonight.

    Attributes
    ----------
    sessions, deployed
        Sessions since the start, and how many of them had capital at work.
    psr_min_sessions, dsr_min_sessions
        The minimum track record: deployed sessions after which these very moments would carry the
        figure over the promotion's threshold; None where none would.
    first_breach_ago
        Sessions since the drawdown first passed the limit that ends a strategy; None if never.
    vetoes
        Raised within the window that counts, correlated wins aside.
    """

    sessions: int
    deployed: int
    total_return: float
    sharpe_rolling: float | None
    max_drawdown: float
    profit_factor: float | None
    last_profit_date: date | None
    psr: float | None
    psr_min_sessions: float | None
    dsr: float | None
    dsr_min_sessions: float | None
    positive_blocks: int
    return_per_cvar: float
    trailing_pnl: float
    first_breach_ago: int | None
    vetoes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """What was tried beside a strategy: how often, and the ratios of those that were measured.

    Attributes
    ----------
    count
        Every variant ever tried, the ledger's count.
    ratios
        Per-session Sharpe ratios of the strategies measured.
    """

    count: int
    ratios: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.count < 0 or not all(map(math.isfinite, self.ratios)):
            raise ValueError(f"trials must be counted and measured, was {self}")


def returns_of(
    record: StrategyRecord,
    dates: NDArray[np.datetime64],
    *,
    start: date,
    policy: LifecyclePolicy,
) -> tuple[Vector, NDArray[np.bool_]]:
    """Give a strategy's `unit_returns` since its start.

    Raises
    ------
    ValueError
        If the record and the calendar differ in length, or the record is not measurable.
    """
    if dates.shape != record.pnl.shape:
        raise ValueError(f"{record.strategy_id}: {record.pnl.size} sessions of {dates.size} dates")
    since = dates >= np.datetime64(start, "D")
    return unit_returns(
        record.pnl[since],
        record.gross[since],
        record.volatility_annual[since],
        target=policy.target_volatility_annual,
        least_gross=policy.least_gross,
    )


def measure_strategy(
    record: StrategyRecord,
    dates: NDArray[np.datetime64],
    *,
    start: date,
    trials: Trials,
    policy: LifecyclePolicy,
) -> Measured:
    """Measure a strategy on its sessions since ``start``.

    Parameters
    ----------
    dates
        Shape ``(n_sessions,)``, ascending: the calendar of the record's arrays.
    trials
        What the deflated ratio is held against.

    Raises
    ------
    ValueError
        If the lengths differ, or the record is not measurable.
    """
    returns, is_deployed = returns_of(record, dates, start=start, policy=policy)
    since = dates >= np.datetime64(start, "D")
    pnl, days = record.pnl[since], dates[since]
    spread = trials_deviation(np.array(trials.ratios), returns.size)
    best = expected_best_sharpe(trials.count, spread)
    falls = drawdown_path(returns)
    breaches = np.flatnonzero(is_deployed)[falls > policy.decommission.drawdown]
    rolling = sharpe_ratio(returns[-policy.proof_sessions :])
    gains = np.flatnonzero(pnl > 0)
    promotion = policy.promotion
    return Measured(
        sessions=int(pnl.size),
        deployed=int(returns.size),
        total_return=float(np.prod(1.0 + returns)) - 1.0,
        sharpe_rolling=None if rolling is None else rolling * math.sqrt(policy.sessions_per_year),
        max_drawdown=float(falls.max()) if falls.size else 0.0,
        profit_factor=profit_factor(returns),
        last_profit_date=days[gains[-1]].item() if gains.size else None,
        psr=probabilistic_sharpe(returns),
        psr_min_sessions=minimum_track_record(returns, confidence=promotion.scaling_psr),
        dsr=deflated_sharpe(returns, trials.count, spread),
        dsr_min_sessions=minimum_track_record(
            returns, confidence=promotion.harvesting_dsr, benchmark=best
        )
        if trials.count
        else None,
        positive_blocks=positive_blocks(
            returns, blocks=promotion.scaling_blocks, length=policy.look_sessions
        ),
        return_per_cvar=return_per_cvar(
            returns, horizon=policy.horizon_sessions, confidence_level=policy.confidence_level
        ),
        trailing_pnl=float(pnl[-policy.proof_sessions :].sum()),
        first_breach_ago=int(pnl.size - 1 - breaches[0]) if breaches.size else None,
        vetoes=_count_vetoes(record, days, policy),
    )


def _count_vetoes(
    record: StrategyRecord, days: NDArray[np.datetime64], policy: LifecyclePolicy
) -> int:
    window = days[-policy.decommission.veto_sessions :]
    if not window.size:
        return 0
    return sum(
        1
        for veto in record.vetoes
        if veto.reason_code is not ReasonCode.VETO_CORRELATED_WINS
        and np.datetime64(veto.raised_on, "D") >= window[0]
    )
