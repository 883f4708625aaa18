"""The execution plan: approved trades as orders, each with its impact, reductions first."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
import polars as pl

from instgov_dagster.capital.impact import estimate_impact
from instgov_dagster.capital.trades import TradeDraft, TradingConditions, round_to_lot
from instgov_dagster.vocabulary.audit import OrderSide
from instgov_dagster.vocabulary.capital import (
    ExecutionImpactEstimate,
    ExecutionRegime,
    OrderStyle,
    PlannedOrder,
)
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.capital import ImpactPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

_BPS = 1e4

#: The columns of `ExecutionPlan.to_frame`.
PLAN_SCHEMA: Final = pl.Schema(
    {
        "sequence": pl.Int64(),
        "symbol": pl.String(),
        "strategy_id": pl.String(),
        "side": pl.String(),
        "style": pl.String(),
        "quantity": pl.Decimal(20, 8),
        "weight_delta": pl.Float64(),
        "notional_usd": pl.Float64(),
        "limit_price": pl.Float64(),
        "slice_index": pl.Int64(),
        "slice_count": pl.Int64(),
        "release_after_seconds": pl.Float64(),
        "temporary_impact_bps": pl.Float64(),
        "permanent_impact_bps": pl.Float64(),
        "spread_cost_bps": pl.Float64(),
        "total_cost_bps": pl.Float64(),
        "liquidity_decay_rate": pl.Float64(),
        "regime": pl.String(),
        "confidence": pl.Float64(),
        "reason_codes": pl.List(pl.String()),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPlan:
    """The orders of one cycle in the order they may be sent, and what was refused and why.

    ``refused`` names symbols whose approved trade got no order: an order without an impact
    estimate does not exist (roadmap 0.9).
    """

    orders: tuple[PlannedOrder, ...]
    refused: tuple[tuple[str, tuple[ReasonCode, ...]], ...]

    @property
    def due(self) -> tuple[PlannedOrder, ...]:
        """The orders to send now; later slices wait, and are planned anew by a later cycle."""
        return tuple(order for order in self.orders if order.slice_index == 0)

    def to_frame(self) -> pl.DataFrame:
        """Write one row an order, in sequence, with its impact estimate."""
        return pl.DataFrame(
            [_plan_row(order) for order in self.orders], schema=PLAN_SCHEMA, orient="row"
        )


def _plan_row(order: PlannedOrder) -> tuple[object, ...]:
    impact = order.impact
    return (
        order.sequence,
        order.symbol,
        order.strategy_id,
        order.side.value,
        order.style.value,
        order.quantity,
        order.weight_delta,
        order.notional_usd,
        order.limit_price,
        order.slice_index,
        order.slice_count,
        order.release_after_seconds,
        impact.temporary_impact_bps,
        impact.permanent_impact_bps,
        impact.spread_cost_bps,
        impact.total_cost_bps,
        impact.liquidity_decay_rate,
        impact.regime.value,
        impact.confidence,
        [code.value for code in order.reason_codes],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Child:
    # One slice of one symbol's trade, priced.
    place: int
    index: int
    count: int
    quantity: Decimal
    impact: ExecutionImpactEstimate


def plan_orders(
    draft: TradeDraft,
    conditions: TradingConditions,
    *,
    sequence: tuple[int, ...],
    lead_strategies: Mapping[str, str],
    policy: ImpactPolicy,
) -> ExecutionPlan:
    """Turn approved trades into orders (roadmap 8.4, 8.5).

    CALM rests one passive limit order a symbol at its own side of the spread. VOLATILE and CRISIS
    cut the trade into slices that cross the spread one interval apart, slice k costing
    (1 + 0.1 k) times as much. The first slices of all symbols come first, reductions before
    increases.

    Parameters
    ----------
    draft
        The trades, from `draft_trades`.
    conditions
        What they meet.
    sequence
        The numbers of the approved symbols in the order of the verdict, reductions first.
    lead_strategies
        The strategy each symbol's order belongs to.

    Raises
    ------
    ValueError
        If the draft's symbols are not the conditions', or an approved symbol trades nothing or
        has no strategy.
    """
    if draft.symbols != conditions.symbols:
        raise ValueError("draft must have the conditions' symbols, in their order")
    children: list[_Child] = []
    refused = []
    for i in sequence:
        symbol = draft.symbols[i]
        if draft.quantity[i] <= 0 or symbol not in lead_strategies:
            raise ValueError(f"an approved symbol must trade and have a strategy, was {symbol}")
        try:
            children += _slices(i, draft, conditions, policy)
        except DataRejected as refusal:
            refused.append((symbol, (refusal.reason_code,)))
    ordered = sorted(children, key=lambda child: (child.index, sequence.index(child.place)))
    orders = tuple(
        _order(number, child, draft, conditions, lead_strategies, policy)
        for number, child in enumerate(ordered)
    )
    return ExecutionPlan(orders=orders, refused=tuple(refused))


def _slices(
    i: int, draft: TradeDraft, conditions: TradingConditions, policy: ImpactPolicy
) -> list[_Child]:
    whole, mid = draft.quantity[i], float(conditions.mid[i])
    lot = policy.orders.lots.of(conditions.asset_classes[i])
    count = 1
    if conditions.regime is not ExecutionRegime.CALM:
        most = int(float(whole) * mid // max(policy.orders.min_order_usd, 1.0))
        count = max(min(policy.orders.slices, most), 1)
    part = round_to_lot(float(whole) / count, lot)
    if part <= 0:
        count, part = 1, whole
    out = []
    for index in range(count):
        quantity = part if index else whole - part * (count - 1)  # the first one takes the rest
        impact = estimate_impact(
            size_usd=float(quantity) * mid,
            adv_usd=float(conditions.adv_usd[i]),
            volatility_annual=float(conditions.volatility_annual[i]),
            spread_bps=float(conditions.spread_bps[i]),
            is_spread_quoted=bool(conditions.is_quoted[i]),
            regime=conditions.regime,
            depletion=float(index),
            policy=policy,
        )
        out.append(_Child(place=i, index=index, count=count, quantity=quantity, impact=impact))
    return out


def _order(
    number: int,
    child: _Child,
    draft: TradeDraft,
    conditions: TradingConditions,
    lead_strategies: Mapping[str, str],
    policy: ImpactPolicy,
) -> PlannedOrder:
    i, mid = child.place, float(conditions.mid[child.place])
    side = OrderSide.BUY if draft.weight_delta[i] > 0.0 else OrderSide.SELL
    half = mid * float(conditions.spread_bps[i]) / 2.0 / _BPS
    is_passive = conditions.regime is ExecutionRegime.CALM
    # A passive order waits on its own side of the mid, a slice crosses to the other.
    offset = -policy.orders.passive_offset_share * half if is_passive else half
    notional = float(child.quantity) * mid
    style = OrderStyle.PASSIVE_LIMIT if is_passive else OrderStyle.SLICED
    how = ReasonCode.EXECUTION_PASSIVE if is_passive else ReasonCode.EXECUTION_SLICED
    codes = dict.fromkeys([how, *draft.reason_codes[i], *child.impact.reason_codes])
    return PlannedOrder(
        sequence=number,
        symbol=draft.symbols[i],
        strategy_id=lead_strategies[draft.symbols[i]],
        side=side,
        style=style,
        quantity=child.quantity,
        weight_delta=float(np.copysign(notional / conditions.nav_usd, draft.weight_delta[i])),
        notional_usd=notional,
        limit_price=mid + side.sign * offset,
        slice_index=child.index,
        slice_count=child.count,
        release_after_seconds=child.index * policy.orders.slice_interval_seconds,
        impact=child.impact,
        reason_codes=tuple(codes),
    )
