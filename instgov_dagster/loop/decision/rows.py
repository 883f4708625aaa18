"""What one decision gave every bid, as rows of a table, and how its orders are named."""

import polars as pl

from instgov_dagster.loop.cycle import CycleDecision
from instgov_dagster.vocabulary.capital import PlannedOrder


def allocations_frame(decision: CycleDecision) -> pl.DataFrame:
    """Lay out what the auction gave every bid, losers too (DB.4)."""
    return decision.auction.bids.select(
        pl.lit(decision.cycle_id).alias("cycle_id"),
        "symbol",
        "strategy_id",
        "allocated_weight",
        "reason_codes",
        "allocated",
        "weight",
        "rank",
        "decision",
        "mu_contribution",
        "cvar_contribution",
        "liquidity_cost",
        "correlation_penalty",
        "data_quality_penalty",
        "model_decay_penalty",
        "provider_penalty",
        "time_decay_penalty",
        "priced_out_bps",
        "vetoed",
        "veto_reason",
    )


def order_name(cycle_id: str, planned: PlannedOrder) -> str:
    """Name an order by its cycle, symbol, side and place in the plan."""
    return f"{cycle_id}|{planned.symbol}|{planned.side.value}|{planned.sequence}"
