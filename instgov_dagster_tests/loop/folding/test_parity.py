"""Parity: a day folded again gives its bytes here, and its decisions on another machine."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from instgov_dagster.adapters.journal import Frame, read_frames, unbundle
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.solver import unsolved
from instgov_dagster.loop.folding import fold, parity
from instgov_dagster.loop.folding.agreement import decision_differences
from instgov_dagster.loop.folding.machine import is_same_machine, machine_fingerprint
from instgov_dagster.loop.folding.parity import ParityReport, check_parity
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster_tests.loop.homes import ASOF, copy_home

CYCLES = 3


@pytest.fixture(scope="module")
def led(night_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """An installation after two short sessions; shared, so it is only read."""
    platform = copy_home(night_platform, tmp_path_factory.mktemp("parity"))
    for run_id in ("one", "two"):
        run_session(platform, ASOF, cycles=CYCLES, period_seconds=0.0, run_id=run_id)
    return platform


def check(platform: Platform, **options: Any) -> ParityReport:
    words = {"policy": platform.policy, "code_hash": platform.code_hash, "day": ASOF} | options
    return check_parity(platform.home, key=None, **words)


def frames(platform: Platform, kind: str) -> list[Frame]:
    chain = read_frames(platform.home.journal_dir, Chain.LOOP.value)
    return [frame for frame in chain if frame.kind == kind]


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fold on a processor that no session was led with."""
    here = machine_fingerprint()
    monkeypatch.setattr(parity, "machine_fingerprint", lambda: {**here, "processor": "another"})


@pytest.fixture
def jittered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the last bits of a number come out otherwise, as another processor would."""
    real: Callable[..., dict[str, Any]] = fold.cycle_meta

    def meta(*arguments: Any, **facts: Any) -> dict[str, Any]:
        told = real(*arguments, **facts)
        return {**told, "nav_usd": told["nav_usd"] * (1.0 + 2.0**-50)}

    monkeypatch.setattr(fold, "cycle_meta", meta)


def test_every_session_says_what_it_was_led_with(led: Platform) -> None:
    started = [frame.meta for frame in frames(led, "session") if frame.meta["event"] == "started"]
    assert [meta["machine"] for meta in started] == [machine_fingerprint()] * 2
    assert set(machine_fingerprint()["libraries"]) >= {"numpy", "scipy", "highspy"}


def test_a_day_folded_again_here_differs_nowhere(led: Platform) -> None:
    report = check(led)
    assert (report.day, report.refused, report.difference) == (ASOF, None, 0)
    assert (report.replay.cycles, report.replay.identical) == (2 * CYCLES, 2 * CYCLES)
    assert report.is_judged
    assert not report.replay.is_other_machine
    later = check(led, day=ASOF + timedelta(days=3))
    assert later.day == ASOF


@pytest.mark.usefixtures("jittered")
def test_on_the_same_machine_the_last_bit_counts(led: Platform) -> None:
    report = check(led)
    assert (report.replay.identical, report.difference) == (0, 2 * CYCLES)
    assert report.replay.different[0].what == "nav_usd"


@pytest.mark.usefixtures("jittered", "elsewhere")
def test_on_another_machine_the_decision_counts(led: Platform) -> None:
    report = check(led)
    assert report.replay.is_other_machine
    assert (report.replay.identical, report.replay.within) == (0, 2 * CYCLES)
    assert report.difference == 0
    assert report.replay.ok


@pytest.mark.usefixtures("elsewhere")
def test_on_another_machine_another_decision_is_a_difference(
    led: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HotSolver, "solve", lambda *_: unsolved("another solver"))
    report = check(led)
    assert report.difference > 0
    assert "auction.status" in report.replay.different[0].what


@pytest.mark.parametrize(
    ("shift", "wrong"),
    [(9e-10, ()), (1.1e-9, ("auction.objective",)), (float("nan"), ("auction.objective",))],
)
def test_the_numbers_of_a_certificate_must_be_within_the_tolerance(
    led: Platform, shift: float, wrong: tuple[str, ...]
) -> None:
    frame = frames(led, "cycle")[0]
    auction = dict(frame.meta["auction"])
    assert auction["objective"] is not None
    auction["objective"] += shift
    facts = {**frame.meta, "auction": auction}
    table = frame.table()
    assert decision_differences(frame, table, facts, tolerance=1e-9) == wrong
    facts = {**frame.meta, "auction": {**auction, "objective": None}}
    assert decision_differences(frame, table, facts, tolerance=1e-9) == ("auction.objective",)


def test_a_verb_a_reason_or_an_order_that_differs_is_named(led: Platform) -> None:
    frame = frames(led, "cycle")[0]
    tables = unbundle(frame.table())
    rows = tables["governance_decisions"].to_pylist()
    rows[0]["decision"], rows[1]["reason_codes"] = (
        "HOLD" if rows[0]["decision"] != "HOLD" else "REJECT",
        ["PRICED_OUT", "NO_VETO"],
    )
    from instgov_dagster.adapters.journal import bundle_tables

    changed = pa.Table.from_pylist(rows, schema=tables["governance_decisions"].schema)
    table = bundle_tables(
        {**tables, "governance_decisions": changed, "orders": tables["orders"].slice(1)}
    )
    assert decision_differences(frame, table, frame.meta, tolerance=1e-9) == (
        "governance_decisions.decision",
        "governance_decisions.reason_codes",
        "orders.client_order_id",
        "orders.symbol",
        "orders.side",
    )


def test_a_day_of_other_rules_or_other_code_is_told_and_not_judged(
    led: Platform, tmp_path: Path
) -> None:
    from instgov_dagster.adapters.config import load_policy

    source = led.home.root.parent / "config" / "policy.yaml"
    text = source.read_text().replace("portfolio_limit: 0.06", "portfolio_limit: 0.05")
    (tmp_path / "policy.yaml").write_text(text)
    report = check(led, policy=load_policy(tmp_path))
    assert report.refused is not None
    assert "--config must hold the policy" in report.refused
    assert not report.is_judged
    other = check(led, code_hash="0" * 64)
    assert (other.is_judged, other.difference) == (False, 0)


def test_a_home_that_never_traded_has_no_day_to_fold(night_platform: Platform) -> None:
    report = check(night_platform)
    assert (report.day, report.replay.cycles, report.difference) == (None, 0, 0)


def test_a_frame_that_does_not_name_its_machine_is_held_to_its_bytes() -> None:
    here = machine_fingerprint()
    assert is_same_machine(None, here)
    assert is_same_machine(dict(here), here)
    assert not is_same_machine({**here, "python": "3.0"}, here)
