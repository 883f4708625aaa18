"""What a cycle finds by itself: the vetoes of the book as it stands, and how the market trades."""

import numpy as np

from instgov_dagster.capital.book import BookRisk
from instgov_dagster.governance.veto import LimitReading, raise_vetoes, veto_limits
from instgov_dagster.loop.decision.bidding import ValuedBook
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.vocabulary.capital import ExecutionRegime
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.governance import Veto
from instgov_dagster.vocabulary.reasons import ReasonCode

_ROUNDING = 1e-9  # sums of weights round; at the limit is within it


def book_vetoes(snapshot: Snapshot, valued: ValuedBook, config: Policy) -> tuple[Veto, ...]:
    """Veto every increase while the book is over its leverage or below its drawdown limit.

    They stand for this cycle: the next one reads the book again.
    """
    gross = float(np.abs(valued.net).sum())
    return _raised(
        snapshot,
        LimitReading(
            trigger="leverage",
            reason_code=ReasonCode.VETO_LEVERAGE,
            statistic=gross,
            threshold=config.limits.leverage + _ROUNDING,
            n=int(np.count_nonzero(valued.net)),
        ),
        LimitReading(
            trigger="drawdown",
            reason_code=ReasonCode.VETO_DRAWDOWN,
            statistic=valued.drawdown,
            threshold=config.limits.drawdown,
            n=1,
        ),
    )


def tail_vetoes(snapshot: Snapshot, risk: BookRisk, config: Policy) -> tuple[Veto, ...]:
    """Veto every increase while the book, before anything is traded, is in breach of its CVaR.

    Parameters
    ----------
    risk
        Of the book held.
    """
    return _raised(
        snapshot,
        LimitReading(
            trigger="cvar",
            reason_code=ReasonCode.VETO_CVAR,
            statistic=risk.gate,
            threshold=config.cvar.portfolio_limit,
            n=risk.n_scenarios,
        ),
    )


def execution_regime(snapshot: Snapshot) -> ExecutionRegime:
    """Name how the market is traded: the likeliest regime, ties to the worse (SPEC 6)."""
    belief = snapshot.regime.state
    chances = (
        (belief.current_belief_crisis, ExecutionRegime.CRISIS),
        (belief.current_belief_volatile, ExecutionRegime.VOLATILE),
        (belief.current_belief_normal, ExecutionRegime.CALM),
    )
    return max(chances, key=lambda pair: pair[0])[1]  # max keeps the first of equals: the worse


def _raised(snapshot: Snapshot, *readings: LimitReading) -> tuple[Veto, ...]:
    return raise_vetoes(veto_limits(readings), asof=snapshot.asof)


def all_vetoes(
    standing: tuple[Veto, ...],
    snapshot: Snapshot,
    valued: ValuedBook,
    risk_before: BookRisk,
    config: Policy,
) -> tuple[Veto, ...]:
    """Give every veto a cycle's decisions are made under: those that stand, and those found now."""
    return (
        *standing,
        *book_vetoes(snapshot, valued, config),
        *tail_vetoes(snapshot, risk_before, config),
    )
