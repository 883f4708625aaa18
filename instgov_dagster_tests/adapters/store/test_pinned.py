"""A pinned night outlives every publication and is proven at every read."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.pinned import pin_snapshot, read_pinned
from instgov_dagster.adapters.store.published import MANIFEST_FILE, publish, read_snapshot
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode


def publish_night(home: Home, number: int) -> str:
    tables = {
        "data_governance": pl.DataFrame({"symbol": ["A", "B"], "n": [number, number]}),
        "phase_stamps": pl.DataFrame({"step": [1, 2, 3]}),
    }
    return publish(home.published / "night", tables, meta={"n": number}, keep=2)


def test_a_pinned_night_reads_the_same_after_the_published_one_is_pruned(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = publish_night(home, 1)
    stood_on = read_snapshot(home.published / "night")
    folder = pin_snapshot(home, first)
    assert folder == tmp_path / "runtime" / "snapshots" / first
    for number in range(2, 6):
        publish_night(home, number)
    assert not (home.published / "night" / first).exists()
    pinned = read_pinned(home, first)
    assert (pinned.snapshot_id, pinned.meta, pinned.files) == (
        stood_on.snapshot_id,
        stood_on.meta,
        stood_on.files,
    )
    for name, table in stood_on.tables.items():
        assert_frame_equal(pinned.tables[name], table)


def test_a_night_that_is_no_longer_current_is_pinned_until_it_is_pruned(tmp_path: Path) -> None:
    home = Home(tmp_path)
    names = [publish_night(home, number) for number in range(3)]
    pin_snapshot(home, names[1])
    assert read_pinned(home, names[1]).meta["n"] == 1
    with pytest.raises(SystemHalt) as stopped:
        pin_snapshot(home, names[0])
    assert stopped.value.reason_code is ReasonCode.SNAPSHOT_MISSING


def test_pinning_twice_changes_nothing_and_leaves_nothing_beside(tmp_path: Path) -> None:
    home = Home(tmp_path)
    name = publish_night(home, 1)
    folder = pin_snapshot(home, name)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    shutil.rmtree(home.published)
    assert pin_snapshot(home, name) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [path.name for path in home.pinned.iterdir()] == [name]


def damage(folder: Path, kind: str) -> None:
    file = folder / "phase_stamps.parquet"
    told = json.loads((folder / MANIFEST_FILE).read_bytes())
    match kind:
        case "a byte":
            body = bytearray(file.read_bytes())
            body[len(body) // 2] ^= 0x01
            file.write_bytes(body)
        case "a file":
            file.unlink()
        case "a fact":
            told["meta"]["n"] = 7
        case "another's":
            told["snapshot_id"] = told["snapshot_id"].replace("00000001", "00000002")
        case _:
            (folder / MANIFEST_FILE).unlink()
    if kind in {"a fact", "another's"}:
        (folder / MANIFEST_FILE).write_text(json.dumps(told))


@pytest.mark.parametrize("kind", ["a byte", "a file", "a fact", "another's", "the manifest"])
def test_a_damaged_pin_is_never_read_and_is_made_again_from_whole_files_only(
    tmp_path: Path, kind: str
) -> None:
    home = Home(tmp_path)
    name = publish_night(home, 1)
    damage(pin_snapshot(home, name), kind)
    with pytest.raises(SystemHalt) as stopped:
        read_pinned(home, name)
    assert stopped.value.reason_code is ReasonCode.SNAPSHOT_MISSING
    pin_snapshot(home, name)
    assert read_pinned(home, name).meta["n"] == 1
    damage(home.pinned / name, kind)
    damage(home.published / "night" / name, kind)
    with pytest.raises(SystemHalt):
        pin_snapshot(home, name)
    assert (home.pinned / name).exists()


def test_a_night_never_published_cannot_be_pinned_or_read(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for call in (pin_snapshot, read_pinned):
        with pytest.raises(SystemHalt) as stopped:
            call(home, "00000001-0123456789ab")
        assert stopped.value.reason_code is ReasonCode.SNAPSHOT_MISSING
