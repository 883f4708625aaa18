"""Assets of the capital wing: stress, impact, auction, gates, plan (phases 4, 5, 8)."""

import dagster as dg

from instgov_dagster.defs.graph import Wing, night_asset
from instgov_dagster.defs.reporting import (
    counts,
    gate_table,
    report_step,
    run_night_step,
    stress_facts,
)
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.governance import Phase

#: How the book as a whole is named where a verdict names a symbol.
BOOK = "*"


@night_asset(Wing.CAPITAL, Phase.CAPITAL_COMPETITION, after=["data_governance"])
def stress_scenarios(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Lay out the overlapping five-session returns that CVaR is measured on (5.2)."""
    outcome = run_night_step(context, platform, "stress_scenarios")
    return report_step(
        outcome,
        measures=counts(outcome.frame, "measure"),
        first_date=outcome.frame["scenario_date"].min(),
        last_date=outcome.frame["scenario_date"].max(),
        **stress_facts(outcome.frame),
    )


@night_asset(Wing.CAPITAL, Phase.CAPITAL_COMPETITION, after=["stress_scenarios", "market_impact"])
def risk_forecasts(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Forecast the tail of the book carried into the night, for the coverage tests (5.2)."""
    outcome = run_night_step(context, platform, "risk_forecasts")
    book = outcome.frame.row(0, named=True)
    numbers = ("gross", "value_at_risk", "cvar", "standard_error", "n_scenarios")
    return report_step(outcome, **{name: book[name] for name in numbers})


@night_asset(Wing.CAPITAL, Phase.CAPITAL_COMPETITION, after=["data_governance"])
def cvar_coverage(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Hold the forecasts of earlier nights against the losses that came (5.2)."""
    import polars as pl

    outcome = run_night_step(context, platform, "cvar_coverage")
    book = outcome.frame.filter(pl.col("scope") == BOOK)
    values = dict(book.select("test", "value").iter_rows())
    return report_step(outcome, **values, outcomes=book["outcomes"].max())


@night_asset(Wing.CAPITAL, Phase.CAPITAL_COMPETITION, after=["data_governance"])
def market_impact(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Estimate what trading each symbol costs: volume, volatility, spread, impact (8.3)."""
    outcome = run_night_step(context, platform, "market_impact")
    return report_step(
        outcome,
        highest_impact_bps=outcome.frame["market_impact_bps"].max(),
        widest_spread_bps=outcome.frame["spread_bps"].max(),
        without_estimate=outcome.frame["market_impact_bps"].null_count(),
    )


@night_asset(
    Wing.CAPITAL,
    Phase.CAPITAL_COMPETITION,
    after=[
        "regime_beliefs",
        "model_decay_metrics",
        "belief_state",
        "strategy_lifecycle",
        "stress_scenarios",
        "market_impact",
        "vetoes",
    ],
)
def auction_bids(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Assemble one bid for each strategy on each symbol with scenarios (4.1)."""
    outcome = run_night_step(context, platform, "auction_bids")
    return report_step(
        outcome,
        symbols=outcome.frame["symbol"].n_unique(),
        strategies=counts(outcome.frame, "strategy_id"),
        best_mu_hat=outcome.frame["mu_hat"].max(),
    )


@night_asset(Wing.CAPITAL, Phase.CAPITAL_COMPETITION, after=["auction_bids"])
def auction_certificate(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Store the proof of the night's auction: tail weights, prices, bound and gap (4.3)."""
    outcome = run_night_step(context, platform, "auction_certificate")
    proof = outcome.frame.row(0, named=True)
    told = ("status", "objective", "upper_bound", "gap", "rounding", "lambda_star")
    return report_step(outcome, **{name: proof[name] for name in told})


@night_asset(Wing.CAPITAL, Phase.CAPITAL_COMPETITION, after=["auction_certificate"])
def capital_allocations(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Let all bids compete: max of expected return less lambda times CVaR (4.3, 4.4, DB.4)."""
    outcome = run_night_step(context, platform, "capital_allocations")
    return report_step(
        outcome,
        gross=outcome.frame["allocated_weight"].sum(),
        allocated=outcome.frame["allocated"].sum(),
        decisions=counts(outcome.frame, "decision"),
        reasons=counts(outcome.frame.explode("reason_codes"), "reason_codes"),
    )


@night_asset(Wing.CAPITAL, Phase.CVAR_RISK_GATES, after=["capital_allocations"])
def risk_verdicts(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Judge the final book, each order last in, and each prefix of the list (0.5, 5.3-5.5)."""
    import polars as pl

    outcome = run_night_step(context, platform, "risk_verdicts")
    book = outcome.frame.filter(pl.col("symbol") == BOOK)
    cvar = book.filter(pl.col("gate") == "cvar").row(0, named=True)
    return report_step(
        outcome,
        cvar_gate=cvar["value"],
        cvar_limit=cvar["limit_value"],
        cvar_headroom=cvar["headroom"],
        book_gates=gate_table(book),
        orders_refused=outcome.frame.filter(~pl.col("passed"))["symbol"].n_unique(),
    )


@night_asset(Wing.CAPITAL, Phase.EXECUTION_SIMULATION, after=["risk_verdicts"])
def execution_plan(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Plan the approved orders, reductions first, each with its impact estimate (0.9, 8.3-8.5)."""
    outcome = run_night_step(context, platform, "execution_plan")
    return report_step(
        outcome,
        sides=counts(outcome.frame, "side"),
        styles=counts(outcome.frame, "style"),
        notional_usd=outcome.frame["notional_usd"].sum(),
        dearest_order_bps=outcome.frame["total_cost_bps"].max(),
    )
