"""The raw archive: immutable, reproducible to the byte, without keys."""

import gzip
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.store.archive import (
    archive_path,
    archive_payload,
    archive_payloads,
    canonical_payload,
    prune_archive,
    read_archived,
)
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

BODY = b'{"close":[1.0,2.0]}'


@pytest.mark.roadmap("2.6")
def test_a_payload_lies_below_its_run_as_gzip_json_named_by_symbol_and_provider(
    tmp_path: Path,
) -> None:
    done = archive_payload(
        tmp_path, run_id="run-1", symbol="SPY", provider="files", payload={"close": [1.0, 2.0]}
    )
    assert done.path == tmp_path / "run-1" / "SPY_files.json.gz"
    assert gzip.decompress(done.path.read_bytes()) == BODY
    assert (done.sha256, done.bytes) == (hashlib.sha256(BODY).hexdigest(), len(BODY))
    assert read_archived(done.path, sha256=done.sha256) == BODY


@pytest.mark.roadmap("2.6")
def test_the_same_payload_gives_the_same_bytes_at_any_time(tmp_path: Path) -> None:
    one, two = (
        archive_payload(tmp_path, run_id=run, symbol="A", provider="p", payload=BODY)
        for run in ("run-1", "run-2")
    )
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.path.read_bytes()[4:8] == bytes(4)  # gzip's mtime


@pytest.mark.parametrize("symbol", ["^VIX", "EURUSD=X", "BRK/B", "..", "../../etc/passwd", "A B"])
def test_a_symbol_of_any_spelling_stays_inside_its_run(tmp_path: Path, symbol: str) -> None:
    done = archive_payload(tmp_path, run_id="r", symbol=symbol, provider="p", payload=BODY)
    assert done.path.parent == tmp_path / "r"
    assert done.path.is_file()


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_symbols_never_share_a_file(one: str, two: str) -> None:
    try:
        paths = {archive_path(Path("raw"), "r", symbol, "p") for symbol in (one, two)}
    except UnicodeEncodeError:
        return
    assert len(paths) == len({one, two})


@pytest.mark.parametrize("parts", [("", "A", "p"), ("r", "", "p"), ("..", "A", "p")])
def test_a_run_or_symbol_that_is_no_name_is_refused(parts: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="must be names"):
        archive_path(Path("raw"), *parts)


def test_no_key_is_archived() -> None:
    payload = {
        "apiKey": "abc",
        "request": {"headers": {"Authorization": "Bearer abc", "accept": "json"}},
        "url": "https://example.org/v2/bars?symbol=A&api_key=abc&limit=5",
        "rows": [{"token": "abc", "close": 1.5}],
    }
    text = canonical_payload(payload).decode()
    assert "abc" not in text
    assert "symbol=A&api_key=REDACTED&limit=5" in text
    assert '"close":1.5' in text


def test_an_archived_payload_may_be_written_again_and_never_changed(tmp_path: Path) -> None:
    first = archive_payload(tmp_path, run_id="r", symbol="A", provider="p", payload=BODY)
    again = archive_payload(tmp_path, run_id="r", symbol="A", provider="p", payload=BODY)
    assert again == first
    with pytest.raises(SystemHalt, match="may not become") as stopped:
        archive_payload(tmp_path, run_id="r", symbol="A", provider="p", payload=b"{}")
    assert stopped.value.reason_code is ReasonCode.AUDIT_WRITE_FAILED
    assert read_archived(first.path, sha256=first.sha256) == BODY


def test_a_whole_run_is_archived_in_one_go(tmp_path: Path) -> None:
    payloads = {f"S{i}": f'{{"i":{i}}}'.encode() for i in range(40)}
    told: list[int] = []
    done = archive_payloads(
        tmp_path, run_id="r", provider="files", payloads=payloads, progress=told.append
    )
    assert told == list(range(1, 41))
    assert {s: read_archived(d.path, sha256=d.sha256) for s, d in done.items()} == payloads
    assert len(list((tmp_path / "r").iterdir())) == 40


@pytest.mark.parametrize("kind", ["cut", "changed", "gone"])
def test_a_damaged_payload_is_found_when_it_is_read(tmp_path: Path, kind: str) -> None:
    done = archive_payload(tmp_path, run_id="r", symbol="A", provider="p", payload=BODY)
    match kind:
        case "cut":
            done.path.write_bytes(done.path.read_bytes()[:-6])
        case "changed":
            done.path.write_bytes(gzip.compress(b"{}", mtime=0))
        case _:
            done.path.unlink()
    with pytest.raises(SystemHalt) as stopped:
        read_archived(done.path, sha256=done.sha256)
    assert stopped.value.reason_code is ReasonCode.CHAIN_BROKEN


def test_an_archive_that_cannot_be_written_stops_the_system(tmp_path: Path) -> None:
    (tmp_path / "r" / ("A_p.json.gz")).mkdir(parents=True)
    with pytest.raises(SystemHalt):
        archive_payload(tmp_path, run_id="r", symbol="A", provider="p", payload=BODY)


def test_payloads_past_their_time_go_by_the_run_and_younger_ones_stay(tmp_path: Path) -> None:
    limit = datetime(2024, 1, 1, tzinfo=UTC)
    for run, symbol, offset in (
        ("old", "A", -9),
        ("old", "B", -1),
        ("mixed", "A", -9),
        ("mixed", "B", 1),
    ):
        done = archive_payload(tmp_path, run_id=run, symbol=symbol, provider="files", payload={})
        os.utime(done.path, (limit.timestamp() + offset, limit.timestamp() + offset))
    (tmp_path / "empty").mkdir()
    assert prune_archive(tmp_path, before=limit) == ("old",)
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "mixed"}
    assert prune_archive(tmp_path / "nothing", before=limit) == ()
