"""The page of reason codes, written from the enum; the file docs/reasons.md is its output."""

from collections import defaultdict

from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster.vocabulary.reasons import MEANINGS, ReasonCode

_SEVERITIES = {
    Severity.INFO: "a fact; nothing is refused",
    Severity.WARNING: "something is worse than it should be; sizes may shrink",
    Severity.REJECT: "this bid, order or request is refused now and may return next cycle",
    Severity.VETO: "governance refuses every increase until the veto is cleared or outlived",
    Severity.HALT: "the system is halted: reductions only, until an operator resumes it",
    Severity.STOP: "the system is stopped: nothing is sent, until an operator resumes it",
}


def reasons_markdown() -> str:
    """Write every reason code with its severity and its sentence, by group (roadmap 0.10)."""
    groups: dict[str, list[ReasonCode]] = defaultdict(list)
    for code in ReasonCode:
        groups[MEANINGS[code].group].append(code)
    lines = [
        "# Reason codes",
        "",
        f"Every decision carries at least one of these {len(ReasonCode)} codes; no other exists.",
        "The page is written by `instgov_dagster.governance.reason_page.reasons_markdown` from",
        "`instgov_dagster/vocabulary/reasons.py`, and a test fails when the two differ.",
        "",
        "| severity | what it does |",
        "|---|---|",
        *(f"| {severity.value} | {_SEVERITIES[severity]} |" for severity in Severity),
    ]
    for group, codes in groups.items():
        lines += ["", f"## {group}", "", "| code | severity | meaning |", "|---|---|---|"]
        lines += [f"| `{code.value}` | {code.severity.value} | {code.sentence} |" for code in codes]
    return "\n".join(lines) + "\n"
