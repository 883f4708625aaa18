"""The veto on unexplained profits: what positions, returns and costs do not account for."""

import math

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.governance.veto.findings import are_finite, fire_unmeasured, require_lengths
from instgov_dagster.vocabulary.governance import VetoFinding, VetoPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

_BPS = 10_000.0
_MAD_TO_SIGMA = 1.4826  # of a normal law: 1 / Phi^-1(3/4)

Vector = NDArray[np.float64]


def veto_unexplained_profits(
    realised: Vector, explained: Vector, costs: Vector, policy: VetoPolicy
) -> tuple[VetoFinding, ...]:
    """Judge the profit that positions, returns and costs do not explain (roadmap 9.2).

    u = realised - explained + costs. *Level*: the last |u| beyond the larger of the floor and the
    multiple of the robust deviation of u over the sessions before it; needs all of those sessions.
    *Rank*: Spearman's correlation of realised with explained less costs too low; counts only
    sessions on which either is not zero, and needs a full window of them.

    Parameters
    ----------
    realised
        Shape ``(n_sessions,)``: booked profit and loss, fractions of NAV, oldest first.
    explained
        The same shape: sum of weights held times returns.
    costs
        The same shape: modelled costs, positive.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    The rank test and its red line are the profit and loss attribution of the Basel trading book
    rules (MAR32).
    """
    require_lengths(realised=realised, explained=explained, costs=costs)
    code = ReasonCode.VETO_UNEXPLAINED_PROFITS
    n = int(realised.size)
    if not are_finite(realised, explained, costs):
        return tuple(
            fire_unmeasured(f"unexplained_profits.{rule}", threshold, n, code)
            for rule, threshold in (
                ("level", policy.unexplained_floor_bps / _BPS),
                ("rank", policy.rank_correlation_min),
            )
        )
    net = explained - costs
    return (
        _judge_level(realised - net, policy, code),
        _judge_rank(realised, net, policy, code),
    )


def _judge_level(residual: Vector, policy: VetoPolicy, code: ReasonCode) -> VetoFinding:
    before = residual[:-1][-policy.unexplained_sessions :]
    floor = policy.unexplained_floor_bps / _BPS
    sigma = 0.0
    if before.size:
        sigma = _MAD_TO_SIGMA * float(np.median(np.abs(before - np.median(before))))
    threshold = max(floor, policy.unexplained_mad_multiple * sigma)
    statistic = abs(float(residual[-1])) if residual.size else 0.0
    is_enough = before.size >= policy.unexplained_sessions
    return VetoFinding(
        trigger="unexplained_profits.level",
        fired=is_enough and statistic > threshold,
        statistic=statistic,
        threshold=threshold,
        n=int(before.size),
        reason_code=code,
    )


def _judge_rank(realised: Vector, net: Vector, policy: VetoPolicy, code: ReasonCode) -> VetoFinding:
    is_active = (realised != 0) | (net != 0)
    window = slice(-policy.rank_sessions, None)
    booked, expected = realised[is_active][window], net[is_active][window]
    correlation = _rank_correlation(booked, expected)
    return VetoFinding(
        trigger="unexplained_profits.rank",
        fired=booked.size >= policy.rank_sessions and correlation < policy.rank_correlation_min,
        statistic=correlation,
        threshold=policy.rank_correlation_min,
        n=int(booked.size),
        reason_code=code,
    )


def _rank_correlation(first: Vector, second: Vector) -> float:
    # One constant series against a moving one explains nothing; two constant ones agree.
    if first.size < 2:
        return 0.0
    a = _ranks(first) - (first.size + 1) / 2
    b = _ranks(second) - (second.size + 1) / 2
    scale = math.sqrt(float(a @ a) * float(b @ b))
    if scale == 0.0:
        return 1.0 if float(a @ a) == float(b @ b) else 0.0
    return float(a @ b) / scale


def _ranks(values: Vector) -> Vector:
    # From 1; what is equal shares the mean of its ranks.
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, side="left")
    ranks: Vector = (below + np.searchsorted(ordered, values, side="right") + 1) / 2
    return ranks
