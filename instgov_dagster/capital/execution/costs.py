"""What an order was expected to cost beside what it did cost: one row an order."""

from typing import Final

import polars as pl

_BPS: Final = 1e4

#: What was predicted of an order when it was decided; columns of the table orders.
PREDICTED_COLUMNS: Final = (
    "decision_mid",
    "temporary_impact_bps",
    "permanent_impact_bps",
    "spread_cost_bps",
    "total_cost_bps",
)

#: The columns of `execution_costs`, and of the view of that name.
COST_SCHEMA: Final = pl.Schema(
    {
        "client_order_id": pl.String(),
        "cycle_id": pl.String(),
        "symbol": pl.String(),
        "side": pl.String(),
        "decision_mid": pl.Float64(),
        "temporary_impact_bps": pl.Float64(),
        "permanent_impact_bps": pl.Float64(),
        "spread_cost_bps": pl.Float64(),
        "predicted_cost_bps": pl.Float64(),
        "realised_cost_bps": pl.Float64(),
        "filled_share": pl.Float64(),
    }
)


def execution_costs(orders: pl.DataFrame, fills: pl.DataFrame) -> pl.DataFrame:
    """Set what each order was predicted to cost beside what its fills cost (roadmap 0.9, 8.3).

    The realised cost is the shortfall against the mid at the decision, modelled costs included:
    (sum of side * (price - mid) * quantity + cost) / (mid * filled quantity). It is negative where
    the market came to the order.

    Parameters
    ----------
    orders
        Planned orders: ``client_order_id``, ``cycle_id``, ``symbol``, ``side``, ``quantity`` and
        `PREDICTED_COLUMNS`; an order without a prediction is left out.
    fills
        ``client_order_id``, ``side``, ``quantity``, ``price`` and ``cost_usd``.

    Returns
    -------
    Columns of `COST_SCHEMA`, one row an order, by ``client_order_id``; an order without a fill has
    no realised cost (null) and a filled share of 0.

    Notes
    -----
    Perold (1988), Journal of Portfolio Management 14: implementation shortfall.
    """
    sign = pl.when(pl.col("side") == "BUY").then(1.0).otherwise(-1.0)
    quantity, price = pl.col("quantity").cast(pl.Float64), pl.col("price").cast(pl.Float64)
    done = fills.group_by("client_order_id").agg(
        quantity.sum().alias("filled"),
        (sign * price * quantity).sum().alias("paid"),
        pl.col("cost_usd").cast(pl.Float64).sum().alias("charged"),
    )
    planned = orders.filter(pl.col("total_cost_bps").is_not_null())
    mid, filled = pl.col("decision_mid"), pl.col("filled")
    shortfall = pl.col("paid") - sign * mid * filled + pl.col("charged")
    return (
        planned.join(done, on="client_order_id", how="left")
        .with_columns(
            predicted_cost_bps=pl.col("total_cost_bps"),
            realised_cost_bps=shortfall / (mid * filled) * _BPS,
            filled_share=(filled / pl.col("quantity").cast(pl.Float64)).fill_null(0.0),
        )
        .select(pl.col(name).cast(kind) for name, kind in COST_SCHEMA.items())
        .sort("client_order_id")
    )
