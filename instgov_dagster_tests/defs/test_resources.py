"""The one resource: what it takes from the run and the environment, and what it holds."""

import os
from pathlib import Path

import dagster as dg
import pytest

from instgov_dagster.adapters.runtime import FileLock
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.loop.platform import DEFAULT_SEED
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster_tests.defs.conftest import Installation
from instgov_dagster_tests.loop.homes import ASOF


def test_everything_has_a_default_when_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = PlatformResource().settings()
    assert settings.home == tmp_path / "data"
    assert settings.market is Market.SIMULATED
    assert (settings.bars, settings.seed, settings.config_dir) == (None, DEFAULT_SEED, None)


def test_what_the_run_leaves_out_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTGOV_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("INSTGOV_MARKET", "files")
    monkeypatch.setenv("INSTGOV_BARS", str(tmp_path / "bars"))
    monkeypatch.setenv("INSTGOV_SEED", "11")
    monkeypatch.setenv("INSTGOV_CONFIG", str(tmp_path / "rules"))
    settings = PlatformResource().settings()
    assert settings.home == tmp_path / "elsewhere"
    assert settings.market is Market.FILES
    assert settings.bars == tmp_path / "bars"
    assert settings.seed == 11
    assert settings.config_dir == tmp_path / "rules"


def test_the_run_outranks_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTGOV_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("INSTGOV_SEED", "11")
    settings = PlatformResource(home=str(tmp_path / "here"), seed=0).settings()
    assert (settings.home, settings.seed) == (tmp_path / "here", 0)


def test_a_variable_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTGOV_MARKET", " ")
    monkeypatch.setenv("INSTGOV_SEED", "")
    settings = PlatformResource().settings()
    assert (settings.market, settings.seed) == (Market.SIMULATED, DEFAULT_SEED)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("INSTGOV_MARKET", "paper", "market must be one of simulated, files, live, was 'paper'"),
        ("INSTGOV_SEED", "-1", "INSTGOV_SEED must be a whole number >= 0, was '-1'"),
        ("INSTGOV_SEED", "1.5", "INSTGOV_SEED must be a whole number >= 0, was '1.5'"),
    ],
)
def test_a_bad_variable_is_one_sentence_naming_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        PlatformResource().settings()
    assert str(caught.value) == told


def test_the_run_configuration_reaches_the_resource(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seen = []

    @dg.op
    def look(platform: PlatformResource) -> None:
        seen.append(platform.settings())

    @dg.job(resource_defs={"platform": PlatformResource()})
    def looking() -> None:
        look()

    config = {"home": str(tmp_path / "given"), "market": "simulated", "seed": 3}
    assert looking.execute_in_process(
        run_config={"resources": {"platform": {"config": config}}}
    ).success
    assert [(one.home, one.seed) for one in seen] == [(tmp_path / "given", 3)]


def test_one_run_opens_the_installation_once_and_holds_one_night(fresh: Installation) -> None:
    platform = fresh.platform()
    night = platform.night(ASOF, run_id="run-1")
    assert platform.open() is platform.open()
    assert platform.night(ASOF, run_id="run-1") is night
    lock = FileLock(fresh.home / "night.lock")
    assert not lock.try_acquire()
    with pytest.raises(InputError, match="one run holds one night, held 2025-03-12"):
        platform.night(ASOF.replace(day=13), run_id="run-1")
    platform.teardown_after_execution(dg.build_init_resource_context())
    assert lock.try_acquire()
    lock.release()


def test_reading_the_state_opens_neither_the_market_nor_the_warehouse(tmp_path: Path) -> None:
    platform = PlatformResource(home=str(tmp_path))
    assert platform.state_log().refresh().causes == ()
    assert list(tmp_path.iterdir()) == []


def test_the_environment_is_read_when_a_run_starts_not_when_the_code_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = PlatformResource()
    for name in ("first", "second"):
        monkeypatch.setitem(os.environ, "INSTGOV_HOME", str(tmp_path / name))
        assert platform.home_dir() == tmp_path / name
