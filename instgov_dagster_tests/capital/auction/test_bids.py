import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.capital.auction.bids import BID_FIELDS, BidTable
from instgov_dagster.vocabulary.capital import CapitalAuctionInput
from instgov_dagster_tests.capital.worlds import bid

pytestmark = pytest.mark.roadmap("4.1", "TEST.4")
WHOLE = ("history_days", "holding_period_days", "model_age_days")
NUMBERS = [f.name for f in dataclasses.fields(CapitalAuctionInput) if "bounds" in f.metadata]
TEXTS = ("symbol", "asset_class", "strategy_id", "strategy_lifecycle_stage")


def table_of(**fields: Any) -> BidTable:
    """Two rows, the second with the given fields, columns built as a caller would build them."""
    good = bid()
    columns = {}
    for name in BID_FIELDS:
        first = getattr(good, name)
        second = fields.get(name, "S001" if name == "symbol" else first)
        columns[name] = np.array([first, second])
    return BidTable(**columns)


def dataclass_refuses(field: str, value: object) -> bool:
    kinds = {f.name: f.type for f in dataclasses.fields(CapitalAuctionInput)}
    if field in ("asset_class", "strategy_lifecycle_stage") and isinstance(value, str):
        try:
            value = kinds[field](value)
        except ValueError:
            return True
    try:
        bid(**{"symbol": "S001", field: value})
    except ValueError:
        return True
    return False


def table_refuses(field: str, value: object) -> bool:
    try:
        table_of(**{field: value})
    except ValueError:
        return True
    return False


@given(st.sampled_from([n for n in NUMBERS if n not in WHOLE]), st.floats())
def test_the_table_refuses_exactly_the_floats_the_dataclass_refuses(
    field: str, value: float
) -> None:
    assert table_refuses(field, value) == dataclass_refuses(field, value)


@given(st.sampled_from(NUMBERS), st.integers(-(2**40), 2**40))
def test_the_table_refuses_exactly_the_whole_numbers_the_dataclass_refuses(
    field: str, value: int
) -> None:
    assert table_refuses(field, value) == dataclass_refuses(field, value)


@given(st.sampled_from(WHOLE), st.floats())
def test_neither_takes_a_fraction_where_a_whole_number_belongs(field: str, value: float) -> None:
    assert table_refuses(field, value)
    assert dataclass_refuses(field, value)


@given(
    st.sampled_from(TEXTS),
    st.sampled_from(["", "STOCKS", "FX", "stocks", "EQUITY", "INCUBATING", "DEAD", "SPY"]),
)
def test_the_table_refuses_exactly_the_words_the_dataclass_refuses(field: str, value: str) -> None:
    assert table_refuses(field, value) == dataclass_refuses(field, value)


@pytest.mark.parametrize("field", BID_FIELDS)
def test_a_column_of_the_wrong_kind_is_refused(field: str) -> None:
    columns = {name: np.array([getattr(bid(), name)]) for name in BID_FIELDS}
    columns[field] = np.array([None])
    with pytest.raises(ValueError, match=field):
        BidTable(**columns)


def test_a_refusal_names_field_bounds_value_and_row() -> None:
    with pytest.raises(ValueError, match=r"p_loss .*'le': 1.0.* was 1.5 \(row 1\)"):
        table_of(p_loss=1.5)


def test_a_pair_of_strategy_and_symbol_bids_once() -> None:
    with pytest.raises(ValueError, match="once"):
        BidTable.from_rows([bid(), bid()])


def test_columns_of_unequal_length_are_refused() -> None:
    columns = {name: np.array([getattr(bid(), name)]) for name in BID_FIELDS}
    columns["mu"] = np.zeros(2)
    with pytest.raises(ValueError, match="mu"):
        BidTable(**columns)


def test_a_row_of_the_table_is_the_bid_it_was_made_of() -> None:
    rows = [bid("A"), bid("B", "james_stein", mu=-0.01, autocorr_flip_detected=True)]
    table = BidTable.from_rows(rows)
    assert [table.row(0), table.row(1)] == rows
    assert table.bid_ids == ("momentum|A", "james_stein|B")
    assert len(table) == 2
    assert table.take(np.array([1])).row(0) == rows[1]


def test_a_stored_table_is_read_back_bit_equal() -> None:
    table = BidTable.from_rows([bid("A", mu=0.1 + 0.2), bid("B")])
    again = BidTable.from_frame(table.to_frame())
    assert all(np.array_equal(getattr(table, n), getattr(again, n)) for n in BID_FIELDS)


def test_a_stored_table_with_a_hole_is_refused() -> None:
    frame = BidTable.from_rows([bid("A")]).to_frame()
    with pytest.raises(ValueError, match="mu"):
        BidTable.from_frame(frame.drop("mu"))
    with pytest.raises(ValueError, match="null"):
        BidTable.from_frame(frame.with_columns(mu=None))
    with pytest.raises(ValueError, match="mu"):
        BidTable.from_frame(frame.with_columns(mu=math.nan))


def test_what_the_table_holds_cannot_be_changed_behind_its_back() -> None:
    columns = {name: np.array([getattr(bid(), name)]) for name in BID_FIELDS}
    table = BidTable(**columns)
    columns["mu"][0] = math.nan
    assert math.isfinite(table.mu[0])
    with pytest.raises(ValueError, match="read-only"):
        table.mu[0] = 1.0
