"""The report card names what exists, and says plainly what was never drilled or asked."""

import re

import pytest

from instgov_dagster.governance.reporting.card import (
    CARD_SCHEMA,
    card_codes,
    card_frame,
    card_markdown,
)
from instgov_dagster.governance.reporting.controls import CONTROLS, SOURCES, Control
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.repository.roadmap import CARD as PAGE
from instgov_dagster_tests.repository.roadmap import ROOT, collect_ids

ANSWERED = [control for control in CONTROLS if not control.not_applicable]


@pytest.mark.parametrize("control", ANSWERED, ids=lambda c: f"{c.regulation} {c.clause}")
def test_every_function_and_every_test_a_control_names_exists(control: Control) -> None:
    known = collect_ids()
    assert [t for t in control.tests if f"instgov_dagster_tests/{t}" not in known] == []
    for place in control.enforced:
        module, name = place.split(":")
        source = (ROOT / "instgov_dagster" / module).read_text(encoding="utf-8")
        for part in name.split("."):
            assert re.search(rf"^ *(def|class) {part}\b", source, re.MULTILINE), place


def test_the_committed_card_is_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == card_markdown()


def test_every_source_has_its_section_and_the_rescinded_letter_is_said_to_be() -> None:
    page = card_markdown()
    assert {control.regulation for control in CONTROLS} == set(SOURCES)
    assert all(f"## {name}\n" in page for name in SOURCES)
    assert "SR 11-7, which it replaced on 17 April 2026, is rescinded" in page
    assert page.count("**not applicable**: ") == len(CONTROLS) - len(ANSWERED) > 0


def test_a_control_is_answered_or_not_applicable_and_never_neither() -> None:
    words = {"regulation": "r", "clause": "c", "asks": "a", "control": "k"}
    with pytest.raises(ValueError, match="must be enforced and tested, or not applicable"):
        Control(**words)
    with pytest.raises(ValueError, match="must be enforced and tested, or not applicable"):
        Control(**words, enforced=("a.py:f",), tests=("t",), not_applicable="why")
    with pytest.raises(ValueError, match="must be enforced and tested, or not applicable"):
        Control(**words, enforced=("a.py:f",))


def test_a_card_without_drills_or_firings_says_never() -> None:
    card = card_frame([], {})
    assert card.schema == CARD_SCHEMA
    assert card.height == len(CONTROLS)
    assert set(card["status"]) == {"never drilled", "not applicable"}
    assert card["last_firing"].null_count() == card.height


def test_the_last_drill_and_the_last_firing_of_a_control_are_told() -> None:
    control = Control(
        regulation="r", clause="c", asks="a", control="k", enforced=("a.py:f",), tests=("t",),
        reason_codes=(ReasonCode.DISK_FULL, ReasonCode.CHAIN_BROKEN),
    )  # fmt: skip
    other = {"drill": "x", "control": "k", "fired": True, "reason_code": "FENCED", "at": "9"}
    old = {"drill": "full", "control": "k", "fired": True, "reason_code": "DISK_FULL", "at": "1"}
    firings = {
        "DISK_FULL": {"at": "2025-03-11", "frame": "loop/000001.igj#3"},
        "CHAIN_BROKEN": {"at": "2025-03-12", "frame": "night/000001.igj#1"},
        "FENCED": {"at": "2026-01-01", "frame": "loop/000001.igj#9"},
    }
    row = card_frame([other, old], firings, [control]).to_dicts()[0]
    assert (row["status"], row["last_drill"], row["last_drill_at"]) == ("drilled", "full", "1")
    assert (row["last_firing_code"], row["last_firing"]) == ("CHAIN_BROKEN", "night/000001.igj#1")
    silent = {**old, "drill": "silent", "fired": False, "at": "2"}
    row = card_frame([old, silent], {}, [control]).to_dicts()[0]
    assert (row["status"], row["last_drill"], row["last_firing"]) == ("SILENT", "silent", None)


def test_the_codes_of_the_card_are_codes_that_exist() -> None:
    assert card_codes() <= set(ReasonCode)
    assert len(card_codes()) > 30
