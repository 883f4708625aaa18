"""What enters is a daily bar of known columns and types, or one clear error."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from instgov_dagster.bars.ingestion import (
    BAR_SCHEMA,
    REQUIRED_COLUMNS,
    first_dates,
    require_daily,
    require_daily_interval,
    require_ingestion_open,
    stage_known_at,
    unknown_columns,
    validate_bars,
)
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import DataRejected, InputError
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

POLICY = HistoryPolicy()


def raw(**columns: object) -> pl.DataFrame:
    """Give one vendor's row, with columns replaced."""
    row: dict[str, object] = {
        "symbol": "AAPL",
        "date": date(2024, 12, 5),
        "open": 1.0,
        "high": 2.0,
        "low": 0.5,
        "close": 1.5,
        "adj_close": 1.4,
        "volume": 100,
    }
    return pl.DataFrame([row | columns])


def test_bars_get_the_schema_and_keep_the_values_received() -> None:
    bars = validate_bars(raw(volume=None, source="vendor", colour="red"))
    assert dict(bars.schema) == BAR_SCHEMA
    assert bars.row(0, named=True) == {
        "symbol": "AAPL",
        "date": date(2024, 12, 5),
        "open": 1.0,
        "high": 2.0,
        "low": 0.5,
        "close": 1.5,
        "adj_close": 1.4,
        "volume": None,
        "dividend": 0.0,
        "split": 0.0,
        "asset_class": "STOCKS",
        "provider": "",
        "source": "vendor",
    }


@pytest.mark.parametrize("column", REQUIRED_COLUMNS)
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(InputError, match=f"was without {column}$"):
        validate_bars(raw().drop(column))


def test_columns_nobody_knows_are_ignored_and_can_be_told() -> None:
    frame = raw(colour="red", answer=42)
    assert unknown_columns(frame) == ("answer", "colour")
    assert validate_bars(frame).columns == [*BAR_SCHEMA]


def test_a_column_that_is_no_number_is_named() -> None:
    with pytest.raises(InputError, match="close must be a column of numbers"):
        validate_bars(raw(close="cheap"))


def test_numbers_written_as_text_are_read() -> None:
    assert validate_bars(raw(close="1.25"))["close"].to_list() == [1.25]


def test_a_bar_without_a_symbol_or_a_date_is_refused() -> None:
    with pytest.raises(InputError, match="symbol must not be missing, was so in 1 rows"):
        validate_bars(raw(symbol=None).cast({"symbol": pl.String}))
    with pytest.raises(InputError, match="date must not be missing"):
        validate_bars(raw(date=None).cast({"date": pl.Date}))


def test_a_missing_dividend_or_split_is_none() -> None:
    bars = validate_bars(raw(dividend=None, split=4.0).cast({"dividend": pl.Float64}))
    assert bars.select("dividend", "split").row(0) == (0.0, 4.0)


def test_macro_is_a_reference_and_an_unknown_class_is_rejected() -> None:
    assert validate_bars(raw(symbol="^VIX", asset_class="MACRO"))["asset_class"][0] == "REFERENCE"
    with pytest.raises(DataRejected) as e:
        validate_bars(raw(asset_class="BONDS"))
    assert e.value.reason_code is ReasonCode.UNKNOWN_ASSET_CLASS


def test_one_symbol_of_two_classes_is_rejected() -> None:
    both = pl.concat([raw(asset_class="STOCKS"), raw(asset_class="FX")])
    with pytest.raises(DataRejected, match="AAPL must be one word, was FX and STOCKS") as e:
        validate_bars(both)
    assert e.value.reason_code is ReasonCode.CLASS_DISAGREEMENT


@pytest.mark.roadmap("2.4")
def test_duplicates_zeros_and_nan_stay_for_quality_to_see() -> None:
    bars = pl.concat([raw(), raw(), raw(close=0.0), raw(open=float("nan"))])
    assert validate_bars(bars).height == 4


@pytest.mark.roadmap("2.3")
@pytest.mark.parametrize(
    "stamp",
    [
        datetime(2024, 12, 5, 14, 30),  # noqa: DTZ001  # vendors send naive stamps
        "2024-12-05 14:30:00",
        "2024-12-05T14:30:00Z",
        "2024-12-05 00:05",
    ],
)
def test_an_intraday_timestamp_is_refused(stamp: object) -> None:
    with pytest.raises(DataRejected, match="date must be a day without a time") as e:
        validate_bars(raw(date=stamp))
    assert e.value.reason_code is ReasonCode.INTRADAY_FORBIDDEN


@pytest.mark.roadmap("2.3")
@pytest.mark.parametrize(
    "stamp",
    [
        datetime(2024, 12, 5),  # noqa: DTZ001  # vendors send naive stamps
        "2024-12-05",
        "2024-12-05 00:00:00",
        "2024-12-05T00:00:00.000Z",
        "2024-12-05 00:00:00-05:00",
    ],
)
def test_a_day_at_midnight_is_a_day(stamp: object) -> None:
    assert validate_bars(raw(date=stamp))["date"][0] == date(2024, 12, 5)


@pytest.mark.parametrize("stamp", ["05/12/2024", "", 20241205])
def test_what_is_no_date_is_one_clear_error(stamp: object) -> None:
    with pytest.raises(InputError, match="date must be"):
        require_daily(raw(date=stamp))


def test_one_intraday_row_among_daily_ones_is_found() -> None:
    stamps = pl.Series([datetime(2024, 12, 4), datetime(2024, 12, 5, 9)])  # noqa: DTZ001  # naive
    frame = pl.DataFrame({"symbol": ["A", "B"], "date": stamps})
    with pytest.raises(DataRejected, match="2024-12-05 09:00:00 for B"):
        require_daily(frame)


@pytest.mark.roadmap("2.3")
def test_only_daily_intervals_are_asked_for() -> None:
    require_daily_interval("1d")
    for interval in ("1m", "1h", "1wk", ""):
        with pytest.raises(DataRejected) as e:
            require_daily_interval(interval)
        assert e.value.reason_code is ReasonCode.INTRADAY_FORBIDDEN


def test_a_bar_is_known_two_hours_after_its_own_class_closes() -> None:
    day = date(2024, 11, 29)  # a half day in New York
    bars = pl.concat(
        [
            validate_bars(raw(symbol="AAPL", date=day)),
            validate_bars(raw(symbol="EURUSD=X", date=day)),
            validate_bars(raw(symbol="BTC-USD", date=date(2024, 11, 30))),
            validate_bars(raw(symbol="^VIX", date=day)),
            validate_bars(raw(symbol="EURUSD=X", date=date(2024, 12, 1))),
        ]
    )
    staged = stage_known_at(bars, POLICY)
    assert staged["symbol"].to_list() == bars["symbol"].to_list()
    assert staged["known_at"].to_list() == [
        datetime(2024, 11, 29, 20, tzinfo=UTC),
        datetime(2024, 11, 30, 2, tzinfo=UTC),
        datetime(2024, 12, 1, 2, tzinfo=UTC),
        datetime(2024, 11, 29, 20, tzinfo=UTC),
        datetime(2024, 12, 2, 2, tzinfo=UTC),
    ]


def test_no_bars_stage_to_no_bars() -> None:
    staged = stage_known_at(validate_bars(raw()).clear(), POLICY)
    assert staged.schema["known_at"] == pl.Datetime("us", "UTC")
    assert staged.is_empty()


@pytest.mark.roadmap("2.1")
def test_the_live_market_is_not_ingested_while_it_trades() -> None:
    noon = datetime(2024, 12, 5, 17, tzinfo=UTC)
    for market in (Market.SIMULATED, Market.FILES):
        require_ingestion_open(market, noon, POLICY)
    require_ingestion_open(Market.LIVE, datetime(2024, 12, 6, 7, tzinfo=UTC), POLICY)
    with pytest.raises(DataRejected) as e:
        require_ingestion_open(Market.LIVE, noon, POLICY)
    assert e.value.reason_code is ReasonCode.INGESTION_WINDOW_CLOSED


def test_the_first_date_of_each_symbol_is_its_listing_in_a_folder() -> None:
    bars = pl.concat([raw(), raw(date=date(2020, 1, 2)), raw(symbol="B")])
    assert first_dates(bars) == {"AAPL": date(2020, 1, 2), "B": date(2024, 12, 5)}
