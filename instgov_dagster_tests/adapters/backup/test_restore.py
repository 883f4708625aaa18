"""A restore verifies everything before a home appears, and refuses by name what does not verify."""

import hashlib
import json
import random
from pathlib import Path

import pytest

from instgov_dagster.adapters.backup import read_manifest
from instgov_dagster.adapters.backup.manifest import MANIFEST, SEAL
from instgov_dagster.adapters.journal import read_anchors, verify_chain
from instgov_dagster.adapters.paper.store import read_account
from instgov_dagster.adapters.runtime import FileLock, Home
from instgov_dagster.vocabulary.errors import InputError, LeaseHeld, SystemHalt
from instgov_dagster_tests.adapters.backup.homes import back_up, make_home, names_below, put_back
from instgov_dagster_tests.adapters.backup.test_take import run_on_a_full_disk


def reseal(backup: Path, change: dict[str, object]) -> None:
    """Write a manifest that lies, under a seal that holds: what somebody with write access can."""
    told = json.loads((backup / MANIFEST).read_bytes())
    told.update(change)
    body = json.dumps(told).encode()
    (backup / MANIFEST).write_bytes(body)
    (backup / SEAL).write_text(hashlib.sha256(body).hexdigest() + "\n")


def test_a_restored_home_holds_the_files_of_the_backup_and_its_projection(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    manifest = back_up(home, tmp_path / "backup")
    (tmp_path / "again").mkdir()
    again = Home(tmp_path / "again")
    restored = put_back(tmp_path / "backup", again)
    assert restored.frames == manifest.frames == 5
    assert {name: restored.tables[name] for name in manifest.tables} == dict(manifest.tables)
    assert restored.tables["live.system_states"] == 0
    for file in manifest.files:
        body = (again.root / file.path).read_bytes()
        assert hashlib.sha256(body).hexdigest() == file.sha256
    anchors = read_anchors(again.anchors, "operator")
    report = verify_chain(again.journal_dir, "operator", anchors=anchors)
    assert (report.ok, report.anchored) == (True, 5)
    assert read_account(again.paper_account) == read_account(home.paper_account)
    assert again.live.is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"data", "backup", "again"}


def test_one_flipped_bit_in_any_file_is_refused_by_that_files_name(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    back_up(home, tmp_path / "backup")
    draw = random.Random(4)  # noqa: S311  # not for secrets
    files = [path for path in sorted((tmp_path / "backup").rglob("*")) if path.is_file()]
    for path in files:
        whole = path.read_bytes()
        body = bytearray(whole)
        body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(body))
        shown = MANIFEST if path.name == SEAL else path.name
        with pytest.raises(InputError, match=shown.replace(".", r"\.")):
            put_back(tmp_path / "backup", Home(tmp_path / "again"))
        path.write_bytes(whole)
        assert {found.name for found in tmp_path.iterdir()} == {"data", "backup"}
    assert len(files) > 8
    put_back(tmp_path / "backup", Home(tmp_path / "again"))


def test_a_missing_file_and_one_too_many_are_refused_by_name(tmp_path: Path) -> None:
    back_up(make_home(tmp_path), tmp_path / "backup")
    again, market = Home(tmp_path / "again"), tmp_path / "backup" / "home" / "market.json"
    (market.parent / "more.txt").write_text("one too many")
    with pytest.raises(InputError, match=r"more\.txt must be named"):
        put_back(tmp_path / "backup", again)
    (market.parent / "more.txt").unlink()
    market.rename(tmp_path / "elsewhere.json")
    with pytest.raises(InputError, match=r"market\.json must be there"):
        put_back(tmp_path / "backup", again)
    market.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(InputError, match="plain files"):
        put_back(tmp_path / "backup", again)
    assert not again.root.exists()


@pytest.mark.parametrize("name", ["../../escaped", "/etc/escaped", "a/../../../escaped", ".."])
def test_a_manifest_that_names_a_file_outside_the_home_is_refused(
    tmp_path: Path, name: str
) -> None:
    back_up(make_home(tmp_path), tmp_path / "backup")
    reseal(tmp_path / "backup", {"files": {name: {"bytes": 1, "sha256": "0" * 64}}})
    with pytest.raises(InputError, match="must lie inside the home"):
        read_manifest(tmp_path / "backup")


def test_a_resealed_manifest_does_not_pass_a_chain_that_ends_elsewhere(tmp_path: Path) -> None:
    back_up(make_home(tmp_path), tmp_path / "backup")
    told = json.loads((tmp_path / "backup" / MANIFEST).read_bytes())
    told["chains"]["operator"]["frames"] = 4
    reseal(tmp_path / "backup", {"chains": told["chains"]})
    with pytest.raises(SystemHalt, match="CHAIN_BROKEN: operator#5"):
        put_back(tmp_path / "backup", Home(tmp_path / "again"))
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    "change", [{"format": "other"}, {"files": 7}, {"chains": {"loop": {}}}, {"tables": None}]
)
def test_a_manifest_of_another_shape_is_one_clear_error(
    tmp_path: Path, change: dict[str, object]
) -> None:
    back_up(make_home(tmp_path), tmp_path / "backup")
    reseal(tmp_path / "backup", change)
    with pytest.raises(InputError, match=MANIFEST):
        read_manifest(tmp_path / "backup")


def test_a_home_that_holds_anything_is_left_as_it_is(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    back_up(home, tmp_path / "backup")
    before = names_below(home.root)
    with pytest.raises(InputError, match="--home must be a new or an empty folder"):
        put_back(tmp_path / "backup", home)
    with FileLock(home.lease):
        before |= {"live.lease"}
        with pytest.raises(LeaseHeld, match="in use"):
            put_back(tmp_path / "backup", home)
    assert names_below(home.root) == before


def test_a_full_disk_leaves_nothing_of_a_restore(tmp_path: Path) -> None:
    back_up(make_home(tmp_path), tmp_path / "backup")
    before = names_below(tmp_path)
    again = Home(tmp_path / "again")
    assert run_on_a_full_disk("restore", again, tmp_path / "backup") == "AUDIT_WRITE_FAILED"
    assert names_below(tmp_path) == before


def test_what_is_no_backup_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--from must be a backup"):
        put_back(tmp_path, Home(tmp_path / "again"))
