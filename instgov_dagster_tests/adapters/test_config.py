"""YAML into policies: what is refused, in which words, and what the packaged files say."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.config import (
    config_sha256,
    find_config_dir,
    load_policy,
    load_universe,
)
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.config import LoopPolicy, Policy
from instgov_dagster.vocabulary.errors import InputError

REPOSITORY_CONFIG = Path(__file__).parents[2] / "config"


def _policy(folder: Path, text: str) -> Policy:
    (folder / "policy.yaml").write_text(text, encoding="utf-8")
    return load_policy(folder)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "cvar: {portfolio_limit: 7}",
            "policy.yaml: cvar.portfolio_limit must be > 0 and <= 1, was 7",
        ),
        (
            "cvar: {portfolio_limit: 6 percent}",
            "policy.yaml: cvar.portfolio_limit must be a number, was '6 percent'",
        ),
        (
            "cvar: {portfolio_limit: .nan}",
            "policy.yaml: cvar.portfolio_limit must be a finite number, was nan",
        ),
        (
            "cvar: {horizon_days: 5.5}",
            "policy.yaml: cvar.horizon_days must be a whole number, was 5.5",
        ),
        (
            "cvar: {scale_on_breach: yes}",
            "policy.yaml: cvar.scale_on_breach must be true or false, was 'yes'",
        ),
        ("nav_usd: true", "policy.yaml: nav_usd must be a number, was True"),
        ("auction: {class_caps: {stocks: 1}}", "auction.class_caps.fx is required and missing"),
        ("[1]", "policy.yaml: the file must be a mapping of Policy's fields, was [1]"),
        ("cvar: 1\ncvar: 2", "policy.yaml: cvar must be given once, was given again in line 2"),
        (
            "loop: {snapshot_ttl_minutes: 5}",
            "snapshot_ttl_minutes must be >= snapshot_refresh_minutes (30), was 5",
        ),
        (
            "models: {strategies: [{strategy_id: a, model_id: 3, half_life_sessions: 4}]}",
            "policy.yaml: models.strategies[0].model_id must be a text, was 3",
        ),
    ],
)
def test_a_bad_value_is_one_sentence_naming_file_key_value_and_bound(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(InputError) as refused:
        _policy(tmp_path, text)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_key_is_refused_and_the_known_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"unknown key cvar\.portfolio_limt; known: .*, portfolio_l"
    ):
        _policy(tmp_path, "cvar: {portfolio_limt: 0.06}")


def test_one_decision_horizon_rules_regime_lifecycle_and_cvar(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"regime.horizon_sessions must equal cvar.horizon_days"):
        _policy(tmp_path, "cvar: {horizon_days: 10}")


def test_what_is_no_yaml_or_no_file_is_refused_as_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"policy.yaml is no valid YAML"):
        _policy(tmp_path, "cvar: {portfolio_limit: 0.06")
    with pytest.raises(InputError, match="cannot be read"):
        load_policy(tmp_path / "nowhere")


def test_a_number_written_like_1e_minus_8_is_a_number_and_not_a_text(tmp_path: Path) -> None:
    assert _policy(tmp_path, "auction: {tie_spacing: 1e-9}").auction.tie_spacing == 1e-9


def test_a_key_left_out_keeps_its_default(tmp_path: Path) -> None:
    policy = _policy(tmp_path, "cvar: {portfolio_limit: 0.05}")
    assert policy.cvar.portfolio_limit == 0.05
    assert dataclasses.replace(policy, cvar=Policy().cvar) == Policy()
    assert _policy(tmp_path, "") == Policy()


@given(st.floats(min_value=1e-6, max_value=1.0))
def test_every_limit_within_its_bounds_survives_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, limit: float
) -> None:
    folder = tmp_path_factory.mktemp("config")
    text = yaml.safe_dump({"cvar": {"portfolio_limit": limit}})
    assert _policy(folder, text).cvar.portfolio_limit == limit


def _names(value: object, prefix: str = "") -> set[str]:
    if not dataclasses.is_dataclass(value):
        return {prefix}
    return {
        name
        for field in dataclasses.fields(value)
        for name in _names(getattr(value, field.name), f"{prefix}.{field.name}".lstrip("."))
    }


def _keys(value: object, known: set[str], prefix: str = "") -> set[str]:
    if prefix in known or not isinstance(value, dict):
        return {prefix}
    return {
        name
        for key, item in value.items()
        for name in _keys(item, known, f"{prefix}.{key}".lstrip("."))
    }


def test_the_packaged_policy_names_every_field_and_states_its_default() -> None:
    known = _names(Policy())
    plain = yaml.safe_load((REPOSITORY_CONFIG / "policy.yaml").read_text(encoding="utf-8"))
    assert _keys(plain, known) == known
    assert load_policy(REPOSITORY_CONFIG) == Policy()


def test_the_loop_runs_sixty_cycles_of_one_second_by_default() -> None:
    loop = LoopPolicy()
    assert (loop.cycles, loop.period_seconds, loop.snapshot_ttl_minutes) == (600, 1.0, 60.0)


def _universe(folder: Path, text: str) -> Path:
    (folder / "universe.yaml").write_text(text, encoding="utf-8")
    return folder


def test_the_ticker_on_is_a_symbol_and_a_caret_makes_a_reference(tmp_path: Path) -> None:
    text = "symbols:\n- {symbol: ON, class: STOCKS, listed_on: 2000-05-01}\n- ^VIX\n"
    universe = load_universe(_universe(tmp_path, text))
    assert universe.tradable == ("ON",)
    assert universe.references == ("^VIX",)
    assert universe.of("ON").asset_class is AssetClass.STOCKS
    assert universe.of("ON").listed_on is not None


def test_a_series_of_class_macro_is_a_reference(tmp_path: Path) -> None:
    text = "symbols:\n- SPY\n- {symbol: DGS10, class: MACRO}\n"
    assert load_universe(_universe(tmp_path, text)).references == ("DGS10",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "symbols:\n- {symbol: A, class: BONDS}",
            r"symbols\[0\].asset_class must be one of STOCKS",
        ),
        ("symbols:\n- {symbol: A}\n- {symbol: A}", "must be distinct"),
        ("symbols:\n- {sector: IT}", r"symbols\[0\].symbol is required"),
        ("symbols:\n- {symbol: A, listed_on: 2000-05}", "must be a date like"),
        ("symbols: []", "must hold at least one symbol"),
        ("SPY", "symbols must be a list"),
        ("symbols: [A]\nfamily: B", "unknown key family"),
    ],
)
def test_what_is_no_universe_is_refused_by_name(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_universe(_universe(tmp_path, text))


def test_the_packaged_universe_holds_all_four_classes_and_the_references() -> None:
    universe = load_universe(REPOSITORY_CONFIG)
    assert {"^VIX", "^GSPC"} <= set(universe.references)
    assert "SPY" in universe.tradable


def test_the_folder_named_wins_over_the_environment_and_that_over_the_working_folder(
    tmp_path: Path,
) -> None:
    named, variable, here = (tmp_path / name for name in ("named", "variable", "here"))
    for folder in (named, variable, here / "config"):
        folder.mkdir(parents=True)
        (folder / "policy.yaml").touch()
    environment = {"INSTGOV_CONFIG": str(variable)}
    assert find_config_dir(named, environment=environment, working_dir=here) == named
    assert find_config_dir(None, environment=environment, working_dir=here) == variable
    assert find_config_dir(None, environment={}, working_dir=here) == here / "config"
    packaged = find_config_dir(None, environment={}, working_dir=tmp_path)
    assert (packaged / "universe.yaml").is_file()


def test_a_folder_that_was_named_and_holds_no_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--config must name a folder with policy\.yaml"):
        find_config_dir(tmp_path, environment={}, working_dir=tmp_path)
    environment = {"INSTGOV_CONFIG": str(tmp_path)}
    with pytest.raises(InputError, match="INSTGOV_CONFIG must name a folder"):
        find_config_dir(None, environment=environment, working_dir=tmp_path)


def test_the_hash_of_the_configuration_sees_numbers_and_not_how_they_are_written(
    tmp_path: Path,
) -> None:
    universe = load_universe(REPOSITORY_CONFIG)
    one = _policy(tmp_path, "sizing: {multipliers: {CL=F: 1000, GC=F: 100.0}}\nnav_usd: 1e6")
    same = _policy(tmp_path, "nav_usd: 1000000\nsizing:\n  multipliers: {GC=F: 100, CL=F: 1e3}")
    other = _policy(tmp_path, "sizing: {multipliers: {CL=F: 1000, GC=F: 101}}\nnav_usd: 1e6")
    assert config_sha256(one, universe) == config_sha256(same, universe)
    assert config_sha256(one, universe) != config_sha256(other, universe)
