"""The jobs: the night, the live session, what follows it, the projection; one process each."""

import dagster as dg

from instgov_dagster.defs.automation.projection import rebuilt_projection
from instgov_dagster.defs.automation.pruning import pruned_history

#: Runs that carry this tag are limited by the instance: a leader and a warm standby.
LIVE_SESSION_TAG = "instgov/live_session"

NIGHT_ASSETS = (
    "raw_bars",
    "data_quality",
    "price_history",
    "history_coverage",
    "data_governance",
    "regime_beliefs",
    "sigma_fits",
    "model_forecasts",
    "model_decay_metrics",
    "belief_state",
    "cvar_coverage",
    "strategy_lifecycle",
    "stress_scenarios",
    "market_impact",
    "risk_forecasts",
    "veto_findings",
    "vetoes",
    "auction_bids",
    "auction_certificate",
    "capital_allocations",
    "risk_verdicts",
    "execution_plan",
    "governance_decisions",
    "published_snapshot",
    "model_evaluation",
    "model_trials",
    "belief_pictures",
    "dashboard_tables",
    "lake_history",
)
SHARD_ASSETS = ("raw_bar_shards",)
LIVE_ASSETS = ("decision_journal", "live_decisions", "portfolio")
AFTER_ASSETS = (
    "audit_chain", "compacted_journal", "reconciliation", "report_card", "governance_report",
    "lake_history",
)  # fmt: skip
DRILL_ASSETS = ("fire_drills",)
SURVIVAL_ASSETS = ("survival_replay",)

nightly_ingestion = dg.define_asset_job(
    "nightly_ingestion",
    selection=dg.AssetSelection.assets(*NIGHT_ASSETS),
    executor_def=dg.in_process_executor,
    description="The whole night of one day: from raw bars to the published snapshot (2.1).",
)

ingest_shards = dg.define_asset_job(
    "ingest_shards",
    selection=dg.AssetSelection.assets(*SHARD_ASSETS),
    executor_def=dg.in_process_executor,
    description="One shard of a night's symbols fetched into the archive: a run a shard (2.1).",
)

governed_live_loop = dg.define_asset_job(
    "governed_live_loop",
    selection=dg.AssetSelection.assets(*LIVE_ASSETS),
    executor_def=dg.in_process_executor,
    tags={LIVE_SESSION_TAG: "true"},
    description="One governed session: cycle after cycle, journalled before anything acts (3.2).",
)

after_session = dg.define_asset_job(
    "after_session",
    selection=dg.AssetSelection.assets(*AFTER_ASSETS),
    executor_def=dg.in_process_executor,
    description="What follows a day: chains, anchors, broker, parity, compaction, report card.",
)

fire_drills = dg.define_asset_job(
    "fire_drills",
    selection=dg.AssetSelection.assets(*DRILL_ASSETS),
    executor_def=dg.in_process_executor,
    description="A fault per control in a scratch home: a control that stays silent fails.",
)

survival_replay = dg.define_asset_job(
    "survival_replay",
    selection=dg.AssetSelection.assets(*SURVIVAL_ASSETS),
    executor_def=dg.in_process_executor,
    description="Nights and decisions walked through a named crisis, or through all that is held.",
)


@dg.job(
    executor_def=dg.in_process_executor,
    description="The projection thrown away and made again from the journal, beside the old one.",
)
def rebuild_projection() -> None:
    """Rebuild live.duckdb; a loop that runs meanwhile is not disturbed."""
    rebuilt_projection()


@dg.job(
    executor_def=dg.in_process_executor,
    description="Old runs of sessions deleted, with their events and logs; anchors stay.",
)
def prune_history() -> None:
    """Keep the instance small by the policy's days and counts."""
    pruned_history()
