"""Published snapshots: whole or not at all, proven at every read."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from instgov_dagster.adapters.runtime import FileLock
from instgov_dagster.adapters.store.published import (
    CURRENT_FILE,
    current_snapshot_id,
    publish,
    published_meta,
    read_snapshot,
)
from instgov_dagster.vocabulary.errors import LeaseHeld, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

PUBLISHER = """
import sys
from pathlib import Path
import polars as pl
from instgov_dagster.adapters.store.published import publish
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    tables = {name: pl.DataFrame({"n": [number] * 50}) for name in ("a", "b")}
    publish(Path(sys.argv[1]), tables, meta={"n": number}, keep=2)
"""


def _publish(folder: Path, number: int = 0, *, keep: int = 3) -> str:
    tables = {
        "decisions": pl.DataFrame({"symbol": ["A", "B"], "codes": [["X"], ["Y", "Z"]]}),
        "states": pl.DataFrame({"n": [number]}),
    }
    return publish(folder, tables, meta={"asof": "2024-12-06", "n": number}, keep=keep)


def test_what_is_published_is_read_back_with_its_meta(tmp_path: Path) -> None:
    name = _publish(tmp_path, 7)
    snapshot = read_snapshot(tmp_path)
    assert snapshot.snapshot_id == name == current_snapshot_id(tmp_path)
    assert dict(snapshot.meta) == {"asof": "2024-12-06", "n": 7} == published_meta(tmp_path)
    assert snapshot.tables["decisions"]["codes"].to_list() == [["X"], ["Y", "Z"]]
    assert {f.name: f.rows for f in snapshot.files} == {"decisions": 2, "states": 1}


def test_a_reader_may_ask_for_some_of_the_tables(tmp_path: Path) -> None:
    _publish(tmp_path)
    assert list(read_snapshot(tmp_path, tables=("states",)).tables) == ["states"]
    with pytest.raises(SystemHalt, match="publishes no table fills"):
        read_snapshot(tmp_path, tables=("fills",))


def test_a_new_snapshot_replaces_the_old_and_the_last_ones_are_kept(tmp_path: Path) -> None:
    names = [_publish(tmp_path, n) for n in range(5)]
    assert names == sorted(names)
    kept = sorted(p.name for p in tmp_path.iterdir() if p.is_dir())
    assert kept == names[-3:]
    assert read_snapshot(tmp_path).tables["states"]["n"].to_list() == [4]


def test_without_a_snapshot_the_system_stops_and_says_what_to_run(tmp_path: Path) -> None:
    assert published_meta(tmp_path) is None
    with pytest.raises(SystemHalt, match="run the job nightly_ingestion first") as stopped:
        read_snapshot(tmp_path)
    assert stopped.value.reason_code is ReasonCode.SNAPSHOT_MISSING


def _damage(folder: Path, kind: str) -> None:
    current = json.loads((folder / CURRENT_FILE).read_text())
    file = folder / current["snapshot_id"] / "states.parquet"
    match kind:
        case "a byte":
            body = bytearray(file.read_bytes())
            body[len(body) // 2] ^= 0x01
            file.write_bytes(body)
        case "a file":
            file.unlink()
        case "rows":
            current["tables"]["states"]["rows"] = 2
            (folder / CURRENT_FILE).write_text(json.dumps(current))
        case "the id":
            current["snapshot_id"] = "../../elsewhere"
            (folder / CURRENT_FILE).write_text(json.dumps(current))
        case _:
            (folder / CURRENT_FILE).write_text("{")


@pytest.mark.parametrize("kind", ["a byte", "a file", "rows", "the id", "the pointer"])
def test_a_damaged_snapshot_is_never_read(tmp_path: Path, kind: str) -> None:
    _publish(tmp_path)
    _damage(tmp_path, kind)
    with pytest.raises(SystemHalt) as stopped:
        read_snapshot(tmp_path)
    assert stopped.value.reason_code is ReasonCode.SNAPSHOT_MISSING


def test_a_snapshot_in_memory_does_not_change_when_its_files_do(tmp_path: Path) -> None:
    _publish(tmp_path, 1)
    snapshot = read_snapshot(tmp_path)
    for number in range(2, 8):
        _publish(tmp_path, number, keep=2)
    assert_frame_equal(snapshot.tables["states"], pl.DataFrame({"n": [1]}))


def test_what_a_killed_publisher_left_is_swept_away(tmp_path: Path) -> None:
    left = tmp_path / ".00000001-0123456789ab.tmp"
    left.mkdir()
    (left / "half.parquet").write_bytes(b"half")
    _publish(tmp_path)
    assert not left.exists()
    assert read_snapshot(tmp_path).tables["states"].height == 1


def test_two_publishers_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with FileLock(tmp_path / "publish.lock"), pytest.raises(LeaseHeld):
        _publish(tmp_path)


@pytest.mark.parametrize(("tables", "keep"), [({}, 2), ({"../up": None}, 2), ({"a": None}, 1)])
def test_what_cannot_be_published_safely_is_refused(
    tmp_path: Path, tables: dict[str, pl.DataFrame], keep: int
) -> None:
    with pytest.raises(ValueError, match="publish needs named tables and keep >= 2"):
        publish(tmp_path, tables, meta={}, keep=keep)


def test_a_reader_beside_a_publisher_never_sees_two_snapshots_in_one(tmp_path: Path) -> None:
    tables = {name: pl.DataFrame({"n": [-1] * 50}) for name in ("a", "b")}
    publish(tmp_path, tables, meta={"n": -1}, keep=2)
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, str(tmp_path), "25"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    seen: list[int] = []
    while process.poll() is None or not seen:
        snapshot = read_snapshot(tmp_path)
        numbers = {*snapshot.tables["a"]["n"].to_list(), *snapshot.tables["b"]["n"].to_list()}
        assert numbers == {snapshot.meta["n"]}
        seen.append(snapshot.meta["n"])
    process.communicate()
    assert process.returncode == 0
    assert seen == sorted(seen)
    assert read_snapshot(tmp_path).meta["n"] == 24
