"""The night a live bench stands on: the steps a session needs, run once, published for real."""

from collections.abc import Mapping
from datetime import date

import polars as pl

from instgov_dagster.adapters.store.published import publish
from instgov_dagster.bars.calendars import history_window
from instgov_dagster.bars.classify import found_classes
from instgov_dagster.bars.ingestion import stage_known_at
from instgov_dagster.beliefs.hot.walk import no_fits
from instgov_dagster.governance.lifecycle import LIFECYCLE_SCHEMA
from instgov_dagster.governance.stamps import stamp_phase, stamps_to_frame
from instgov_dagster.loop.decision.book import book_to_frame, fresh_book
from instgov_dagster.loop.decision.snapshot import LIVE_TABLES
from instgov_dagster.loop.folding.attribution import returns_frame
from instgov_dagster.loop.night import STEP_BY_NAME, content_sha256
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.steps.coverage import FORECAST_SCHEMA
from instgov_dagster.vocabulary.governance import Phase, PhaseStamp

#: What a session stands on and what leads there; fits, certificate and plan are the night's own.
STEPS = (
    "data_quality", "price_history", "history_coverage", "data_governance", "regime_beliefs",
    "model_forecasts", "model_decay_metrics", "belief_state", "cvar_coverage",
    "strategy_lifecycle_log", "stress_scenarios", "market_impact",
)  # fmt: skip


def run_steps(platform: Platform, asof: date) -> dict[str, pl.DataFrame]:
    """Run the steps on the market's bars; no GARCH is fitted, so one of four sigmas is silent."""
    context, policy = platform.context(asof), platform.policy
    start, end = history_window(asof, policy.history)
    names = tuple(entry.symbol for entry in platform.universe.symbols)
    fetched = platform.source.fetch(names, start, end, asof)
    staged = stage_known_at(fetched.frame, policy.history)
    bars = staged.filter(pl.col("known_at") <= context.known_at)
    firsts = pl.DataFrame(
        {"symbol": names, "first_seen": [fetched.first_dates.get(name) for name in names]}
    )
    tables = {
        "bars": bars,
        "stress_bars": bars.clear(),
        "symbol_classes": found_classes(platform.universe).join(firsts, on="symbol"),
        "previous_lifecycle": pl.DataFrame(schema=LIFECYCLE_SCHEMA),
        "past_risk_forecasts": pl.DataFrame(schema={"asof": pl.Date(), **FORECAST_SCHEMA}),
        "previous_sigma_fits": no_fits(),
        "sigma_fits": no_fits(),
        "strategy_returns": returns_frame([]),
        "portfolio": book_to_frame(fresh_book(policy.nav_usd)),
    }
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
