import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from instgov_dagster.adapters.runtime import FileLock, Home
from instgov_dagster.adapters.store.published import CURRENT_FILE, SUMMARY_FILE
from instgov_dagster.cli.instance import Outcome, open_instance, run_job
from instgov_dagster.cli.options import resolve_asof
from instgov_dagster.cli.summary import collect
from instgov_dagster.loop.live.opening import open_snapshot
from instgov_dagster.loop.platform import open_platform
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import InputError, LeaseHeld
from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster_tests.cli.processes import (
    bars_frame,
    copy_tree,
    files_of,
    instgov,
    run_words,
    told,
)
from instgov_dagster_tests.loop.homes import ASOF, settings_of


def test_a_session_that_loses_the_lease_after_it_was_asked_for_never_led(
    ran: Path, tmp_path: Path
) -> None:
    copied = copy_tree(ran, tmp_path)
    home = Home(copied / "data")
    fields = {"home": str(home.root), "config_dir": str(copied / "config"), "market": "simulated"}
    config = {
        "resources": {"platform": {"config": fields}},
        "ops": {
            "live_session": {"config": {"cycles": 1, "period_seconds": 0.0, "may_wait": False}}
        },
    }
    with FileLock(home.lease), open_instance(home.root) as instance:
        outcome = Outcome.of_session(run_job(instance, "governed_live_loop", ASOF, config))
    assert (outcome.has_failed, outcome.has_led) == (False, False)
    with pytest.raises(LeaseHeld, match=r"never led: .*live\.lease"):
        outcome.require_led(home.lease)


def test_what_another_session_left_is_not_told_as_this_one_s(ran: Path) -> None:
    platform = open_platform(settings_of(ran / "data"), {})
    summary = json.loads((platform.home.published / SUMMARY_FILE).read_text())
    report = platform.home.published / "report.html"
    page = report.read_bytes()
    own = collect(platform, ASOF, summary["run_id"])
    assert (own["cycles"], own["nav"]) == (3, summary["nav_usd"])
    others = collect(platform, ASOF, "of another run")
    assert "cycles" not in others
    assert others["bars"] == own["bars"]
    assert "cycles" not in collect(platform, ASOF, None)
    report.write_bytes(page)


def test_a_session_of_another_day_than_the_night_s_ends_with_two_and_latches_nothing(
    ran: Path,
) -> None:
    before = files_of(ran / "data")
    done = instgov(*run_words(ran, command="live"), "--asof", "2025-03-13")
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        "instgov: asof must be 2025-03-12, the published night's, was 2025-03-13: "
        "run the night of it first\n"
    )
    assert files_of(ran / "data") == before


def test_a_session_of_another_day_or_market_is_refused_without_a_stop(
    ran: Path, tmp_path: Path
) -> None:
    platform = open_platform(settings_of(copy_tree(ran, tmp_path) / "data"), {})
    with pytest.raises(InputError, match="asof must be 2025-03-12"):
        open_snapshot(platform, ASOF + timedelta(days=1))
    other = replace(platform.settings, market=Market.FILES, bars=tmp_path)
    with pytest.raises(InputError, match="market must be simulated"):
        open_snapshot(replace(platform, settings=other), ASOF)
    assert platform.state_log().refresh().name is SystemStateName.RUNNING


def test_a_session_on_a_home_without_a_night_ends_with_two_and_nothing_written(
    tmp_path: Path,
) -> None:
    home = tmp_path / "data"
    done = instgov("live", "--home", str(home), "--asof", ASOF.isoformat())
    assert done.returncode == 2
    assert done.stderr == (
        f"instgov: --home must hold a published night, was {home}: run nightly\n"
    )
    assert not home.exists()


def test_a_damaged_pointer_is_left_for_the_session_to_stop_on(ran: Path, tmp_path: Path) -> None:
    copied = copy_tree(ran, tmp_path)
    pointer = copied / "data" / "published" / "night" / CURRENT_FILE
    pointer.write_bytes(pointer.read_bytes()[:-20])
    done = instgov(*run_words(copied, command="live"))
    assert done.returncode == 3, done.stderr[-500:]
    fields = told(done)
    assert fields["state"] == "STOP_SYSTEM"
    assert [cause["reason_code"] for cause in fields["causes"]] == ["SNAPSHOT_MISSING"]
    assert fields["cycles"] is None
    status = instgov("status", "--home", str(copied / "data"), "--json")
    assert (status.returncode, told(status)["last_night"]) == (3, None)


@pytest.mark.parametrize("asof", ["1994-12-31", "2999-01-01"])
@pytest.mark.parametrize("market", ["simulated", "files"])
def test_a_day_that_cannot_be_traded_ends_with_two_and_nothing_written(
    tmp_path: Path, asof: str, market: str
) -> None:
    bars_frame().write_parquet(tmp_path / "bars.parquet")
    home = tmp_path / "data"
    bars = ["--bars", str(tmp_path)] if market == "files" else []
    done = instgov("run", "--home", str(home), "--asof", asof, *bars)
    assert done.returncode == 2
    assert done.stderr.startswith("instgov: --asof must be in [1995-01-01, ")
    assert done.stderr.endswith(f"], was {asof}\n")
    assert not home.exists()


def test_the_last_day_that_can_be_traded_is_new_york_s_today() -> None:
    late = datetime(2025, 3, 13, 3, 0, tzinfo=UTC)  # 23:00 of the 12th in New York
    assert resolve_asof(None, late) == resolve_asof("2025-03-12", late) == date(2025, 3, 12)
    with pytest.raises(InputError, match=r"\[1995-01-01, 2025-03-12\], was 2025-03-13"):
        resolve_asof("2025-03-13", late)
    sunday = datetime(2025, 3, 16, 15, 0, tzinfo=UTC)
    assert resolve_asof(None, sunday) == date(2025, 3, 14)


def test_the_status_of_no_installation_ends_with_two(tmp_path: Path) -> None:
    home = tmp_path / "data"
    done = instgov("status", "--home", str(home), "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"instgov: --home must hold a journal or a warehouse, was {home}\n"
    assert not home.exists()
