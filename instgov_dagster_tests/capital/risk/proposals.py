"""Proposals to judge, and what is read from a verdict."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.risk import BookProposal, BookVerdict, judge_book
from instgov_dagster.vocabulary.capital import ExecutionRegime
from instgov_dagster.vocabulary.policy.capital import CVaRConfig, RiskLimits
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.worlds import names, scenarios_of, small_config

LIMITS = RiskLimits()


def proposal(
    before: list[float] | NDArray[np.float64],
    after: list[float] | NDArray[np.float64],
    **fields: Any,
) -> BookProposal:
    n = len(before)
    defaults: dict[str, Any] = {
        "symbols": names(n),
        "before": np.array(before, dtype=float),
        "after": np.array(after, dtype=float),
        "net_gain": np.full(n, 0.01),
        "correlations": np.zeros(n),
        "sectors": ("UNKNOWN",) * n,
        "is_forced": np.zeros(n, dtype=bool),
        "drawdown": 0.0,
        "hurdle": 0.02,
        "regime": ExecutionRegime.CALM,
    }
    return BookProposal(**{**defaults, **fields})


def judge(
    made: BookProposal, returns: NDArray[np.float64], config: CVaRConfig | None = None
) -> BookVerdict:
    config = config or small_config()
    return judge_book(made, scenarios_of(returns, config), config=config, limits=LIMITS)


def reasons(verdict: BookVerdict, symbol: str) -> tuple[ReasonCode, ...]:
    order = verdict.order(symbol)
    assert order is not None
    return order.reason_codes
