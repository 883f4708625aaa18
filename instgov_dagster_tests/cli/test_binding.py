import json
from dataclasses import replace
from pathlib import Path

import pytest

from instgov_dagster.adapters.markets.binding import bind_market, binding_path, require_market
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.loop.platform import open_platform
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster_tests.cli.processes import (
    bars_frame,
    files_of,
    instgov,
    run_words,
)
from instgov_dagster_tests.loop.homes import settings_of, write_config


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--seed", "8"], "was opened for simulated (seed 8)"),
        (["--bars", "BARS"], "was opened for files"),
    ],
)
def test_a_home_is_of_one_market_and_is_not_opened_for_another(
    ran: Path, tmp_path: Path, words: list[str], line: str
) -> None:
    bars_frame().write_parquet(tmp_path / "bars.parquet")
    home = ran / "data"
    assert json.loads((home / "market.json").read_text()) == {"market": "simulated", "seed": 7}
    before = files_of(home)
    chosen = [str(tmp_path) if word == "BARS" else word for word in words]
    done = instgov(*run_words(ran), *chosen)
    assert done.returncode == 2
    assert f"{home} belongs to the market simulated (seed 7), {line}" in done.stderr
    assert done.stderr.endswith("give another home with --home\n")
    assert files_of(home) == before


def test_a_home_made_before_it_was_bound_is_bound_when_it_is_next_opened(tmp_path: Path) -> None:
    write_config(tmp_path / "config")
    home = Home(tmp_path / "data")
    open_platform(settings_of(home.root), {})
    binding_path(home).unlink()
    open_platform(replace(settings_of(home.root), seed=9), {})
    assert json.loads(binding_path(home).read_text()) == {"market": "simulated", "seed": 9}
    with pytest.raises(InputError, match=r"simulated \(seed 9\)"):
        open_platform(settings_of(home.root), {})


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_a_binding_that_cannot_be_read_refuses_every_market(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    binding_path(home).write_text(text)
    with pytest.raises(InputError, match=r"market\.json must name a market"):
        require_market(home, Market.SIMULATED, seed=7)


def test_the_folder_of_the_market_files_may_move(tmp_path: Path) -> None:
    home = Home(tmp_path)
    bind_market(home, Market.FILES, seed=7)
    assert json.loads(binding_path(home).read_text()) == {"market": "files"}
    require_market(home, Market.FILES, seed=8)
