"""What every veto rule shares: limits, and firing on what cannot be measured."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.vocabulary.governance import VetoFinding
from instgov_dagster.vocabulary.reasons import ReasonCode

Vector = NDArray[np.float64]


def fire_unmeasured(trigger: str, threshold: float, n: int, code: ReasonCode) -> VetoFinding:
    """Fire because an input was not finite."""
    return VetoFinding(
        trigger=trigger,
        fired=True,
        statistic=math.inf,
        threshold=threshold,
        n=n,
        reason_code=code,
    )


def are_finite(*arrays: Vector) -> bool:
    """Tell whether every number of every array is finite."""
    return bool(np.isfinite(np.concatenate([array.ravel() for array in arrays])).all())


def require_lengths(**arrays: NDArray[Any]) -> None:
    """Refuse vectors that differ in length."""
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"the inputs must share one length, was {shapes}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitReading:
    """A limit that vetoes when it is crossed: CVaR, leverage, drawdown, decay, history, quality.

    Attributes
    ----------
    is_floor
        Crossed from above: decay, history and quality fire below their threshold.
    """

    trigger: str
    reason_code: ReasonCode
    statistic: float
    threshold: float
    n: int
    is_floor: bool = False


def veto_limits(readings: Iterable[LimitReading]) -> tuple[VetoFinding, ...]:
    """Judge readings against their limits; one that is not finite fires."""
    findings = []
    for reading in readings:
        value, limit = reading.statistic, reading.threshold
        if not (math.isfinite(value) and math.isfinite(limit)):
            shown = limit if math.isfinite(limit) else math.inf
            findings.append(fire_unmeasured(reading.trigger, shown, reading.n, reading.reason_code))
            continue
        findings.append(
            VetoFinding(
                trigger=reading.trigger,
                fired=value < limit if reading.is_floor else value > limit,
                statistic=value,
                threshold=limit,
                n=reading.n,
                reason_code=reading.reason_code,
            )
        )
    return tuple(findings)
