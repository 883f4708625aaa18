"""The pieces a trade is cut into: one where trading moves no price, all of them where it does."""

import numpy as np
import pytest

from instgov_dagster.capital.auction.engine.terms import Structure, read_terms, trade_pieces
from instgov_dagster_tests.capital.auction.settings import one

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")


def test_where_trading_moves_no_price_one_piece_a_side_stands_for_all() -> None:
    instance = one(0.1, fields={"liquidity_cost_bps": 2.0, "adv_usd": 1e9}, held=np.array([0.02]))
    costs, widths = trade_pieces(read_terms(Structure(instance), instance), np.array([0]))
    half = instance.policy.impact_chords
    assert costs[0, :-1] == pytest.approx(2e-4)
    # A purchase ends at the name cap, which the cap itself ends; a sale at zero.
    assert widths[0, 0] >= 0.03 - 1e-12
    assert widths[0, half] == pytest.approx(0.02)
    assert not widths[0, 1:half].any()
    assert not widths[0, half + 1 : -1].any()


def test_where_it_moves_prices_the_pieces_grow_dearer_and_add_up() -> None:
    fields = {"market_impact_bps": 10.0, "adv_usd": 1e9}
    instance = one(0.1, fields=fields, held=np.array([0.02]))
    costs, widths = trade_pieces(read_terms(Structure(instance), instance), np.array([0]))
    half = instance.policy.impact_chords
    assert (np.diff(costs[0, :half]) > 0.0).all()
    assert (np.diff(costs[0, half:-1]) > 0.0).all()
    assert widths[0, half:-1].sum() == pytest.approx(0.02)
