from datetime import date
from pathlib import Path

import pytest

from instgov_dagster.adapters.markets.binding import bind_market
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.cli.options import choose_home
from instgov_dagster.vocabulary.bars import Market

DAY = date(2025, 3, 12)


def test_a_named_home_is_always_the_one_that_was_named(tmp_path: Path) -> None:
    bind_market(Home(tmp_path), Market.SIMULATED, seed=7)
    assert choose_home(tmp_path, market=Market.FILES, seed=7, day=DAY) == tmp_path


@pytest.mark.parametrize(
    ("market", "seed", "below"),
    [
        (Market.SIMULATED, 7, ""),
        (Market.SIMULATED, 8, "replays/simulated-seed8-2025-03-12"),
        (Market.FILES, 7, "replays/files-2025-03-12"),
    ],
)
def test_another_market_than_the_default_home_s_gets_a_home_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, market: Market, seed: int, below: str
) -> None:
    monkeypatch.setenv("INSTGOV_HOME", str(tmp_path))
    bind_market(Home(tmp_path), Market.SIMULATED, seed=7)
    assert choose_home(None, market=market, seed=seed, day=DAY) == tmp_path / below
