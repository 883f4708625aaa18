"""The live half of the governance wing: the session as one run, and the audit of its chains."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from instgov_dagster.defs.governance.anchoring import anchor_chains, verify_chains
from instgov_dagster.defs.governance.telling import MinuteTeller
from instgov_dagster.defs.graph import CODE_VERSION, DAYS, Wing, day_of, rule
from instgov_dagster.defs.halting import failing_closed
from instgov_dagster.defs.reporting import plain, show_facts, state_facts, verdict
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.errors import LeaseHeld
from instgov_dagster.vocabulary.governance import Phase

if TYPE_CHECKING:
    from instgov_dagster.adapters.journal import ChainReport
    from instgov_dagster.loop.live.leading.host import Host
    from instgov_dagster.loop.live.report import Minute, SessionReport
    from instgov_dagster.loop.live.settling.after import Reconciliation

#: What a session reports of each of its assets; the names are the report's own.
SESSION_FACTS = {
    "decision_journal": (
        "session_id", "chain_head", "frames", "snapshot_id", "cycle_ms_p50", "cycle_ms_p99",
        "reason_codes", "torn", "recovered", "ended_by", "longest_gap_seconds",
    ),
    "live_decisions": ("cycles", "decisions", "verdicts", "reasons", "orders", "fills"),
    "portfolio": ("nav_usd", "gross", "cvar", "cvar_gate", "cvar_limit", "measures"),
}  # fmt: skip

#: What holds between the broker's own record and the journal, to the last digit.
INVARIANTS = {
    "orders": "Every order at the broker was planned by a frame, every outcome told is its own.",
    "fills": "Every fill of the broker is journalled once, and no other.",
    "positions": "The book, the journal's fills and the broker hold the same units.",
    "cash": "The book, the journal's ledger and the broker hold the same cash.",
}

#: What the platform says of a run whose session may go on: one asked to end does so by itself.
HOSTED = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)

SESSION_TAGS = {"instgov/phase": Phase.LIVE_TRADING.value}


class SessionConfig(dg.Config):
    """How long a session lasts; what is left out is the policy's."""

    cycles: int | None = Field(default=None, ge=1, description="Cycles; loop.cycles.")
    period_seconds: float | None = Field(
        default=None, ge=0, description="Seconds between cycles; loop.period_seconds, 0 none."
    )
    may_wait: bool = Field(default=True, description="Stand by, warm, while another session leads.")


def _live_spec(name: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=["published_snapshot"],
        description=description,
        skippable=True,
        group_name=Wing.GOVERNANCE.value,
        owners=Wing.GOVERNANCE.owners,
        kinds={"arrow", "duckdb"},
        tags=SESSION_TAGS,
        code_version=CODE_VERSION,
        partitions_def=DAYS,
    )


@dg.multi_asset(
    specs=[
        _live_spec(
            "decision_journal",
            "Hash-chained frames of a session, each on disk before anything acts on it (0.6).",
        ),
        _live_spec(
            "live_decisions",
            "A decision for every symbol in every cycle, projected from the journal (3.5).",
        ),
        _live_spec("portfolio", "The book a session leaves: value, gross, tail risk (5.2)."),
    ],
)
def live_session(
    context: dg.AssetExecutionContext, config: SessionConfig, platform: PlatformResource
) -> Iterator[dg.MaterializeResult]:
    """Lead one governed session, or stand by for it; one that never led reports nothing."""
    report = lead_session(context, config, platform)
    if report is None:
        return
    for name, facts in SESSION_FACTS.items():
        metadata = {**state_facts(report.state), **pick(report, facts), **shown(report, name)}
        yield dg.MaterializeResult(asset_key=name, metadata=metadata)


def lead_session(
    context: dg.AssetExecutionContext, config: SessionConfig, platform: PlatformResource
) -> "SessionReport | None":
    """Run one session to its end and anchor its chain; None where it never led."""
    with failing_closed(platform):
        from instgov_dagster.loop.session import run_session

        opened = platform.open()
        loop = opened.policy.loop
        period = config.period_seconds
        try:
            with MinuteTeller(context, str(opened.home.root)) as teller:
                report = run_session(
                    opened,
                    day_of(context),
                    cycles=config.cycles or loop.cycles,
                    period_seconds=loop.period_seconds if period is None else period,
                    run_id=context.run.run_id,
                    host=host_of(context, config, tell=teller.tell),
                )
        except LeaseHeld as held:
            context.log.warning("this session never led: %s", held)
            return None
        anchor_chains(context, platform)
    return report


def host_of(
    context: dg.AssetExecutionContext, config: SessionConfig, *, tell: Callable[["Minute"], None]
) -> "Host":
    """Say who hosts the session: the processes above this one, and the instance's own word."""
    from instgov_dagster.loop.live.leading.host import Host
    from instgov_dagster.loop.live.leading.processes import orphan_above, own_hosts

    is_hosted = multiprocessing.parent_process() is not None
    # In this order: a host that ends between the two looks is missed by neither.
    processes = own_hosts() if is_hosted else ()
    orphan = orphan_above(os.getpid()) if is_hosted else None
    instance, run_id = context.instance, context.run.run_id

    def is_run_current() -> bool:
        run = instance.get_run_by_id(run_id)
        return run is not None and run.status in HOSTED

    return Host(
        may_wait=config.may_wait,
        # A run of a code server may not outlive it; a command runs the session in itself.
        processes=processes,
        orphan=orphan,
        is_run_current=is_run_current,
        tell=tell,
    )


def pick(report: "SessionReport", fields: tuple[str, ...]) -> dict[str, Any]:
    """Take some of a session's numbers as metadata."""
    return {name: plain(getattr(report, name)) for name in fields}


def shown(report: "SessionReport", name: str) -> dict[str, Any]:
    """Draw what matters of a session for one of its assets."""
    drawn: Mapping[str, tuple[str, Mapping[str, float | None]]] = {
        "decision_journal": (
            "A cycle, milliseconds",
            {"median": report.cycle_ms_p50, "99th percentile": report.cycle_ms_p99},
        ),
        "live_decisions": ("Decisions by verdict", report.verdicts),
        "portfolio": (
            "Highest CVaR by measure, beside its limit",
            {**report.measures, "limit": report.cvar_limit},
        ),
    }
    return show_facts(*drawn[name])


def last_session(platform: PlatformResource) -> Mapping[str, Any]:
    """Read the summary the last session left beside the published tables."""
    from instgov_dagster.adapters.store.published import SUMMARY_FILE

    body = (platform.layout().published / SUMMARY_FILE).read_bytes()
    summary: Mapping[str, Any] = json.loads(body)
    return summary


@rule("decision_journal")
def state_continuity(platform: PlatformResource) -> dg.AssetCheckResult:
    """Each session starts, bit by bit, with the state its predecessor of the day left (3.4)."""
    told = last_session(platform)
    is_continued = told["told_hash"] in (None, told["started_hash"])
    return verdict(
        passed=is_continued,
        value=int(not is_continued),
        limit=0,
        session_id=told["session_id"],
        first_cycle=told["first_cycle"],
        told_hash=told["told_hash"],
        started_hash=told["started_hash"],
    )


@rule("decision_journal", blocking=False)
def leader_keeps_its_beat(platform: PlatformResource) -> dg.AssetCheckResult:
    """No two cycles of a leader lie so far apart that it hung; the watchdog looks meanwhile."""
    told, limit = last_session(platform), platform.rules().loop.heartbeat_stale_seconds
    longest = told["longest_gap_seconds"]
    return verdict(
        passed=longest is None or longest <= limit,
        value=longest,
        limit=limit,
        session_id=told["session_id"],
    )


@rule("live_decisions")
def every_cycle_decides_every_symbol(platform: PlatformResource) -> dg.AssetCheckResult:
    """Every cycle of the last session decided every symbol of the universe once (3.5)."""
    told = last_session(platform)
    symbols = len(platform.open().universe.tradable)
    return verdict(
        passed=told["cycles"] > 0 and told["decisions"] == told["cycles"] * symbols,
        value=told["decisions"],
        limit=told["cycles"] * symbols,
        sense="==",
        session_id=told["session_id"],
        symbols=symbols,
        cycles=told["cycles"],
    )


@rule("live_decisions", blocking=False)
def readers_see_every_cycle(platform: PlatformResource) -> dg.AssetCheckResult:
    """No frame of the loop's chain waits for the projector longer than it may (3.5)."""
    from instgov_dagster.adapters.runtime import RealClock
    from instgov_dagster.adapters.store.projector import projection_lag

    lag = projection_lag(platform.layout(), now=RealClock().now())
    bound = platform.open().policy.operations.projector_lag_seconds
    return verdict(
        passed=lag.seconds is not None and lag.seconds <= bound,
        value=lag.seconds,
        limit=bound,
        frames=dict(lag.frames),
    )


@rule("portfolio")
def cvar_stayed_within_its_limit(platform: PlatformResource) -> dg.AssetCheckResult:
    """No cycle of the last session left a book above its CVaR limit on any measure (0.5, 5.4)."""
    told = last_session(platform)
    measures, limit = told["measures"], told["cvar_limit"]
    return verdict(
        passed=bool(measures) and all(value <= limit for value in measures.values()),
        session_id=told["session_id"],
        value=max(measures.values(), default=None),
        limit=limit,
        measures=measures,
    )


@dg.asset(
    group_name=Wing.GOVERNANCE.value,
    partitions_def=DAYS,
    deps=["decision_journal"],
    owners=Wing.GOVERNANCE.owners,
    kinds={"arrow"},
    tags=SESSION_TAGS,
    code_version=CODE_VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "chain_verifies",
            asset="audit_chain",
            blocking=True,
            description="Each chain hashes from its first frame and honours its anchors (0.6).",
        )
    ],
)
def audit_chain(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Walk the loop's, the night's and the operator's chain again against all anchors (0.6)."""
    with failing_closed(platform):
        reports = verify_chains(context, platform)
    broken = [chain_facts(report) for report in reports if not report.ok]
    check = verdict(
        name="chain_verifies",
        passed=not broken,
        value=len(broken),
        limit=0,
        broken=dg.MetadataValue.json(broken),
        chains=len(reports),
    )
    return dg.MaterializeResult(metadata=audit_facts(reports), check_results=[check])


def audit_facts(reports: Sequence["ChainReport"]) -> dict[str, Any]:
    """Tell of each chain how far it is sound, and draw how long it is."""
    rows = [chain_facts(report) for report in reports]
    drawn = {report.chain: float(report.frames) for report in reports}
    return {
        **{report.chain: plain(row) for report, row in zip(reports, rows, strict=True)},
        **show_facts("Frames by chain", drawn, rows),
    }


def chain_facts(report: "ChainReport") -> Mapping[str, Any]:
    """Tell how far a chain is sound, how much of it is anchored and what breaks it."""
    facts = ("chain", "ok", "frames", "head", "anchored", "first_bad", "reason", "torn_bytes")
    return {name: getattr(report, name) for name in facts}


@dg.asset(
    group_name=Wing.GOVERNANCE.value,
    partitions_def=DAYS,
    deps=["decision_journal", "audit_chain"],
    owners=Wing.GOVERNANCE.owners,
    kinds={"arrow", "sqlite"},
    tags=SESSION_TAGS,
    code_version=CODE_VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            f"{name}_agree", asset="reconciliation", blocking=True, description=sentence
        )
        for name, sentence in INVARIANTS.items()
    ],
)
def reconciliation(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Hold the paper account against the journal; a difference stops the system (9.4)."""
    with failing_closed(platform):
        from instgov_dagster.loop.live.settling.after import reconcile_home

        found = reconcile_home(platform.open(), day_of(context))
    facts = {"is_led": found.is_led, "unsettled": found.unsettled, **state_facts(found.state)}
    facts |= show_facts(
        "What differs between journal and broker",
        {row.name: row.n_different for row in found.invariants},
        [{**row.to_dict(), "different": len(row.different)} for row in found.invariants],
    )
    return dg.MaterializeResult(metadata=facts, check_results=agreements(found))


def agreements(found: "Reconciliation") -> list[dg.AssetCheckResult]:
    """Tell what each comparison found; under a leading session, which compares, nothing is judged.

    A check that was not judged did not pass: it warns.
    """
    if found.is_led:
        return [
            verdict(
                name=f"{name}_agree",
                passed=False,
                value=None,
                limit=0,
                warns=True,
                not_judged="a session leads and compares at each answer",
            )
            for name in INVARIANTS
        ]
    return [
        verdict(
            name=f"{row.name}_agree",
            passed=row.passed,
            value=row.n_different,
            limit=0,
            ours=row.ours,
            theirs=row.theirs,
            different=row.different,
        )
        for row in found.invariants
    ]
