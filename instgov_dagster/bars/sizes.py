"""How many dollars of a symbol trade a day, and what it last cost."""

import polars as pl

from instgov_dagster.vocabulary.bars import REFERENCE, AssetClass
from instgov_dagster.vocabulary.policy.bars import SizingPolicy


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
    volume = pl.col("volume").fill_nan(None)
    traded = (
        pl.when(pl.col("asset_class") == AssetClass.CRYPTO)
        .then(volume)
        .when(pl.col("asset_class") == AssetClass.COMMODITIES)
        .then(pl.col("close").abs() * volume * _given(policy.multipliers, default=None))
        .when(pl.col("asset_class") == AssetClass.STOCKS)
        .then(pl.col("close") * volume)
    )
    fx = _given(policy.fx_adv_usd, default=policy.fx_adv_usd_default)
    return (
        price_history.lazy()
        .filter(pl.col("asset_class") != REFERENCE)
        .select("symbol", "date", "asset_class", traded=traded.fill_nan(None))
        .group_by("symbol", "asset_class")
        .agg(pl.col("traded").top_k_by("date", policy.adv_sessions))
        .select(
            "symbol",
            "asset_class",
            adv_usd=pl.when(
                pl.col("traded").list.drop_nulls().list.len() >= policy.adv_sessions
            ).then(pl.col("traded").list.median()),
        )
        .sort("symbol")
        .with_columns(
            pl.when(pl.col("asset_class") == AssetClass.FX)
            .then(fx)
            .otherwise("adv_usd")
            .alias("adv_usd")
        )
        .select(
            "symbol",
            pl.when((pl.col("adv_usd") > 0) & pl.col("adv_usd").is_finite()).then("adv_usd"),
        )
        .collect()
    )


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


def _given(pairs: tuple[tuple[str, float], ...], *, default: float | None) -> pl.Expr:
    return pl.col("symbol").replace_strict(dict(pairs), default=default, return_dtype=pl.Float64)
