"""The night a live bench stands on: the steps a session needs, run once, published for real."""

from collections.abc import Mapping
from datetime import date

import polars as pl

from instgov_dagster.adapters.store.published import publish
from instgov_dagster.beliefs.hot.walk import no_fits
from instgov_dagster.governance.stamps import stamp_phase, stamps_to_frame
from instgov_dagster.loop.decision.snapshot import LIVE_TABLES
from instgov_dagster.loop.night import STEP_BY_NAME, content_sha256
from instgov_dagster.loop.night_run.run import NightRun
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.steps.context import INPUT_TABLES
from instgov_dagster.vocabulary.governance import Phase, PhaseStamp

#: What a session stands on and what leads there; fits, certificate and plan are the night's own.
STEPS = (
    "data_quality", "price_history", "history_coverage", "data_governance", "regime_beliefs",
    "model_forecasts", "model_decay_metrics", "belief_state", "cvar_coverage",
    "strategy_lifecycle_log", "stress_scenarios", "market_impact", "veto_findings", "vetoes",
)  # fmt: skip


def run_steps(platform: Platform, asof: date) -> dict[str, pl.DataFrame]:
    """Ingest as a night does, then run the steps in memory.

    No GARCH is fitted, so one of four sigmas is silent.
    """
    with NightRun(platform, asof, run_id="bench") as night:
        night.ingest()
        tables = {name: night.table(name) for name in INPUT_TABLES}
    tables["sigma_fits"] = no_fits()
    context = platform.context(asof)
    for name in STEPS:
        step = STEP_BY_NAME[name]
        tables[name] = step.run({need: tables[need] for need in step.needs}, context)
    return {name: tables[name] for name in LIVE_TABLES}


def publish_night(platform: Platform, asof: date) -> str:
    """Publish the tables under the stamps a session asks for; return the snapshot's id."""
    tables = run_steps(platform, asof)
    stamps = _stamps(asof, {name: content_sha256(frame) for name, frame in tables.items()})
    return publish(
        platform.home.published / "night",
        {**tables, "phase_stamps": stamps_to_frame(stamps)},
        meta={
            "asof": asof.isoformat(),
            "market": platform.settings.market.value,
            "config_hash": platform.config_hash,
            "code_hash": platform.code_hash,
            "cycle_id": platform.context(asof).cycle_id,
        },
        keep=platform.policy.loop.published_snapshots,
    )


def _stamps(asof: date, hashes: Mapping[str, str]) -> tuple[PhaseStamp, ...]:
    stamps: tuple[PhaseStamp, ...] = ()
    for phase in Phase:
        if phase is not Phase.LIVE_TRADING:
            stamps = (*stamps, stamp_phase(phase, asof, hashes, stamps))
    return stamps
