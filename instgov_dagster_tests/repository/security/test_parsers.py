"""Whatever a file, a service or a variable holds, a parser reads it or says the one clear error."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.alerts.outbox import Outbox
from instgov_dagster.adapters.alerts.settings import alert_settings
from instgov_dagster.adapters.backup.manifest import MANIFEST, SEAL, read_manifest
from instgov_dagster.adapters.lake import lake_from
from instgov_dagster.adapters.markets.binding import binding_path, require_market
from instgov_dagster.adapters.markets.live.alpaca import account, quotes
from instgov_dagster.adapters.markets.live.history import read_json
from instgov_dagster.adapters.markets.replay.minute_quotes import read_minutes
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.published import (
    CURRENT_FILE,
    publish,
    read_snapshot,
)
from instgov_dagster.governance.audit import canonical_json
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import DataRejected, InputError, SystemHalt
from instgov_dagster_tests.adapters.backup.homes import back_up, make_home
from instgov_dagster_tests.adapters.markets.live.test_nonsense import _LEAVES, _places, _replaced

NOON = datetime(2024, 3, 4, 17, tzinfo=UTC)
LATEST = {"quotes": {"SPY": {"t": "2024-03-04T17:00:00Z", "bp": 1.0, "ap": 1.1}}}
CASH = {"cash": "1000.5", "status": "ACTIVE"}
POSITIONS = [{"symbol": "BTCUSD", "qty": "0.5", "side": "long"}]
ALERT = {
    "told": {"a": {"digest": "d", "at": NOON.isoformat()}},
    "waiting": [],
    "resting": {"smtp": {"failures": 1, "until": NOON.isoformat(), "why": "x"}},
}


def damaged(data: st.DataObject, seed: Any) -> bytes:
    """Put any value in any place of a JSON text, or any bytes in any place of it."""
    if data.draw(st.booleans()):
        place = data.draw(st.sampled_from(_places(seed)))
        return json.dumps(_replaced(seed, place, data.draw(_LEAVES))).encode()
    body = json.dumps(seed).encode()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, len(body)))
    return body[:start] + data.draw(st.binary(max_size=16)) + body[end:]


def _quotes(body: bytes) -> object:
    return quotes._read(body, {"SPY": "SPY"})


#: What reads JSON, on what, and the one error it may end with.
PARSERS: dict[str, tuple[Callable[[bytes], object], Any, tuple[type[Exception], ...]]] = {
    "quotes": (_quotes, LATEST, (DataRejected,)),
    # What the desk takes for no answer: it asks again, and assumes nothing.
    "cash": (lambda body: account.read_cash(read_json(body)), CASH, (ValueError,)),
    "positions": (
        lambda body: account.read_positions(read_json(body)), POSITIONS, (ValueError, KeyError),
    ),
    "outbox": (Outbox.from_bytes, ALERT, (ValueError,)),
}  # fmt: skip


@pytest.mark.parametrize("name", list(PARSERS))
def test_the_seeds_are_read(name: str) -> None:
    parse, seed, _ = PARSERS[name]
    parse(json.dumps(seed).encode())


@pytest.mark.parametrize("name", list(PARSERS))
@given(data=st.data())
def test_a_damaged_text_is_read_or_refused(name: str, data: st.DataObject) -> None:
    parse, seed, refusals = PARSERS[name]
    with suppress(*refusals):
        parse(damaged(data, seed))


@pytest.mark.parametrize("name", ["quotes", "cash", "positions"])
@given(data=st.data())
def test_a_recorded_answer_damaged_anywhere_is_read_or_refused(
    bars_dir: Path, name: str, data: st.DataObject
) -> None:
    folder = bars_dir.resolve().parent / "wire" / "alpaca"
    files = {
        "quotes": "data/test_get_latest_quote.json",
        "cash": "trading/test_get_account.json",
        "positions": "trading/test_get_all_positions.json",
    }
    if not (folder / files[name]).is_file():
        pytest.skip(f"no recorded payloads in {folder}")
    told = json.loads((folder / files[name]).read_bytes())
    told = told["body"] if isinstance(told, dict) and "body" in told else told
    parse, _, refusals = PARSERS[name]
    with suppress(*refusals):
        parse(damaged(data, told))


@given(data=st.data())
def test_a_home_whose_market_is_damaged_is_opened_as_its_own_or_refused(
    data: st.DataObject,
) -> None:
    with TemporaryDirectory() as folder:
        home = Home(Path(folder))
        binding_path(home).write_bytes(damaged(data, {"market": "simulated", "seed": 7}))
        with suppress(InputError):
            require_market(home, Market.SIMULATED, seed=7)


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("backup")
    back_up(make_home(folder), folder / "backup")
    told: dict[str, Any] = json.loads((folder / "backup" / MANIFEST).read_bytes())
    return told


@given(data=st.data())
def test_a_backup_that_was_damaged_and_sealed_again_is_read_or_refused(
    backed_up: dict[str, Any], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        body, place = damaged(data, backed_up), Path(folder)
        (place / MANIFEST).write_bytes(body)
        (place / SEAL).write_text(hashlib.sha256(body).hexdigest(), encoding="ascii")
        with suppress(InputError):
            manifest = read_manifest(place)
            assert all(".." not in file.path.split("/") for file in manifest.files)


@given(data=st.data())
def test_a_snapshot_that_was_damaged_and_hashed_again_is_read_or_refused(
    data: st.DataObject,
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        publish(folder, {"rows": pl.DataFrame({"a": [1]})}, meta={"asof": "2024-03-04"}, keep=2)
        told = json.loads((folder / CURRENT_FILE).read_bytes())
        inner = {"tables": told["tables"], "meta": told["meta"]}
        place = data.draw(st.sampled_from(_places(inner)[1:]))
        changed = _replaced(inner, place, data.draw(_LEAVES))
        (folder / CURRENT_FILE).write_text(resealed(told, changed), encoding="utf-8")
        with suppress(SystemHalt):
            read_snapshot(folder)


def resealed(told: dict[str, Any], inner: dict[str, Any]) -> str:
    """Write a manifest that hashes to itself, whatever it says."""
    try:
        digest = hashlib.sha256(canonical_json(inner).encode()).hexdigest()
    except ValueError:
        return json.dumps({**told, **inner})  # what no writer of ours writes
    number = str(told["snapshot_id"]).split("-")[0]
    sealed = {"snapshot_id": f"{number}-{digest[:12]}", "manifest_sha256": digest}
    return json.dumps({**told, **inner, **sealed})


@pytest.mark.parametrize("name", ["../../x", "a/b", "NUL", "..", "A\0"])
def test_a_snapshot_names_no_table_outside_its_folder(name: str, tmp_path: Path) -> None:
    publish(tmp_path, {"rows": pl.DataFrame({"a": [1]})}, meta={}, keep=2)
    told = json.loads((tmp_path / CURRENT_FILE).read_bytes())
    inner = {"tables": {name: told["tables"]["rows"]}, "meta": {}}
    (tmp_path / CURRENT_FILE).write_text(resealed(told, inner), encoding="utf-8")
    with pytest.raises(SystemHalt, match="must name tables"):
        read_snapshot(tmp_path)


@given(text=st.text(max_size=40), place=st.sampled_from(["INSTGOV_LAKE", "INSTGOV_LAKE_DATA"]))
def test_any_address_of_a_lake_is_taken_or_refused(text: str, place: str) -> None:
    sound = {"INSTGOV_LAKE": "ducklake:postgres:dbname=x", "INSTGOV_LAKE_DATA": "/lake"}
    with suppress(InputError):
        lake_from({**sound, place: text})
        lake_from({**sound, "INSTGOV_LAKE": f"ducklake:postgresql://{text}"})


@given(
    values=st.dictionaries(
        st.sampled_from(
            [f"INSTGOV_ALERT_{word}" for word in ("SMTP", "FROM", "TO", "WEBHOOK", "LEVEL")]
        ),
        st.text(max_size=40) | st.sampled_from(["http://[", "h:1", "a@b", "https://h:x"]),
    )
)
def test_any_channel_is_taken_or_refused(values: dict[str, str]) -> None:
    with suppress(InputError):
        alert_settings(values)


MINUTES = pl.DataFrame(
    {
        "symbol": ["SPY", "EURUSD"],
        "market": ["equity", "forex"],
        "ts_local": [datetime(2024, 3, 4, 12), datetime(2024, 3, 4, 12)],  # noqa: DTZ001  # a wall clock
        **{name: [1.0, 1.1] for name in ("bid_low", "bid_close", "ask_high", "ask_close")},
    }
)


@given(data=st.data())
def test_any_file_of_minutes_is_read_or_refused(data: st.DataObject) -> None:
    column = data.draw(st.sampled_from(MINUTES.columns))
    other = data.draw(
        st.sampled_from([[1, 2], ["a", "b"], [None, None], [[1.0], [2.0]], [True, False]])
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "minute_quotes.parquet"
        MINUTES.with_columns(pl.Series(column, other)).write_parquet(path)
        if data.draw(st.booleans()):
            body = bytearray(path.read_bytes())
            body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
            path.write_bytes(bytes(body))
        with suppress(InputError):
            read_minutes(path, ["SPY"], since=NOON, until=NOON.replace(hour=18))
