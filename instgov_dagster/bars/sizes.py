"""How many dollars of a symbol trade a day, and what it last cost."""

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.vocabulary.bars import REFERENCE, AssetClass
from instgov_dagster.vocabulary.policy.bars import SizingPolicy

Floats = NDArray[np.float64]


def average_dollar_volume(price_history: pl.DataFrame, policy: SizingPolicy) -> pl.DataFrame:
    """Give the median of the dollars traded on the last 21 sessions of each symbol.

    Parameters
    ----------
    price_history
        ``PRICE_SCHEMA``. References are left out.

    Returns
    -------
    pl.DataFrame
        Columns symbol, adv_usd, sorted by symbol; null where it cannot be known: fewer sessions,
        no volume, a future without a contract multiplier. Whoever sizes by it then refuses.

    Notes
    -----
    STOCKS: close x volume. COMMODITIES: times the contract's multiplier; a negative price trades
    its absolute value. CRYPTO: vendor volume is dollars already. FX reports none: what the policy
    says of the pair.
    """
    names = ("symbol", "asset_class", "date", "close", "volume")
    rows = price_history.filter(pl.col("asset_class") != REFERENCE).select(names)
    rows = rows.sort("symbol", "asset_class", "date")
    symbols, kinds = rows["symbol"], rows["asset_class"]
    is_last = (symbols != symbols.shift(-1)) | (kinds != kinds.shift(-1))
    ends = (np.flatnonzero(is_last.fill_null(value=True)) + 1).tolist()
    close, volume = rows["close"].to_numpy(), rows["volume"].to_numpy()
    known = {"multiplier": dict(policy.multipliers), "fx": dict(policy.fx_adv_usd)}
    found: list[tuple[str, float | None]] = []
    for start, end in zip([0, *ends], ends, strict=False):
        symbol, kind = symbols[end - 1], AssetClass(kinds[end - 1])
        if kind is AssetClass.FX:
            adv = known["fx"].get(symbol, policy.fx_adv_usd_default)
        else:
            last = slice(max(start, end - policy.adv_sessions), end)
            traded = _traded(kind, close[last], volume[last], known["multiplier"].get(symbol))
            is_enough = traded.size >= policy.adv_sessions and not np.isnan(traded).any()
            adv = float(np.median(traded)) if is_enough else math.nan
        found.append((symbol, adv if math.isfinite(adv) and adv > 0.0 else None))
    schema = {"symbol": pl.String(), "adv_usd": pl.Float64()}
    return pl.DataFrame(found, schema=schema, orient="row")


def _traded(
    kind: AssetClass, close: Floats, volume: Floats, multiplier: float | None
) -> NDArray[np.float64]:
    # Dollars a session, NaN where they cannot be known.
    if kind is AssetClass.CRYPTO:
        return volume
    if kind is AssetClass.COMMODITIES:
        return np.abs(close) * volume * (math.nan if multiplier is None else multiplier)
    return close * volume


def last_prices(price_history: pl.DataFrame) -> pl.DataFrame:
    """Give each symbol's last close and its session: symbol, last_close, last_session."""
    return (
        price_history.lazy()
        .filter(pl.col("close").is_finite())
        .group_by("symbol")
        .agg(
            pl.col("close").top_k_by("date", 1).first().alias("last_close"),
            pl.col("date").max().alias("last_session"),
        )
        .sort("symbol")
        .collect()
    )
