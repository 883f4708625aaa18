"""Assemble an auction from bids, grants, sectors and scenarios; the caps are set here."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.bids import BidTable
from instgov_dagster.capital.auction.instance import AuctionInstance, CapGroup, Incidence
from instgov_dagster.capital.auction.values import AdjustedValues, break_ties
from instgov_dagster.capital.scenarios import ScenarioSet
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import StrategyGrant
from instgov_dagster.vocabulary.policy.capital import AuctionPolicy, CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode

_BPS = 1e4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AuctionTerms:
    """What the cycle knows beside the bids; arrays of shape ``(n_bids,)``.

    ``held`` is the weight each bid holds; ``blocks`` the codes for which it may hold nothing
    (vetoed, invalid, ineligible, no provider, halted), a code of severity VETO making it vetoed;
    ``freezes`` the codes for which it may not grow. ``budget`` is the regime's gross budget,
    ``grants`` one `StrategyGrant` for every strategy, ``sectors`` the sector of every symbol;
    ``traded_usd`` what was traded of a symbol in this session so far, either way, 0 where absent:
    it counts against the participation limit, and impact grows from there.
    """

    held: NDArray[np.float64]
    blocks: tuple[tuple[ReasonCode, ...], ...]
    freezes: tuple[tuple[ReasonCode, ...], ...]
    budget: float
    grants: tuple[StrategyGrant, ...]
    sectors: Mapping[str, str]
    traded_usd: Mapping[str, float]
    nav_usd: float


def build_instance(
    bids: BidTable,
    values: AdjustedValues,
    scenarios: ScenarioSet,
    terms: AuctionTerms,
    *,
    policy: AuctionPolicy,
    cvar_config: CVaRConfig,
) -> AuctionInstance:
    """Turn bids into one auction (roadmap 4.3, 7.5, 10.5).

    Parameters
    ----------
    bids, values
        Every bid, blocked ones included, and its value from `adjusted_values`.
    scenarios
        A set with a column for every symbol that is bid for.
    terms
        Holdings, blocks, budget, grants, sectors and net asset value.

    Raises
    ------
    ValueError
        If shapes disagree, a strategy has no grant, a symbol no scenarios or no sector, or the
        budget or net asset value is impossible.
    """
    _check_terms(terms, len(bids))
    names, symbol_of = np.unique(bids.symbol, return_inverse=True)
    symbols = tuple(names.tolist())
    cut = scenarios.select(symbols)
    held = np.where(np.abs(terms.held) <= policy.holding_tolerance, 0.0, terms.held)
    single = _marginal_caps(cut, cvar_config)
    caps, cap_codes = _bid_caps(single[symbol_of], held, terms)
    groups, membership, group_caps = _groups(bids, symbols, symbol_of, held, terms, policy)
    market = _market(bids, symbols, symbol_of, single, terms, policy)
    return AuctionInstance(
        bid_ids=bids.bid_ids,
        strategies=tuple(bids.strategy_id.tolist()),
        symbols=symbols,
        symbol_of=symbol_of.astype(np.intp),
        values=break_ties(values.mu_hat, bids.bid_ids, policy=policy),
        held=held,
        caps=caps,
        cap_codes=cap_codes,
        block_codes=tuple(a + b for a, b in zip(terms.blocks, terms.freezes, strict=True)),
        groups=groups,
        membership=membership,
        group_caps=group_caps,
        half_spread=market.half_spread,
        impact=market.impact,
        traded=market.traded,
        buy_limits=market.buy_limits,
        buy_codes=market.buy_codes,
        sell_limits=market.sell_limits,
        scenarios=cut,
        measure_limits=(cvar_config.portfolio_limit * cvar_config.haircut,) * len(cut.measures),
        hurdle=policy.hurdle,
        confidence_level=cvar_config.confidence_level,
        policy=policy,
    )


def _check_terms(terms: AuctionTerms, n_bids: int) -> None:
    if terms.held.shape != (n_bids,) or {len(terms.blocks), len(terms.freezes)} != {n_bids}:
        raise ValueError(f"terms must have one row a bid: {n_bids}")
    if not (np.isfinite(terms.nav_usd) and terms.nav_usd > 0.0):
        raise ValueError(f"nav_usd must be a finite number > 0, was {terms.nav_usd!r}")
    if not 0.0 <= terms.budget <= 1.0:
        raise ValueError(f"budget must be in [0, 1], was {terms.budget!r}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Market:
    # What trading each symbol costs and how much of it may be traded, shape (n_symbols,).
    half_spread: NDArray[np.float64]
    impact: NDArray[np.float64]
    traded: NDArray[np.float64]
    buy_limits: NDArray[np.float64]
    buy_codes: tuple[ReasonCode, ...]
    sell_limits: NDArray[np.float64]


def _market(
    bids: BidTable,
    symbols: tuple[str, ...],
    symbol_of: NDArray[np.intp],
    single: NDArray[np.float64],
    terms: AuctionTerms,
    policy: AuctionPolicy,
) -> _Market:
    n = len(symbols)
    volume = _of_symbol(symbol_of, n, bids.adv_usd, np.minimum)
    before = np.array([terms.traded_usd.get(symbol, 0.0) for symbol in symbols]) / terms.nav_usd
    trade = np.maximum(policy.participation * volume / terms.nav_usd - before, 0.0)
    at_reference = _of_symbol(symbol_of, n, bids.market_impact_bps, np.maximum) / _BPS
    return _Market(
        half_spread=_of_symbol(symbol_of, n, bids.liquidity_cost_bps, np.maximum) / _BPS,
        impact=at_reference / np.sqrt(policy.impact_reference_size),
        traded=before,
        buy_limits=np.minimum(trade, single),
        buy_codes=tuple(
            ReasonCode.PARTICIPATION_CAP_BINDS if by_volume else ReasonCode.MARGINAL_CAP_BINDS
            for by_volume in (trade <= single).tolist()
        ),
        sell_limits=trade,
    )


def _of_symbol(
    symbol_of: NDArray[np.intp], n_symbols: int, values: NDArray[np.float64], worse: np.ufunc
) -> NDArray[np.float64]:
    # One number a symbol: where its bids disagree, the one that makes trading dearer.
    start = np.inf if worse is np.minimum else 0.0
    out = np.full(n_symbols, start)
    worse.at(out, symbol_of, values)
    return out


def _marginal_caps(scenarios: ScenarioSet, config: CVaRConfig) -> NDArray[np.float64]:
    # The size at which a symbol's own CVaR reaches the marginal limit, at most the whole book:
    # CVaR is subadditive, so an order within it cannot fail the marginal gate.
    alone = scenarios.current.standalone_cvar(config.confidence_level)
    with np.errstate(divide="ignore"):
        caps = np.where(alone > 0.0, config.marginal_limit / np.abs(alone), 1.0)
    return np.where(np.isnan(alone), 0.0, np.minimum(caps, 1.0))


def _bid_caps(
    single: NDArray[np.float64], held: NDArray[np.float64], terms: AuctionTerms
) -> tuple[NDArray[np.float64], tuple[ReasonCode, ...]]:
    caps = single.copy()
    codes = [ReasonCode.MARGINAL_CAP_BINDS] * held.size
    for j, (block, freeze) in enumerate(zip(terms.blocks, terms.freezes, strict=True)):
        if block:
            caps[j], codes[j] = 0.0, block[0]
        elif freeze and held[j] < caps[j]:
            caps[j], codes[j] = held[j], freeze[0]
    return caps, tuple(codes)


def _groups(
    bids: BidTable,
    symbols: tuple[str, ...],
    symbol_of: NDArray[np.intp],
    held: NDArray[np.float64],
    terms: AuctionTerms,
    policy: AuctionPolicy,
) -> tuple[tuple[CapGroup, ...], Incidence, NDArray[np.float64]]:
    # One group a cap: budget, strategies, names, sectors, classes, in that order.
    missing = [symbol for symbol in symbols if symbol not in terms.sectors]
    if missing:
        raise ValueError(f"every symbol must have a sector, without one were {missing}")
    sectors = np.array([terms.sectors[symbol] for symbol in symbols], dtype=np.str_)
    listed = _Groups()
    listed.add(ReasonCode.BUDGET_BINDS, ["budget"], np.zeros(len(bids), np.intp), [terms.budget])
    names, of_strategy = np.unique(bids.strategy_id, return_inverse=True)
    gross = np.bincount(of_strategy, weights=held, minlength=names.size).astype(np.float64)
    caps = _strategy_caps(names.tolist(), gross, terms, policy)
    listed.add(ReasonCode.STAGE_CAP_BINDS, names.tolist(), of_strategy, caps)
    name_caps = [policy.name_cap] * len(symbols)
    listed.add(ReasonCode.NAME_CAP_BINDS, list(symbols), symbol_of, name_caps)
    names, of_sector = np.unique(sectors[sectors != policy.uncapped_sector], return_inverse=True)
    place = np.full(len(symbols), -1, dtype=np.intp)
    place[sectors != policy.uncapped_sector] = of_sector
    sector_caps = [policy.sector_cap] * names.size
    listed.add(ReasonCode.SECTOR_CAP_BINDS, names.tolist(), place[symbol_of], sector_caps)
    names, of_class = np.unique(bids.asset_class, return_inverse=True)
    class_caps = [policy.class_caps.of(AssetClass(kind)) for kind in names.tolist()]
    listed.add(ReasonCode.CLASS_CAP_BINDS, names.tolist(), of_class, class_caps)
    return tuple(listed.groups), listed.incidence(len(bids)), np.array(listed.caps)


def _strategy_caps(
    names: list[str], gross: NDArray[np.float64], terms: AuctionTerms, policy: AuctionPolicy
) -> list[float]:
    # A strategy grows to a share of its cap; what it holds between the two may stay.
    grants = {grant.strategy_id: grant for grant in terms.grants}
    caps = []
    for name, held in zip(names, gross.tolist(), strict=True):
        if name not in grants:
            raise ValueError(f"every strategy must have a grant, without one was {name!r}")
        full = grants[name].cap
        caps.append(min(max(held, policy.target_share * full), full))
    return caps


class _Groups:
    """The groups of an auction as they are listed, each kind a partition of some of the bids."""

    def __init__(self) -> None:
        self.groups: list[CapGroup] = []
        self.caps: list[float] = []
        self._pairs: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []

    def add(
        self, code: ReasonCode, keys: list[str], place: NDArray[np.intp], caps: list[float]
    ) -> None:
        """List one kind of group; ``place`` (J,) says which of them each bid is in, -1 for none."""
        bids = np.flatnonzero(place >= 0)
        bids = bids[np.argsort(place[bids], kind="stable")]
        self._pairs.append((place[bids] + len(self.groups), bids))
        self.groups += [CapGroup(code=code, key=key) for key in keys]
        self.caps += caps

    def incidence(self, n_bids: int) -> Incidence:
        """Pair every group with its bids."""
        return Incidence(
            n_groups=len(self.groups),
            n_bids=n_bids,
            group_of=np.concatenate([group for group, _ in self._pairs]),
            bid_of=np.concatenate([bid for _, bid in self._pairs]),
        )
