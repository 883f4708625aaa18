"""Books, fills and strategies that the veto tests share; no test here."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.governance.veto import (
    FillSample,
    LimitReading,
)
from instgov_dagster.vocabulary.governance import VetoFinding, VetoPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

POLICY = VetoPolicy()
Vector = NDArray[np.float64]


def by_rule(findings: tuple[VetoFinding, ...]) -> dict[str, VetoFinding]:
    return {finding.trigger.partition(".")[2]: finding for finding in findings}


def explained_book(n: int = 300) -> tuple[Vector, Vector, Vector]:
    explained = np.random.default_rng(20240304).normal(0, 0.005, n)
    costs = np.full(n, 1e-5)
    return explained - costs, explained, costs


def fills(n: int = 40, **changes: Any) -> FillSample:
    rng = np.random.default_rng(7)
    mid = np.full(n, 100.0)
    side = np.where(np.arange(n) % 2, 1.0, -1.0)
    modelled = rng.uniform(2.0, 12.0, n)
    base: dict[str, Any] = {
        "side": side,
        "price": mid + side * modelled / 10_000 * mid,
        "mid": mid,
        "low": mid - 1.0,
        "high": mid + 1.0,
        "half_spread": np.full(n, 0.01),
        "cost_bps": rng.normal(0.0, 3.0, n).clip(-1.5),
        "modelled_bps": modelled,
    }
    return FillSample(**{**base, **changes})


def strategies(common: float, n: int = 4, sessions: int = 63, drift: float = 0.01) -> Vector:
    rng = np.random.default_rng(3)
    shared = rng.normal(0, 0.01, (sessions, 1))
    own = rng.normal(0, 0.01, (sessions, n))
    returns = common * shared + (1 - common) * own
    return returns - returns.mean(axis=0) + drift


def limits(value: float) -> list[LimitReading]:
    ceilings = (ReasonCode.VETO_CVAR, ReasonCode.VETO_LEVERAGE, ReasonCode.VETO_DRAWDOWN)
    floors = (ReasonCode.VETO_MODEL_DECAY, ReasonCode.VETO_HISTORY, ReasonCode.VETO_QUALITY)
    return [
        LimitReading(
            trigger=code.lower(),
            reason_code=code,
            statistic=value,
            threshold=0.5,
            n=1,
            is_floor=code in floors,
        )
        for code in (*ceilings, *floors)
    ]
