"""The page of reason codes is the enum, written out."""

from pathlib import Path

import pytest

from instgov_dagster.governance.reason_page import reasons_markdown
from instgov_dagster.vocabulary.reasons import ReasonCode

PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"


@pytest.mark.roadmap("0.10")
@pytest.mark.roadmap("0.7")
def test_the_committed_page_is_what_the_enum_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == reasons_markdown()


def test_every_code_stands_on_the_page_once_with_its_sentence() -> None:
    lines = reasons_markdown().splitlines()
    for code in ReasonCode:
        rows = [line for line in lines if line.startswith(f"| `{code.value}` |")]
        assert rows == [f"| `{code.value}` | {code.severity.value} | {code.sentence} |"]
