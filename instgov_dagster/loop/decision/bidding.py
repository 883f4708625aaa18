"""What a cycle bids with: the book at its marks, and one bid a strategy and scenario symbol."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.beliefs.predictive import read_law, standard_law
from instgov_dagster.capital.auction.assemble import AuctionTerms
from instgov_dagster.capital.auction.bids import BidTable
from instgov_dagster.capital.cvar import marginal_cvar
from instgov_dagster.governance.veto import VetoIndex
from instgov_dagster.loop.decision.book import Book
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.vocabulary.capital import StrategyGrant
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Veto
from instgov_dagster.vocabulary.reasons import ReasonCode

Floats = NDArray[np.float64]
_BPS = 1e4
_Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValuedBook:
    """The book at one instant's marks; N symbols and K strategies in the snapshot's order.

    Attributes
    ----------
    marks
        Shape ``(N,)``: the valid mid, else the last price the session held.
    has_quote
        Shape ``(N,)``: whether the quote of this instant is valid.
    weights
        Shape ``(K, N)``, fractions of net asset value, drifted with the marks.
    is_open
        Shape ``(N,)``: whose market trades; None where all do.
    """

    nav_usd: float
    marks: Floats
    has_quote: NDArray[np.bool_]
    half_spread_bps: Floats
    weights: Floats
    drawdown: float
    is_open: NDArray[np.bool_] | None = None

    def quote_reason(self, n: int) -> ReasonCode:
        """Say why a symbol without a valid quote has none."""
        is_closed = self.is_open is not None and not self.is_open[n]
        return ReasonCode.MARKET_CLOSED if is_closed else ReasonCode.QUOTE_INVALID

    @property
    def net(self) -> Floats:
        """Weight held of each symbol, shape ``(N,)``."""
        total: Floats = self.weights.sum(axis=0)
        return total


def value_book(
    snapshot: Snapshot, quotes: Quotes, book: Book, marks: Floats, *, has_quote: NDArray[np.bool_]
) -> ValuedBook:
    """Mark the book to the quotes; where a quote is not valid the last mark stands.

    Parameters
    ----------
    marks
        Shape ``(N,)``, the marks of the cycle before.
    has_quote
        Shape ``(N,)``, which quotes are valid now.

    Raises
    ------
    SystemHalt
        ``RISK_NOT_FINITE`` where what is held has no price, or nothing is left of the book.
    """
    mids = quotes.mid()
    now = np.where(has_quote, mids, marks)
    quantities = book.quantities([s.strategy_id for s in snapshot.strategies], snapshot.symbols)
    is_held = (quantities != 0.0).any(axis=0)
    unpriced = is_held & ~np.isfinite(now)
    if unpriced.any():
        blind = [s for s, is_blind in zip(snapshot.symbols, unpriced, strict=True) if is_blind]
        raise SystemHalt(ReasonCode.RISK_NOT_FINITE, f"held without any price: {blind}")
    values = np.where(quantities != 0.0, quantities * np.where(is_held, now, 0.0), 0.0)
    nav = float(book.cash_usd) + float(values.sum())
    if not (math.isfinite(nav) and nav > 0.0):
        raise SystemHalt(ReasonCode.RISK_NOT_FINITE, f"net asset value must be > 0, was {nav!r}")
    peak = max(float(book.peak_nav_usd), nav)
    with np.errstate(divide="ignore", invalid="ignore"):
        quoted = 0.5 * (quotes.ask - quotes.bid) / mids * _BPS
    modelled = 0.5 * snapshot.spread_bps
    return ValuedBook(
        nav_usd=nav,
        marks=now,
        has_quote=has_quote,
        half_spread_bps=np.where(has_quote, quoted, modelled),
        weights=values / nav,
        drawdown=1.0 - nav / peak,
        is_open=quotes.is_open,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookView:
    """What the book held means for each symbol, ``(N,)``; 0 where there is no scenario.

    ``correlation`` is that of the symbol's horizon returns with the book, 0 for an empty book.
    """

    marginal: Floats
    correlation: Floats
    sector_gross: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bids:
    """Every bid of one cycle with what the auction asks beside it.

    Attributes
    ----------
    strategy_of, symbol_of
        Place of each bid in the snapshot's strategies and symbols, shape ``(J,)``.
    decay
        Health of the model behind each bid, shape ``(J,)``.
    book
        What the book held already means for each symbol.
    """

    table: BidTable
    strategy_of: NDArray[np.intp]
    symbol_of: NDArray[np.intp]
    decay: Floats
    book: BookView
    terms: AuctionTerms


def assemble_bids(
    snapshot: Snapshot,
    valued: ValuedBook,
    policy: Policy,
    *,
    freeze_codes: tuple[ReasonCode, ...],
    traded_usd: Floats,
    vetoes: tuple[Veto, ...] = (),
) -> Bids:
    """Build one bid for each strategy on each symbol with scenarios (roadmap 4.1, 4.4).

    A symbol that may not be bid for is in the table as well, blocked, when it is held: nothing
    held is ever left out of the auction.

    Parameters
    ----------
    freeze_codes
        Why no bid may grow in this cycle, whatever it is: state, staleness, regime.
    traded_usd
        Shape ``(N,)``: what the session traded of each symbol so far.
    vetoes
        The vetoes that stand: one that bars increases only freezes what it touches, any other
        takes its capital.
    """
    strategy_of, symbol_of = _places(snapshot, valued)
    f, at = snapshot.forecasts, (strategy_of, symbol_of)
    exists = np.isfinite(f.mu_adjusted[at]) & np.isfinite(f.sigma[at]) & (f.sigma[at] > 0.0)
    touching = _touching(snapshot, at, vetoes)
    blocks = _with_vetoes(snapshot.blocks.of(*at, exists), touching)
    freezes = _freezes(freeze_codes, touching, valued, symbol_of)
    book = _book_view(snapshot, valued, policy)
    terms = AuctionTerms(
        held=np.maximum(valued.weights[at], 0.0),
        blocks=blocks,
        freezes=freezes,
        budget=min(policy.limits.leverage, 1.0) * snapshot.regime.gross_multiplier,
        grants=tuple(
            StrategyGrant(
                strategy_id=view.strategy_id,
                stage_cap=view.stage_cap,
                capital_decay=view.capital_decay,
            )
            for view in snapshot.strategies
        ),
        sectors=dict(zip(snapshot.symbols, snapshot.sector, strict=True)),
        traded_usd=dict(zip(snapshot.symbols, traded_usd.tolist(), strict=True)),
        nav_usd=valued.nav_usd,
    )
    return Bids(
        table=_bid_table(snapshot, valued, book, policy, strategy_of, symbol_of, exists),
        strategy_of=strategy_of,
        symbol_of=symbol_of,
        decay=_or_zero(f.decay[at]),
        book=book,
        terms=terms,
    )


def _or_zero(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, 0.0)


def _bid_table(
    snapshot: Snapshot,
    valued: ValuedBook,
    book: BookView,
    policy: Policy,
    strategy_of: NDArray[np.intp],
    symbol_of: NDArray[np.intp],
    exists: NDArray[np.bool_],
) -> BidTable:
    f, at, n_bids = snapshot.forecasts, (strategy_of, symbol_of), symbol_of.size
    sigma = np.where(exists, f.sigma[at], _horizon_sigma(snapshot, policy)[symbol_of])
    mu = np.where(exists, f.mu_adjusted[at], 0.0)
    impact = _or_zero(snapshot.impact_bps[symbol_of])
    half_spread = _or_zero(valued.half_spread_bps[symbol_of])
    law = standard_law(policy.models.forecast.predictive_dof)
    views = snapshot.strategies
    half_lives = np.array([view.half_life_sessions for view in views])
    names = np.array([view.strategy_id for view in views])
    stages = np.array([view.stage.value for view in views])
    classes = np.array([kind.value for kind in snapshot.asset_class])
    return BidTable(
        symbol=np.array(snapshot.symbols)[symbol_of],
        asset_class=classes[symbol_of],
        mu=mu,
        sigma=sigma,
        cvar_95=read_law(mu, sigma, law).cvar_95,
        marginal_cvar=book.marginal[symbol_of],
        p_loss=read_law(mu - (half_spread + impact) / _BPS, sigma, law).p_loss,
        data_quality_score=snapshot.data_quality[symbol_of],
        history_days=snapshot.history_days[symbol_of],
        provider_confidence=snapshot.provider_confidence[symbol_of],
        adv_usd=_or_zero(snapshot.adv_usd[symbol_of]),
        liquidity_cost_bps=half_spread,
        market_impact_bps=impact,
        correlation_risk=book.correlation[symbol_of],
        sector_exposure=book.sector_gross[symbol_of],
        holding_period_days=np.full(n_bids, policy.cvar.horizon_days, dtype=np.int64),
        time_decay_rate=(math.log(2.0) / half_lives)[strategy_of],
        model_age_days=_or_zero(f.model_age_days[at]).astype(np.int64),
        rolling_forecast_error=_or_zero(f.rolling_error[at]),
        autocorr_flip_detected=f.has_flipped[at],
        strategy_id=names[strategy_of],
        strategy_lifecycle_stage=stages[strategy_of],
        strategy_allocation_pct=100.0 * np.abs(valued.weights).sum(axis=1)[strategy_of],
    )


def _places(snapshot: Snapshot, valued: ValuedBook) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    # Bids are ordered by symbol, then strategy, whatever the order of anything else.
    is_held = (valued.weights != 0.0).any(axis=0)
    lost = is_held & (snapshot.scenario_index < 0)
    if lost.any():
        names = [s for s, gone in zip(snapshot.symbols, lost, strict=True) if gone]
        raise SystemHalt(ReasonCode.RISK_NOT_FINITE, f"held without scenarios: {names}")
    columns = np.flatnonzero((snapshot.scenario_index >= 0) & (snapshot.is_eligible | is_held))
    n_strategies = len(snapshot.strategies)
    symbol_of = np.repeat(columns, n_strategies).astype(np.intp)
    return np.tile(np.arange(n_strategies), columns.size).astype(np.intp), symbol_of


def _horizon_sigma(snapshot: Snapshot, policy: Policy) -> Floats:
    # Stand-in for a holding without a forecast: it can only be sold, its sigma must exist.
    scale = math.sqrt(policy.cvar.horizon_days / policy.models.forecast.sessions_per_year)
    sigma: Floats = np.nan_to_num(snapshot.volatility_annual, nan=1.0) * scale
    return np.maximum(sigma, 1e-6)


def _book_view(snapshot: Snapshot, valued: ValuedBook, policy: Policy) -> BookView:
    n_symbols = len(snapshot.symbols)
    marginal, correlation = np.zeros(n_symbols), np.zeros(n_symbols)
    has = snapshot.scenario_index >= 0
    places = snapshot.scenario_index[has]
    returns = snapshot.scenarios.current.returns
    weights = np.zeros(len(snapshot.scenarios.symbols))
    weights[places] = valued.net[has]
    if weights.any():
        level = policy.cvar.confidence_level
        marginal[has] = marginal_cvar(returns, weights, confidence_level=level)[places]
        correlation[has] = _correlation(returns, weights, policy)[places]
    sectors = np.array(snapshot.sector)
    gross = np.abs(valued.net)
    by_sector = {name: float(gross[sectors == name].sum()) for name in set(snapshot.sector)}
    return BookView(
        marginal=marginal,
        correlation=correlation,
        sector_gross=np.array([by_sector[name] for name in snapshot.sector]),
    )


def _correlation(returns: Floats, weights: Floats, policy: Policy) -> Floats:
    recent = returns[-policy.limits.correlation_sessions :]
    book = recent @ weights
    centred, book = recent - recent.mean(axis=0), book - book.mean()
    scale = np.sqrt((centred**2).sum(axis=0) * (book**2).sum())
    moved = scale > 0.0
    out = np.zeros(weights.size)
    out[moved] = np.clip((centred[:, moved].T @ book) / scale[moved], -1.0, 1.0)
    return out


def _touching(
    snapshot: Snapshot, bids: _Pairs, vetoes: tuple[Veto, ...]
) -> tuple[tuple[Veto, ...], ...]:
    # On most days no veto stands and no bid is looked at.
    strategy_of, symbol_of = (place.tolist() for place in bids)
    if not vetoes:
        return ((),) * len(symbol_of)
    index = VetoIndex(vetoes)
    ids = [view.strategy_id for view in snapshot.strategies]
    places = zip(strategy_of, symbol_of, strict=True)
    return tuple(index.on(ids[k], snapshot.symbols[n]) for k, n in places)


def _with_vetoes(
    blocks: list[tuple[ReasonCode, ...]], touching: tuple[tuple[Veto, ...], ...]
) -> tuple[tuple[ReasonCode, ...], ...]:
    # A veto that stands comes first.
    out = []
    for codes, vetoes in zip(blocks, touching, strict=True):
        taking = [veto.reason_code for veto in vetoes if not veto.bars_increases_only]
        told = (ReasonCode.VETO_STANDING, *taking, *codes) if taking else codes
        out.append(tuple(dict.fromkeys(told)))
    return tuple(out)


def _freezes(
    codes: tuple[ReasonCode, ...],
    touching: tuple[tuple[Veto, ...], ...],
    valued: ValuedBook,
    symbol_of: NDArray[np.intp],
) -> tuple[tuple[ReasonCode, ...], ...]:
    quoted, places = valued.has_quote[symbol_of].tolist(), symbol_of.tolist()
    return tuple(
        _freeze_codes(codes, standing, None if is_quoted else valued.quote_reason(n))
        for standing, is_quoted, n in zip(touching, quoted, places, strict=True)
    )


def _freeze_codes(
    codes: tuple[ReasonCode, ...], vetoes: tuple[Veto, ...], unquoted: ReasonCode | None
) -> tuple[ReasonCode, ...]:
    if unquoted is None and not vetoes:
        return codes
    own = () if unquoted is None else (unquoted,)
    barred = (veto.reason_code for veto in vetoes if veto.bars_increases_only)
    return tuple(dict.fromkeys((*codes, *own, *barred)))


def target_facts(target: Mapping[str, float]) -> dict[str, Any]:
    """Say a target shortly, for a hash: its bids by one digest, in their order, and the weights."""
    names = "\n".join(target).encode()
    return {
        "targets": hashlib.sha256(names).hexdigest(),
        "weights": np.fromiter(target.values(), np.float64, len(target)),
    }
