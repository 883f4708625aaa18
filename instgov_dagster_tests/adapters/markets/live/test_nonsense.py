"""Whatever a provider sends, a parser gives bars or one clear refusal; nothing else leaves it."""

import json
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.markets.live.alpaca.bars import AlpacaHistory
from instgov_dagster.adapters.markets.live.asking import Asker
from instgov_dagster.adapters.markets.live.history import Wanted
from instgov_dagster.adapters.markets.live.plain import plain_getter
from instgov_dagster.adapters.markets.live.providers.binance import BinanceHistory
from instgov_dagster.adapters.markets.live.providers.fred import FredHistory
from instgov_dagster.adapters.markets.live.providers.polygon import PolygonHistory
from instgov_dagster.adapters.markets.live.providers.yahoo_chart import parse_chart
from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.wire.bars import days_from, plain_bars, yahoo_chart

DAYS = days_from(date(2024, 3, 4), 3)
WANTED = Wanted(
    symbol="BTC-USD", asset_class=AssetClass.CRYPTO, start=DAYS[0], end=date(2024, 3, 7)
)
_ASKER = Asker(ProviderPolicy(), clock=VirtualClock(datetime(2024, 3, 8, tzinfo=UTC)))
_GET = plain_getter(1.0)
_WORD = "s"
_NOON_MS = 1_709_553_600_000
_BAR = {"t": _NOON_MS, "o": 1.0, "h": 2.0, "l": 0.5, "c": 1.5, "v": 10}
_KLINE = [_NOON_MS, "1", "2", "0.5", "1.5", "10", 0, "15", 1, "1", "1", "0"]
SEEDS: dict[str, Any] = {
    "yahoo": yahoo_chart("BTC-USD", plain_bars("BTC-USD", DAYS), first=DAYS[0]),
    "polygon": {"status": "OK", "ticker": "X:BTCUSD", "results": [_BAR]},
    "binance": [_KLINE],
    "fred": {"observations": [{"date": "2024-03-04", "value": "1.5"}]},
    "alpaca": {"bars": {"BTC/USD": [{**_BAR, "t": "2024-03-04T05:00:00Z"}]}},
}
PARSERS = {
    "yahoo": parse_chart,
    "polygon": PolygonHistory(_ASKER, _GET, key="k", max_pages=1).parse,
    "binance": BinanceHistory(_ASKER, _GET, max_pages=1).parse,
    "fred": FredHistory(_ASKER, _GET, key="k").parse,
    "alpaca": AlpacaHistory(
        _ASKER, key_id="i", secret=_WORD, timeout_seconds=1.0, max_pages=1
    ).parse,
}
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["NaN", "1e999", 10**400, -1, 0, "2024-13-40", [], {}])
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            found.extend(_places(item, (*path, key)))
    return found


def _replaced(value: Any, path: tuple[Any, ...], leaf: Any) -> Any:
    if not path:
        return leaf
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], leaf)
    return copy


def _answer(name: str, body: bytes) -> pl.DataFrame | ReasonCode:
    try:
        return PARSERS[name](body, WANTED).frame
    except DataRejected as refused:
        return refused.reason_code


def _read(name: str, body: bytes) -> None:
    # Bars with finite or missing numbers, inside the days asked for; or a refusal by name.
    answer = _answer(name, body)
    if isinstance(answer, ReasonCode):
        assert answer in {ReasonCode.PROVIDER_MALFORMED, ReasonCode.INTRADAY_FORBIDDEN}
        return
    assert answer.height > 0
    assert answer["date"].is_between(WANTED.start, WANTED.end, closed="left").all()
    numbers = answer.drop("date")
    assert all(numbers[column].drop_nulls().is_finite().all() for column in numbers.columns)


@pytest.mark.parametrize("name", list(SEEDS))
def test_the_seeds_are_read(name: str) -> None:
    assert PARSERS[name](json.dumps(SEEDS[name]).encode(), WANTED).frame.height >= 1


@pytest.mark.parametrize("name", list(SEEDS))
@given(data=st.data())
def test_any_value_in_any_place_is_read_or_refused(name: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(_places(SEEDS[name])))
    _read(name, json.dumps(_replaced(SEEDS[name], path, data.draw(_LEAVES))).encode())


@pytest.mark.parametrize("name", list(SEEDS))
@given(data=st.data())
def test_any_bytes_in_any_place_are_read_or_refused(name: str, data: st.DataObject) -> None:
    body = json.dumps(SEEDS[name]).encode()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, len(body)))
    _read(name, body[:start] + data.draw(st.binary(max_size=20)) + body[end:])


@pytest.mark.parametrize("name", list(SEEDS))
def test_a_text_nested_without_end_is_refused(name: str) -> None:
    _read(name, b"[" * 100_000)
