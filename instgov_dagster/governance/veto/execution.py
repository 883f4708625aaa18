"""The veto on too-perfect execution: fills better than the market allows."""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.governance.veto.findings import are_finite, fire_unmeasured, require_lengths
from instgov_dagster.vocabulary.governance import VetoFinding, VetoPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

_BPS = 10_000.0
_CODE = ReasonCode.VETO_TOO_PERFECT_EXECUTION

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FillSample:
    """Aggressive fills as columns, each of shape ``(n_fills,)``.

    Attributes
    ----------
    side
        1 for a purchase, -1 for a sale.
    price
        Before modelled costs.
    mid
        The mid when the order was sent.
    low, high
        Of the session's bar.
    half_spread
        In units of price.
    cost_bps
        Modelled costs charged on top of the price; 0 where the price is a broker's own.
    modelled_bps
        The slippage the impact model expected.
    """

    side: Vector
    price: Vector
    mid: Vector
    low: Vector
    high: Vector
    half_spread: Vector
    cost_bps: Vector
    modelled_bps: Vector

    def __post_init__(self) -> None:
        require_lengths(**{field.name: getattr(self, field.name) for field in fields(self)})
        if not bool((np.abs(self.side) == 1.0).all()):
            raise ValueError(f"FillSample.side must be 1 or -1, was {self.side}")

    @property
    def is_finite(self) -> bool:
        """Whether every number is finite and every mid above zero or below it."""
        arrays = [getattr(self, field.name) for field in fields(self)]
        return are_finite(*arrays) and bool((self.mid != 0).all())

    @property
    def slippage_bps(self) -> Vector:
        """Cost against the mid, costs included; negative is better than the mid."""
        return self.side * (self.price - self.mid) / np.abs(self.mid) * _BPS + self.cost_bps


def veto_too_perfect_execution(
    fills: FillSample, policy: VetoPolicy
) -> tuple[VetoFinding, VetoFinding, VetoFinding]:
    """Judge whether aggressive fills are better than the market allows (roadmap 9.2).

    *Bar*: fills outside their bar by more than half the spread; impossible, so the first one
    fires. *Better than mid*: their share, with the binomial chance of so many at one half.
    *Slippage deviation*: less spread than a small part of the model's own over the same fills.
    """
    n = int(fills.price.size)
    names = ("bar", "better_than_mid", "slippage_deviation")
    if not fills.is_finite:
        limits = (0.0, policy.better_than_mid_share, policy.slippage_deviation_ratio)
        bar, mid, deviation = (
            fire_unmeasured(f"too_perfect_execution.{name}", limit, n, _CODE)
            for name, limit in zip(names, limits, strict=True)
        )
        return bar, mid, deviation
    slippage = fills.slippage_bps
    return (
        _judge_bar(fills, n, policy),
        _judge_mid(slippage, n, policy),
        _judge_deviation(slippage, fills.modelled_bps, n, policy),
    )


def _judge_bar(fills: FillSample, n: int, policy: VetoPolicy) -> VetoFinding:
    low, high = fills.low - fills.half_spread, fills.high + fills.half_spread
    outside = int(((fills.price < low) | (fills.price > high)).sum())
    return VetoFinding(
        trigger="too_perfect_execution.bar",
        fired=n >= policy.bar_test_min_fills and outside > 0,
        statistic=float(outside),
        threshold=0.0,
        n=n,
        reason_code=_CODE,
    )


def _judge_mid(slippage: Vector, n: int, policy: VetoPolicy) -> VetoFinding:
    better = int((slippage < 0).sum())
    share = better / n if n else 0.0
    is_unlikely = chance_of_heads(better, n) < policy.better_than_mid_p_value
    is_share = share >= policy.better_than_mid_share
    return VetoFinding(
        trigger="too_perfect_execution.better_than_mid",
        fired=n >= policy.execution_min_fills and is_share and is_unlikely,
        statistic=share,
        threshold=policy.better_than_mid_share,
        n=n,
        reason_code=_CODE,
    )


def _judge_deviation(slippage: Vector, modelled: Vector, n: int, policy: VetoPolicy) -> VetoFinding:
    seen = float(slippage.std(ddof=1)) if n > 1 else 0.0
    threshold = policy.slippage_deviation_ratio * float(modelled.std(ddof=1)) if n > 1 else 0.0
    return VetoFinding(
        trigger="too_perfect_execution.slippage_deviation",
        fired=n >= policy.execution_min_fills and seen < threshold,
        statistic=seen,
        threshold=threshold,
        n=n,
        reason_code=_CODE,
    )


def chance_of_heads(heads: int, n: int) -> float:
    """Give the chance of at least ``heads`` heads in ``n`` tosses of a fair coin."""
    from scipy.special import bdtrc  # scipy is slow to import

    return 1.0 if heads <= 0 else float(bdtrc(heads - 1, n, 0.5))


def veto_passive_fills(
    is_filled: NDArray[np.bool_], markout_bps: Vector, policy: VetoPolicy
) -> VetoFinding:
    """Judge whether passive orders are filled too often at no cost (roadmap 9.2).

    A passive order is filled when the market comes to it and moves on: nearly every order filled
    with a markout of at least zero is what a simulator does, not a market.

    Parameters
    ----------
    is_filled
        Shape ``(n_orders,)``.
    markout_bps
        Shape ``(n_orders,)``: what a fill is worth ``markout_minutes`` later, a gain positive;
        read where filled.
    """
    require_lengths(is_filled=is_filled, markout_bps=markout_bps)
    trigger = "too_perfect_execution.passive"
    n = int(is_filled.size)
    markouts = markout_bps[is_filled]
    if not are_finite(markouts):
        return fire_unmeasured(trigger, policy.passive_fill_rate, n, _CODE)
    rate = markouts.size / n if n else 0.0
    mean = float(markouts.mean()) if markouts.size else -math.inf
    is_free = rate >= policy.passive_fill_rate and mean >= policy.passive_markout_bps
    return VetoFinding(
        trigger=trigger,
        fired=n >= policy.execution_min_fills and is_free,
        statistic=rate,
        threshold=policy.passive_fill_rate,
        n=n,
        reason_code=_CODE,
    )
