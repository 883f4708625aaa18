"""Assets and rules of the beliefs wing: regime, models, health, evaluation (phases 6 and 7)."""

from typing import Any

import dagster as dg

from instgov_dagster.defs.graph import Wing, night_asset, rule
from instgov_dagster.defs.reporting import (
    counts,
    inline_svg,
    names,
    none_breaks,
    read_table,
    report_step,
    run_night_step,
    show_facts,
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
def sigma_fits(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Fit the volatility models whose parameters are due, weekly; the last good ones stay (6.5)."""
    outcome = run_night_step(context, platform, "sigma_fits")
    failed = outcome.frame.filter(outcome.frame["omega"].is_null())
    return report_step(
        outcome, tried=outcome.frame.height, failed=sorted(failed["symbol"].to_list())
    )


@night_asset(Wing.BELIEFS, Phase.CAPITAL_COMPETITION, after=["sigma_fits"])
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


@night_asset(Wing.BELIEFS, Phase.CAPITAL_COMPETITION, after=["model_forecasts"])
def belief_state(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Save the models as the night left them: the live session forecasts from them (3.4)."""
    outcome = run_night_step(context, platform, "belief_state")
    told = outcome.frame.select("session", "packed_sha256").to_dicts()
    size = int(outcome.frame["packed"].bin.size().sum())
    symbols = int(outcome.frame["symbols"].list.len().sum())
    drawn = {"symbols with models": float(symbols), "KiB of their models": size / 1024}
    shown = show_facts("What a session starts from", drawn)
    return report_step(outcome, bytes=size, saved=told, picture=shown["picture"])


@night_asset(Wing.BELIEFS, Phase.LIVE_TRADING, after=["published_snapshot"])
def model_evaluation(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Score every model out of sample; no score without its standard error and its n (6.3)."""
    outcome = run_night_step(context, platform, "model_evaluation")
    return report_step(outcome, scores=_score_table(outcome.frame))


@night_asset(Wing.BELIEFS, Phase.LIVE_TRADING, after=["model_evaluation"])
def model_trials(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Enter every variant evaluated for the first time in the trials ledger (10.3)."""
    outcome = run_night_step(context, platform, "model_trials")
    return report_step(outcome, last_trial=outcome.frame["trial_number"].max())


@night_asset(Wing.BELIEFS, Phase.LIVE_TRADING, after=["published_snapshot"])
def belief_pictures(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Draw the regime, the reliability, the decay and the rank correlation of the night (7.2)."""
    outcome = run_night_step(context, platform, "belief_pictures")
    return report_step(outcome, **_inline(outcome.frame))


def _inline(pictures: Any) -> dict[str, dg.MarkdownMetadataValue]:
    return {
        row["name"]: inline_svg(row["title"], row["svg"]) for row in pictures.iter_rows(named=True)
    }


def _score_table(scores: Any) -> dg.MarkdownMetadataValue:
    lines = ["| model | metric | value | standard error | n | p |", "|---|---|---|---|---|---|"]
    for row in scores.drop_nulls("value").iter_rows(named=True):
        p_value = "" if row["p_value"] is None else f"{row['p_value']:.3f}"
        error = "" if row["standard_error"] is None else f"{row['standard_error']:.4g}"
        lines.append(
            f"| {row['model_id']} | {row['metric']} | {row['value']:.4g} | {error} | {row['n']}"
            f" | {p_value} |"
        )
    return dg.MetadataValue.md("\n".join(lines))


@rule("regime_beliefs")
def probabilities_sum_to_one(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Beliefs, five-day probabilities and each row of the matrix sum to 1 within 1e-12 (7.1)."""
    from instgov_dagster.beliefs.regime import belief_from_row, sum_error
    from instgov_dagster.vocabulary.beliefs import SUM_TOLERANCE

    rows = read_table(context, platform, "regime_beliefs").to_dicts()
    told: dict[str, Any] = {"rows": len(rows), "limit": SUM_TOLERANCE}
    told["value"] = max(map(sum_error, rows), default=None)
    try:
        hits = [belief_from_row(row).state.p_hit_crisis_5d for row in rows]
    except ValueError as refused:
        return verdict(passed=False, refused=str(refused), **told)
    return verdict(passed=len(rows) == 1, p_hit_crisis_5d=max(hits, default=None), **told)


@rule("regime_beliefs", blocking=False)
def regime_inputs_are_present(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No input of the regime is missing; where one is, the belief leans toward VOLATILE (7.2)."""
    import polars as pl

    beliefs = read_table(context, platform, "regime_beliefs").select("session", "reason_codes")
    missing = pl.col("reason_codes").list.contains(ReasonCode.REGIME_INPUT_MISSING)
    return none_breaks(beliefs, missing, warns=True)


@rule("sigma_fits")
def every_fit_is_sound_or_says_so(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every fit has all its parameters, finite, or none and the reason (6.5)."""
    import polars as pl

    fits = read_table(context, platform, "sigma_fits")
    stated = ["omega", "alpha", "gamma", "beta", "dof", "variance", "log_likelihood"]
    is_absent = pl.all_horizontal(pl.col(stated).is_null())
    says_so = pl.col("reason_codes").list.contains(ReasonCode.SIGMA_FIT_FAILED)
    is_whole = pl.all_horizontal(pl.col(stated).is_finite().fill_null(value=False))
    return none_breaks(fits, ~(is_whole | (is_absent & says_so)))


@rule("sigma_fits", blocking=False)
def every_fit_converged(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No fit failed tonight; where one did the last good parameters age on (6.4)."""
    import polars as pl

    fits = read_table(context, platform, "sigma_fits").select("symbol", "omega", "reason_codes")
    return none_breaks(fits, pl.col("omega").is_null(), warns=True)


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


@rule("belief_state")
def models_are_restored_bit_equal(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Read back as a session reads it, the state has the night's digest and says it again (3.4)."""
    from instgov_dagster.beliefs.hot.published import restores_bit_equal

    opened = platform.open()
    answer = restores_bit_equal(
        read_table(context, platform, "belief_state"),
        policy=opened.policy.models.forecast,
        horizon=opened.policy.cvar.horizon_days,
    )
    return verdict(passed=answer, value=int(not answer), limit=0)


@rule("model_evaluation")
def every_score_has_its_error(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No score stands without a standard error, and n is beside each of them (6.3)."""
    import polars as pl

    scores = read_table(context, platform, "model_evaluation").select(
        "model_id", "metric", "value", "standard_error", "n"
    )
    is_bare = pl.col("value").is_not_null() & pl.col("standard_error").is_null()
    # a model that says the same as its benchmark differs by nothing, without any error
    return none_breaks(scores, is_bare & (pl.col("value") != 0.0))


@rule("model_evaluation", blocking=False)
def no_model_is_worse_than_its_benchmark(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No model's loss is significantly above its benchmark's (Diebold-Mariano, HLN; 6.3)."""
    import polars as pl

    scores = read_table(context, platform, "model_evaluation")
    compared = scores.filter(pl.col("metric").str.starts_with("diebold_mariano"))
    return none_breaks(compared, pl.col("is_significant") & (pl.col("value") > 0.0), warns=True)


@rule("model_evaluation", blocking=False)
def no_score_is_too_good(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No mu model claims an out-of-sample R2 beyond what is credible (6.3)."""
    import polars as pl

    scores = read_table(context, platform, "model_evaluation").filter(pl.col("metric") == "oos_r2")
    limit = platform.open().policy.models.evaluation.credible_r2
    good = names(scores, pl.col("value").fill_null(0.0) > limit, "model_id")
    return verdict(
        passed=not good,
        value=None if scores.is_empty() else scores.select(pl.col("value").nan_max()).item(),
        limit=limit,
        warns=True,
        scores=scores.height,
        too_good=good,
    )


@rule("model_evaluation", blocking=False)
def intervals_hold_what_they_promise(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No 95 % interval holds significantly more or less than it promises (6.5)."""
    import polars as pl

    scores = read_table(context, platform, "model_evaluation")
    coverage = scores.filter(pl.col("metric") == "coverage_95")
    return none_breaks(coverage, pl.col("is_significant"), warns=True)


@rule("model_trials")
def trials_are_numbered_without_a_gap(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Tonight's new variants are distinct and numbered on, one after another (10.3)."""
    trials = read_table(context, platform, "model_trials").sort("trial_number")
    gaps = int((trials["trial_number"].diff().drop_nulls() != 1).sum())
    repeated = trials.height - trials["variant_sha256"].n_unique()
    wrong = gaps + repeated
    return verdict(passed=wrong == 0, value=wrong, limit=0, new=trials.height)
