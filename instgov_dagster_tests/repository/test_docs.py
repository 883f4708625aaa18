"""The documents say what the code says: numbers, words, links, targets and commands."""

import dataclasses
import re
from enum import StrEnum
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from instgov_dagster.vocabulary import capital, governance
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.policy import capital as capital_policy
from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.repository.roadmap import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md"), ROOT / "data" / "README.md"])
POLICY_ROW = re.compile(r"^\| `([a-z_]+(?:\.[a-z_]+)+)` \| ([^|]*) \|", re.MULTILINE)
CODE = re.compile(r"`([A-Z][A-Z]+(?:_[A-Z]+)+)`")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def words(enum: type[StrEnum]) -> set[str]:
    return {f"`{word.value}`" for word in enum}


def fields(*classes: Any) -> set[str]:
    return {f"`{field.name}`" for cls in classes for field in dataclasses.fields(cls)}


def absent(name: str, wanted: set[str]) -> set[str]:
    text = page(name)
    return {word for word in wanted if word not in text}


@pytest.mark.roadmap("DOC.3", "DOC.4", "DOC.5")
@pytest.mark.parametrize(
    "name",
    [
        "alerts.md",
        "capital-auction.md",
        "cvar.md",
        "execution.md",
        "governance.md",
        "live-loop.md",
    ],
)
def test_every_number_a_document_states_is_the_policy_default(name: str) -> None:
    stated = dict(POLICY_ROW.findall(page(name)))
    defaults = {path: reduce(getattr, path.split("."), Policy()) for path in stated}
    assert stated
    assert stated == {
        path: str(value) if isinstance(value, bool) else f"{value:g}"
        for path, value in defaults.items()
    }


@pytest.mark.roadmap("DOC.3")
@pytest.mark.parametrize(
    "enum",
    [
        governance.Decision,
        governance.Gate,
        governance.StrategyLifecycle,
        governance.SystemStateName,
        Severity,
    ],
)
def test_the_governance_page_names_every_verb_gate_stage_state_and_severity(
    enum: type[StrEnum],
) -> None:
    assert absent("governance.md", words(enum)) == set()


@pytest.mark.roadmap("DOC.3")
@pytest.mark.parametrize("severity", [Severity.HALT, Severity.STOP, Severity.VETO])
def test_the_governance_page_names_every_code_that_halts_stops_or_vetoes(
    severity: Severity,
) -> None:
    wanted = {f"`{code.value}`" for code in ReasonCode if code.severity is severity}
    assert wanted
    assert absent("governance.md", wanted) == set()


@pytest.mark.roadmap("DOC.4")
def test_the_auction_page_names_every_input_output_status_and_answer() -> None:
    asked = fields(capital.CapitalAuctionInput)
    answered = fields(capital.CapitalAuctionOutput) - {
        "`provider_penalty`",
        "`time_decay_penalty`",
        "`priced_out_bps`",  # beyond the roadmap's fields
    }
    ladder = words(capital.AuctionStatus) | words(capital.AuctionDecision)
    assert absent("capital-auction.md", asked | answered | ladder) == set()


@pytest.mark.roadmap("DOC.5")
def test_the_cvar_page_names_every_setting_and_every_measure() -> None:
    settings = {f"`cvar.{f.name}`" for f in dataclasses.fields(capital_policy.CVaRConfig)}
    assert absent("cvar.md", settings | words(capital.RiskMeasure)) == set()


@pytest.mark.roadmap("DOC.2")
def test_the_architecture_page_draws_every_package_and_names_every_phase() -> None:
    folders = [p.parent.name for p in (ROOT / "instgov_dagster").glob("*/__init__.py")]
    drawing = "\n".join(re.findall(r"```mermaid\n(.*?)```", page("architecture.md"), re.DOTALL))
    assert [name for name in folders if not re.search(rf"\b{name}\b", drawing)] == []
    assert absent("architecture.md", words(governance.Phase)) == set()


@pytest.mark.roadmap("DOC.1")
def test_the_readme_names_every_package_of_the_house() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    folders = [p.parent.name for p in (ROOT / "instgov_dagster").glob("*/__init__.py")]
    assert [name for name in folders if f"{name}/" not in text] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_code_a_document_quotes_stands_in_the_source(path: Path) -> None:
    places = [*(ROOT / "instgov_dagster").rglob("*.py"), ROOT / "conftest.py"]
    places += (ROOT / "deploy").rglob("*.yaml")
    source = "\n".join(place.read_text(encoding="utf-8") for place in places)
    quoted = set(CODE.findall(path.read_text(encoding="utf-8")))
    assert {code for code in quoted if not re.search(rf"\b{code}\b", source)} == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_make_target_a_document_names_exists(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = re.findall(r"(?:`|^)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) - targets == set()


def test_every_command_of_the_readme_is_a_command_of_the_program() -> None:
    import typer

    from instgov_dagster.cli import app

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `instgov ([a-z ]+?)(?: [A-Z\[-].*?)?`", text, re.MULTILINE)
    assert named
    for words_of_command in map(str.split, named):
        command: Any = typer.main.get_command(app)
        for word in words_of_command:
            assert word in command.commands, f"instgov {' '.join(words_of_command)}"
            command = command.commands[word]
