"""What proves the days behind us: parity, the compacted journal, the report card."""

import os
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from instgov_dagster.defs.governance.live import SESSION_TAGS
from instgov_dagster.defs.graph import CODE_VERSION, DAYS, Wing, day_of, rule
from instgov_dagster.defs.halting import failing_closed
from instgov_dagster.defs.reporting import (
    counts,
    glance_facts,
    plain,
    show_facts,
    table_facts,
    verdict,
)
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.governance import Chain

if TYPE_CHECKING:
    from instgov_dagster.loop.folding.parity import ParityReport

#: How many frames that came out otherwise a failed check lists; the count beside them is whole.
LISTED = 20


@rule("reconciliation")
def parity(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every live session of the day folds again: to its bytes here, to its decisions elsewhere.

    A day decided by other rules or other code cannot be judged by these: that warns.
    """
    with failing_closed(platform):
        found = fold_day(platform, day_of(context))
    return verdict(
        value=found.difference,
        limit=0,
        passed=found.difference == 0 and (found.is_judged or found.day is None),
        warns=not found.is_judged,
        **parity_facts(found),
    )


def fold_day(platform: PlatformResource, day: date) -> "ParityReport":
    """Fold the sessions of a day again, by today's rules and code."""
    from instgov_dagster.loop.folding.parity import check_parity

    opened = platform.open()
    return check_parity(
        opened.home, opened.policy, key=opened.key, code_hash=opened.code_hash, day=day
    )


def parity_facts(found: "ParityReport") -> dict[str, Any]:
    """Tell what folding a day again found, and the first frames that came out otherwise."""
    replay = found.replay
    return {
        "day": None if found.day is None else found.day.isoformat(),
        "cycles": replay.cycles,
        "identical": replay.identical,
        "within_tolerance": replay.within,
        "different": [f"{row.frame}: {row.what}" for row in replay.different[:LISTED]],
        "is_other_machine": replay.is_other_machine,
        "is_other_code": replay.is_other_code,
        "refused": found.refused,
    }


@dg.asset(
    group_name=Wing.GOVERNANCE.value,
    partitions_def=DAYS,
    deps=["audit_chain"],
    owners=Wing.GOVERNANCE.owners,
    kinds={"arrow", "parquet"},
    tags=SESSION_TAGS,
    code_version=CODE_VERSION,
)
def compacted_journal(platform: PlatformResource) -> dg.MaterializeResult:
    """Turn closed, anchored segments into Parquet that gives every byte of them back (0.6)."""
    with failing_closed(platform):
        from instgov_dagster.adapters.journal import compact_chains, key_from

        home, chains = platform.layout(), [chain.value for chain in Chain]
        done = compact_chains(home.journal_dir, home.anchors, chains, key=key_from(os.environ))
    facts = {
        "segments": len(done),
        "frames": sum(row.frames for row in done),
        "bytes_before": sum(row.bytes_before for row in done),
        "bytes_after": sum(row.bytes_after for row in done),
    }
    drawn = {name: facts[name] for name in ("bytes_before", "bytes_after")}
    return dg.MaterializeResult(metadata={**facts, **show_facts("Bytes compacted", drawn)})


@dg.asset(
    group_name=Wing.GOVERNANCE.value,
    partitions_def=DAYS,
    deps=["audit_chain", "reconciliation"],
    owners=Wing.GOVERNANCE.owners,
    kinds={"polars", "parquet"},
    tags=SESSION_TAGS,
    code_version=CODE_VERSION,
)
def report_card(platform: PlatformResource) -> dg.MaterializeResult:
    """Tell of each control what asks for it, its tests, its last drill and its last firing."""
    with failing_closed(platform):
        from instgov_dagster.loop.folding.explaining.card import publish_card

        card, snapshot_id = publish_card(platform.open())
    facts = {
        "snapshot_id": snapshot_id,
        **table_facts("report_card", card, store="published"),
        **glance_facts("report_card", card),
        "lines": card.height,
        "status": counts(card, "status"),
        "fired": card["last_firing"].drop_nulls().len(),
    }
    return dg.MaterializeResult(metadata={name: plain(value) for name, value in facts.items()})
