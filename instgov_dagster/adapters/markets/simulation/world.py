"""The whole simulated world: every symbol's bars, as the simulated vendor would deliver them."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import polars as pl

from instgov_dagster.adapters.markets.simulation.actions import (
    log_payouts,
    split_column,
    splits_of,
    unadjusted_factor,
)
from instgov_dagster.adapters.markets.simulation.candles import draw_candles, draw_dollar_volume
from instgov_dagster.adapters.markets.simulation.defects import (
    Spoiled,
    late_fx_closes,
    list_defects,
    spoil,
)
from instgov_dagster.adapters.markets.simulation.parameters import (
    STOCKS,
    WorldParameters,
    dynamics_of,
)
from instgov_dagster.adapters.markets.simulation.profiles import (
    VOLATILITY_INDEX,
    Profile,
    profile_of,
)
from instgov_dagster.adapters.markets.simulation.tape import (
    Moves,
    Tape,
    record_tape,
    symbol_moves,
    volatility_index_moves,
)
from instgov_dagster.vocabulary.bars import REFERENCE, AssetClass, UniverseSymbol
from instgov_dagster.vocabulary.policy.bars import SizingPolicy

PROVIDER = "simulated"
_NUMBERS = ("open", "high", "low", "close", "adj_close", "volume", "dividend", "split")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Every bar of a universe between origin and horizon, and every defect in them.

    Attributes
    ----------
    bars
        The columns of bars as received, sorted by symbol and date.
    defects
        Columns symbol, date, defect.
    first_dates
        The first bar of each symbol.
    """

    bars: pl.DataFrame
    defects: pl.DataFrame
    first_dates: MappingProxyType[str, date]


@lru_cache(maxsize=2)
def build_world(
    symbols: tuple[tuple[UniverseSymbol, AssetClass | None], ...],
    *,
    seed: int,
    parameters: WorldParameters,
) -> World:
    """Simulate every symbol of a universe over the whole span of the world.

    The span is fixed, so that a bar never depends on the night that asks for it.
    """
    tape = record_tape(seed, parameters)
    parts = [_symbol_world(tape, entry, asset_class) for entry, asset_class in symbols]
    bars = pl.concat([part.bars for part in parts])
    firsts = bars.group_by("symbol").agg(pl.col("date").min())
    return World(
        bars=bars.sort("symbol", "date", maintain_order=True),
        defects=pl.concat([part.defects for part in parts]).sort("symbol", "date", "defect"),
        first_dates=MappingProxyType(dict(firsts.iter_rows())),
    )


def _symbol_world(tape: Tape, entry: UniverseSymbol, asset_class: AssetClass | None) -> Spoiled:
    symbol, seed, parameters = entry.symbol, tape.seed, tape.parameters
    if symbol == VOLATILITY_INDEX:
        bars = _volatility_index_bars(tape)
    else:
        bars = _clean_bars(tape, entry, asset_class)
    if entry.listed_on is not None:
        bars = bars.filter(pl.col("date") >= entry.listed_on)
    bars = bars.with_columns(pl.col(_NUMBERS).round(parameters.price_decimals))
    defects = list_defects(symbol, [])
    if asset_class is AssetClass.FX:
        late = late_fx_closes(bars, symbol=symbol, seed=seed, parameters=parameters.defects)
        bars, defects = late.bars, late.defects
    spoiled = spoil(
        bars,
        symbol=symbol,
        seed=seed,
        origin=parameters.origin,
        listed_on=entry.listed_on,
        parameters=parameters.defects,
    )
    word = REFERENCE if entry.is_reference or asset_class is None else asset_class.value
    labelled = spoiled.bars.select(
        pl.lit(symbol).alias("symbol"),
        "date",
        pl.col(_NUMBERS).round(parameters.price_decimals),
        pl.lit(word).alias("asset_class"),
        pl.lit(PROVIDER).alias("provider"),
        pl.lit(f"{PROVIDER}:{seed}").alias("source"),
    )
    return Spoiled(bars=labelled, defects=pl.concat([defects, spoiled.defects]))


def _clean_bars(tape: Tape, entry: UniverseSymbol, asset_class: AssetClass | None) -> pl.DataFrame:
    symbol, seed, parameters = entry.symbol, tape.seed, tape.parameters
    profile = profile_of(symbol, asset_class or AssetClass.STOCKS, seed=seed, parameters=parameters)
    group = entry.sector if asset_class in (None, AssetClass.STOCKS) else str(asset_class)
    moves = symbol_moves(tape, symbol, asset_class=asset_class, group=group, profile=profile)
    payouts = log_payouts(
        seed, symbol, days=moves.days, yield_annual=profile.yield_annual, parameters=parameters
    )
    anchored = moves.days < np.datetime64(parameters.anchor, "D")
    dynamics = STOCKS if asset_class is None else dynamics_of(asset_class)
    trend = profile.growth_annual / dynamics.sessions_per_year * anchored.sum()
    start = np.log(profile.price) - trend + payouts[anchored].sum()
    closes = start + np.cumsum(moves.returns - payouts)
    before = np.concatenate([[start], closes[:-1]]) - payouts
    candles = draw_candles(
        seed,
        symbol,
        before=before,
        closes=closes,
        moves=moves,
        overnight_share=dynamics.overnight_share,
    )
    splits = splits_of(symbol, parameters)
    factor = unadjusted_factor(moves.days, splits)
    dividends = candles.close * np.expm1(payouts)
    units = _units_traded(tape, symbol, asset_class, profile, moves, candles.close)
    return pl.DataFrame(
        {
            "date": moves.days,
            "open": candles.open * factor,
            "high": candles.high * factor,
            "low": candles.low * factor,
            "close": candles.close * factor,
            # Grown forward from the first bar: a vendor's backward adjustment would rewrite
            # all earlier bars at every dividend.
            "adj_close": candles.close * np.exp(np.cumsum(payouts)),
            "volume": np.round(units / factor),
            "dividend": dividends * factor,
            "split": split_column(moves.days, splits),
        }
    )


def _units_traded(  # one symbol's volume needs all that makes the symbol
    tape: Tape,
    symbol: str,
    asset_class: AssetClass | None,
    profile: Profile,
    moves: Moves,
    closes: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    # Shares for stocks, contracts for futures, dollars for crypto, nothing for FX.
    if profile.adv_usd <= 0 or asset_class is None:
        return np.zeros(moves.days.size)
    dollars = draw_dollar_volume(
        tape.seed, symbol, adv_usd=profile.adv_usd, moves=moves, parameters=tape.parameters
    )
    if asset_class is AssetClass.CRYPTO:
        return dollars
    multiplier = dict(SizingPolicy().multipliers).get(symbol, 1.0)
    return dollars / (closes * multiplier)


def _volatility_index_bars(tape: Tape) -> pl.DataFrame:
    moves = volatility_index_moves(tape)
    closes = np.cumsum(moves.returns)
    candles = draw_candles(
        tape.seed,
        VOLATILITY_INDEX,
        before=np.concatenate([closes[:1], closes[:-1]]),
        closes=closes,
        moves=moves,
        overnight_share=STOCKS.overnight_share,
    )
    zeros = np.zeros(closes.size)
    return pl.DataFrame(
        {
            "date": moves.days,
            "open": candles.open,
            "high": candles.high,
            "low": candles.low,
            "close": candles.close,
            "adj_close": candles.close,
            "volume": zeros,
            "dividend": zeros,
            "split": zeros,
        }
    )
