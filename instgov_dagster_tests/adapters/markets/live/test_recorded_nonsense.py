"""What providers really sent, damaged in any place: bars or one clear refusal, nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.broker.alpaca_desk import read_order
from instgov_dagster.adapters.markets.live.history import read_json
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.markets.live.test_nonsense import (
    _LEAVES,
    _answer,
    _places,
    _replaced,
)
from instgov_dagster_tests.adapters.markets.live.test_recorded import _recorded

FOLDERS = {
    "yahoo": "yahoo",
    "polygon": "polygon",
    "binance": "binance",
    "fred": "fred",
    "alpaca": "alpaca/data",
}
_DEEP = 400


@pytest.fixture(scope="module")
def wire_dir(bars_dir: Path) -> Path:
    folder = bars_dir.resolve().parent / "wire"
    if not (folder / "MANIFEST.json").is_file():
        pytest.skip(f"no recorded payloads in {folder}")
    return folder


def seeds(folder: Path) -> list[bytes]:
    return [
        _recorded(folder.parent, f"{folder.name}/{path.name}")
        for path in sorted(folder.glob("*.json"))
    ]


def require_bars_or_refusal(name: str, body: bytes) -> None:
    answer = _answer(name, body)
    if isinstance(answer, ReasonCode):
        assert answer in {ReasonCode.PROVIDER_MALFORMED, ReasonCode.INTRADAY_FORBIDDEN}
        return
    numbers = answer.drop("date")
    assert all(numbers[column].drop_nulls().is_finite().all() for column in numbers.columns)


@pytest.mark.roadmap("0.2")
@pytest.mark.parametrize("name", list(FOLDERS))
@given(data=st.data())
def test_a_recorded_answer_damaged_anywhere_is_read_or_refused(
    wire_dir: Path, name: str, data: st.DataObject
) -> None:
    body = data.draw(st.sampled_from(seeds(wire_dir / FOLDERS[name])))
    if data.draw(st.booleans()):
        told = json.loads(body)
        places = _places(told)[:_DEEP]
        body = json.dumps(
            _replaced(told, data.draw(st.sampled_from(places)), data.draw(_LEAVES))
        ).encode()
    else:
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, len(body)))
        body = body[:start] + data.draw(st.binary(max_size=16)) + body[end:]
    require_bars_or_refusal(name, body)


@given(data=st.data())
def test_a_recorded_order_damaged_anywhere_is_read_or_refused(
    wire_dir: Path, data: st.DataObject
) -> None:
    folder = wire_dir / "alpaca" / "trading"
    told: Any = json.loads(data.draw(st.sampled_from(seeds(folder))))
    told = told[0] if isinstance(told, list) and told else told
    damaged = _replaced(told, data.draw(st.sampled_from(_places(told))), data.draw(_LEAVES))
    try:
        order = read_order(read_json(json.dumps(damaged).encode()))
    except (ValueError, KeyError):
        return  # what the desk takes for silence: the order is looked up, never assumed
    assert order.quantity.is_finite()
    assert order.filled_quantity.is_finite()
    assert order.filled_quantity >= 0
