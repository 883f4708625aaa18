"""Execution's figures: a dot a filled order, an order counted by its last state."""

import polars as pl

from instgov_dagster.dashboard.figures.execution import cost_figure, last_states, states_figure


def test_only_filled_orders_have_a_dot() -> None:
    costs = pl.DataFrame(
        {
            "symbol": ["A", "B"],
            "side": ["BUY", "SELL"],
            "predicted_cost_bps": [1.5, 2.5],
            "realised_cost_bps": [-0.5, None],
        }
    )
    dots, diagonal = cost_figure(costs).data
    assert (list(dots.x), list(dots.y)) == ([1.5], [-0.5])
    assert list(diagonal.x) == list(diagonal.y) == [0.0, 1.5]


def test_an_order_counts_once_by_its_last_state() -> None:
    orders = pl.DataFrame(
        {
            "client_order_id": ["1", "2", "1", "3", "3"],
            "status": ["PLANNED", "PLANNED", "FILLED", "RESTING", "FILLED"],
        }
    )
    states = last_states(orders)
    assert states.rows() == [("FILLED", 2), ("PLANNED", 1)]
    (bars,) = states_figure(states).data
    assert list(bars.y) == [2, 1]
