"""The page of rules, written from their table, the policy's defaults and the sources."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Final

from instgov_dagster.governance.reporting.rules import RULES, Rule
from instgov_dagster.vocabulary.config import Policy

#: So many places and tests of a rule are listed; the rest is counted.
LISTED: Final = 3

_HEAD: Final = """\
# Governance rules

Every rule that refuses, vetoes, halts or stops, one row a reason code. Written by `make docs` from
`instgov_dagster/governance/reporting/rules.py`, the policy's defaults and the sources; a test fails
when this page is stale. [governance.md](governance.md) says how the rules work together,
[reasons.md](reasons.md) what each code means.

A number that is missing or not finite fails its rule before any comparison. The settings are those
of `config/policy.yaml`; *enforced* names the functions that raise the code, as file and function
below `instgov_dagster/`, and *tests* the tests that name it, below `instgov_dagster_tests/`.
"""

Places = Mapping[str, Sequence[str]]


def rules_markdown(policy: Policy, enforced: Places, tests: Places) -> str:
    """Write every rule with statistic, threshold, code, source, enforcement and proof.

    Parameters
    ----------
    policy
        Gives the thresholds.
    enforced, tests
        Where each code is raised, and the ids of the tests that name it.
    """
    lines = [_HEAD]
    for subject, rules in RULES.items():
        lines += [
            f"## {subject}",
            "",
            "| Code | Severity | Statistic | Threshold | Source | Enforced | Tests |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(_row(rule, policy, enforced, tests) for rule in rules),
            "",
        ]
    return "\n".join(lines)


def _row(rule: Rule, policy: Policy, enforced: Places, tests: Places) -> str:
    code = rule.code.value
    thresholds = "<br>".join(f"`{path}` = {setting(policy, path)}" for path in rule.settings)
    ids = [test.removeprefix("instgov_dagster_tests/") for test in tests.get(code, ())]
    cells = (
        f"`{code}`",
        rule.code.severity.value,
        rule.statistic,
        thresholds or "none: yes or no",
        rule.source,
        _few(enforced.get(code, ()), "not raised in this version"),
        _few(ids, "none"),
    )
    return f"| {' | '.join(cells)} |"


def setting(policy: Policy, path: str) -> str:
    """Write one number of the policy.

    Raises
    ------
    AttributeError
        If the policy has no such setting.
    """
    value = reduce(getattr, path.split("."), policy)
    return str(value) if isinstance(value, bool) else f"{value:g}"


def _few(places: Sequence[str], nothing: str) -> str:
    if not places:
        return nothing
    shown = [f"`{place}`" for place in places[:LISTED]]
    more = [f"and {len(places) - LISTED} more"] if len(places) > LISTED else []
    return "<br>".join([*shown, *more])
