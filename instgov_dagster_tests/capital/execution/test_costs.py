"""Predicted beside realised cost: by hand, and what no fills can make of it."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.capital.execution.costs import COST_SCHEMA, execution_costs

pytestmark = pytest.mark.roadmap("0.9", "8.3")


def orders(**fields: Any) -> pl.DataFrame:
    base: dict[str, Any] = {
        "client_order_id": "a",
        "cycle_id": "c1",
        "symbol": "SPY",
        "side": "BUY",
        "quantity": 100.0,
        "decision_mid": 50.0,
        "temporary_impact_bps": 20.0,
        "permanent_impact_bps": 10.0,
        "spread_cost_bps": 2.0,
        "total_cost_bps": 32.0,
    }
    return pl.DataFrame([base | fields])


def fills(*rows: tuple[str, str, float, float, float]) -> pl.DataFrame:
    schema = ["client_order_id", "side", "quantity", "price", "cost_usd"]
    kinds = dict.fromkeys(schema[2:], pl.Float64) | dict.fromkeys(schema[:2], pl.String)
    return pl.DataFrame(rows, schema=schema, schema_overrides=kinds, orient="row")


def test_the_shortfall_of_two_fills_by_hand() -> None:
    done = fills(("a", "BUY", 40.0, 50.02, 3.0), ("a", "BUY", 40.0, 50.04, 5.0))
    row = execution_costs(orders(), done).row(0, named=True)
    # 40 * 0.02 + 40 * 0.04 + 8 dollars on 80 * 50.
    assert row["realised_cost_bps"] == pytest.approx(10.4 / 4000.0 * 1e4)
    assert row["predicted_cost_bps"] == 32.0
    assert row["filled_share"] == pytest.approx(0.8)


def test_a_sale_above_the_mid_earned_what_a_purchase_there_would_have_cost() -> None:
    sold = execution_costs(orders(side="SELL"), fills(("a", "SELL", 100.0, 50.01, 0.0)))
    bought = execution_costs(orders(), fills(("a", "BUY", 100.0, 50.01, 0.0)))
    assert sold["realised_cost_bps"][0] == pytest.approx(-2.0)
    assert bought["realised_cost_bps"][0] == pytest.approx(2.0)


def test_an_order_without_a_fill_has_no_realised_cost_and_one_without_prediction_no_row() -> None:
    both = pl.concat([orders(), orders(client_order_id="b", total_cost_bps=None)], how="vertical")
    found = execution_costs(both, fills())
    assert found.schema == COST_SCHEMA
    assert found["client_order_id"].to_list() == ["a"]
    assert found["realised_cost_bps"].to_list() == [None]
    assert found["filled_share"].to_list() == [0.0]


@given(
    st.lists(st.tuples(st.floats(1.0, 50.0), st.floats(40.0, 60.0)), min_size=1, max_size=5),
    st.floats(0.0, 10.0),
)
def test_cutting_a_fill_in_two_or_charging_more_moves_the_cost_as_it_should(
    parts: list[tuple[float, float]], charge: float
) -> None:
    whole = [("a", "BUY", quantity, price, 1.0) for quantity, price in parts]
    halves = [("a", "BUY", quantity / 2, price, 0.5) for quantity, price in parts for _ in range(2)]
    cost = execution_costs(orders(), fills(*whole))["realised_cost_bps"][0]
    assert execution_costs(orders(), fills(*halves))["realised_cost_bps"][0] == pytest.approx(
        cost, abs=1e-7
    )
    dearer = [(*row[:4], row[4] + charge) for row in whole]
    assert execution_costs(orders(), fills(*dearer))["realised_cost_bps"][0] >= cost - 1e-9
