"""The pages: their numbers are the tables' own, and the tail they show is the auction's."""

import numpy as np
import polars as pl
import pytest

from instgov_dagster.capital.cvar.tail import cvar
from instgov_dagster.dashboard.model import Page, Section, Table
from instgov_dagster.dashboard.pages import PAGES, beliefs, decisions, overview, risk
from instgov_dagster.dashboard.reading.board import Board

MONEY_TOLERANCE = 1e-9


def section(page: Page, key: str) -> Section:
    return next(row for row in page.sections if row.key == key)


@pytest.mark.parametrize("key", PAGES)
def test_every_section_says_what_it_shows_and_where_from(board: Board, key: str) -> None:
    page = PAGES[key].page(board, {})
    assert page.key == key
    for row in page.sections:
        assert row.says
        assert row.source
        assert row.figure is not None or row.tables or row.missing
        assert row.figure is None or row.tables


def test_the_tail_that_is_shown_is_the_one_that_was_decided_on(board: Board) -> None:
    allocations, _ = risk.last_allocations(board)
    weights = risk.net_weights(allocations)
    losses = risk.scenario_losses(board, weights)
    shown = cvar(losses, confidence_level=board.policy.cvar.confidence_level)
    told = float(allocations["cvar_contribution"].sum())
    assert any(weights.values())
    assert shown == pytest.approx(told, abs=MONEY_TOLERANCE)
    assert np.isfinite(losses).all()


def test_caps_are_counted_by_name_sector_and_class(board: Board) -> None:
    governed = board.table("night", "data_governance")
    rows = risk.cap_rows(board, {"KO": 0.02, "AAPL": 0.01, "XOM": 0.0}, governed)
    told = {row["name"]: row["value"] for row in rows}
    assert told["name KO"] == 0.02
    assert told["class STOCKS"] == pytest.approx(0.03)
    assert told["class FX"] == 0.0


def test_the_tiles_say_the_last_cycle_and_unknown_where_nothing_is_known(board: Board) -> None:
    tiles = {tile.name: tile for tile in overview.tiles(board)}
    assert tiles["NAV"].value == f"{board.session['nav_usd']:,.2f} USD"
    assert tiles["Cycle lag"].value == "not running"
    assert tiles["Chain head"].value == board.session["chain_head"][:12]


def test_the_funnel_only_narrows_by_what_happened(board: Board) -> None:
    rows, _ = decisions.all_decisions(board)
    last = rows["cycle_id"][-1]
    stages = dict(decisions.funnel(board, rows, last))
    mine = rows.filter(pl.col("cycle_id") == last)
    assert stages["symbols decided"] == mine.height
    assert stages["order sent"] == mine["decision"].is_in(["EXECUTE", "REDUCE"]).sum()
    assert stages["symbols decided"] >= stages["eligible"] >= stages["granted capital"]


def test_a_decision_that_is_not_there_is_said_to_be_missing(board: Board) -> None:
    page = decisions.page(board, {"symbol": "KO", "cycle": "live-1999"})
    assert "KO was not decided in live-1999" in section(page, "decision").missing


def test_the_matrix_on_the_page_is_the_night_s(board: Board) -> None:
    table = section(beliefs.page(board, {}), "transitions").tables[0]
    matrix = board.table("night", "regime_beliefs")["transition_matrix"].to_list()[0]
    assert [value for row in table.rows for value in row[1:]] == matrix


def test_a_table_refuses_a_row_of_another_width() -> None:
    with pytest.raises(ValueError, match="a row must have 2 cells"):
        Table(caption="t", columns=("a", "b"), rows=((1,),))
    with pytest.raises(ValueError, match="links must be one a row"):
        Table(caption="t", columns=("a",), rows=((1,),), links=("/a", "/b"))
