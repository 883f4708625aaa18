"""A backup holds all of a home as of one instant, and appears whole or not at all."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from instgov_dagster.adapters.backup import read_manifest
from instgov_dagster.adapters.journal import Journal, compact_chain, read_anchors, verify_chain
from instgov_dagster.adapters.runtime import Home, VirtualClock
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster_tests.adapters.backup.homes import (
    back_up,
    make_home,
    names_below,
    put_back,
    write_frames,
)
from instgov_dagster_tests.adapters.journal.chains import START, rows

FULL = """
import resource, signal, sys
from pathlib import Path
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster_tests.adapters.backup.homes import back_up, put_back
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
what, home, folder = sys.argv[1], Home(Path(sys.argv[2])), Path(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    back_up(home, folder) if what == "take" else put_back(folder, home)
except SystemHalt as stopped:
    print(stopped.reason_code)
"""


def run_on_a_full_disk(what: str, home: Home, folder: Path) -> str:
    """Take or restore a backup where no file may grow beyond 64 KiB; give the reason it gave."""
    words = [sys.executable, "-c", FULL, what, str(home.root), str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_backup_lists_every_file_chain_and_table(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    manifest = back_up(home, tmp_path / "backup")
    assert read_manifest(tmp_path / "backup") == manifest
    assert {name: end.frames for name, end in manifest.chains.items()} == {
        "loop": 0,
        "night": 0,
        "operator": 5,
    }
    assert manifest.tables["symbol_classes"] == 0
    assert manifest.tables["schema_version"] > 10
    assert {
        "journal/operator/000001.igj",
        "market.json",
        "paper/account.sqlite",
        "published/anchors/operator.jsonl",
        "runtime/raw/run/SPY_files.json.gz",
        "warehouse.duckdb",
    } <= {file.path for file in manifest.files}
    held = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert {oct(path.stat().st_mode & 0o777) for path in held} == {"0o600"}


def test_a_frame_half_written_at_the_instant_is_no_part_of_the_backup(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    last = max((home.journal_dir / "operator").glob("*.igj"))
    last.write_bytes(last.read_bytes() + b"\0\0\0\0\0\0\4\0 half a frame")
    manifest = back_up(home, tmp_path / "backup")
    assert manifest.chains["operator"].frames == 5
    report = verify_chain(tmp_path / "backup" / "home" / "journal", "operator")
    assert (report.ok, report.torn_bytes, report.frames) == (True, 0, 5)


def test_a_compacted_segment_is_backed_up_as_it_is(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    anchors = read_anchors(home.anchors, "operator")
    done = compact_chain(home.journal_dir, "operator", key=None, anchors=anchors)
    assert done
    manifest = back_up(home, tmp_path / "backup")
    assert {row.path.relative_to(home.root).as_posix() for row in done} <= {
        file.path for file in manifest.files
    }
    restored = put_back(tmp_path / "backup", Home(tmp_path / "again"))
    assert restored.frames == 5


def test_a_keyed_chain_is_verified_by_its_key_which_is_not_in_the_backup(tmp_path: Path) -> None:
    from instgov_dagster.adapters.backup import restore_backup, take_backup
    from instgov_dagster_tests.adapters.backup.homes import NOW

    home, key = Home(tmp_path / "data"), b"k" * 32
    with Journal.open(home.journal_dir, "operator", key=key, clock=VirtualClock(START)) as journal:
        journal.append("note", rows(1), {})
    with pytest.raises(SystemHalt, match="CHAIN_BROKEN"):
        back_up(home, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    take_backup(home, tmp_path / "backup", key=key, taken_at=NOW)
    assert all(key not in p.read_bytes() for p in (tmp_path / "backup").rglob("*") if p.is_file())
    with pytest.raises(InputError, match="needs the key"):
        put_back(tmp_path / "backup", Home(tmp_path / "again"))
    restored = restore_backup(
        tmp_path / "backup",
        Home(tmp_path / "again"),
        key=key,
        restored_at=NOW,
        published_cycles=10,
        keep=2,
    )
    assert restored.frames == 1


def test_what_stands_in_the_way_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    before = names_below(tmp_path)
    with pytest.raises(InputError, match="--out must be a new or an empty folder"):
        back_up(home, tmp_path / "taken")
    with pytest.raises(InputError, match="--out must lie outside the home"):
        back_up(home, home.root / "backup")
    with pytest.raises(InputError, match="--home must hold a journal"):
        back_up(Home(tmp_path / "nothing"), tmp_path / "backup")
    assert names_below(tmp_path) == before


def test_a_chain_that_does_not_verify_is_not_backed_up(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    (first, *_) = sorted((home.journal_dir / "operator").glob("*.igj"))
    body = bytearray(first.read_bytes())
    body[len(body) // 2] ^= 1
    first.write_bytes(bytes(body))
    with pytest.raises(SystemHalt, match=r"CHAIN_BROKEN: operator/000001\.igj"):
        back_up(home, tmp_path / "backup")
    assert names_below(tmp_path) == {"data", *(f"data/{n}" for n in names_below(home.root))}


def test_a_chain_cut_below_its_anchor_is_not_backed_up(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    write_frames(home, 1)
    last = max((home.journal_dir / "operator").glob("*.igj"))
    last.write_bytes(b"")
    with pytest.raises(SystemHalt, match="6 frames were anchored"):
        back_up(home, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_full_disk_leaves_nothing_of_a_backup(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    assert run_on_a_full_disk("take", home, tmp_path / "backup") == "AUDIT_WRITE_FAILED"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_writer_of_the_warehouse_is_waited_for_not_copied_through(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("INSERT INTO symbol_classes VALUES ('A', 'STOCKS', false, '2024-12-06', 'run')")
    assert back_up(home, tmp_path / "backup").tables["symbol_classes"] == 1
    restored = put_back(tmp_path / "backup", Home(tmp_path / "again"))
    assert restored.tables["symbol_classes"] == 1
