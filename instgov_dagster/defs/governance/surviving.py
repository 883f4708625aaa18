"""The survival replay as an asset: a partition a named crisis, one for all that is held."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg

from instgov_dagster.defs.graph import CODE_VERSION, Wing
from instgov_dagster.defs.halting import failing_closed
from instgov_dagster.defs.reporting import plain, show_facts, verdict
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.loop.proving.survival.spans import SPANS
from instgov_dagster.vocabulary.governance import Phase

if TYPE_CHECKING:
    from instgov_dagster.loop.proving.survival.telling.answer import Answer

CRISES = dg.StaticPartitionsDefinition(list(SPANS))


# An asset and the job of the same name need an op of another name.
@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            "survival_replay",
            description="The same nights and decisions walked through a crisis, and what came of"
            " them: report, tables, coverage, benchmarks.",
            group_name=Wing.GOVERNANCE.value,
            owners=Wing.GOVERNANCE.owners,
            kinds={"polars", "parquet"},
            tags={"instgov/phase": Phase.LIVE_TRADING.value},
            code_version=CODE_VERSION,
            partitions_def=CRISES,
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "cvar_gate_holds",
            asset="survival_replay",
            description="On no day the book exceeds its CVaR limit once its orders are done.",
        ),
        dg.AssetCheckSpec(
            "last_night_agrees",
            asset="survival_replay",
            description="The last day decided again as a home decides it comes out the same.",
        ),
    ],
)
def walked_survival(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Walk the partition's span and keep its tables and its page below the home."""
    with failing_closed(platform):
        answer, page = walk_span(platform, context.partition_key)
    told = {name: plain(value) for name, value in answer.fields().items()}
    return dg.MaterializeResult(
        asset_key="survival_replay",
        metadata={"report": page, **told, **paths_shown(answer)},
        check_results=survival_verdicts(answer),
    )


def paths_shown(answer: "Answer") -> dict[str, Any]:
    """Show what each path lost from its peak, the governed one beside the benchmarks."""
    drawn = {name: row.max_drawdown for name, row in answer.measures.items()}
    rows = [{"path": name, **asdict(row)} for name, row in answer.measures.items()]
    return show_facts("Worst drawdown by path", drawn, rows)


def survival_verdicts(answer: "Answer") -> list[dg.AssetCheckResult]:
    """Judge a walk: its tail beside the limit on every day, its last day decided again."""
    parity = answer.parity
    differing = 0 if parity is None else parity.difference
    return [
        verdict(
            name="cvar_gate_holds",
            passed=answer.gate_holds,
            value=answer.highest_cvar_gate,
            limit=answer.cvar_bound,
        ),
        verdict(name="last_night_agrees", passed=differing == 0, value=differing, limit=0),
    ]


def walk_span(platform: PlatformResource, name: str) -> tuple["Answer", str]:
    """Walk one named span of the installation's own market; give the answer and its page."""
    from instgov_dagster.loop.proving.survival.run import survive
    from instgov_dagster.loop.proving.survival.telling.answer import Question
    from instgov_dagster.loop.proving.survival.telling.report import REPORT

    settings, span = platform.settings(), SPANS[name]
    out = platform.home_dir() / "survival" / name
    question = Question(
        market=settings.market,
        bars=settings.bars,
        seed=settings.seed,
        start=span.start,
        end=span.end,
        config_dir=settings.config_dir,
    )
    return survive(question, out=out), str((out / REPORT).relative_to(platform.home_dir()))
