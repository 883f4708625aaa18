"""Why each bid won or lost: ranks, prices, contributions and reasons; nothing is decided here."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.auction.certificate import (
    marginal_costs,
    repair_tail,
    trading_costs,
)
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.result import RESULT_SCHEMA, ShadowPrice
from instgov_dagster.capital.auction.values import AdjustedValues
from instgov_dagster.capital.cvar import book_losses, cvar, marginal_cvar, rising_cvar
from instgov_dagster.vocabulary.capital import AuctionDecision
from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster.vocabulary.reasons import ReasonCode

_BPS = 1e4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prices:
    """The prices of an auction: what the caps and the tail cost each bid.

    ``groups`` (G,) price the caps; ``limits`` price each tail's CVaR limit; ``charge`` (J,) is
    what a unit of each bid pays for tail and caps together. All zero where nothing was solved.
    """

    groups: NDArray[np.float64]
    limits: tuple[float, ...]
    charge: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Standing:
    # How each bid stands: what it is worth above its price (J,), the next unit's shortfall below
    # its price (J,), and the part of that price which scarce caps and CVaR limits make up (J,).
    surplus: NDArray[np.float64]
    shortfall: NDArray[np.float64]
    rent: NDArray[np.float64]


def no_prices(instance: AuctionInstance) -> Prices:
    """Price nothing, for the steps of the ladder that have no duals."""
    return Prices(
        groups=np.zeros(len(instance.groups)),
        limits=tuple(0.0 for _ in instance.tails),
        charge=np.zeros(len(instance.bid_ids)),
    )


def price_bids(
    instance: AuctionInstance,
    tail_weights: tuple[NDArray[np.float64], ...],
    group_prices: NDArray[np.float64],
) -> Prices:
    """Turn duals into what a unit of each bid pays.

    Parameters
    ----------
    tail_weights
        One array a tail, shape ``(n_scenarios,)``.
    group_prices
        Shape ``(n_groups,)``.
    """
    groups = np.where(np.isfinite(group_prices), np.maximum(group_prices, 0.0), 0.0)
    charge = groups @ instance.membership
    limits = []
    for raw, tail in zip(tail_weights, instance.tails, strict=True):
        share = repair_tail(raw, tail, confidence_level=instance.confidence_level)
        charge = charge - (share @ tail.returns)[instance.symbol_of]
        limits.append(max(float(share.sum()) - tail.hurdle, 0.0))
    return Prices(groups=groups, limits=tuple(limits), charge=charge)


def _stand(instance: AuctionInstance, weights: NDArray[np.float64], prices: Prices) -> _Standing:
    owner, net = instance.symbol_of, instance.net(weights)
    costs = marginal_costs(instance, net)[owner]
    tolerance = instance.policy.weight_quantum * max(int(np.count_nonzero(net)), 1)
    rent = prices.groups @ instance.membership
    price = costs + rent
    for tail, limit_price in zip(instance.tails, prices.limits, strict=True):
        rising = rising_cvar(
            tail.returns,
            net,
            confidence_level=instance.confidence_level,
            tie_tolerance=tolerance,
        )[owner]
        rent = rent + limit_price * rising
        price = price + (tail.hurdle + limit_price) * rising
    return _Standing(
        surplus=instance.values - prices.charge - costs,
        shortfall=np.maximum(price - instance.values, 0.0),
        rent=rent,
    )


def shadow_prices(
    instance: AuctionInstance, weights: NDArray[np.float64], prices: Prices
) -> tuple[ShadowPrice, ...]:
    """List the caps and CVaR limits that cost something, dearest first."""
    least = instance.policy.price_tolerance
    net = instance.net(weights)
    found = []
    for g, group in enumerate(instance.groups):
        if prices.groups[g] > least:
            slack = float(instance.group_caps[g] - weights[instance.membership[g]].sum())
            found.append(
                ShadowPrice(
                    code=group.code, key=group.key, price=float(prices.groups[g]), slack=slack
                )
            )
    for place, (tail, price) in enumerate(zip(instance.tails, prices.limits, strict=True)):
        if price > least:
            losses = book_losses(tail.returns, net)
            value = cvar(losses, confidence_level=instance.confidence_level)
            found.append(
                ShadowPrice(
                    code=ReasonCode.CVAR_LIMIT_BINDS,
                    key=f"tail_{place}",
                    price=price,
                    slack=tail.limit - value,
                )
            )
    return tuple(sorted(found, key=lambda row: (-row.price, row.code, row.key)))


def _forced(instance: AuctionInstance) -> NDArray[np.bool_]:
    # Bids whose own cap, or a cap they share in, is below what is held.
    tolerance = instance.policy.feasibility_tolerance
    gross = instance.membership.astype(np.float64) @ instance.held
    over = gross > instance.group_caps + tolerance
    forced: NDArray[np.bool_] = instance.held > instance.caps + tolerance
    return forced | instance.membership[over].any(axis=0)


def _reasons(
    instance: AuctionInstance,
    weights: NDArray[np.float64],
    prices: Prices,
    values: AdjustedValues,
    standing: _Standing,
) -> list[list[ReasonCode]]:
    policy = instance.policy
    at_cap = weights >= instance.caps - policy.weight_quantum
    bought = instance.net(weights) - instance.net(instance.held)
    at_limit = (bought >= instance.buy_limits - policy.weight_quantum) & (bought > 0.0)
    is_priced = prices.groups > policy.price_tolerance
    is_tail_priced = any(price > policy.price_tolerance for price in prices.limits)
    forced = _forced(instance)
    out = []
    for j, block in enumerate(instance.block_codes):
        codes = [ReasonCode.ALLOCATED] if weights[j] > 0.0 else []
        if weights[j] < instance.held[j] and forced[j]:
            codes.append(ReasonCode.FORCED_SELL)
        codes += block
        if values.mu_hat[j] <= 0.0:
            codes.append(ReasonCode.MU_NOT_POSITIVE)
        elif weights[j] == 0.0 and not block:
            codes.append(ReasonCode.PRICED_OUT)
        # A loser names the scarce caps only where, were they free, it would have won.
        if weights[j] > 0.0 or (not block and standing.shortfall[j] <= standing.rent[j]):
            touched = np.flatnonzero(is_priced & instance.membership[:, j])
            codes += [instance.groups[g].code for g in touched.tolist()]
            codes += [ReasonCode.CVAR_LIMIT_BINDS] * is_tail_priced
        if at_cap[j] and weights[j] > 0.0:
            codes.append(instance.cap_codes[j])
        if at_limit[instance.symbol_of[j]] and weights[j] > instance.held[j]:
            codes.append(instance.buy_codes[instance.symbol_of[j]])
        out.append(list(dict.fromkeys(codes)))
    return out


def _verdict(
    weight: float, held: float, tolerance: float, block: tuple[ReasonCode, ...]
) -> AuctionDecision:
    if _veto_of(block) is not None:
        return AuctionDecision.VETOED
    if weight < held - tolerance:
        return AuctionDecision.REDUCE
    if weight > held + tolerance:
        return AuctionDecision.GRANT
    if weight > 0.0:
        return AuctionDecision.HOLD
    return AuctionDecision.BLOCKED if block else AuctionDecision.LOSE


def _veto_of(block: tuple[ReasonCode, ...]) -> ReasonCode | None:
    return next((code for code in block if code.severity is Severity.VETO), None)


def _known(
    instance: AuctionInstance, values: AdjustedValues, weights: NDArray[np.float64]
) -> dict[str, Any]:
    # The columns that need no solved auction and no measured risk.
    vetoes = [_veto_of(block) for block in instance.block_codes]
    return {
        "symbol": [instance.symbols[i] for i in instance.symbol_of.tolist()],
        "strategy_id": list(instance.strategies),
        "allocated": weights > 0.0,
        "weight": weights,
        "allocated_weight": weights,
        "held_weight": instance.held,
        "mu_hat": values.mu_hat,
        "mu_contribution": values.mu_hat * weights,
        "correlation_penalty": values.correlation_penalty,
        "data_quality_penalty": values.data_quality_penalty,
        "model_decay_penalty": values.model_decay_penalty,
        "provider_penalty": values.provider_penalty,
        "time_decay_penalty": values.time_decay_penalty,
        "vetoed": [veto is not None for veto in vetoes],
        "veto_reason": [None if veto is None else veto.value for veto in vetoes],
    }


def refuse_bids(
    instance: AuctionInstance, values: AdjustedValues, codes: tuple[ReasonCode, ...]
) -> pl.DataFrame:
    """Write one row a bid of an auction that was refused: all keep what they hold, and why.

    What could not be measured is written as 0 beside the code that says so.

    Parameters
    ----------
    codes
        Why the auction was refused, at least one.
    """
    n = len(instance.bid_ids)
    tolerance = instance.policy.feasibility_tolerance
    order = sorted(range(n), key=lambda j: (-values.mu_hat[j], instance.bid_ids[j]))
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(1, n + 1)
    columns = {
        **_known(instance, values, instance.held),
        "rank": rank,
        "decision": [
            _verdict(held, held, tolerance, block).value
            for held, block in zip(instance.held, instance.block_codes, strict=True)
        ],
        "reason_codes": [
            [code.value for code in dict.fromkeys([*codes, *block])]
            for block in instance.block_codes
        ],
        "cvar_contribution": np.zeros(n),
        "liquidity_cost": np.zeros(n),
        "priced_out_bps": np.zeros(n),
        "cap_weight": np.where(np.isfinite(instance.caps), instance.caps, 0.0),
    }
    return pl.DataFrame(columns, schema=RESULT_SCHEMA)


def explain_bids(
    instance: AuctionInstance,
    values: AdjustedValues,
    weights: NDArray[np.float64],
    prices: Prices,
) -> pl.DataFrame:
    """Write one row a bid: what it got, what it paid, and why (roadmap 4.2).

    ``rank`` puts the bids with capital first, by what they are worth above its price, then the
    others by how little they fell short of the price of a first unit, which ``priced_out_bps``
    carries. A trade's cost is shared by the size of each bid's part in it.

    Parameters
    ----------
    values
        The attribution the instance was built from.
    weights
        The answer, shape ``(n_bids,)``.
    prices
        From `price_bids`, or `no_prices`.

    Returns
    -------
    A frame with `RESULT_SCHEMA`, in the order of the bids.
    """
    owner = instance.symbol_of
    net = instance.net(weights)
    standing = _stand(instance, weights, prices)
    is_in = weights > 0.0
    merit = np.where(is_in, standing.surplus, -standing.shortfall)
    order = sorted(
        range(weights.size), key=lambda j: (not is_in[j], -merit[j], instance.bid_ids[j])
    )
    rank = np.empty(weights.size, dtype=np.int64)
    rank[order] = np.arange(1, weights.size + 1)
    marginal = marginal_cvar(
        instance.scenarios.current.returns, net, confidence_level=instance.confidence_level
    )
    change = np.abs(weights - instance.held)
    total = instance.net(change)[owner]
    part = np.divide(change, total, out=np.zeros_like(change), where=total > 0.0)
    tolerance = instance.policy.feasibility_tolerance
    reasons = _reasons(instance, weights, prices, values, standing)
    lost = (weights == 0.0) & np.array([not block for block in instance.block_codes], dtype=bool)
    columns = {
        **_known(instance, values, weights),
        "rank": rank,
        "decision": [
            _verdict(weights[j], instance.held[j], tolerance, instance.block_codes[j]).value
            for j in range(weights.size)
        ],
        "reason_codes": [[code.value for code in row] for row in reasons],
        "cvar_contribution": weights * marginal[owner],
        "liquidity_cost": trading_costs(instance, net)[owner] * part,
        "priced_out_bps": np.where(lost, standing.shortfall, 0.0) * _BPS,
        "cap_weight": instance.caps,
    }
    return pl.DataFrame(columns, schema=RESULT_SCHEMA)
