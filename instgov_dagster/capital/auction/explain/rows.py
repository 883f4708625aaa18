"""One row a bid: ranks, prices, contributions and reasons; nothing is decided here."""

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.auction.certificate import trading_costs
from instgov_dagster.capital.auction.explain.prices import Prices, stand
from instgov_dagster.capital.auction.explain.reasons import (
    Kinds,
    read_kinds,
    word_series,
    word_series_at,
    write_reasons,
    write_verdicts,
)
from instgov_dagster.capital.auction.instance import AuctionInstance, identity_order
from instgov_dagster.capital.auction.result import RESULT_SCHEMA
from instgov_dagster.capital.auction.values import AdjustedValues
from instgov_dagster.vocabulary.reasons import ReasonCode

_BPS = 1e4
#: The columns that hold numbers.
_NUMBERS: Final = tuple(name for name, kind in RESULT_SCHEMA.items() if kind == pl.Float64)
#: What a refused auction does not know.
_UNKNOWN: Final = (
    "cvar_contribution", "liquidity_cost", "priced_out_bps", "cap_headroom", "tail_charge_bps",
    "cap_charge_bps", "cost_charge_bps",
)  # fmt: skip


def _known(
    instance: AuctionInstance,
    values: AdjustedValues,
    weights: NDArray[np.float64],
    kinds: Kinds,
) -> dict[str, Any]:
    # The columns that need no solved auction and no measured risk.
    return {
        "symbol": word_series_at(instance.symbols, instance.symbol_of.tobytes()),
        "strategy_id": word_series(instance.strategies),
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
        "decision": write_verdicts(instance, weights, kinds),
        "vetoed": kinds.is_vetoed,
        "veto_reason": word_series_at(tuple(kinds.vetoes), kinds.of_bid.tobytes()),
    }


def _frame(columns: dict[str, Any]) -> pl.DataFrame:
    # All numbers become one series, of which each column is a piece: a frame made from arrays
    # looks at each of them several times.
    rows = len(columns["weight"])
    whole = pl.Series(np.concatenate([columns[name] for name in _NUMBERS]), dtype=pl.Float64)
    pieces = {name: whole.slice(k * rows, rows) for k, name in enumerate(_NUMBERS)}
    found = (pieces.get(name, columns.get(name)) for name in RESULT_SCHEMA)
    return pl.DataFrame(
        [
            column.alias(name) if isinstance(column, pl.Series) else pl.Series(name, column, kind)
            for column, (name, kind) in zip(found, RESULT_SCHEMA.items(), strict=True)
        ]
    )


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
        **_known(instance, values, instance.held, read_kinds(instance)),
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
    standing, kinds = stand(instance, weights, prices), read_kinds(instance)
    is_in = weights > 0.0
    merit = np.where(is_in, standing.surplus, -standing.shortfall)
    change = np.abs(weights - instance.held)
    total = instance.net(change)[owner]
    part = np.divide(change, total, out=np.zeros_like(change), where=total > 0.0)
    lost = (weights == 0.0) & ~kinds.is_blocked
    columns = {
        **_known(instance, values, weights, kinds),
        "rank": _ranked(instance, is_in, merit),
        "reason_codes": write_reasons(instance, weights, prices, values, standing, kinds),
        "cvar_contribution": weights * standing.marginal,
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
