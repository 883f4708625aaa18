"""Every rule that refuses, vetoes, halts or stops stands on the page with its number and proof."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from instgov_dagster.governance.reporting.rule_page import rules_markdown, setting
from instgov_dagster.governance.reporting.rules import GOVERNING, RULES, governing_codes
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.repository.places import enforced_places, named_by_tests
from instgov_dagster_tests.repository.roadmap import ROOT, TESTS, collect_ids, rules_page
from instgov_dagster_tests.repository.roadmap import RULES as PAGE

PACKAGE = ROOT / "instgov_dagster"
ALL = [rule for rules in RULES.values() for rule in rules]
#: Raised where only a whole session of wall time, or another process, reaches it.
UNNAMED = {"SNAPSHOT_EXPIRED"}


@pytest.mark.roadmap("DOC.3")
def test_each_code_that_refuses_vetoes_halts_or_stops_has_one_rule() -> None:
    assert sorted(rule.code for rule in ALL) == sorted(governing_codes())
    assert {rule.code.severity for rule in ALL} == set(GOVERNING)
    assert all(rule.statistic and rule.source for rule in ALL)


@pytest.mark.roadmap("DOC.3")
def test_the_committed_page_of_rules_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == rules_page()


@pytest.mark.roadmap("DOC.3")
def test_a_threshold_on_the_page_is_the_policy_s_own_number() -> None:
    page = rules_markdown(Policy(), {}, {})
    stated = dict(re.findall(r"`([a-z_.]+)` = ([^ |<]+)", page))
    assert stated["cvar.portfolio_limit"] == "0.06"
    assert len(stated) > 50
    assert stated == {path: setting(Policy(), path) for path in stated}
    other = replace(Policy(), cvar=CVaRConfig(portfolio_limit=0.05))
    assert "`cvar.portfolio_limit` = 0.05" in rules_markdown(other, {}, {})


@pytest.mark.roadmap("DOC.3")
def test_every_test_and_every_function_on_the_page_exists() -> None:
    page, known = PAGE.read_text(encoding="utf-8"), collect_ids()
    tests = re.findall(r"`([a-z_/]+\.py::\w+)`", page)
    assert len(tests) > 100
    assert [name for name in tests if f"instgov_dagster_tests/{name}" not in known] == []
    places = re.findall(r"`([a-z_/0-9]+\.py):([A-Za-z_.]+)`", page)
    assert len(places) > 100
    for module, name in places:
        source = (PACKAGE / module).read_text(encoding="utf-8")
        assert re.search(rf"(def|class) {name.split('.')[-1]}\b", source), (module, name)


def test_every_rule_that_is_enforced_is_named_by_a_test() -> None:
    enforced, tests = enforced_places(PACKAGE), named_by_tests(TESTS)
    raised = {code.value for code in governing_codes() if enforced.get(code)}
    unproved = raised - set(tests)
    assert unproved <= UNNAMED


def test_a_code_is_found_where_it_is_raised_and_where_it_is_tested(tmp_path: Path) -> None:
    (tmp_path / "gates.py").write_text(
        "_CODE = ReasonCode.LEVERAGE_LIMIT\n"
        "def gate():\n    return _CODE\n"
        "class Desk:\n    def stop(self):\n        raise SystemHalt(ReasonCode.DISK_FULL)\n"
    )
    assert enforced_places(tmp_path) == {
        "LEVERAGE_LIMIT": ("gates.py:gate",),
        "DISK_FULL": ("gates.py:Desk.stop",),
    }
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_gates.py").write_text(
        'def test_a():\n    assert gate() == "LEVERAGE_LIMIT"\n'
        "def test_b():\n    assert Code.DISK_FULL\n"
        "def helper():\n    return ReasonCode.CHAIN_BROKEN\n"
    )
    assert named_by_tests(tmp_path / "tests") == {
        "LEVERAGE_LIMIT": ("tests/test_gates.py::test_a",),
        "DISK_FULL": ("tests/test_gates.py::test_b",),
    }


def test_what_no_source_raises_is_said_to_be_so() -> None:
    page = rules_markdown(Policy(), {}, {})
    row = next(line for line in page.splitlines() if line.startswith("| `DISK_FULL` |"))
    assert row.endswith("| not raised in this version | none |")
    assert ReasonCode.DISK_FULL in governing_codes()
