"""Payloads: canonical, bit-equal when read back, and told apart by their digests."""

import json
from datetime import date

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.markets.payloads import (
    NO_ROWS_SHA256,
    SymbolPayloads,
    digest_rows,
)
from instgov_dagster.bars.ingestion import BAR_SCHEMA

NUMBERS = [name for name, kind in BAR_SCHEMA.items() if kind is pl.Float64]


def bars(*values: float | None, symbol: str = "SPY") -> pl.DataFrame:
    n = len(values)
    return pl.DataFrame(
        {
            "symbol": [symbol] * n,
            "date": [date(2024, 1, 1 + i) for i in range(n)],
            **{name: list(values) for name in NUMBERS},
            "asset_class": ["STOCKS"] * n,
            "provider": ["files"] * n,
            "source": ["files"] * n,
        },
        schema=BAR_SCHEMA,
    )


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_every_finite_number_reads_back_bit_equal(values: list[float]) -> None:
    payload = SymbolPayloads(bars(*values), ["SPY"], provider="files")["SPY"]
    read = [row["close"] for row in json.loads(payload)["rows"]]
    assert [value.hex() for value in map(float, read)] == [value.hex() for value in values]


def test_the_payload_tells_the_digest_of_its_own_rows() -> None:
    payloads = SymbolPayloads(bars(1.0, 2.0), ["SPY", "QQQ"], provider="files")
    told = json.loads(payloads["SPY"])["rows_sha256"]
    assert payloads.digests() == {"SPY": told, "QQQ": NO_ROWS_SHA256}
    assert json.loads(payloads["QQQ"])["rows"] == []


def test_the_smallest_change_of_one_number_changes_the_digest_of_its_symbol_alone() -> None:
    two = pl.concat([bars(1.0, 2.0, symbol="AAA"), bars(1.0, 2.0, symbol="BBB")])
    is_last = pl.int_range(pl.len()) == 3
    moved = two.with_columns(low=pl.when(is_last).then(2.0000000000000004).otherwise("low"))
    before, after = digest_rows(two), digest_rows(moved)
    assert before["AAA"] == before["BBB"] == after["AAA"]
    assert after["BBB"] != before["BBB"]


def test_all_that_is_missing_has_one_digest_and_a_word_is_part_of_it() -> None:
    assert digest_rows(bars(1.0, None)) == digest_rows(bars(1.0, float("nan")))
    renamed = bars(1.0).with_columns(source=pl.lit("vendor"))
    assert digest_rows(renamed) != digest_rows(bars(1.0))


def test_the_digest_of_a_symbol_does_not_depend_on_its_company() -> None:
    both = pl.concat([bars(1.0, 2.0, symbol="AAA"), bars(3.0, None, symbol="BBB")])
    alone = digest_rows(bars(3.0, None, symbol="BBB"))
    assert digest_rows(both)["BBB"] == alone["BBB"]
