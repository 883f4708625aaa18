"""What providers really sent, read by the clients; skipped where the recordings are not at hand."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from instgov_dagster.adapters.markets.live.asking import Asker
from instgov_dagster.adapters.markets.live.history import HistoryProvider, ParsedBars, Wanted
from instgov_dagster.adapters.markets.live.plain import plain_getter
from instgov_dagster.adapters.markets.live.providers.binance import BinanceHistory
from instgov_dagster.adapters.markets.live.providers.fred import FredHistory
from instgov_dagster.adapters.markets.live.providers.polygon import PolygonHistory
from instgov_dagster.adapters.markets.live.providers.yahoo_chart import parse_chart
from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.bars.providers import reason_for_status
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

NOWHERE = "http://127.0.0.1:9"
STOCKS, FX, CRYPTO = AssetClass.STOCKS, AssetClass.FX, AssetClass.CRYPTO


@pytest.fixture(scope="module")
def wire_dir(bars_dir: Path) -> Path:
    """Point at the recorded payloads beside the real bars, or skip."""
    folder = bars_dir.resolve().parent / "wire"
    if not (folder / "MANIFEST.json").is_file():
        pytest.skip(f"no recorded payloads in {folder}")
    return folder


def _recorded(folder: Path, name: str) -> bytes:
    answer = json.loads((folder / name).read_bytes())
    is_wrapped = isinstance(answer, dict) and "body" in answer
    return json.dumps(answer["body"] if is_wrapped else answer).encode()


def _wanted(symbol: str, kind: AssetClass | None, start: date, end: date) -> Wanted:
    return Wanted(symbol=symbol, asset_class=kind, start=start, end=end)


def _chart(folder: Path, name: str, symbol: str, kind: AssetClass, *days: date) -> ParsedBars:
    return parse_chart(_recorded(folder, f"yahoo/{name}"), _wanted(symbol, kind, *days))


def test_a_stock_with_a_split_and_a_dividend(wire_dir: Path) -> None:
    parsed = _chart(
        wire_dir, "chart_AAPL_dividend_and_split_4to1.json", "AAPL", STOCKS,
        date(2020, 8, 31), date(2020, 11, 7),
    )  # fmt: skip
    frame = parsed.frame
    assert frame.height == 49
    assert parsed.first_date == date(1980, 12, 12)
    first, last = frame.row(0, named=True), frame.row(-1, named=True)
    assert (first["date"], first["split"]) == (date(2020, 8, 31), 4.0)
    assert (last["date"], last["dividend"]) == (date(2020, 11, 6), 0.205)
    assert (first["close"], first["adj_close"]) == (129.0399932861328, 125.82673645019531)


def test_a_currency_has_no_volume_and_dates_of_london(wire_dir: Path) -> None:
    days = date(2020, 1, 1), date(2020, 1, 4)
    frame = _chart(wire_dir, "chart_EURUSD=X_zero_volume.json", "EURUSD=X", FX, *days).frame
    assert frame["date"].to_list() == [date(2020, 1, d) for d in (1, 2, 3)]
    assert frame["volume"].to_list() == [0.0] * 3
    assert frame["close"][2] == 1.1171437501907349


def test_crypto_and_a_future_stand_on_their_own_days(wire_dir: Path) -> None:
    days = date(2020, 1, 1), date(2020, 1, 4)
    coin = _chart(wire_dir, "chart_BTC-USD.json", "BTC-USD", CRYPTO, *days).frame
    gold = _chart(wire_dir, "chart_GC=F_future.json", "GC=F", AssetClass.COMMODITIES, *days).frame
    assert coin["date"].to_list() == [date(2020, 1, d) for d in (1, 2, 3)]
    assert (gold["date"][0], gold["close"][0]) == (date(2020, 1, 2), 1524.5)


def test_a_row_of_nulls_is_no_bar_and_is_said(wire_dir: Path) -> None:
    days = date(2017, 11, 1), date(2017, 12, 1)
    parsed = _chart(wire_dir, "chart_null_row_600497.SS.json", "600497.SS", STOCKS, *days)
    assert parsed.frame["close"].null_count() == 0
    assert parsed.notices == ("600497.SS: 1 rows without any price",)


@pytest.mark.parametrize("which", ["A", "B"])
def test_prices_without_timestamps_are_malformed(wire_dir: Path, which: str) -> None:
    with pytest.raises(DataRejected) as refused:
        _chart(
            wire_dir, f"chart_no_timestamp_key_{which}(fake).json", "AAPL", STOCKS,
            date(2020, 1, 1), date(2020, 1, 4),
        )  # fmt: skip
    assert refused.value.reason_code is ReasonCode.PROVIDER_MALFORMED


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("chart_AAPL_weekend_empty_1m.json", "AAPL"), ("chart_TSLA_1h_intraday(fake).json", "TSLA")],
)
def test_bars_that_are_not_daily_are_forbidden(wire_dir: Path, name: str, symbol: str) -> None:
    with pytest.raises(DataRejected) as refused:
        _chart(wire_dir, name, symbol, STOCKS, date(2025, 1, 1), date(2025, 2, 3))
    assert refused.value.reason_code is ReasonCode.INTRADAY_FORBIDDEN


def test_a_chart_of_another_symbol_is_malformed(wire_dir: Path) -> None:
    days = date(2020, 1, 1), date(2020, 1, 4)
    with pytest.raises(DataRejected, match="it is about 'QQQ'") as refused:
        _chart(wire_dir, "chart_QQQ_etf.json", "SPY", STOCKS, *days)
    assert refused.value.reason_code is ReasonCode.PROVIDER_MALFORMED


def _client(name: str) -> HistoryProvider:
    asker = Asker(ProviderPolicy(), clock=VirtualClock(datetime(2024, 1, 1, tzinfo=UTC)))
    get = plain_getter(1.0)
    match name:
        case "polygon":
            return PolygonHistory(asker, get, key="k", max_pages=1, base_url=NOWHERE)
        case "binance":
            return BinanceHistory(asker, get, max_pages=1, base_url=NOWHERE)
        case _:
            return FredHistory(asker, get, key="k", base_url=NOWHERE)


def _body(folder: Path, name: str) -> bytes:
    return _recorded(folder, name).replace(b"\n", b" ")


def test_polygons_aggregates(wire_dir: Path) -> None:
    wanted = _wanted("AAPL", STOCKS, date(2005, 4, 1), date(2005, 4, 5))
    frame = _client("polygon").parse(_body(wire_dir, "polygon/aggs_AAPL_1day.json"), wanted).frame
    assert frame["date"].to_list() == [date(2005, 4, 1), date(2005, 4, 4)]
    assert frame["close"].to_list() == [1.4604, 1.4675]
    assert frame["volume"].to_list() == [642646396.0, 578172308.0]


def test_binances_klines_count_their_turnover(wire_dir: Path) -> None:
    wanted = _wanted("BTC-USD", CRYPTO, date(2017, 7, 3), date(2017, 7, 4))
    frame = _client("binance").parse(_body(wire_dir, "binance/klines_response.json"), wanted).frame
    assert frame.row(0, named=True)["volume"] == 2434.19055334
    assert frame["open"].to_list() == [0.0163479]


def test_freds_dots_are_missing(wire_dir: Path) -> None:
    wanted = _wanted("GDP", None, date(1946, 1, 1), date(2024, 11, 1))
    parsed = _client("fred").parse(_body(wire_dir, "fred/series_observations.json"), wanted)
    told = json.loads(_recorded(wire_dir, "fred/series_observations.json"))["observations"]
    dots = sum(row["value"] == "." for row in told)
    assert dots > 0
    assert parsed.notices == (f"GDP: {dots} observations without a value",)
    assert parsed.frame.height == len(told) - dots


_OTHER = ("chart_", "aggs_AAPL", "klines_response", "series_observations")


def _others(folder: Path) -> list[dict[str, Any]]:
    told = json.loads((folder / "MANIFEST.json").read_bytes())
    return [
        row
        for row in told
        if row["provider"] in {"polygon", "binance", "fred"}
        and row["http_status"] == 200
        and not any(word in row["file"] for word in _OTHER)
    ]


def test_what_answers_another_question_is_malformed(wire_dir: Path) -> None:
    wanted = _wanted("AAPL", STOCKS, date(1990, 1, 1), date(2030, 1, 1))
    others = [row for row in _others(wire_dir) if "aggs_prev" not in row["file"]]
    assert len(others) >= 15
    for row in others:
        with pytest.raises(DataRejected) as refused:
            _client(row["provider"]).parse(_body(wire_dir, row["file"]), wanted)
        assert refused.value.reason_code is ReasonCode.PROVIDER_MALFORMED, row["file"]


def test_every_recorded_refusal_has_a_reason_of_its_own(wire_dir: Path) -> None:
    told = json.loads((wire_dir / "MANIFEST.json").read_bytes())
    refusals = {row["http_status"] for row in told if row["http_status"] >= 400}
    assert refusals == {400, 401, 403, 404, 422, 429, 451}
    reasons = {reason_for_status(status) for status in refusals}
    assert len(reasons) == len(refusals)
    assert ReasonCode.PROVIDER_MALFORMED not in reasons
