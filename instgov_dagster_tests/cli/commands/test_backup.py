"""`backup` and `restore` on the command line: three fields, and one line where it is refused."""

from pathlib import Path

from instgov_dagster_tests.adapters.backup.homes import back_up, make_home
from instgov_dagster_tests.cli.processes import copy_tree, instgov, told


def test_a_home_is_backed_up_restored_and_proved(ran: Path, tmp_path: Path) -> None:
    home, backup = copy_tree(ran, tmp_path / "first") / "data", tmp_path / "backup"
    done = instgov("backup", "--home", str(home), "--out", str(backup), "--json")
    assert done.returncode == 0, done.stderr
    taken = told(done)
    assert set(taken) == {"tables", "frames", "ok"}
    again, config = tmp_path / "again", str(tmp_path / "first" / "config")
    words = ("--home", str(again), "--config", config)
    back = instgov("restore", *words, "--from", str(backup), "--json")
    assert back.returncode == 0, back.stderr
    restored = told(back)
    assert set(restored) == {"tables", "frames", "ok"}
    assert restored["frames"] == taken["frames"]
    assert restored["tables"].items() >= taken["tables"].items()
    assert restored["tables"]["live.live_cycles"] == {"rows": 3}
    assert told(instgov("audit", "verify", "--home", str(again), "--json"))["ok"]
    replay = told(instgov("audit", "replay", "--all", *words, "--json"))
    assert (replay["cycles"], replay["identical"], replay["different"]) == (3, 3, [])


def test_a_damaged_backup_ends_with_two_and_the_name_of_the_file(tmp_path: Path) -> None:
    home, backup = make_home(tmp_path), tmp_path / "backup"
    back_up(home, backup)
    path = backup / "home" / "warehouse.duckdb"
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(bytes(body))
    done = instgov("restore", "--from", str(backup), "--home", str(tmp_path / "again"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"instgov: {path} must have {len(body)} bytes that hash to")
    assert done.stderr.count("\n") == 1
    taken = instgov("restore", "--from", str(backup), "--home", str(home.root))
    assert taken.returncode == 2
    assert taken.stderr == f"instgov: --home must be a new or an empty folder, was {home.root}\n"
    assert {found.name for found in tmp_path.iterdir()} == {"backup", "data"}
