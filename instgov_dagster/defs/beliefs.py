"""Assets and rules of the beliefs wing: regime, forecasts, model health (phases 6 and 7)."""

import dagster as dg

from instgov_dagster.defs.graph import Wing, night_asset, rule
from instgov_dagster.defs.reporting import (
    counts,
    names,
    none_breaks,
    read_table,
    report_step,
    run_night_step,
    verdict,
)
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.governance import Phase
from instgov_dagster.vocabulary.reasons import ReasonCode


@night_asset(Wing.BELIEFS, Phase.CAPITAL_COMPETITION, after=["data_governance"])
def regime_beliefs(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Filter the probability of each regime, today and five sessions ahead (7.1-7.4)."""
    outcome = run_night_step(context, platform, "regime_beliefs")
    row = outcome.frame.row(0, named=True)
    told = (
        "session", "p_hit_crisis_5d", "p_crisis_5d", "current_belief_normal",
        "current_belief_volatile", "current_belief_crisis", "vix_level", "volatility_percentile",
        "gross_multiplier", "is_reduce_only", "reason_codes",
    )  # fmt: skip
    return report_step(outcome, **{name: row[name] for name in told})


@night_asset(Wing.BELIEFS, Phase.CAPITAL_COMPETITION, after=["data_governance"])
def model_forecasts(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Forecast every eligible symbol with every model: mean, deviation, tail, interval (6.5)."""
    outcome = run_night_step(context, platform, "model_forecasts")
    return report_step(
        outcome,
        symbols=outcome.frame["symbol"].n_unique(),
        models=counts(outcome.frame, "model_id"),
        forecast_session=outcome.frame["forecast_session"].max(),
    )


@night_asset(Wing.BELIEFS, Phase.CAPITAL_COMPETITION, after=["model_forecasts"])
def model_decay_metrics(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Judge each forecast by its model's own errors: age, error, flip, decay (0.4, 6.1-6.4)."""
    import polars as pl

    outcome = run_night_step(context, platform, "model_decay_metrics")
    return report_step(
        outcome,
        healthy=outcome.frame["is_healthy"].sum(),
        lowest_decay=outcome.frame["final_decay_factor"].min(),
        oldest_model_days=outcome.frame["model_age_days"].max(),
        single_model=names(
            outcome.frame, pl.col("reason_codes").list.contains(ReasonCode.SINGLE_MODEL)
        ),
    )


@rule("regime_beliefs")
def probabilities_sum_to_one(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Beliefs, five-day probabilities and each row of the matrix sum to 1 within 1e-12 (7.1)."""
    from instgov_dagster.beliefs.regime import belief_from_row

    rows = read_table(context, platform, "regime_beliefs").to_dicts()
    try:
        states = [belief_from_row(row).state for row in rows]
    except ValueError as refused:
        return verdict(passed=False, rows=len(rows), refused=str(refused))
    hits = [state.p_hit_crisis_5d for state in states]
    return verdict(passed=len(rows) == 1, rows=len(rows), p_hit_crisis_5d=max(hits, default=None))


@rule("regime_beliefs", blocking=False)
def regime_inputs_are_present(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No input of the regime is missing; where one is, the belief leans toward VOLATILE (7.2)."""
    import polars as pl

    beliefs = read_table(context, platform, "regime_beliefs").select("session", "reason_codes")
    missing = pl.col("reason_codes").list.contains(ReasonCode.REGIME_INPUT_MISSING)
    return none_breaks(beliefs, missing, warns=True)


@rule("model_forecasts")
def every_forecast_is_finite(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every forecast is finite in all its numbers, or absent in all and says so (6.5)."""
    import polars as pl

    forecasts = read_table(context, platform, "model_forecasts")
    stated = ["mu", "sigma", "p_loss", "cvar_95", "lower_95", "upper_95"]
    is_absent = pl.all_horizontal(pl.col(stated).is_null())
    says_so = pl.col("reason_codes").list.contains(ReasonCode.FORECAST_NOT_FINITE)
    is_whole = pl.all_horizontal(pl.col(stated).is_finite().fill_null(value=False))
    return none_breaks(forecasts, ~(is_whole | (is_absent & says_so)))


@rule("model_forecasts")
def every_forecast_has_an_interval(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every forecast states a positive sigma and an interval that holds its mean (6.5)."""
    import polars as pl

    forecasts = read_table(context, platform, "model_forecasts").drop_nulls("mu")
    is_inside = pl.col("mu").is_between("lower_95", "upper_95")
    return none_breaks(forecasts, ~(is_inside & (pl.col("sigma") > 0.0)))


@rule("model_decay_metrics")
def decay_is_bounded(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every decay factor and every confidence is a number from 0 to 1 (6.3, 6.4)."""
    import polars as pl

    health = read_table(context, platform, "model_decay_metrics")
    bounded = pl.col("final_decay_factor", "decay_factor", "confidence").is_between(0.0, 1.0)
    return none_breaks(health, ~pl.all_horizontal(bounded))


@rule("model_decay_metrics")
def every_model_has_an_age(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No forecast that may be used lacks the age of its model: none is trusted for ever (0.4)."""
    import polars as pl

    health = read_table(context, platform, "model_decay_metrics").filter("is_healthy")
    return none_breaks(health, pl.col("model_age_days").is_null() | (pl.col("model_age_days") < 0))


@rule("model_decay_metrics", blocking=False)
def every_symbol_has_two_healthy_models(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No symbol rests on a single model; one that does is rejected in the auction (6.2)."""
    import polars as pl

    health = read_table(context, platform, "model_decay_metrics")
    told = health.select("symbol", "model_id", "final_decay_factor", "reason_codes")
    single = pl.col("reason_codes").list.contains(ReasonCode.SINGLE_MODEL)
    return none_breaks(told, single, warns=True)
