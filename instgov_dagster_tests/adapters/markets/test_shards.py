"""A night in shards: what arrives is what one process would bring, or nothing is appended."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from instgov_dagster.adapters.markets.delivery import gather_shards, missing_shards, prune_shards
from instgov_dagster.adapters.runtime.shards import Shard, all_shards
from instgov_dagster.loop.night_run.ingest import bring_night_shard, voyage_of
from instgov_dagster.loop.night_run.run import NightRun
from instgov_dagster.loop.platform import Platform, open_platform
from instgov_dagster.vocabulary.errors import DataRejected, InputError, LeaseHeld, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF, settings_of, write_config

OF = 3
FIRST, SECOND, THIRD = all_shards(OF)


def _open(folder: Path, shards: int) -> Platform:
    write_config(folder / "config")
    environment = {**os.environ, "INSTGOV_INGEST_SHARDS": str(shards)}
    return open_platform(settings_of(folder / "data"), environment)


def _bring(platform: Platform, *shards: Shard, run: str = "run") -> None:
    for shard in shards:
        bring_night_shard(platform, ASOF, shard, run_id=f"{run}-{shard.key}")


def _ingest(platform: Platform) -> None:
    with NightRun(platform, ASOF, run_id="night-1") as night:
        night.ingest()


def _bars(platform: Platform) -> pl.DataFrame:
    with platform.warehouse.reader() as con:
        frame = con.sql("SELECT * EXCLUDE (recorded_at, run_id) FROM bar_versions").pl()
    return frame.sort("symbol", "date", "ordinal", "version")


@pytest.fixture
def sharded(tmp_path: Path) -> Platform:
    """A home whose nights come in three shards, none of them brought yet."""
    return _open(tmp_path, OF)


@pytest.fixture(scope="module")
def by_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pl.DataFrame]:
    """The bars as one process ingests them."""
    platform = _open(tmp_path_factory.mktemp("one"), 1)
    _ingest(platform)
    assert not platform.home.shards.exists()
    return _bars(platform)


@pytest.mark.roadmap("2.1", "2.6")
def test_a_night_in_shards_appends_the_very_rows_of_one_process(
    sharded: Platform, by_one: pl.DataFrame
) -> None:
    _bring(sharded, FIRST, SECOND, THIRD)
    # The archive is full and the warehouse untouched: a shard only reads it.
    assert _bars(sharded).height == 0
    _ingest(sharded)
    assert _bars(sharded).equals(by_one)
    _bring(sharded, SECOND, run="again")
    _ingest(sharded)
    assert _bars(sharded).equals(by_one)


def test_a_night_without_one_of_its_shards_appends_nothing_and_names_it(sharded: Platform) -> None:
    _bring(sharded, FIRST, THIRD)
    assert missing_shards(voyage_of(sharded, ASOF), OF) == (SECOND,)
    with pytest.raises(DataRejected) as refused:
        _ingest(sharded)
    assert refused.value.reason_code is ReasonCode.SHARDS_INCOMPLETE
    assert "1 of 3 shards of 2025-03-12" in str(refused.value)
    assert "02-of-03: nothing is there" in str(refused.value)
    assert _bars(sharded).height == 0
    # A night that waits for a shard is no reason to stop the system.
    assert sharded.state_log().refresh().causes == ()


def test_a_shard_without_its_manifest_did_not_arrive(sharded: Platform) -> None:
    _bring(sharded, FIRST, SECOND, THIRD)
    (voyage_of(sharded, ASOF).place(THIRD) / "manifest.json").unlink()
    with pytest.raises(DataRejected, match="03-of-03: nothing is there"):
        _ingest(sharded)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"config_hash": "0" * 64}, "it is of another config_hash"),
        ({"code_hash": "0" * 64}, "it is of another code_hash"),
        ({"symbols": ["AAPL"]}, "it is of another symbols"),
        ({"asof": "2025-03-11", "market": "files"}, "it is of another asof, market"),
    ],
)
def test_a_shard_of_another_night_did_not_arrive(
    sharded: Platform, change: dict[str, object], said: str
) -> None:
    _bring(sharded, FIRST, SECOND, THIRD)
    path = voyage_of(sharded, ASOF).place(FIRST) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataRejected, match=f"01-of-03: {said}"):
        _ingest(sharded)


def test_a_manifest_that_cannot_be_read_did_not_arrive(sharded: Platform) -> None:
    _bring(sharded, FIRST, SECOND, THIRD)
    path = voyage_of(sharded, ASOF).place(FIRST) / "manifest.json"
    for body in (b'{"asof": ', b"\xff", b"[]"):
        path.write_bytes(body)
        with pytest.raises(DataRejected, match="SHARDS_INCOMPLETE"):
            _ingest(sharded)


@pytest.mark.parametrize("kind", ["bars", "payload", "payload gone", "bars gone"])
def test_bytes_that_changed_after_they_arrived_stop_the_system(
    sharded: Platform, kind: str
) -> None:
    _bring(sharded, FIRST, SECOND, THIRD)
    place = voyage_of(sharded, ASOF).place(FIRST)
    folder, pattern = (
        (place, "*.parquet")
        if kind.startswith("bars")
        else (sharded.home.raw / "run-01-of-03", "*.json.gz")
    )
    victim = min(folder.glob(pattern))
    if kind.endswith("gone"):
        victim.unlink()
    else:
        body = bytearray(victim.read_bytes())
        body[len(body) // 2] ^= 1
        victim.write_bytes(body)
    with pytest.raises(SystemHalt) as halt:
        gather_shards(voyage_of(sharded, ASOF), OF)
    assert halt.value.reason_code is ReasonCode.CHAIN_BROKEN
    assert _bars(sharded).height == 0


def test_a_shard_that_is_being_brought_is_brought_by_nobody_else_and_read_by_nobody(
    sharded: Platform,
) -> None:
    _bring(sharded, FIRST, SECOND, THIRD)
    with voyage_of(sharded, ASOF).lock(SECOND):
        with pytest.raises(LeaseHeld):
            _bring(sharded, SECOND, run="again")
        with pytest.raises(LeaseHeld):
            _ingest(sharded)
        _bring(sharded, FIRST, run="again")


def test_a_shard_brought_again_leaves_nothing_of_the_one_before(sharded: Platform) -> None:
    _bring(sharded, FIRST)
    place = voyage_of(sharded, ASOF).place(FIRST)
    (place / f"{'0' * 64}.parquet").write_bytes(b"of a shard before")
    _bring(sharded, FIRST, run="again")
    named = {f"{part['frame_sha256']}.parquet" for part in _manifest(place)["parts"]}
    assert {path.name for path in place.iterdir()} == {"manifest.json", *named}


def _manifest(place: Path) -> dict[str, list[dict[str, str]]]:
    read: dict[str, list[dict[str, str]]] = json.loads((place / "manifest.json").read_text())
    return read


def test_shards_without_a_symbol_arrive_as_well(tmp_path: Path, by_one: pl.DataFrame) -> None:
    many = _open(tmp_path, 24)
    shards = all_shards(24)
    names = [entry.symbol for entry in many.universe.symbols]
    assert any(not shard.share(names) for shard in shards)
    _bring(many, *shards)
    _ingest(many)
    assert _bars(many).equals(by_one)


def test_a_home_of_another_count_brings_no_such_shard(sharded: Platform) -> None:
    with pytest.raises(InputError, match=r"INSTGOV_INGEST_SHARDS must be 4 .* was 3"):
        _bring(sharded, Shard(number=1, of=4))
    with pytest.raises(InputError, match=r"INSTGOV_INGEST_SHARDS must be 2 .* was 1"):
        bring_night_shard(replace(sharded, shards=1), ASOF, Shard(number=1, of=1), run_id="r")


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Mount a file system of a few MiB; skips where nobody may."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system of the test's own may be mounted: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


@pytest.mark.parametrize("shards", [1, OF])
def test_a_disk_with_less_space_than_asked_for_stops_night_and_shard_before_anything(
    tmp_path: Path, shards: int
) -> None:
    with small_disk(tmp_path / "disk", 128) as disk:
        platform = _open(disk, shards)  # the rules ask for 256 MiB
        with pytest.raises(SystemHalt, match="DISK_FULL"):
            _ingest(platform)
        if shards > 1:
            with pytest.raises(SystemHalt, match="DISK_FULL"):
                _bring(platform, FIRST)
        assert _bars(platform).height == 0
        assert not platform.home.raw.exists()


def test_a_disk_that_fills_while_a_shard_is_brought_leaves_no_shard(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        platform = _open(disk, OF)
        loop = replace(platform.policy.loop, min_free_disk_mib=1)
        tight = replace(platform, policy=replace(platform.policy, loop=loop))
        # Just what is asked for, and less than a shard's payloads take.
        left = shutil.disk_usage(disk).free - 1024 * 1024 - 65536
        (disk / "filler").write_bytes(bytes(left))
        whole = tuple(entry.symbol for entry in platform.universe.symbols)
        largest = max(all_shards(OF), key=lambda shard: len(shard.share(whole)))
        with pytest.raises(SystemHalt) as halt:
            _bring(tight, largest)
        assert halt.value.reason_code is ReasonCode.AUDIT_WRITE_FAILED
        assert largest in missing_shards(voyage_of(tight, ASOF), OF)
        (disk / "filler").unlink()
        _bring(tight, FIRST, SECOND, THIRD, run="again")
        _ingest(tight)
        assert _bars(tight).height > 11 * 1000


def test_shards_of_old_days_are_pruned_with_their_locks_and_nothing_else(tmp_path: Path) -> None:
    for day in ("2025-03-01", "2025-03-02", "2025-03-03"):
        (tmp_path / day / "01-of-02").mkdir(parents=True)
        (tmp_path / f"{day}-01-of-02.lock").touch()
    (tmp_path / "notes.txt").touch()
    assert prune_shards(tmp_path, before=date(2025, 3, 3)) == ("2025-03-01", "2025-03-02")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["2025-03-03", "2025-03-03-01-of-02.lock", "notes.txt"]
    assert prune_shards(tmp_path / "none", before=date(2025, 3, 3)) == ()
