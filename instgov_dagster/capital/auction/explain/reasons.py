"""The words of an auction's answer: reason codes, decisions and vetoes; no prices are set here."""

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.auction.explain.prices import Prices, Standing
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.values import AdjustedValues
from instgov_dagster.vocabulary.capital import AuctionDecision
from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster.vocabulary.reasons import ReasonCode

_VERDICTS: Final = tuple(AuctionDecision)
_VERDICT_WORDS: Final = tuple(decision.value for decision in AuctionDecision)

_Kind = tuple[tuple[ReasonCode, ...], ReasonCode]
_Layer = tuple[ReasonCode, NDArray[np.bool_]]


def _forced(instance: AuctionInstance) -> NDArray[np.bool_]:
    # Bids whose own cap, or a cap they share in, is below what is held.
    tolerance = instance.policy.feasibility_tolerance
    gross = instance.membership.sums(instance.held)
    over = gross > instance.group_caps + tolerance
    forced: NDArray[np.bool_] = instance.held > instance.caps + tolerance
    return forced | instance.membership.touched(over)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kinds:
    """The kinds of bids there are: those with the same blocks and the same cap are of one.

    ``listed`` are the kinds, ``of_bid`` (J,) names each bid's, ``vetoes`` each kind's veto;
    ``is_blocked`` and ``is_vetoed`` are (J,).
    """

    listed: list[_Kind]
    of_bid: NDArray[np.intp]
    vetoes: list[str | None]
    is_blocked: NDArray[np.bool_]
    is_vetoed: NDArray[np.bool_]


def read_kinds(instance: AuctionInstance) -> Kinds:
    """Sort the bids into their kinds."""
    known: defaultdict[_Kind, int] = defaultdict()
    known.default_factory = known.__len__  # a kind that is new gets the next number
    pairs = zip(instance.block_codes, instance.cap_codes, strict=True)
    of_bid = np.fromiter(map(known.__getitem__, pairs), np.intp, len(instance.bid_ids))
    vetoes = [_veto_of(block) for block, _ in known]
    blocked = np.array([bool(block) for block, _ in known], dtype=np.bool_)
    vetoed = np.array([veto is not None for veto in vetoes], dtype=np.bool_)
    return Kinds(
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
    standing: Standing,
    kinds: Kinds,
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


def write_reasons(
    instance: AuctionInstance,
    weights: NDArray[np.float64],
    prices: Prices,
    values: AdjustedValues,
    standing: Standing,
    kinds: Kinds,
) -> pl.Series:
    """Write the reason codes of every bid, a list of text each, shape ``(n_bids,)``."""
    # Bids with the same flags, kind and purchase limit have the same codes, written once.
    first, after, last = _layers(instance, weights, prices, values, standing, kinds)
    growing = np.flatnonzero(last[1])
    buy_codes = [instance.buy_codes[i] for i in instance.symbol_of[growing].tolist()]
    bought = list(dict.fromkeys(buy_codes))
    of_buy = np.zeros(weights.size, dtype=np.int64)
    of_buy[growing] = [bought.index(code) for code in buy_codes]
    flags = np.array([*(is_set for _, is_set in (*first, *after)), *last])
    key = (kinds.of_bid * max(len(bought), 1) + of_buy) << len(flags)
    key += (1 << np.arange(len(flags))) @ flags
    _, example, which = np.unique(key, return_index=True, return_inverse=True)
    rows = []
    named = [code for code, _ in (*first, *after)]
    for j, is_set in zip(example.tolist(), flags[:, example].T.tolist(), strict=True):
        block, cap_code = kinds.listed[kinds.of_bid[j]]
        codes = [code for code, holds in zip(named, is_set, strict=False) if holds]
        split = sum(is_set[: len(first)])
        codes[split:split] = block
        codes += [cap_code] * is_set[-2]
        codes += [bought[of_buy[j]]] if is_set[-1] else []
        rows.append(tuple(dict.fromkeys(codes)))
    written: pl.Series = _written(tuple(rows))[which]
    return written


@lru_cache(maxsize=64)
def _written(rows: tuple[tuple[ReasonCode, ...], ...]) -> pl.Series:
    # The same few rows of codes come every second.
    return pl.Series([[code.value for code in row] for row in rows], dtype=pl.List(pl.String))


def write_verdicts(
    instance: AuctionInstance, weights: NDArray[np.float64], kinds: Kinds
) -> pl.Series:
    """Write each bid's `AuctionDecision`, as text."""
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
    return word_series(_VERDICT_WORDS)[found]


@lru_cache(maxsize=16)
def word_series(words: tuple[str | None, ...]) -> pl.Series:
    """Lay words out as a series; the last few are kept."""
    return pl.Series(words, dtype=pl.String)


@lru_cache(maxsize=16)
def word_series_at(words: tuple[str | None, ...], places: bytes) -> pl.Series:
    """Lay words out at some places, numbers of type intp as bytes; the last few are kept.

    The same bids come every second, and mostly the same vetoes.
    """
    return word_series(words)[np.frombuffer(places, dtype=np.intp)]
