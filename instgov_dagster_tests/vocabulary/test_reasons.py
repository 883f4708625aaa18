"""Every reason is one closed word with a severity and a sentence."""

import re

import pytest

from instgov_dagster.vocabulary import reason_table
from instgov_dagster.vocabulary.reason_table import GROUPS, Severity
from instgov_dagster.vocabulary.reasons import MEANINGS, ReasonCode


@pytest.mark.roadmap("0.10")
def test_every_code_has_one_meaning_and_every_meaning_a_code() -> None:
    listed = [code for rows in GROUPS.values() for code in rows]
    assert len(listed) == len(set(listed)), "a code stands in two groups: one would be lost"
    assert set(listed) == {code.value for code in ReasonCode} == {code.name for code in ReasonCode}
    assert set(MEANINGS) == set(ReasonCode)


@pytest.mark.roadmap("0.7")
@pytest.mark.parametrize("code", list(ReasonCode))
def test_a_reason_is_a_plain_sentence_without_numbers_to_fill_in(code: ReasonCode) -> None:
    assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code.value)
    assert re.fullmatch(r"[A-Z].{10,110}[.]", code.sentence)
    assert code.sentence.isascii()
    assert not re.search(r"[{}%]|!", code.sentence)
    assert isinstance(code.severity, Severity)


def test_no_two_codes_say_the_same() -> None:
    sentences = [code.sentence for code in ReasonCode]
    assert len(sentences) == len(set(sentences))


def test_the_meanings_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MEANINGS[ReasonCode.ALLOCATED] = MEANINGS[ReasonCode.PRICED_OUT]  # type: ignore[index]


def test_every_code_of_a_veto_is_a_veto_and_no_other_is() -> None:
    vetoes = {code for code in ReasonCode if code.severity is Severity.VETO}
    assert vetoes == {code for code in ReasonCode if code.value.startswith("VETO_")}


def test_the_short_names_of_the_severities_are_bound_to_their_own() -> None:
    for severity in Severity:
        assert getattr(reason_table, f"_{severity.name}") is severity
