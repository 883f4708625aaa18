"""A market on paper for one symbol's slices: released, filled, cut by volume, dearer, recovered.

Values in, values out; the paper broker and the survival walk fill by the same rule (`fills`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.execution.fills import FillTerms, fill_terms, impact_cost
from instgov_dagster.capital.impact import estimate_impact, remaining_depletion
from instgov_dagster.vocabulary.audit import OrderSide, to_money
from instgov_dagster.vocabulary.capital import (
    ExecutionImpactEstimate,
    ExecutionRegime,
    OrderStyle,
    PlannedOrder,
)
from instgov_dagster.vocabulary.policy.capital import ImpactPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

_BPS: Final = 1e4
_HOUR: Final = 3600.0
_NOTHING: Final = Decimal(0)
# Mids and bar bounds come as floats by different ways: equal to one part in a billion is inside.
_TOLERANCE: Final = 1e-9
# A fill at its share of volume, counted in floats, must not look like more than the share.
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuotePath:
    """The quotes of one symbol over one session, and the bar they stay in.

    ``seconds`` since the decision, ``bid`` and ``ask`` have shape ``(n_quotes,)``; the seconds
    rise and begin at or after 0. A quote that is not finite, not positive, crossed or with its
    mid outside the bar fills nothing.
    """

    seconds: NDArray[np.float64]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    bar_low: float
    bar_high: float

    def __post_init__(self) -> None:
        shape = self.seconds.shape
        if len(shape) != 1 or self.bid.shape != shape or self.ask.shape != shape:
            raise ValueError(
                f"QuotePath must have one bid and one ask a second, was {shape}, "
                f"{self.bid.shape} and {self.ask.shape}"
            )
        steps = np.diff(self.seconds, prepend=-np.finfo(np.float64).tiny)
        if not (np.isfinite(self.seconds).all() and (steps > 0.0).all()):
            raise ValueError(f"QuotePath.seconds must rise from 0, was {self.seconds.tolist()}")

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Which quotes an order may be filled on, shape ``(n_quotes,)``."""
        mid = (self.bid + self.ask) / 2.0
        is_priced = np.isfinite(self.bid) & np.isfinite(self.ask)
        is_priced &= (self.bid > 0.0) & (self.bid <= self.ask)
        low, high = self.bar_low * (1.0 - _TOLERANCE), self.bar_high * (1.0 + _TOLERANCE)
        inside: NDArray[np.bool_] = is_priced & (low <= mid) & (mid <= high)
        return inside


def path_of_bar(
    prices: tuple[float, float, float, float],
    *,
    half_spread_bps: float,
    session_seconds: float,
    n_quotes: int,
) -> QuotePath:
    """Walk a bar of open, high, low, close as quotes, straight from corner to corner.

    A session that closes at or above its open is taken to have seen its low first, any other its
    high first. The corners stand at the session's start, thirds and end.

    Parameters
    ----------
    prices
        Open, high, low and close.
    half_spread_bps
        Half the spread, basis points of the mid.
    n_quotes
        At least 4, evenly over the session.

    Raises
    ------
    ValueError
        If the bar is not one, or there are fewer than four quotes.
    """
    opened, high, low, close = prices
    if not (np.isfinite(prices).all() and 0.0 < low <= min(opened, close)) or (
        high < max(opened, close)
    ):
        raise ValueError(f"prices must be open, high, low and close of one bar, was {prices}")
    if n_quotes < 4 or not (np.isfinite(session_seconds) and session_seconds > 0.0):
        raise ValueError(
            f"a bar takes at least 4 quotes over some seconds, was {n_quotes} over "
            f"{session_seconds!r}"
        )
    turns = (low, high) if close >= opened else (high, low)
    at = np.linspace(0.0, 3.0, n_quotes)
    mid = np.clip(np.interp(at, [0.0, 1.0, 2.0, 3.0], [opened, *turns, close]), low, high)
    reach = mid * half_spread_bps / _BPS
    return QuotePath(
        seconds=at / 3.0 * session_seconds,
        bid=mid - reach,
        ask=mid + reach,
        bar_low=low,
        bar_high=high,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceMarket:
    """What the slices of one symbol meet beside its quotes.

    ``held`` and ``traded`` are units held before them and units traded this session before them;
    a missing ``adv_usd`` or ``volatility_annual`` is NaN, which fills nothing.
    """

    adv_usd: float
    volatility_annual: float
    regime: ExecutionRegime
    held: Decimal
    traded: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceOutcome:
    """What became of one slice.

    ``filled`` units at ``price`` (before modelled costs), when the mid was ``mid_price``,
    ``at_seconds`` after the decision; ``impact`` is the estimate the fill was charged by and
    ``cost_usd`` its temporary and permanent part. The four are None where nothing was filled.
    """

    order: PlannedOrder
    filled: Decimal
    price: Decimal | None
    mid_price: Decimal | None
    cost_usd: Decimal
    at_seconds: float | None
    is_aggressive: bool
    impact: ExecutionImpactEstimate | None
    reason_codes: tuple[ReasonCode, ...]

    @property
    def cash_usd(self) -> Decimal:
        """Change of cash, in dollars: a purchase and every cost are negative."""
        if self.price is None:
            return _NOTHING
        return to_money(-self.order.side.sign * self.filled * self.price - self.cost_usd)


def simulate_slices(
    slices: Sequence[PlannedOrder], path: QuotePath, market: SliceMarket, *, policy: ImpactPolicy
) -> tuple[SliceOutcome, ...]:
    """Execute the slices of one symbol on paper (roadmap 8.4, 8.5).

    A SLICED order takes the far side of the first usable quote at or after its release: it is
    planned anew then, as the live loop does. A PASSIVE_LIMIT order rests from its release until a
    quote reaches its limit. Each fill is cut to what participation leaves of the session's volume
    (a smaller share in a crisis), and charged the impact of what was filled, dearer by a tenth for
    each earlier slice the market has not recovered from: a slice that follows at once costs what
    the plan said, one that waits costs less. In a crisis nothing is bought.

    Parameters
    ----------
    slices
        The slices of one symbol and one side, in any order.
    path
        The session's quotes.

    Returns
    -------
    One outcome a slice, in order of release.

    Raises
    ------
    ValueError
        If the slices are of several symbols or sides.
    """
    if len({(order.symbol, order.side) for order in slices}) > 1:
        raise ValueError("slices must be of one symbol and one side")
    run = _Run(path, market, policy)
    ordered = sorted(slices, key=lambda order: (order.release_after_seconds, order.slice_index))
    return tuple(run.execute(order) for order in ordered)


class _Run:
    # One symbol's session: what was traded, what is still held, how depleted the market is.
    def __init__(self, path: QuotePath, market: SliceMarket, policy: ImpactPolicy) -> None:
        self._path, self._market, self._policy = path, market, policy
        self._is_usable = path.is_usable
        self._held, self._traded = market.held, market.traded
        self._depletion, self._depleted_at = 0.0, 0.0
        is_crisis = market.regime is ExecutionRegime.CRISIS
        self._share = policy.orders.crisis_participation if is_crisis else policy.max_participation

    def execute(self, order: PlannedOrder) -> SliceOutcome:
        wanted, refused = self._wanted(order)
        if refused is not None:
            return _unfilled(order, refused)
        found = self._first_fill(order, wanted)
        if found is None:
            return _unfilled(order, ReasonCode.ORDER_CANCELLED)
        place, terms = found
        if terms.quantity <= 0:
            return _unfilled(order, ReasonCode.PARTICIPATION)
        seconds = float(self._path.seconds[place])
        impact = self._impact(place, terms)
        charged = impact.temporary_impact_bps + impact.permanent_impact_bps
        self._book(order, terms.quantity, seconds)
        mid = (self._path.bid[place] + self._path.ask[place]) / 2.0
        return SliceOutcome(
            order=order,
            filled=terms.quantity,
            price=terms.price,
            mid_price=to_money(float(mid)),
            cost_usd=impact_cost(terms.quantity, terms.price, impact_bps=charged),
            at_seconds=seconds,
            is_aggressive=terms.is_aggressive,
            impact=impact,
            reason_codes=_fill_codes(order, wanted, terms.quantity),
        )

    def _wanted(self, order: PlannedOrder) -> tuple[Decimal, ReasonCode | None]:
        # What is asked of the market, and why it is not asked at all.
        known = (self._market.adv_usd, self._market.volatility_annual)
        if not all(math.isfinite(value) and value > 0.0 for value in known):
            return _NOTHING, ReasonCode.NO_IMPACT_ESTIMATE
        if order.side is OrderSide.BUY:
            is_crisis = self._market.regime is ExecutionRegime.CRISIS
            refused = ReasonCode.EXECUTION_CRISIS_NO_INCREASE if is_crisis else None
            return order.quantity, refused
        if self._held <= 0:
            return _NOTHING, ReasonCode.BROKER_NO_POSITION
        return min(order.quantity, self._held), None

    def _first_fill(self, order: PlannedOrder, wanted: Decimal) -> tuple[int, FillTerms] | None:
        is_passive = order.style is OrderStyle.PASSIVE_LIMIT
        released = self._path.seconds >= order.release_after_seconds
        for number, place in enumerate(np.flatnonzero(released & self._is_usable).tolist()):
            view = _View(self._path, place, adv_usd=self._market.adv_usd, share=self._share)
            far_side = view.ask if order.side is OrderSide.BUY else view.bid
            terms = fill_terms(
                side=order.side,
                quantity=wanted,
                limit_price=to_money(order.limit_price if is_passive else far_side),
                view=view,
                taken=self._traded,
                is_resting=is_passive and number > 0,
            )
            if terms is not None:
                return place, terms
        return None

    def _impact(self, place: int, terms: FillTerms) -> ExecutionImpactEstimate:
        seconds = float(self._path.seconds[place])
        bid, ask = float(self._path.bid[place]), float(self._path.ask[place])
        most = self._market.adv_usd * self._policy.max_participation * (1.0 - _ROUNDING)
        return estimate_impact(
            size_usd=min(float(terms.quantity * terms.price), most),
            adv_usd=self._market.adv_usd,
            volatility_annual=self._market.volatility_annual,
            spread_bps=(ask - bid) / ((ask + bid) / 2.0) * _BPS,
            is_spread_quoted=True,
            regime=self._market.regime,
            depletion=self._depletion_at(seconds),
            policy=self._policy,
        )

    def _depletion_at(self, seconds: float) -> float:
        hours = max(seconds - self._depleted_at, 0.0) / _HOUR
        return remaining_depletion(self._depletion, elapsed_hours=hours, policy=self._policy)

    def _book(self, order: PlannedOrder, quantity: Decimal, seconds: float) -> None:
        # A slice filled in part depletes the market by that part.
        self._depletion = self._depletion_at(seconds) + float(quantity / order.quantity)
        self._depleted_at = seconds
        self._traded += quantity
        self._held += order.side.sign * quantity


@dataclass(frozen=True, slots=True)
class _View:
    # One quote of the path, as the fill rule sees it; impact is charged once the size is known.
    path: QuotePath
    place: int
    adv_usd: float
    share: float

    @property
    def bid(self) -> float:
        return float(self.path.bid[self.place])

    @property
    def ask(self) -> float:
        return float(self.path.ask[self.place])

    @property
    def bar_low(self) -> float:
        return self.path.bar_low

    @property
    def bar_high(self) -> float:
        return self.path.bar_high

    @property
    def impact_bps(self) -> float:
        return 0.0

    @property
    def max_participation(self) -> float:
        return self.share


def _fill_codes(order: PlannedOrder, wanted: Decimal, filled: Decimal) -> tuple[ReasonCode, ...]:
    if filled >= order.quantity:
        return (ReasonCode.ORDER_FILLED,)
    cut_by = ReasonCode.PARTICIPATION if filled < wanted else ReasonCode.BROKER_NO_POSITION
    return (ReasonCode.ORDER_PARTIALLY_FILLED, cut_by)


def _unfilled(order: PlannedOrder, code: ReasonCode) -> SliceOutcome:
    return SliceOutcome(
        order=order,
        filled=_NOTHING,
        price=None,
        mid_price=None,
        cost_usd=_NOTHING,
        at_seconds=None,
        is_aggressive=False,
        impact=None,
        reason_codes=(code,),
    )
