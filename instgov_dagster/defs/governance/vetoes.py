"""Assets and rules of the vetoes: what every rule found tonight, and which vetoes stand."""

import dagster as dg

from instgov_dagster.defs.graph import Wing, night_asset, rule
from instgov_dagster.defs.reporting import (
    counts,
    none_breaks,
    read_table,
    report_step,
    run_night_step,
    verdict,
)
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.governance import Phase

#: The rules that are judged on every night, whatever there is to judge.
TRIGGERS = (
    "correlated_wins.correlation",
    "correlated_wins.effective_bets",
    "data_dependency.last_bar",
    "data_dependency.stale_gross",
    "history",
    "model_decay",
    "quality",
    "too_perfect_execution.bar",
    "too_perfect_execution.better_than_mid",
    "too_perfect_execution.passive",
    "too_perfect_execution.slippage_deviation",
    "unexplained_profits.level",
    "unexplained_profits.rank",
)


@night_asset(
    Wing.GOVERNANCE,
    Phase.CAPITAL_COMPETITION,
    after=[
        "regime_beliefs",
        "model_decay_metrics",
        "strategy_lifecycle",
        "stress_scenarios",
        "market_impact",
    ],
)
def veto_findings(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Judge every veto rule on what earlier sessions left, with statistic, threshold, n (9.2)."""
    outcome = run_night_step(context, platform, "veto_findings")
    fired = outcome.frame.filter("fired")
    return report_step(
        outcome, rules=counts(outcome.frame, "trigger"), fired=counts(fired, "trigger")
    )


@night_asset(Wing.GOVERNANCE, Phase.CAPITAL_COMPETITION, after=["veto_findings"])
def vetoes(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """Carry, clear and raise vetoes: sticky by strategy and symbol, ended by time or act (9.2)."""
    outcome = run_night_step(context, platform, "vetoes")
    standing = outcome.frame.filter("is_standing")
    return report_step(
        outcome,
        standing=standing.height,
        codes=counts(standing, "reason_code"),
        cleared=outcome.frame["cleared_on"].is_not_null().sum(),
    )


@rule("veto_findings")
def every_veto_rule_is_judged(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every rule of the vetoes answers tonight; too few observations are an answer too (9.2)."""
    told = set(read_table(context, platform, "veto_findings")["trigger"].to_list())
    missing = [name for name in TRIGGERS if name not in told]
    return verdict(
        passed=not missing, value=len(missing), limit=0, rules=sorted(told), missing=missing
    )


@rule("vetoes")
def every_fired_rule_is_a_standing_veto(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every rule that fired stands as a veto on whom it fired, unless an act cleared it (9.2)."""
    import polars as pl

    scope = ("strategy_id", "symbol", "reason_code")
    held = read_table(context, platform, "vetoes").filter(
        pl.col("is_standing") | pl.col("cleared_on").is_not_null()
    )
    fired = read_table(context, platform, "veto_findings").filter("fired")
    lost = fired.join(held, on=scope, how="anti").select(*scope, "trigger")
    return none_breaks(lost, pl.lit(value=True), fired=fired.height, standing=held.height)


@rule("vetoes")
def no_veto_outlives_its_term(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No veto stands past ``veto.sticky_sessions`` sessions, or after its clearing (SPEC 7)."""
    import polars as pl

    term = platform.open().policy.veto.sticky_sessions
    rows = read_table(context, platform, "vetoes").filter("is_standing")
    is_wrong = ~pl.col("sessions_left").is_between(0, term) | pl.col("cleared_on").is_not_null()
    told = rows.select("strategy_id", "symbol", "reason_code", "sessions_left", "cleared_on")
    return none_breaks(told, is_wrong.fill_null(value=True), term=term)


@rule("veto_findings", blocking=False)
def no_veto_rule_fired(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No sticky rule fired tonight; one that did is for a person to look at (9.2)."""
    import polars as pl

    from instgov_dagster.vocabulary.governance import CONDITIONS

    rows = read_table(context, platform, "veto_findings").filter(
        ~pl.col("reason_code").is_in([code.value for code in CONDITIONS])
    )
    told = rows.select("strategy_id", "symbol", "trigger", "statistic", "threshold", "n", "fired")
    return none_breaks(told, pl.col("fired"), warns=True)
