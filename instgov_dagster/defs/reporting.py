"""How a step runs and what it tells: one night step as one materialization, one rule as a check."""

import base64
import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg

from instgov_dagster.defs.graph import Context, day_of
from instgov_dagster.defs.halting import failing_closed
from instgov_dagster.defs.lineage import lineage_facts
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.governance import Cause, SystemState

if TYPE_CHECKING:  # polars and the loop load in a run only
    import polars as pl

    from instgov_dagster.adapters.markets.delivery import Shipment
    from instgov_dagster.loop.night_run.run import IngestReport, NightRun, StepOutcome

#: How a check's value must stand to its limit.
Sense = Literal["<=", ">=", "<", "=="]

#: How many offenders a failed check lists; the count beside them is whole.
LISTED = 20


def open_night(context: Context, platform: PlatformResource) -> "NightRun":
    """Give the night of the partition a step runs for; the run holds it to its end."""
    return platform.night(day_of(context), run_id=context.run.run_id)


def run_night_step(
    context: dg.AssetExecutionContext, platform: PlatformResource, step: str
) -> "StepOutcome":
    """Run one step of the night, failing closed; what it found against trading is logged."""
    with failing_closed(platform):
        outcome = open_night(context, platform).run_step(step)
    for cause in outcome.causes:
        context.log.error("%s %s: %s", cause.state, cause.reason_code, cause.detail)
    return outcome


def report_step(outcome: "StepOutcome", **numbers: Any) -> dg.MaterializeResult:
    """Report one step: its table, what was added, the stamp it earned, the state it left.

    Parameters
    ----------
    numbers
        The step's own key numbers; see `plain`.
    """
    metadata: dict[str, Any] = {
        **table_facts(outcome.name, outcome.frame),
        **lineage_facts(outcome.name),
        **glance_facts(outcome.name, outcome.frame),
        "rows_added": outcome.rows_added,
        "content_sha256": outcome.content_sha256,
        **state_facts(outcome.state),
        **{name: plain(value) for name, value in numbers.items()},
    }
    if outcome.stamp is not None:
        metadata["phase"] = outcome.stamp.phase.value
        metadata["stamp_hash"] = outcome.stamp.stamp_hash
    return dg.MaterializeResult(
        metadata=metadata, data_version=dg.DataVersion(outcome.content_sha256)
    )


def report_ingest(report: "IngestReport", bars: "pl.DataFrame") -> dg.MaterializeResult:
    """Report what a night received, archived and appended, and the bars it now stands on."""
    facts = {
        **table_facts("bar_versions", bars),
        **glance_facts("raw_bars", bars),
        "dagster/row_count": report.bars,
        "provider": report.provider,
        "symbols": report.symbols,
        "added": report.added,
        "restated": report.restated,
        "withdrawn": report.withdrawn,
        "unchanged": report.unchanged,
        "stress_added": report.stress_added,
        "archive": report.archive,
        "archive_sha256": report.archive_sha256,
        "notices": report.notices,
    }
    return dg.MaterializeResult(
        metadata={name: plain(value) for name, value in facts.items()},
        data_version=dg.DataVersion(report.archive_sha256),
    )


def report_shard(shipment: "Shipment") -> dg.MaterializeResult:
    """Report what one shard of a night brought."""
    facts = {
        "shard": shipment.shard.key,
        "symbols": shipment.symbols,
        "dagster/row_count": shipment.bars,
        "stress_bars": shipment.stress_bars,
        "notices": shipment.notices,
    }
    shown = show_facts(
        "Bars of the shard", {"bars": shipment.bars, "stress bars": shipment.stress_bars}
    )
    return dg.MaterializeResult(
        metadata={**shown, **{name: plain(value) for name, value in facts.items()}},
        data_version=dg.DataVersion(shipment.manifest_sha256),
    )


def table_facts(
    name: str, frame: "pl.DataFrame", *, store: str = "warehouse.main"
) -> dict[str, Any]:
    """Describe a table as Dagster knows tables: its name, its rows, its columns."""
    columns = [dg.TableColumn(name=n, type=str(kind)) for n, kind in frame.schema.items()]
    return {
        "dagster/table_name": f"{store}.{name}",
        "dagster/row_count": frame.height,
        "dagster/column_schema": dg.TableSchema(columns=columns),
    }


def glance_facts(name: str, frame: "pl.DataFrame") -> dict[str, Any]:
    """Show a table at a glance: a picture of its key numbers, and its head."""
    from instgov_dagster.dashboard.glance import GLANCES, bars_svg, glance_rows, table_markdown

    facts: dict[str, Any] = {"head": dg.MetadataValue.md(table_markdown(frame))}
    if name in GLANCES:
        glance = GLANCES[name]
        facts["picture"] = inline_svg(
            glance.title, bars_svg(glance.title, glance_rows(frame, glance))
        )
    return facts


def show_facts(
    title: str,
    bars: Mapping[str, float | None],
    rows: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Show what is no table of the night: a picture of its numbers, and them as a table.

    Parameters
    ----------
    bars
        What is drawn, in this order; what is absent is not drawn.
    rows
        The lines of the table beside it; the bars themselves if there are none.
    """
    import polars as pl

    from instgov_dagster.dashboard.glance import bars_svg, known_bars, table_markdown

    told = rows or [{"what": name, "value": value} for name, value in bars.items()]
    return {
        "picture": inline_svg(title, bars_svg(title, known_bars([bars]))),
        "head": dg.MetadataValue.md(table_markdown(pl.DataFrame(told, infer_schema_length=None))),
    }


def inline_svg(title: str, svg: str) -> dg.MarkdownMetadataValue:
    """Put a picture into a text: the UI renders images that travel inside it, never a script."""
    body = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{body})")


def state_facts(state: SystemState) -> dict[str, Any]:
    """Describe the state of the system and everything that stands against trading."""
    facts: dict[str, Any] = {"state": state.name.value}
    if state.causes:
        facts["causes"] = dg.MetadataValue.md("\n".join(_cause_line(c) for c in state.causes))
    return facts


def _cause_line(cause: Cause) -> str:
    return f"- **{cause.state}** `{cause.reason_code}` {cause.detail}"


def plain(value: Any) -> Any:
    """Write a value as metadata can hold it: a number that is not finite becomes text.

    A mapping or a collection becomes JSON, anything absent the text "none".
    """
    if value is None:
        return "none"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bool | int | str | dg.MetadataValue | dg.TableSchema):
        return value
    return dg.MetadataValue.json(_json_of(value)) if isinstance(value, Collection) else str(value)


def _json_of(value: Any) -> Any:
    # What lies within JSON stays as deep as it is; what JSON has no word for is text.
    if isinstance(value, Mapping):
        return {str(key): _json_of(item) for key, item in value.items()}
    if isinstance(value, Collection) and not isinstance(value, str):
        return [_json_of(item) for item in value]
    return plain(value)


def counts(frame: "pl.DataFrame", column: str) -> dict[str, int]:
    """Count the rows of each value of a column, the most frequent first."""
    rows = frame[column].value_counts(sort=True).iter_rows()
    return {str(value): int(count) for value, count in rows}


def stress_facts(scenarios: "pl.DataFrame") -> dict[str, Any]:
    """Describe the pinned stress set: its window, its hash, its proxies; "missing" where none."""
    by_measure = {row["measure"]: row for row in scenarios.unique("measure").to_dicts()}
    stressed = by_measure.get(RiskMeasure.STRESSED)
    if stressed is None:
        return {"stress_window": "missing"}
    current_start = by_measure[RiskMeasure.CURRENT]["window_start"]
    return {
        "stress_window": f"{stressed['window_start']} to {stressed['window_end']}",
        "stress_is_within_current_window": bool(stressed["window_start"] >= current_start),
        "stress_sha256": stressed["window_sha256"],
        "stress_proxies": stressed["proxies"],
    }


def names(frame: "pl.DataFrame", condition: "pl.Expr", column: str = "symbol") -> list[str]:
    """List a column's values where a condition holds, sorted, each once."""
    return sorted(set(frame.filter(condition)[column].to_list()))


def gate_table(gates: "pl.DataFrame") -> dg.MarkdownMetadataValue:
    """Lay gates out as a table to read: verdict, value, limit, headroom."""
    lines = ["| gate | verdict | value | limit | headroom |", "| --- | --- | --- | --- | --- |"]
    for row in gates.iter_rows(named=True):
        numbers = (_digits(row[name]) for name in ("value", "limit_value", "headroom"))
        word = "passed" if row["passed"] else "**failed**"
        lines.append(f"| {row['gate']} | {word} | {' | '.join(numbers)} |")
    return dg.MetadataValue.md("\n".join(lines))


def _digits(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def read_table(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource, name: str
) -> "pl.DataFrame":
    """Read a table of the night as it was last written, failing closed."""
    with failing_closed(platform):
        return open_night(context, platform).table(name)


def bound_facts(value: float | None, limit: float | None, sense: Sense = "<=") -> dict[str, Any]:
    """Tell a check's value and its limit as numbers, which the UI plots over the nights.

    Parameters
    ----------
    value
        What was measured; None, told as the word, where there was nothing to measure.
    sense
        How the value must stand to the limit for the check to pass.
    """
    return {"value": plain(value), "limit": plain(limit), "asks": f"value {sense} limit"}


def verdict(
    *,
    passed: bool,
    value: float | None,
    limit: float | None,
    sense: Sense = "<=",
    warns: bool = False,
    name: str | None = None,
    **numbers: Any,
) -> dg.AssetCheckResult:
    """Answer a check with its value, its limit and the other numbers it stands on.

    Parameters
    ----------
    value, limit, sense
        See `bound_facts`.
    warns
        Whether a breach is worth a warning only; it then never blocks.
    name
        The check's name where one step answers several.
    """
    severity = dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR
    metadata = bound_facts(value, limit, sense)
    metadata |= {key: plain(number) for key, number in numbers.items()}
    return dg.AssetCheckResult(passed=passed, severity=severity, metadata=metadata, check_name=name)


def mismatches(told: Collection[str], wanted: Collection[str]) -> int:
    """Count what is told too often, too seldom or without being wanted."""
    said, asked = Counter(told), Counter(wanted)
    return ((said - asked) + (asked - said)).total()


def none_breaks(
    frame: "pl.DataFrame", condition: "pl.Expr", *, warns: bool = False, **numbers: Any
) -> dg.AssetCheckResult:
    """Pass where no row breaks a rule; the value is how many do, the first are listed.

    Parameters
    ----------
    condition
        True where a row breaks the rule. Null, which is neither, breaks it as well.
    """
    broken = frame.filter(condition.fill_null(value=True))
    if not broken.is_empty():
        listed = json.loads(broken.head(LISTED).write_json())
        numbers["first"] = dg.MetadataValue.json(listed)
    return verdict(
        passed=broken.is_empty(),
        value=broken.height,
        limit=0,
        warns=warns,
        rows=frame.height,
        **numbers,
    )


def nothing_to_judge() -> dg.AssetCheckResult:
    """Fail a rule whose table has no row where it must have some: its absence is one breach."""
    return verdict(passed=False, value=1, limit=0, rows=0)
