"""Decisions' figures: every decision is in its cell, every reason in its bar."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.dashboard.figures.decisions import (
    funnel_figure,
    headroom_figure,
    pareto_figure,
    refusals,
    timeline_figure,
    verdicts_figure,
)
from instgov_dagster.dashboard.figures.theme import DECISION_COLOURS
from instgov_dagster.vocabulary.governance import Decision

TWO = pl.DataFrame(
    {
        "cycle_id": ["s-000", "s-000", "s-001", "s-001"],
        "symbol": ["A", "B", "A", "B"],
        "decision": ["EXECUTE", "REJECT", "HOLD", "VETO"],
        "reason_codes": [
            ["ALLOCATED"], ["PRICED_OUT"], ["HOLD_AT_TARGET"], ["VETO_CVAR", "PRICED_OUT"],
        ],
    }
)  # fmt: skip


def test_every_verdict_has_a_colour_of_its_own() -> None:
    assert set(DECISION_COLOURS) == {decision.value for decision in Decision}
    assert len(set(DECISION_COLOURS.values())) == len(DECISION_COLOURS)


def test_the_timeline_has_each_decision_in_its_cell() -> None:
    (cells,) = timeline_figure(TWO).data
    words = list(cells.colorbar.ticktext)
    assert list(cells.y) == ["B", "A"]
    assert list(cells.x) == ["000", "001"]
    assert [[words[k] for k in row] for row in cells.z] == [
        ["REJECT", "VETO"],
        ["EXECUTE", "HOLD"],
    ]


def test_the_verdicts_of_a_cycle_sum_to_its_symbols() -> None:
    made = verdicts_figure(TWO)
    assert {bar.name for bar in made.data} == {"EXECUTE", "HOLD", "REJECT", "VETO"}
    assert [sum(bar.y[k] for bar in made.data) for k in range(2)] == [2, 2]


def test_reasons_are_counted_over_what_was_refused_alone() -> None:
    counted = refusals(TWO)
    assert counted.rows() == [
        ("PRICED_OUT", 2, pytest.approx(2 / 3)),
        ("VETO_CVAR", 1, pytest.approx(1.0)),
    ]
    bars, line = pareto_figure(counted).data
    assert (list(bars.x), list(bars.y)) == (["PRICED_OUT", "VETO_CVAR"], [2, 1])
    assert list(line.y) == pytest.approx([2 / 3, 1.0])


@given(st.lists(st.lists(st.sampled_from(["PRICED_OUT", "VETO_CVAR", "INVALID_DATA"]), min_size=1)))
def test_the_shares_of_a_pareto_rise_to_one(codes: list[list[str]]) -> None:
    rows = pl.DataFrame(
        {"decision": ["REJECT"] * len(codes), "reason_codes": codes},
        schema={"decision": pl.String(), "reason_codes": pl.List(pl.String())},
    )
    counted = refusals(rows)
    shares = counted["share"].to_list()
    assert shares == sorted(shares)
    assert counted["count"].to_list() == sorted(counted["count"].to_list(), reverse=True)
    if codes:
        assert shares[-1] == pytest.approx(1.0)
        assert counted["count"].sum() == sum(map(len, codes))


def test_the_funnel_says_each_stage() -> None:
    (bars,) = funnel_figure([("decided", 11), ("granted", 3)]).data
    assert (list(bars.y), list(bars.x)) == (["decided", "granted"], [11, 3])


def test_headroom_is_a_share_of_each_gate_s_own_limit() -> None:
    made = headroom_figure([("cvar", 0.03), ("hurdle", 1.0), ("sector", -0.05)],
                           {"cvar": 0.06, "sector": 0.25})  # fmt: skip
    (bars,) = made.data
    assert list(bars.y) == ["cvar", "sector"]
    assert list(bars.x) == pytest.approx([0.5, -0.2])
    assert bars.marker.color[0] != bars.marker.color[1]
