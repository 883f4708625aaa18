"""After the day, through Dagster: parity blocks, the journal is compacted, a card is left."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from instgov_dagster.adapters.journal import read_frames
from instgov_dagster.adapters.store.published import read_snapshot
from instgov_dagster.loop.folding import fold
from instgov_dagster_tests.defs.conftest import (
    Installation,
    RecordedNight,
    assets_of,
    metadata_of,
    verdicts_of,
)

CYCLES = 2
CONFIG = {"live_session": {"config": {"cycles": CYCLES, "period_seconds": 0.0}}}
PARITY = ("reconciliation", "parity")


@pytest.fixture(scope="module")
def led(recorded_night: RecordedNight, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation after one short session; shared, so its home is only read or copied."""
    folder = tmp_path_factory.mktemp("proved")
    shutil.copytree(recorded_night.installation.folder, folder, dirs_exist_ok=True)
    installation = Installation(folder=folder, market={"market": "simulated"})
    with dg.DagsterInstance.ephemeral() as instance:
        assert installation.run("governed_live_loop", instance, ops=CONFIG).success
    return installation


@pytest.fixture
def home(led: Installation, tmp_path: Path) -> Installation:
    shutil.copytree(led.folder, tmp_path, dirs_exist_ok=True)
    return Installation(folder=tmp_path, market={"market": "simulated"})


def after(home: Installation) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return home.run("after_session", instance)


def check_of(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    return next(c for c in result.get_asset_check_evaluations() if c.check_name == name)


@pytest.mark.roadmap("9.1")
def test_a_sound_day_has_parity_and_leaves_a_card(home: Installation) -> None:
    result = after(home)
    assert result.success
    assert verdicts_of(result)[PARITY]
    told = check_of(result, "parity").metadata
    assert (told["cycles"].value, told["identical"].value) == (CYCLES, CYCLES)
    assert told["value"].value == 0
    facts = metadata_of(result, "report_card")
    assert facts["lines"] > 25
    card = read_snapshot(home.home / "published" / "report_card").tables["report_card"]
    assert card.height == facts["lines"]
    assert set(card["status"]) == {"never drilled", "not applicable"}
    assert metadata_of(result, "compacted_journal")["segments"] == 0


@pytest.mark.roadmap("9.1")
def test_a_day_that_folds_otherwise_fails_its_parity_and_ends_the_line(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fold.cycle_meta

    def meta(*arguments: object, **facts: object) -> dict[str, object]:
        told = real(*arguments, **facts)  # type: ignore[arg-type]
        return {**told, "nav_usd": told["nav_usd"] + 1.0}

    monkeypatch.setattr(fold, "cycle_meta", meta)
    result = after(home)
    assert not result.success
    assert not verdicts_of(result)[PARITY]
    told = check_of(result, "parity")
    assert told.severity is dg.AssetCheckSeverity.ERROR
    assert told.metadata["value"].value == CYCLES
    assert "nav_usd" in str(told.metadata["different"].value)
    assert "report_card" not in assets_of(result)


def test_a_day_of_other_rules_warns_and_is_not_judged(home: Installation) -> None:
    rules = home.folder / "config" / "policy.yaml"
    rules.write_text(rules.read_text().replace("portfolio_limit: 0.06", "portfolio_limit: 0.05"))
    result = after(home)
    assert result.success
    told = check_of(result, "parity")
    assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "--config must hold the policy" in str(told.metadata["refused"].value)


def test_the_card_is_read_on_from_where_the_last_one_stopped(home: Installation) -> None:
    assert after(home).success
    folder = home.home / "published" / "report_card"
    first = read_snapshot(folder)
    last = list(read_frames(home.home / "journal", "loop"))[-1]
    assert first.meta["positions"]["loop"]["sequence"] == last.sequence
    platform = home.platform().open()
    from instgov_dagster.loop.folding.explaining.card import publish_card
    from instgov_dagster.loop.live.operator import act

    act(platform.home, platform.key, operator="ro", reason="a drill", is_halt=True)
    with platform.warehouse.txn() as con:
        con.execute(
            "INSERT INTO fire_drills VALUES ('halt', 'kill', 'an operator', 'OPERATOR_HALT',"
            " 'HALT_SYSTEM', true, 'OPERATOR_HALT', 'HALT_SYSTEM', NULL, '', now(),"
            " DATE '2025-03-12', 'drill-1', now())"
        )
    card, _ = publish_card(platform)
    rows = {(row["regulation"], row["clause"]): row for row in card.to_dicts()}
    kill = rows["MiFID II RTS 6", "Art 12"]
    assert (kill["status"], kill["last_drill"], kill["last_drill_fired"]) == (
        "drilled",
        "halt",
        True,
    )
    assert (kill["last_firing_code"], kill["last_firing"]) == (
        "OPERATOR_HALT", "operator/000001.igj#1",
    )  # fmt: skip
    before = {row["code"] for row in first.tables["reason_firings"].to_dicts()}
    again = {row["code"] for row in read_snapshot(folder).tables["reason_firings"].to_dicts()}
    assert again == before | {"OPERATOR_HALT"}
    assert "OPERATOR_HALT" not in before
