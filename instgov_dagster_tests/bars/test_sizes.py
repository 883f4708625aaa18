"""Dollars traded a day, by hand for each class, and unknown rather than guessed."""

from datetime import date, timedelta

import polars as pl
import pytest

from instgov_dagster.bars.adjusted import PRICE_SCHEMA
from instgov_dagster.bars.sizes import average_dollar_volume, last_prices
from instgov_dagster.vocabulary.policy.bars import SizingPolicy

POLICY = SizingPolicy(fx_adv_usd=(("EURUSD=X", 9e9),))


def history(
    symbol: str, asset_class: str, closes: list[float], volumes: list[float | None]
) -> pl.DataFrame:
    """Give a price history of consecutive days."""
    n = len(closes)
    return pl.DataFrame(
        {
            "symbol": [symbol] * n,
            "date": [date(2024, 1, 1) + timedelta(days=i) for i in range(n)],
            "open": closes,
            "high": closes,
            "low": closes,
            "close": closes,
            "adj_close": closes,
            "volume": volumes,
            "asset_class": [asset_class] * n,
            "price": closes,
            "is_repaired": [False] * n,
        },
        schema=PRICE_SCHEMA,
    )


def adv(frame: pl.DataFrame) -> dict[str, float | None]:
    """Give the dollar volume by symbol."""
    return dict(average_dollar_volume(frame, POLICY).iter_rows())


def test_a_stock_trades_the_median_of_close_times_volume_over_21_sessions() -> None:
    closes = [1e9] * 5 + [10.0] * 21
    volumes: list[float | None] = [1e9] * 5 + [float(i) for i in range(1, 22)]
    assert adv(history("AAA", "STOCKS", closes, volumes)) == {"AAA": 110.0}


def test_a_future_trades_its_contract_s_multiple_and_a_negative_price_its_size() -> None:
    frame = history("CL=F", "COMMODITIES", [-37.63] * 21, [2.0] * 21)
    assert adv(frame)["CL=F"] == pytest.approx(37.63 * 2 * 1000)


def test_a_future_without_a_multiplier_is_unknown() -> None:
    assert adv(history("ZZ=F", "COMMODITIES", [10.0] * 21, [2.0] * 21)) == {"ZZ=F": None}


def test_crypto_volume_is_dollars_already() -> None:
    assert adv(history("BTC-USD", "CRYPTO", [50_000.0] * 21, [3e10] * 21)) == {"BTC-USD": 3e10}


def test_fx_takes_what_the_policy_says_of_the_pair() -> None:
    frame = pl.concat(
        [
            history("EURUSD=X", "FX", [1.1], [0.0]),
            history("JPY=X", "FX", [150.0], [None]),
        ]
    )
    assert adv(frame) == {"EURUSD=X": 9e9, "JPY=X": 5e9}


@pytest.mark.parametrize(
    ("closes", "volumes"),
    [
        ([10.0] * 20, [5.0] * 20),
        ([10.0] * 21, [None] + [5.0] * 20),
        ([10.0] * 21, [float("nan")] * 21),
        ([10.0] * 21, [0.0] * 21),
    ],
)
def test_what_cannot_be_known_is_null(closes: list[float], volumes: list[float | None]) -> None:
    assert adv(history("AAA", "STOCKS", closes, volumes)) == {"AAA": None}


def test_references_are_not_sized() -> None:
    assert adv(history("^VIX", "REFERENCE", [20.0] * 21, [1.0] * 21)) == {}


def test_the_order_of_rows_does_not_matter() -> None:
    frame = pl.concat(
        [
            history("B", "STOCKS", [float(i) for i in range(1, 41)], [2.0] * 40),
            history("A", "STOCKS", [3.0] * 30, [float(i) for i in range(30)]),
        ]
    )
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=1)
    assert average_dollar_volume(shuffled, POLICY).equals(average_dollar_volume(frame, POLICY))
    assert last_prices(shuffled).equals(last_prices(frame))
    assert last_prices(frame).rows() == [
        ("A", 3.0, date(2024, 1, 30)),
        ("B", 40.0, date(2024, 2, 9)),
    ]
