"""Many symbols: the cases, the leaders and the rows of the table."""

import dataclasses
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.governance.decisions import (
    DECISION_SCHEMA,
    compose_decisions,
    decide_symbol,
    decisions_to_frame,
    lead_bids,
)
from instgov_dagster.vocabulary.governance import (
    GovernanceDecision,
)
from instgov_dagster.vocabulary.reasons import ReasonCode as Code
from instgov_dagster_tests.governance.decisions.worlds import (
    OWN,
    cycle_case,
    gate,
    symbol_case,
)


def test_a_cycle_decides_every_symbol_once_and_in_order() -> None:
    cases = [symbol_case(symbol=name) for name in ("B", "A", "C")]
    made = compose_decisions(cases, cycle_case())
    assert [decision.symbol for decision in made] == ["B", "A", "C"]
    assert made == tuple(decide_symbol(case, cycle_case()) for case in cases)
    with pytest.raises(ValueError, match="once"):
        compose_decisions([*cases, cases[0]], cycle_case())


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": ""},
        {"is_eligible": False, "eligibility_reasons": ()},
        {"has_route": False, "eligibility_reasons": ()},
        {"auction_reasons": ()},
        {"vetoes": (Code.PRICED_OUT,)},
    ],
)
def test_a_case_that_could_not_give_its_reasons_cannot_exist(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        symbol_case(**changes)


@pytest.mark.parametrize(
    "changes", [{"cycle_id": ""}, {"minimum_change": 0.0}, {"minimum_change": math.nan}]
)
def test_a_cycle_without_a_name_or_a_minimum_cannot_exist(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        cycle_case(**changes)


def test_the_largest_grant_speaks_for_the_symbol_else_the_best_rank() -> None:
    symbols = np.array([0, 0, 0, 1, 1, 3, 3])
    grants = np.array([0.01, 0.03, 0.02, 0.0, 0.0, np.nan, 0.0])
    ranks = np.array([1, 7, 2, 6, 5, 3, 4])
    assert lead_bids(symbols, grants, ranks, n_symbols=4).tolist() == [1, 4, -1, 5]
    empty = np.array([], dtype=np.int64)
    assert lead_bids(empty, empty.astype(float), empty, n_symbols=2).tolist() == [-1, -1]
    with pytest.raises(ValueError, match=r"\[0, 3\)"):
        lead_bids(symbols, grants, ranks, n_symbols=3)
    with pytest.raises(ValueError, match="one shape"):
        lead_bids(symbols, grants[1:], ranks, n_symbols=4)


@given(st.data())
def test_a_leader_is_found_as_a_plain_sort_finds_it(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 12))
    symbols = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), np.int64)
    grants = np.array(data.draw(st.lists(st.sampled_from([0.0, 0.1, 0.2]), min_size=n, max_size=n)))
    ranks = np.array(data.draw(st.permutations(range(1, n + 1))), np.int64)
    leads = lead_bids(symbols, grants, ranks, n_symbols=4)
    for symbol in range(4):
        own = [j for j in range(n) if symbols[j] == symbol]
        wanted = min(own, key=lambda j: (-grants[j], ranks[j])) if own else -1
        assert leads[symbol] == wanted


@pytest.mark.roadmap("DB.5")
def test_decisions_become_rows_with_the_columns_of_the_table() -> None:
    cases = [
        symbol_case(symbol="A"),
        symbol_case(symbol="B", vetoes=(Code.VETO_CVAR, Code.VETO_STANDING)),
        symbol_case(symbol="C", held_weight=math.nan, strategy_id=None, strategy_stage=None),
    ]
    frame = decisions_to_frame(compose_decisions(cases, cycle_case()))
    assert frame.schema == DECISION_SCHEMA
    assert frame["sequence"].to_list() == [0, 1, 2]
    assert frame["decision"].to_list() == ["EXECUTE", "VETO", "REJECT"]
    assert frame["veto_reason"].to_list() == [None, "VETO_CVAR", None]
    assert frame["veto_triggers"].to_list() == [[], ["VETO_CVAR", "VETO_STANDING"], []]
    assert frame["position_size"].to_list() == [0.02, 0.01, None]
    assert frame["timestamp"][0] == datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
    assert frame["strategy_stage"].to_list() == ["INCUBATING", "INCUBATING", None]
    assert frame["reason_codes"].list.len().min() > 0  # type: ignore[operator]
    assert frame["headroom"][0] == (
        '{"correlation":0.01,"cvar":0.01,"drawdown":0.01,"leverage":0.01,'
        '"passing_size":0.03,"sector":0.01}'
    )
    fields = {field.name for field in dataclasses.fields(GovernanceDecision)}
    assert set(frame.columns) == fields | {"sequence"}


def test_of_two_gates_with_one_name_the_row_shows_the_tighter() -> None:
    tight = symbol_case(gates=(*OWN, gate("cvar", headroom=-0.02), gate("impact", headroom=None)))
    frame = decisions_to_frame([decide_symbol(tight, cycle_case())])
    assert '"cvar":-0.02' in frame["headroom"][0]
    assert "impact" not in frame["headroom"][0]


def test_a_cycle_without_symbols_gives_an_empty_table() -> None:
    frame = decisions_to_frame(compose_decisions([], cycle_case()))
    assert frame.equals(pl.DataFrame(schema=DECISION_SCHEMA))
