"""A name that steps out of its folder is no symbol, at whichever door it comes in."""

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from instgov_dagster.adapters.config import load_universe
from instgov_dagster.adapters.markets.live.asking import Asker, NoAnswerError
from instgov_dagster.adapters.markets.live.history import HistoryProvider, Wanted
from instgov_dagster.adapters.markets.live.providers.binance import BinanceHistory
from instgov_dagster.adapters.markets.live.providers.fred import FredHistory
from instgov_dagster.adapters.markets.live.providers.polygon import PolygonHistory
from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.adapters.store.archive import archive_path
from instgov_dagster.cli.app import app
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.errors import InputError, InstgovError
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy
from instgov_dagster_tests.adapters.store.stores import ASOF, NIGHT
from instgov_dagster_tests.adapters.wire.bars import days_from
from instgov_dagster_tests.cli.processes import bars_frame
from instgov_dagster_tests.loop.homes import write_config

#: A step up, a step aside, a device, an absolute path, another system's path, an end of a string.
NAMES = ("../../x", "a/b", "NUL", "/etc/passwd", "..\\x", "A\0", "..", "a\nb")


@pytest.mark.parametrize("name", NAMES)
def test_a_universe_file_names_no_path(name: str, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config")
    with (config / "universe.yaml").open("a", encoding="utf-8") as universe:
        universe.write(f"  - {{symbol: {json.dumps(name)}, asset_class: STOCKS}}\n")
    with pytest.raises(InputError, match="symbol must be"):
        load_universe(config)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_bars_names_no_path(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "bars"
    folder.mkdir()
    bars_frame(symbol=[name]).write_parquet(folder / "bars.parquet")
    for words in (
        ["quality", "--bars", str(folder)],
        ["run", "--bars", str(folder), "--home", str(tmp_path / "data"), "--asof", "2024-01-03"],
    ):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 2, result.output
        assert "symbol" in result.output
    assert {path.name for path in tmp_path.iterdir()} == {"bars"}


@given(
    symbol=st.text(min_size=1) | st.sampled_from(NAMES),
    run=st.text(min_size=1) | st.sampled_from(NAMES),
)
def test_a_payload_is_archived_in_the_folder_of_its_run_whatever_it_is_called(
    symbol: str, run: str
) -> None:
    raw = Path("raw").resolve()
    try:
        path = archive_path(raw, run, symbol, "yahoo")
    except ValueError:
        return
    assert path.parent.parent == raw
    assert path.resolve().is_relative_to(raw)
    assert "\0" not in str(path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("provider", ["polygon", "fred", "binance"])
def test_a_provider_is_asked_for_one_name_in_its_own_place(provider: str, name: str) -> None:
    asked: list[str] = []

    def get(url: str, *_: object) -> object:
        asked.append(url)
        raise NoAnswerError("seen")

    asker = Asker(ProviderPolicy(), clock=VirtualClock(NIGHT))
    clients: dict[str, HistoryProvider] = {
        "polygon": PolygonHistory(asker, get, key="k", max_pages=1),  # type: ignore[arg-type]  # it never answers
        "fred": FredHistory(asker, get, key="k"),  # type: ignore[arg-type]  # it never answers
        "binance": BinanceHistory(asker, get, max_pages=1),  # type: ignore[arg-type]  # it never answers
    }
    wanted = Wanted(
        symbol=name, asset_class=AssetClass.CRYPTO, start=days_from(ASOF, 1)[0], end=ASOF
    )
    plain = Wanted(symbol="BTC-USD", asset_class=AssetClass.CRYPTO, start=wanted.start, end=ASOF)
    for one in (plain, wanted):
        with pytest.raises((InstgovError, NoAnswerError, ValueError)):
            clients[provider].fetch(one)
    usual, *others = (urlsplit(url).path.count("/") for url in asked)
    assert set(others) <= {usual}
    assert not any("/../" in unquote(urlsplit(url).path) and "%2F" not in url for url in asked[1:])
