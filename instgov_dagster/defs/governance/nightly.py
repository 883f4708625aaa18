"""Assets and rules of the governance wing's night: lifecycle, decisions, the published snapshot."""

import dagster as dg

from instgov_dagster.defs.governance.anchoring import anchor_chains
from instgov_dagster.defs.graph import Wing, day_of, night_asset, rule
from instgov_dagster.defs.halting import failing_closed
from instgov_dagster.defs.reporting import (
    counts,
    mismatches,
    none_breaks,
    open_night,
    plain,
    read_table,
    report_step,
    run_night_step,
    show_facts,
    verdict,
)
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Decision, Phase, StrategyLifecycle


@night_asset(
    Wing.GOVERNANCE, Phase.CAPITAL_COMPETITION, after=["model_decay_metrics", "cvar_coverage"]
)
def strategy_lifecycle(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Move each strategy through its stages by yesterday's fills, and decay its capital (10.3)."""
    outcome = run_night_step(context, platform, "strategy_lifecycle_log")
    return report_step(
        outcome,
        stages=counts(outcome.frame, "stage"),
        capital_pct=dict(outcome.frame.select("strategy_id", "capital_pct").iter_rows()),
        sessions_since_proof=outcome.frame["sessions_since_proof"].max(),
    )


@night_asset(Wing.GOVERNANCE, Phase.LIVE_TRADING, after=["execution_plan"])
def governance_decisions(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Decide every symbol of the universe once, with its reasons and its gates (9.1, 9.3, DB.5)."""
    outcome = run_night_step(context, platform, "governance_decisions")
    return report_step(
        outcome,
        verdicts=counts(outcome.frame, "decision"),
        reasons=counts(outcome.frame.explode("reason_codes"), "reason_codes"),
        vetoed=outcome.frame["vetoed"].sum(),
    )


@night_asset(Wing.GOVERNANCE, Phase.LIVE_TRADING, after=["governance_decisions"])
def published_snapshot(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Publish the night as immutable Parquet behind one pointer: all that a session reads (3.2)."""
    with failing_closed(platform):
        report = open_night(context, platform).publish()
        anchor_chains(context, platform)
    facts = {"snapshot_id": report.snapshot_id, "path": report.path, "rows": report.rows}
    facts |= show_facts("Rows published, by table", report.rows)
    return dg.MaterializeResult(
        metadata={name: plain(value) for name, value in facts.items()},
        data_version=dg.DataVersion(report.snapshot_id),
    )


@rule("strategy_lifecycle")
def capital_is_within_its_stage(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No strategy's capital exceeds the cap of its stage: 2, 5, 10, 0 % of NAV (10.5)."""
    import polars as pl

    rows = read_table(context, platform, "strategy_lifecycle_log")
    caps = platform.open().policy.lifecycle.stage_caps
    limits = {stage.value: caps.of(stage) for stage in StrategyLifecycle}
    cap_pct = pl.col("stage").replace_strict(limits, default=None, return_dtype=pl.Float64)
    told = rows.select("strategy_id", "stage", "capital_pct", cap_pct.alias("cap_pct"))
    return none_breaks(told, ~(pl.col("capital_pct") <= pl.col("cap_pct")), caps_pct=limits)


@rule("governance_decisions")
def every_symbol_is_decided(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every symbol of the universe is decided exactly once, ineligible ones included (3.5)."""
    decided = read_table(context, platform, "governance_decisions")["symbol"].to_list()
    wanted = platform.open().universe.tradable
    missing = sorted(set(wanted) - set(decided))
    wrong = mismatches(decided, wanted)
    return verdict(
        passed=wrong == 0,
        value=wrong,
        limit=0,
        symbols=len(wanted),
        decisions=len(decided),
        missing=missing,
    )


@rule("governance_decisions")
def every_decision_has_a_reason(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every decision carries at least one code, each of them from the closed list (0.10, 9.3)."""
    import polars as pl

    from instgov_dagster.vocabulary.reasons import ReasonCode

    rows = read_table(context, platform, "governance_decisions")
    told = rows.select("symbol", "decision", "reason_codes")
    codes = pl.col("reason_codes").list
    known = codes.eval(pl.element().is_in([code.value for code in ReasonCode])).list.all()
    return none_breaks(told, (codes.len() == 0) | ~known)


@rule("governance_decisions")
def nothing_vetoed_is_executed(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Nothing vetoed is executed: it is decided VETO and names the rule (9.2, 9.4)."""
    import polars as pl

    rows = read_table(context, platform, "governance_decisions")
    told = rows.select("symbol", "decision", "vetoed", "veto_reason")
    is_consistent = (pl.col("decision") == Decision.VETO) & pl.col("veto_reason").is_not_null()
    return none_breaks(told, pl.col("vetoed") & ~is_consistent)


@rule("published_snapshot")
def snapshot_verifies(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every file of the published snapshot hashes to its manifest, and it is this night's (3.2)."""
    from instgov_dagster.adapters.store.published import read_snapshot

    try:
        published = read_snapshot(platform.night_folder())
    except SystemHalt as halt:
        return verdict(passed=False, value=1, limit=0, refused=str(halt))
    told = {"snapshot_id": published.snapshot_id, "asof": published.meta["asof"]}
    is_this = told["asof"] == day_of(context).isoformat()
    return verdict(
        passed=is_this, value=int(not is_this), limit=0, files=len(published.files), **told
    )
