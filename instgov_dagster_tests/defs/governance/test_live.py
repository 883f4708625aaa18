"""The live half through Dagster: a session as one run, its standby, and the audit of the chains."""

import shutil
import sqlite3
from pathlib import Path

import dagster as dg
import pytest

from instgov_dagster.adapters.runtime import FileLock
from instgov_dagster.defs.governance.anchoring import AUDIT_CHAIN
from instgov_dagster.loop.live.operator import act
from instgov_dagster.vocabulary.errors import ResumeRefused
from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.defs.conftest import (
    Installation,
    RecordedNight,
    assets_of,
    failure_of,
    metadata_of,
    verdicts_of,
)
from instgov_dagster_tests.loop.homes import SYMBOLS

INVARIANTS = ("orders", "fills", "positions", "cash")
LIVE, AFTER = "governed_live_loop", "after_session"
CYCLES = 2
CONFIG = {"live_session": {"config": {"cycles": CYCLES, "period_seconds": 0.0, "may_wait": False}}}
TRADABLE = len([symbol for symbol in SYMBOLS if not symbol.startswith("^")])


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


@pytest.fixture(scope="module")
def led(
    recorded_night: RecordedNight, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Installation, dg.ExecuteInProcessResult, dg.DagsterInstance]:
    """An installation after one short session; shared, so its home is only read or copied."""
    folder = tmp_path_factory.mktemp("led")
    shutil.copytree(recorded_night.installation.folder, folder, dirs_exist_ok=True)
    installation = Installation(folder=folder, market={"market": "simulated"})
    instance = dg.DagsterInstance.ephemeral()
    return installation, installation.run(LIVE, instance, ops=CONFIG), instance


Led = tuple[Installation, dg.ExecuteInProcessResult, dg.DagsterInstance]


@pytest.mark.roadmap("3.2", "3.5")
def test_one_run_is_one_session_and_every_cycle_decides_every_symbol(led: Led) -> None:
    _, result, _ = led
    assert result.success
    assert set(assets_of(result)) == {"decision_journal", "live_decisions", "portfolio"}
    facts = metadata_of(result, "live_decisions")
    assert (facts["cycles"], facts["decisions"]) == (CYCLES, CYCLES * TRADABLE)
    assert sum(facts["verdicts"].values()) == CYCLES * TRADABLE
    assert verdicts_of(result) == {
        ("decision_journal", "state_continuity"): True,
        ("decision_journal", "leader_keeps_its_beat"): True,
        ("live_decisions", "every_cycle_decides_every_symbol"): True,
        ("live_decisions", "readers_see_every_cycle"): True,
        ("portfolio", "cvar_stayed_within_its_limit"): True,
    }


@pytest.mark.roadmap("0.5", "5.4")
def test_the_session_tells_the_tail_of_its_book_beside_the_limit(led: Led) -> None:
    _, result, _ = led
    facts = metadata_of(result, "portfolio")
    assert 0.0 <= facts["cvar"] <= facts["cvar_gate"] <= facts["cvar_limit"] == 0.06
    assert facts["gross"] > 0.0
    assert facts["nav_usd"] == pytest.approx(10_000_000.0, rel=0.05)


def test_what_is_left_out_of_the_configuration_is_the_policys(led: Led) -> None:
    from instgov_dagster.defs.governance.live import SessionConfig

    empty = SessionConfig()
    assert (empty.cycles, empty.period_seconds) == (None, None)
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        SessionConfig(cycles=0)
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        SessionConfig(period_seconds=-1.0)
    assert led[0].platform().open().policy.loop.cycles == 600


def test_a_session_that_may_not_wait_never_leads_succeeds_and_materializes_nothing(
    published: Installation, instance: dg.DagsterInstance
) -> None:
    with FileLock(published.home / "live.lease"):
        result = published.run(LIVE, instance, ops=CONFIG)
    assert result.success
    assert assets_of(result) == []
    assert verdicts_of(result) == {}
    assert published.platform().state_log().refresh().name is SystemStateName.RUNNING


@pytest.mark.roadmap("3.1")
def test_a_session_without_a_published_night_does_not_begin(
    fresh: Installation, instance: dg.DagsterInstance
) -> None:
    result = fresh.run(LIVE, instance, ops=CONFIG)
    facts = failure_of(result)
    assert assets_of(result) == []
    assert facts["reason_code"] == ReasonCode.SNAPSHOT_MISSING
    assert facts["state"] == SystemStateName.STOP_SYSTEM


@pytest.mark.roadmap("0.6")
def test_the_chains_of_a_sound_home_verify_to_their_anchors(led: Led) -> None:
    installation, session, instance = led
    result = installation.run(AFTER, instance)
    assert result.success
    assert verdicts_of(result) == {
        ("audit_chain", "chain_verifies"): True,
        **{("reconciliation", f"{name}_agree"): True for name in INVARIANTS},
        ("reconciliation", "parity"): True,
        ("governance_report", "report_is_whole"): True,
    }
    facts = metadata_of(result, "audit_chain")
    told = metadata_of(session, "decision_journal")
    assert facts["loop"]["head"] == told["chain_head"]
    assert facts["loop"]["anchored"] == facts["loop"]["frames"] == told["frames"]
    assert facts["night"]["ok"]
    assert facts["operator"]["frames"] == 0


def copied(led: Led, folder: Path) -> Installation:
    shutil.copytree(led[0].folder, folder, dirs_exist_ok=True)
    return Installation(folder=folder, market={"market": "simulated"})


@pytest.mark.roadmap("0.6")
def test_one_changed_byte_of_a_frame_fails_the_audit_and_names_the_frame(
    led: Led, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    tampered = copied(led, tmp_path)
    (segment,) = (tampered.home / "journal" / "loop").glob("*.*")
    body = bytearray(segment.read_bytes())
    body[len(body) // 2] ^= 1
    segment.write_bytes(bytes(body))
    result = tampered.run(AFTER, instance)
    assert not result.success
    assert verdicts_of(result) == {("audit_chain", "chain_verifies"): False}
    (check,) = result.get_asset_check_evaluations()
    (broken,) = check.metadata["broken"].value
    assert broken["chain"] == "loop"
    assert broken["first_bad"].startswith("loop/")


@pytest.mark.roadmap("0.6")
def test_a_chain_cut_together_with_its_anchors_is_noticed_by_the_event_log(led: Led) -> None:
    installation, _, instance = led
    hidden = installation.home.with_name("hidden")
    installation.home.rename(hidden)
    try:
        shutil.copytree(hidden, installation.home)
        shutil.rmtree(installation.home / "journal" / "loop")
        (installation.home / "published" / "anchors" / "loop.jsonl").unlink()
        cut = installation.run(AFTER, instance)
    finally:
        shutil.rmtree(installation.home)
        hidden.rename(installation.home)
    assert not cut.success
    (check,) = cut.get_asset_check_evaluations()
    (broken,) = check.metadata["broken"].value
    assert "frames were anchored" in broken["reason"]


def test_another_home_on_the_same_instance_is_not_held_against_these_anchors(
    led: Led, fresh: Installation
) -> None:
    _, _, instance = led
    assert fresh.run(AFTER, instance).success


def test_an_anchor_in_the_event_log_belongs_to_no_run(led: Led) -> None:
    installation, _, instance = led
    records = instance.fetch_materializations(AUDIT_CHAIN, limit=10).records
    anchors = [record for record in records if record.run_id == ""]
    assert anchors
    (first, *_) = anchors
    assert first.asset_materialization is not None
    facts = {name: v.value for name, v in first.asset_materialization.metadata.items()}
    assert facts["home"] == str(installation.home)
    assert set(facts["anchors"]) == {"loop", "night"}


def spend(home: Path, statement: str) -> None:
    """Change the paper account behind everybody's back."""
    with sqlite3.connect(home / "paper" / "account.sqlite") as account:
        account.execute(statement)
    account.close()


@pytest.mark.roadmap("9.4")
@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE positions SET quantity = quantity + 1", {"positions"}),
        ("UPDATE fills SET price = '1.00000000' WHERE rowid = 1", {"fills"}),
        ("DELETE FROM orders WHERE rowid = 1", {"orders", "fills"}),
        (
            "INSERT INTO cash SELECT max(sequence) + 1, 'DIVIDEND', '', '', '1', '1' FROM cash",
            {"cash"},
        ),
    ],
)
def test_a_broker_that_differs_from_the_journal_stops_the_system(
    led: Led, tmp_path: Path, instance: dg.DagsterInstance, statement: str, broken: set[str]
) -> None:
    changed = copied(led, tmp_path)
    spend(changed.home, statement)
    result = changed.run(AFTER, instance)
    assert not result.success
    verdicts = verdicts_of(result)
    failed = {name for name in INVARIANTS if not verdicts[("reconciliation", f"{name}_agree")]}
    assert failed == broken
    state = changed.platform().state_log().refresh()
    assert state.name is SystemStateName.STOP_SYSTEM
    assert [cause.reason_code for cause in state.causes] == [ReasonCode.RECONCILIATION_UNRESOLVED]


def test_a_difference_that_is_mended_is_lifted_by_the_check_and_the_operator(
    led: Led, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    mended = copied(led, tmp_path)
    good = (mended.home / "paper" / "account.sqlite").read_bytes()
    spend(mended.home, "UPDATE positions SET quantity = quantity + 1")
    assert not mended.run(AFTER, instance).success
    words = {"operator": "ro", "reason": "restored the account", "is_halt": False}
    opened = mended.platform().open()
    with pytest.raises(ResumeRefused, match="RECONCILIATION_UNRESOLVED"):
        act(opened.home, opened.key, **words)
    (mended.home / "paper" / "account.sqlite").write_bytes(good)
    assert mended.run(AFTER, instance).success
    state, _ = act(opened.home, opened.key, **words)
    assert state.name is SystemStateName.RUNNING


def test_nothing_is_judged_while_a_session_leads(led: Led, instance: dg.DagsterInstance) -> None:
    installation, _, _ = led
    with FileLock(installation.home / "live.lease"):
        result = installation.run(AFTER, instance)
    assert result.success
    verdicts = verdicts_of(result)
    assert {verdicts[("reconciliation", f"{name}_agree")] for name in INVARIANTS} == {False}
    assert installation.platform().state_log().refresh().name is SystemStateName.RUNNING
