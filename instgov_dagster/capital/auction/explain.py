"""Why each bid won or lost: ranks, prices, contributions and reasons; nothing is decided here."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.auction.certificate import Duals, marginal_costs, trading_costs
from instgov_dagster.capital.auction.instance import AuctionInstance, Tail, identity_order
from instgov_dagster.capital.auction.result import RESULT_SCHEMA, ShadowPrice
from instgov_dagster.capital.auction.values import AdjustedValues
from instgov_dagster.capital.cvar import cvar, marginal_cvar, rising_cvar
from instgov_dagster.vocabulary.capital import AuctionDecision
from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster.vocabulary.reasons import ReasonCode

_BPS = 1e4
_VERDICTS: Final = tuple(AuctionDecision)
#: What a refused auction does not know.
_UNKNOWN: Final = (
    "cvar_contribution", "liquidity_cost", "priced_out_bps", "cap_headroom", "tail_charge_bps",
    "cap_charge_bps", "cost_charge_bps",
)  # fmt: skip

_Kind = tuple[tuple[ReasonCode, ...], ReasonCode]
_Layer = tuple[ReasonCode, NDArray[np.bool_]]


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
    # How each bid stands, (J,) each: what it is worth above its price; the parts of the price of
    # its next unit, which are the hurdle on current CVaR, what scarce caps and CVaR limits cost,
    # and the cost of trading; and by how much its value falls short of that price.
    surplus: NDArray[np.float64]
    tail: NDArray[np.float64]
    rent: NDArray[np.float64]
    cost: NDArray[np.float64]
    shortfall: NDArray[np.float64]


def no_prices(instance: AuctionInstance) -> Prices:
    """Price nothing, for the steps of the ladder that have no duals."""
    return Prices(
        groups=np.zeros(len(instance.groups)),
        limits=tuple(0.0 for _ in instance.tails),
        charge=np.zeros(len(instance.bid_ids)),
    )


def price_bids(instance: AuctionInstance, duals: Duals) -> Prices:
    """Turn duals into what a unit of each bid pays."""
    pairs = zip(duals.shares, instance.tails, strict=True)
    limits = tuple(max(float(share.sum()) - tail.hurdle, 0.0) for share, tail in pairs)
    return Prices(groups=duals.prices, limits=limits, charge=duals.charge)


def _stand(instance: AuctionInstance, weights: NDArray[np.float64], prices: Prices) -> _Standing:
    owner, net = instance.symbol_of, instance.net(weights)
    costs = marginal_costs(instance, net)[owner]
    rent = instance.membership.charges(prices.groups)
    hurdles = np.zeros(owner.size)
    for tail, limit_price in zip(instance.tails, prices.limits, strict=True):
        if tail.hurdle <= 0.0 and limit_price <= 0.0:
            continue
        rising = _rising(instance, tail, net)[owner]
        rent = rent + limit_price * rising
        hurdles = hurdles + tail.hurdle * rising
    return _Standing(
        surplus=instance.values - prices.charge - costs,
        tail=hurdles,
        rent=rent,
        cost=costs,
        shortfall=np.maximum(costs + rent + hurdles - instance.values, 0.0),
    )


def _rising(instance: AuctionInstance, tail: Tail, net: NDArray[np.float64]) -> NDArray[np.float64]:
    # The CVaR of the next unit of each symbol; on an empty book that is the symbol's own.
    level = instance.confidence_level
    if not net.any():
        return tail.measure.standalone_cvar(level)
    tolerance = instance.policy.weight_quantum * max(int(np.count_nonzero(net)), 1)
    losses = tail.measure.losses(net)
    return rising_cvar(
        tail.returns, net, confidence_level=level, tie_tolerance=tolerance, losses=losses
    )


def shadow_prices(
    instance: AuctionInstance, weights: NDArray[np.float64], prices: Prices
) -> tuple[ShadowPrice, ...]:
    """List the caps and CVaR limits that cost something, dearest first."""
    least = instance.policy.price_tolerance
    net = instance.net(weights)
    found = []
    totals = instance.membership.sums(weights)
    for g in np.flatnonzero(prices.groups > least).tolist():
        group, slack = instance.groups[g], float(instance.group_caps[g] - totals[g])
        price = float(prices.groups[g])
        found.append(ShadowPrice(code=group.code, key=group.key, price=price, slack=slack))
    for place, (tail, price) in enumerate(zip(instance.tails, prices.limits, strict=True)):
        if price > least:
            losses = tail.measure.losses(net)
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
    gross = instance.membership.sums(instance.held)
    over = gross > instance.group_caps + tolerance
    forced: NDArray[np.bool_] = instance.held > instance.caps + tolerance
    return forced | instance.membership.touched(over)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Kinds:
    # Bids with the same blocks and the same cap are of one kind: `listed` are the kinds, `of_bid`
    # (J,) names each bid's, `vetoes` each kind's veto; `is_blocked` and `is_vetoed` are (J,).
    listed: list[_Kind]
    of_bid: NDArray[np.intp]
    vetoes: list[str | None]
    is_blocked: NDArray[np.bool_]
    is_vetoed: NDArray[np.bool_]


def _read_kinds(instance: AuctionInstance) -> _Kinds:
    known: dict[_Kind, int] = {}
    pairs = zip(instance.block_codes, instance.cap_codes, strict=True)
    of_bid = np.array([known.setdefault(pair, len(known)) for pair in pairs], dtype=np.intp)
    vetoes = [_veto_of(block) for block, _ in known]
    blocked = np.array([bool(block) for block, _ in known], dtype=np.bool_)
    vetoed = np.array([veto is not None for veto in vetoes], dtype=np.bool_)
    return _Kinds(
        listed=list(known),
        of_bid=of_bid,
        vetoes=vetoes,
        is_blocked=blocked[of_bid],
        is_vetoed=vetoed[of_bid],
    )


def _veto_of(block: tuple[ReasonCode, ...]) -> str | None:
    return next((code.value for code in block if code.severity is Severity.VETO), None)


def _layers(
    instance: AuctionInstance,
    weights: NDArray[np.float64],
    prices: Prices,
    values: AdjustedValues,
    standing: _Standing,
    kinds: _Kinds,
) -> tuple[list[_Layer], list[_Layer], list[NDArray[np.bool_]]]:
    # The codes of all bids, one layer a code: before the blocks, after them, and at the caps.
    policy, is_in, is_free = instance.policy, weights > 0.0, ~kinds.is_blocked
    is_sold = (weights < instance.held) & _forced(instance)
    has_value = values.mu_hat > 0.0
    # A loser names the scarce caps only where, were they free, it would have won.
    names_caps = is_in | (is_free & (standing.shortfall <= standing.rent))
    after = [
        (ReasonCode.MU_NOT_POSITIVE, ~has_value),
        (ReasonCode.PRICED_OUT, has_value & (weights == 0.0) & is_free),
    ]
    of_code: dict[ReasonCode, NDArray[np.bool_]] = {}
    for g in np.flatnonzero(prices.groups > policy.price_tolerance).tolist():
        groups = of_code.setdefault(instance.groups[g].code, np.zeros(prices.groups.size, np.bool_))
        groups[g] = True
    for code, groups in of_code.items():
        after.append((code, instance.membership.touched(groups) & names_caps))
    is_tail_priced = any(price > policy.price_tolerance for price in prices.limits)
    after.append((ReasonCode.CVAR_LIMIT_BINDS, names_caps & is_tail_priced))
    net = instance.net(weights)
    bought = net - instance.net_held
    at_limit = (bought >= instance.buy_limits - policy.weight_quantum) & (bought > 0.0)
    grows = at_limit[instance.symbol_of] & (weights > instance.held)
    at_cap = (weights >= instance.caps - policy.weight_quantum) & is_in
    first = [(ReasonCode.ALLOCATED, is_in), (ReasonCode.FORCED_SELL, is_sold)]
    return first, after, [at_cap, grows]


def _reasons(
    instance: AuctionInstance,
    weights: NDArray[np.float64],
    prices: Prices,
    values: AdjustedValues,
    standing: _Standing,
    kinds: _Kinds,
) -> pl.Series:
    # Bids with the same flags, kind and purchase limit have the same codes, written once.
    first, after, last = _layers(instance, weights, prices, values, standing, kinds)
    bought = list(dict.fromkeys(instance.buy_codes))
    of_buy = np.zeros(weights.size, dtype=np.int64)
    for j in np.flatnonzero(last[1]).tolist():
        of_buy[j] = bought.index(instance.buy_codes[instance.symbol_of[j]])
    key = kinds.of_bid * max(len(bought), 1) + of_buy
    for is_set in (*(is_set for _, is_set in (*first, *after)), *last):
        key = 2 * key + is_set
    _, example, which = np.unique(key, return_index=True, return_inverse=True)
    rows = []
    for j in example.tolist():
        block, cap_code = kinds.listed[kinds.of_bid[j]]
        codes = [code for code, is_set in first if is_set[j]]
        codes += block
        codes += [code for code, is_set in after if is_set[j]]
        codes += [cap_code] * bool(last[0][j]) + [bought[of_buy[j]]] * bool(last[1][j])
        rows.append(tuple(dict.fromkeys(codes)))
    return pl.Series(_written(tuple(rows))[which])


@lru_cache(maxsize=64)
def _written(rows: tuple[tuple[ReasonCode, ...], ...]) -> pl.Series:
    # The same few rows of codes come every second.
    return pl.Series([[code.value for code in row] for row in rows], dtype=pl.List(pl.String))


def _verdicts(instance: AuctionInstance, weights: NDArray[np.float64], kinds: _Kinds) -> pl.Series:
    tolerance = instance.policy.feasibility_tolerance
    ladder = (
        (kinds.is_vetoed, AuctionDecision.VETOED),
        (weights < instance.held - tolerance, AuctionDecision.REDUCE),
        (weights > instance.held + tolerance, AuctionDecision.GRANT),
        (weights > 0.0, AuctionDecision.HOLD),
        (kinds.is_blocked, AuctionDecision.BLOCKED),
    )
    found = np.full(weights.size, _VERDICTS.index(AuctionDecision.LOSE))
    for holds, decision in reversed(ladder):
        found[holds] = _VERDICTS.index(decision)
    return pl.Series(_words(tuple(decision.value for decision in _VERDICTS))[found])


@lru_cache(maxsize=16)
def _words(words: tuple[str, ...]) -> pl.Series:
    return pl.Series(words, dtype=pl.String)


def _known(
    instance: AuctionInstance,
    values: AdjustedValues,
    weights: NDArray[np.float64],
    kinds: _Kinds,
) -> dict[str, Any]:
    # The columns that need no solved auction and no measured risk.
    return {
        "symbol": _words(instance.symbols)[instance.symbol_of],
        "strategy_id": _words(instance.strategies),
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
        "decision": _verdicts(instance, weights, kinds),
        "vetoed": kinds.is_vetoed,
        "veto_reason": pl.Series(kinds.vetoes, dtype=pl.String)[kinds.of_bid],
    }


def _frame(columns: dict[str, Any]) -> pl.DataFrame:
    # Column by column: a frame made from arrays looks at each of them several times.
    series = (pl.Series(name, columns[name], kind) for name, kind in RESULT_SCHEMA.items())
    return pl.DataFrame(list(series))


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
    none = np.zeros(n)
    rank = _ranked(instance, np.zeros(n, dtype=np.bool_), values.mu_hat)
    columns = {
        **_known(instance, values, instance.held, _read_kinds(instance)),
        "rank": rank,
        "reason_codes": [
            [code.value for code in dict.fromkeys([*codes, *block])]
            for block in instance.block_codes
        ],
        "cap_weight": np.where(np.isfinite(instance.caps), instance.caps, 0.0),
        **dict.fromkeys(_UNKNOWN, none),
    }
    return _frame(columns)


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
    standing, kinds = _stand(instance, weights, prices), _read_kinds(instance)
    is_in = weights > 0.0
    merit = np.where(is_in, standing.surplus, -standing.shortfall)
    current = instance.scenarios.current
    marginal = marginal_cvar(
        current.returns,
        net,
        confidence_level=instance.confidence_level,
        losses=current.losses(net),
    )
    change = np.abs(weights - instance.held)
    total = instance.net(change)[owner]
    part = np.divide(change, total, out=np.zeros_like(change), where=total > 0.0)
    lost = (weights == 0.0) & ~kinds.is_blocked
    columns = {
        **_known(instance, values, weights, kinds),
        "rank": _ranked(instance, is_in, merit),
        "reason_codes": _reasons(instance, weights, prices, values, standing, kinds),
        "cvar_contribution": weights * marginal[owner],
        "liquidity_cost": trading_costs(instance, net)[owner] * part,
        "priced_out_bps": np.where(lost, standing.shortfall, 0.0) * _BPS,
        "cap_weight": instance.caps,
        "cap_headroom": _headroom(instance, weights),
        "tail_charge_bps": standing.tail * _BPS,
        "cap_charge_bps": standing.rent * _BPS,
        "cost_charge_bps": standing.cost * _BPS,
    }
    return _frame(columns)


def _ranked(
    instance: AuctionInstance, is_in: NDArray[np.bool_], merit: NDArray[np.float64]
) -> NDArray[np.int64]:
    # Those with capital first, then by merit, equals by identity.
    identity = identity_order(instance.bid_ids)
    order = identity[np.lexsort((-merit[identity], ~is_in[identity]))]
    rank = np.empty(order.size, dtype=np.int64)
    rank[order] = np.arange(1, order.size + 1)
    return rank


def _headroom(instance: AuctionInstance, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    # The least that is left of a bid's own cap and of every cap it shares in, (J,).
    pairs = instance.membership
    left = np.maximum(instance.caps - weights, 0.0)
    slack = np.maximum(instance.group_caps - pairs.sums(weights), 0.0)
    np.minimum.at(left, pairs.bid_of, slack[pairs.group_of])
    return left
