from pathlib import Path

import pytest

from instgov_dagster.adapters.journal import read_frames
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.projector import live_store
from instgov_dagster.loop.live.operator import act
from instgov_dagster.loop.platform import open_platform
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster_tests.cli.processes import copy_tree, instgov, told
from instgov_dagster_tests.loop.homes import settings_of, write_config


@pytest.mark.parametrize("damage", [b"", b"\0" * 4096])
def test_a_halt_needs_the_journal_alone_and_not_the_warehouse(
    ran: Path, tmp_path: Path, damage: bytes
) -> None:
    home = Home(copy_tree(ran, tmp_path) / "data")
    home.warehouse.write_bytes(damage)
    acts = ("--home", str(home.root), "--operator", "risk officer", "--reason", "drill", "--json")
    done = instgov("halt", *acts)
    assert (done.returncode, told(done)) == (0, {"state": "HALT_SYSTEM", "sequence": 1})
    assert home.warehouse.read_bytes() == damage
    assert told(instgov("resume", *acts)) == {"state": "RUNNING", "sequence": 2}


@pytest.mark.parametrize("command", ["halt", "resume"])
@pytest.mark.parametrize("words", [("", "drill"), ("risk officer", " ")])
def test_a_blank_operator_or_reason_ends_with_two_and_nothing_written(
    tmp_path: Path, command: str, words: tuple[str, str]
) -> None:
    home = tmp_path / "data"
    operator, reason = words
    done = instgov(command, "--home", str(home), "--operator", operator, "--reason", reason)
    assert done.returncode == 2
    assert "must not be blank" in done.stderr
    assert not home.exists()


def test_a_home_halted_before_its_first_night_is_made_and_stays_halted(tmp_path: Path) -> None:
    write_config(tmp_path / "config")
    home = Home(tmp_path / "data")
    act(home, None, operator="risk officer", reason="not yet", is_halt=True)
    assert not home.warehouse.exists()
    platform = open_platform(settings_of(home.root), {})
    assert home.warehouse.exists()
    assert platform.state_log().refresh().name is SystemStateName.HALT_SYSTEM


def test_rebuild_makes_the_projection_again_and_tells_every_table(
    ran: Path, tmp_path: Path
) -> None:
    home = Home(copy_tree(ran, tmp_path) / "data")
    words = ("rebuild", "--home", str(home.root), "--json")
    done = instgov(*words)
    assert done.returncode == 0, done.stderr
    fields = told(done)
    assert set(fields) == {"tables", "frames", "ok"}
    assert fields["ok"]
    assert all(table["same"] for table in fields["tables"].values())
    assert fields["tables"]["live_cycles"]["rows"] == 3
    assert fields["frames"] == sum(
        len(list(read_frames(home.journal_dir, chain))) for chain in ("loop", "night", "operator")
    )
    home.live.write_bytes(b"not a database")
    again = told(instgov(*words))
    assert again["ok"]
    for name, table in fields["tables"].items():
        assert again["tables"][name] == table | {"same": None}


def test_rebuild_ends_with_one_where_the_projection_was_changed(ran: Path, tmp_path: Path) -> None:
    home = Home(copy_tree(ran, tmp_path) / "data")
    with live_store(home).writer() as con:
        con.execute("UPDATE live_cycles SET nav_usd = nav_usd + 1")
    done = instgov("rebuild", "--home", str(home.root), "--json")
    assert done.returncode == 1
    changed = {name for name, table in told(done)["tables"].items() if not table["same"]}
    assert changed == {"live_cycles"}
    assert instgov("rebuild", "--home", str(home.root)).returncode == 0


def test_rebuild_without_a_journal_ends_with_two_and_nothing_written(tmp_path: Path) -> None:
    done = instgov("rebuild", "--home", str(tmp_path / "data"))
    assert done.returncode == 2
    assert done.stderr == f"instgov: --home must hold a journal, was {tmp_path / 'data'}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_resume_is_refused_while_a_chain_does_not_verify(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    act(home, None, operator="risk officer", reason="drill", is_halt=True)
    (segment,) = home.journal_dir.glob("operator/*.igj")
    body = bytearray(segment.read_bytes())
    body[-1] ^= 1
    segment.write_bytes(bytes(body))
    with pytest.raises(SystemHalt, match="CHAIN_BROKEN"):
        act(home, None, operator="risk officer", reason="over", is_halt=False)
