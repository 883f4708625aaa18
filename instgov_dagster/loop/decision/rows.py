"""What one decision gave every bid, as rows of the table capital_allocations."""

import polars as pl

from instgov_dagster.loop.cycle import CycleDecision


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
