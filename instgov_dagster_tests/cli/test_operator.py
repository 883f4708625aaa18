from pathlib import Path

import pytest

from instgov_dagster.adapters.runtime import Home
from instgov_dagster.loop.live.operator import act
from instgov_dagster.loop.platform import open_platform
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
