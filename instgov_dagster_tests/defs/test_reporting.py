"""What steps and rules tell: numbers that stay numbers, rows that break a rule, states, gates."""

import base64
from collections.abc import Mapping
from datetime import date
from xml.etree import ElementTree as ET

import dagster as dg
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.lake import PushReport
from instgov_dagster.adapters.markets.delivery.shards import Shipment
from instgov_dagster.adapters.runtime.shards import Shard
from instgov_dagster.definitions import defs
from instgov_dagster.defs.governance.drills import drill_facts, firing_of
from instgov_dagster.defs.governance.shipping import shipping_facts
from instgov_dagster.defs.reporting import (
    LISTED,
    counts,
    gate_table,
    mismatches,
    names,
    none_breaks,
    nothing_to_judge,
    plain,
    report_shard,
    show_facts,
    state_facts,
    table_facts,
    verdict,
)
from instgov_dagster.governance.state import cause_of, fold_state
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.proving.drills.test_evidence import row_of

Results = tuple[dg.ExecuteInProcessResult, ...]

#: Held or walked for minutes: what they tell is tested on its own below and by the nightly tests.
LONG = {"fire_drills", "survival_replay"}
#: What a home on one host with one worker has nothing of; tested on its own below.
ELSEWHERE = {"lake_history", "raw_bar_shards"}
#: Assets that are no table of rows, and what they are.
TABLELESS = {
    "audit_chain": "a proof of three chains",
    "compacted_journal": "files of the journal",
    "dashboard_tables": "many tables, their rows by name",
    "decision_journal": "frames of a chain",
    "governance_report": "one page",
    "live_decisions": "projected by another process, which owns the columns",
    "portfolio": "one book",
    "published_snapshot": "many tables, their rows by name",
    "reconciliation": "a proof of four invariants",
}
#: Checks that had nothing to measure on a first day, and why.
UNMEASURED = {
    f"cvar_coverage_{test}": "no outcome of an earlier forecast exists on a first night"
    for test in ("acerbi_szekely", "christoffersen", "kupiec")
}
HOLDS = {
    "<=": lambda value, limit: value <= limit,
    ">=": lambda value, limit: value >= limit,
    "<": lambda value, limit: value < limit,
    "==": lambda value, limit: value == limit,
}

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
        ((1, date(2025, 3, 12)), dg.MetadataValue.json([1, "2025-03-12"])),
        (
            {"spy": {"loss": float("nan"), "days": [{"n": 2}]}},
            dg.MetadataValue.json({"spy": {"loss": "nan", "days": [{"n": 2}]}}),
        ),
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
        "value": 0,
        "limit": 0,
        "asks": "value <= limit",
        "rows": 2,
    }


def test_a_row_a_rule_cannot_judge_breaks_it() -> None:
    answer = none_breaks(FRAME, pl.col("score") > 2.0)
    assert not answer.passed
    assert answer.metadata["value"].value == 1
    assert answer.metadata["first"].value == [{"symbol": "C", "score": None}]


def test_a_number_that_is_not_a_number_breaks_a_bound() -> None:
    frame = pl.DataFrame({"score": [float("nan"), 0.5]})
    assert none_breaks(frame, ~pl.col("score").is_between(0.0, 1.0)).metadata["value"].value == 1


def test_only_the_first_offenders_are_listed_and_all_are_counted() -> None:
    frame = pl.DataFrame({"n": range(100)})
    answer = none_breaks(frame, pl.col("n") >= 10)
    assert answer.metadata["value"].value == 90
    assert answer.metadata["first"].value == [{"n": n} for n in range(10, 10 + LISTED)]


def test_a_warning_never_blocks() -> None:
    warned = verdict(passed=False, value=1, limit=0, warns=True)
    assert warned.severity is dg.AssetCheckSeverity.WARN
    assert nothing_to_judge().severity is dg.AssetCheckSeverity.ERROR
    assert not nothing_to_judge().passed


def test_mismatches_count_what_is_missing_unwanted_or_told_twice() -> None:
    assert mismatches(["A", "B"], ["B", "A"]) == 0
    assert mismatches(["A", "A", "X"], ["A", "B"]) == 3
    assert mismatches([], ["A", "B"]) == 2


def test_what_is_absent_is_not_drawn_and_stands_in_the_table() -> None:
    facts = show_facts("t", {"a": 2.0, "b": None})
    assert bars_of(facts["picture"]) == 1
    assert facts["head"].value.splitlines()[:4] == [
        "| what | value |", "| --- | --- |", "| a | 2 |", "| b | – |",
    ]  # fmt: skip


def bars_of(picture: dg.MetadataValue) -> int:
    """Count the bars of an inline picture, which must be an SVG."""
    head, _, body = str(picture.value).partition(";base64,")
    assert head.endswith("](data:image/svg+xml")
    root = ET.fromstring(base64.b64decode(body.removesuffix(")")))  # noqa: S314  # our own text
    return sum(node.get("height") == "15" for node in root.iter("{http://www.w3.org/2000/svg}rect"))


def lacking(asset: str, facts: Mapping[str, dg.MetadataValue]) -> list[str]:
    """Name what a materialization should tell and does not."""
    told = {"head": "| --- |" in str(facts["head"].value)} if "head" in facts else {"head": False}
    if asset == "belief_pictures":  # four pictures, under their own names
        told["picture"] = sum("data:image/svg+xml" in str(v.value) for v in facts.values()) >= 4
    else:
        is_empty = facts.get("dagster/row_count") == dg.MetadataValue.int(0)
        told["picture"] = "picture" in facts and (bars_of(facts["picture"]) > 0 or is_empty)
    if asset not in TABLELESS:
        needs = {
            "dagster/table_name": dg.TextMetadataValue,
            "dagster/row_count": dg.IntMetadataValue,
            "dagster/column_schema": dg.TableSchemaMetadataValue,
        }
        told |= {name: isinstance(facts.get(name), kind) for name, kind in needs.items()}
    return [name for name, is_there in told.items() if not is_there]


def test_every_asset_tells_a_picture_a_table_to_read_and_what_table_it_is(
    recorded_day: Results,
) -> None:
    told = {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.metadata
        for result in recorded_day
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    every = {key.to_user_string() for key in defs().resolve_asset_graph().get_all_asset_keys()}
    assert set(told) == every - LONG - ELSEWHERE
    assert {name: gaps for name, facts in told.items() if (gaps := lacking(name, facts))} == {}


def test_a_push_and_a_shard_tell_a_picture_and_a_table_to_read() -> None:
    pushed = shipping_facts(PushReport(added={"main.bars": 120, "main.quality": 6}, snapshot=3))
    told = dg.AssetMaterialization("lake_history", metadata=pushed).metadata
    assert (bars_of(told["picture"]), told["dagster/row_count"].value) == (2, 126)
    assert "| main.bars | 120 |" in str(told["head"].value)
    nothing = shipping_facts(PushReport(added={}, snapshot=3))
    assert nothing["dagster/row_count"] == 0
    shipment = Shipment(
        shard=Shard(number=1, of=4), symbols=9, bars=240, stress_bars=60, manifest_sha256="0" * 64,
        notices=(),
    )  # fmt: skip
    shard = report_shard(shipment).metadata
    assert shard is not None
    drawn = dg.AssetMaterialization("raw_bar_shards", metadata=shard).metadata["picture"]
    assert bars_of(drawn) == 2
    assert shard["dagster/row_count"] == 240


def test_every_check_tells_its_value_and_its_limit_as_numbers(recorded_day: Results) -> None:
    answers = [one for result in recorded_day for one in result.get_asset_check_evaluations()]
    keys = defs().resolve_asset_graph().asset_check_keys
    every = {(key.asset_key, key.name) for key in keys if key.asset_key.path[-1] not in LONG}
    assert {(one.asset_key, one.check_name) for one in answers} == every
    for answer in answers:
        told = {name: fact.value for name, fact in answer.metadata.items()}
        assert isinstance(told["limit"], int | float), answer.check_name
        if answer.check_name in UNMEASURED:
            assert told["value"] == "none", answer.check_name
            continue
        assert isinstance(told["value"], int | float), answer.check_name
        sense = told["asks"].removeprefix("value ").removesuffix(" limit")
        assert HOLDS[sense](told["value"], told["limit"]) == answer.passed, answer.check_name


def test_the_drills_tell_their_table_and_each_check_whether_its_control_fired() -> None:
    rows = (row_of("two_leaders", fired=True), row_of("halt", fired=False))
    facts = dg.AssetMaterialization("fire_drills", metadata=drill_facts(rows)).metadata
    assert lacking("fire_drills", facts) == []
    assert (facts["fired"].value, facts["silent"].value) == (1, 1)
    told = [firing_of(row).metadata for row in rows]
    assert [(one["value"].value, one["limit"].value) for one in told] == [(1, 1), (0, 1)]


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
