"""What steps and rules tell: numbers that stay numbers, rows that break a rule, states, gates."""

import dagster as dg
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.defs.reporting import (
    LISTED,
    counts,
    gate_table,
    names,
    none_breaks,
    plain,
    state_facts,
    table_facts,
    verdict,
)
from instgov_dagster.governance.state import cause_of, fold_state
from instgov_dagster.vocabulary.reasons import ReasonCode

FRAME = pl.DataFrame({"symbol": ["B", "A", "C"], "score": [0.5, 1.5, None]})


@given(st.floats())
def test_a_number_stays_a_number_only_where_it_is_finite(value: float) -> None:
    told = plain(value)
    assert isinstance(told, float) == (abs(value) < float("inf"))
    assert isinstance(told, float | str)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "none"),
        (True, True),
        (3, 3),
        ("text", "text"),
        ((), dg.MetadataValue.json([])),
        ({"a": None, 2: 1.5}, dg.MetadataValue.json({"a": "none", "2": 1.5})),
    ],
)
def test_every_value_becomes_metadata_and_nothing_becomes_the_word_none(
    value: object, told: object
) -> None:
    assert plain(value) == told


def test_a_rule_passes_where_no_row_breaks_it() -> None:
    answer = none_breaks(FRAME.drop_nulls(), pl.col("score") > 2.0)
    assert answer.passed
    assert {name: value.value for name, value in answer.metadata.items()} == {
        "rows": 2,
        "broken": 0,
    }


def test_a_row_a_rule_cannot_judge_breaks_it() -> None:
    answer = none_breaks(FRAME, pl.col("score") > 2.0)
    assert not answer.passed
    assert answer.metadata["broken"].value == 1
    assert answer.metadata["first"].value == [{"symbol": "C", "score": None}]


def test_a_number_that_is_not_a_number_breaks_a_bound() -> None:
    frame = pl.DataFrame({"score": [float("nan"), 0.5]})
    assert none_breaks(frame, ~pl.col("score").is_between(0.0, 1.0)).metadata["broken"].value == 1


def test_only_the_first_offenders_are_listed_and_all_are_counted() -> None:
    frame = pl.DataFrame({"n": range(100)})
    answer = none_breaks(frame, pl.col("n") >= 10)
    assert answer.metadata["broken"].value == 90
    assert answer.metadata["first"].value == [{"n": n} for n in range(10, 10 + LISTED)]


def test_a_warning_never_blocks() -> None:
    assert verdict(passed=False, warns=True).severity is dg.AssetCheckSeverity.WARN
    assert verdict(passed=False).severity is dg.AssetCheckSeverity.ERROR


def test_counts_name_the_most_frequent_value_first() -> None:
    frame = pl.DataFrame({"kind": ["a", "b", "b"]})
    assert list(counts(frame, "kind").items()) == [("b", 2), ("a", 1)]
    assert counts(frame.clear(), "kind") == {}


def test_names_are_sorted_and_told_once() -> None:
    assert names(pl.concat([FRAME, FRAME]), pl.col("score") > 0.0) == ["A", "B"]


def test_a_table_tells_its_name_rows_and_columns() -> None:
    facts = table_facts("scores", FRAME)
    assert facts["dagster/table_name"] == "warehouse.main.scores"
    assert facts["dagster/row_count"] == 3
    assert [(c.name, c.type) for c in facts["dagster/column_schema"].columns] == [
        ("symbol", "String"),
        ("score", "Float64"),
    ]


def test_gates_are_told_with_their_numbers_and_what_is_missing_as_none() -> None:
    gates = pl.DataFrame(
        {
            "gate": ["cvar", "sector"],
            "passed": [True, False],
            "value": [0.0125, None],
            "limit_value": [0.06, 0.25],
            "headroom": [0.0475, None],
        }
    )
    assert gate_table(gates).value.splitlines()[2:] == [
        "| cvar | passed | 0.0125 | 0.06 | 0.0475 |",
        "| sector | **failed** | none | 0.25 | none |",
    ]


def test_the_state_is_told_with_everything_that_stands_against_trading() -> None:
    cause = cause_of(ReasonCode.HISTORY_MISSING, "KO is short", symbols=("KO",))
    facts = state_facts(fold_state([cause]))
    assert facts["state"] == "HALT_SYSTEM"
    assert facts["causes"].value == "- **HALT_SYSTEM** `HISTORY_MISSING` KO is short"
    assert state_facts(fold_state([])) == {"state": "RUNNING"}
