"""A whole night of the live market over the wire: archived as sent, judged, routed, no key kept."""

import gzip
import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from instgov_dagster.adapters.config import load_universe
from instgov_dagster.adapters.markets.simulated import SimulatedMarket
from instgov_dagster.loop.platform import Platform, Settings, open_platform
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import DataRejected, InputError, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.wire.bars import rows_by_symbol, yahoo_routes
from instgov_dagster_tests.adapters.wire.server import Wire
from instgov_dagster_tests.adapters.wire.world import KEYS, TickingClock
from instgov_dagster_tests.loop.homes import run_night, write_config

ASOF = date(2025, 3, 12)
KNOWN = datetime(2025, 3, 12, 6, 1, tzinfo=UTC)
CHART = "GET /v8/finance/chart/"


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """Serve the bars of a simulated world as Yahoo would."""
    universe = load_universe(write_config(tmp_path_factory.mktemp("rules") / "config"))
    names = [entry.symbol for entry in universe.symbols]
    market = SimulatedMarket(universe, seed=7)
    frame = market.fetch(names, ASOF - timedelta(days=4000), ASOF, ASOF).frame
    with Wire(yahoo_routes(rows_by_symbol(frame))) as made:
        yield made


def _open(folder: Path, environment: Mapping[str, str], *, now: datetime = KNOWN) -> Platform:
    write_config(folder / "config")
    settings = Settings(home=folder / "data", market=Market.LIVE, config_dir=folder / "config")
    return open_platform(settings, {**os.environ, **environment}, clock=TickingClock(now))


def _read(platform: Platform, table: str) -> pl.DataFrame:
    with platform.warehouse.reader() as con:
        return con.sql(f'SELECT * FROM "{table}"').pl()  # noqa: S608  # named by the test


@pytest.fixture(scope="module")
def night(wire: Wire, tmp_path_factory: pytest.TempPathFactory) -> tuple[Platform, list[str]]:
    """Run one whole night over the wire; give the home and what was asked for."""
    wire.reset()
    folder = tmp_path_factory.mktemp("live")
    platform = _open(folder, {**KEYS, "INSTGOV_YAHOO_URL": wire.url})
    run_night(platform)
    return platform, [asked.key for asked in wire.journal]


@pytest.mark.roadmap("1.4")
def test_a_night_over_the_wire_ends_with_a_published_snapshot(
    night: tuple[Platform, list[str]],
) -> None:
    platform, asked = night
    governed = {row["symbol"]: row for row in _read(platform, "data_governance").to_dicts()}
    eligible = {name for name, row in governed.items() if row["is_eligible"]}
    assert eligible == {"AAPL", "JPM", "KO", "SPY", "TLT", "XOM", "BTC-USD"}
    for name in ("EURUSD=X", "GC=F"):
        assert ReasonCode.SIM_ONLY.value in governed[name]["reason_codes"]
    assert {row["provider"] for row in governed.values()} == {"yahoo"}
    assert {row["provider_confidence"] for row in governed.values()} == {1.0}
    answers = _read(platform, "provider_answers")
    assert answers["reason_code"].unique().to_list() == ["PROVIDER_SELECTED"]
    # One chart a symbol for the window, one for the years before it, and not one more.
    assert sum(key.startswith(CHART) for key in asked) == 2 * len(governed)
    assert sum("getcrumb" in key for key in asked) == 1


@pytest.mark.roadmap("2.6")
def test_what_was_sent_is_archived_byte_by_byte_and_names_every_bar(
    night: tuple[Platform, list[str]],
) -> None:
    platform, _ = night
    archived = sorted((platform.home.raw / "night-1").glob("SPY_yahoo*.json.gz"))
    assert [path.name for path in archived] == ["SPY_yahoo-stress.json.gz", "SPY_yahoo.json.gz"]
    bodies = [gzip.decompress(path.read_bytes()) for path in archived]
    assert bodies[1].startswith(b'{"chart": {"result": [{"meta": {"symbol": "SPY"')
    bars = _read(platform, "bar_versions").filter(pl.col("symbol") == "SPY")
    digests = {hashlib.sha256(body).hexdigest() for body in bodies}
    assert set(bars["source_sha256"]) == digests


@pytest.fixture(scope="module")
def halted(wire: Wire, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """Run a night in which one provider answers with our own keys and refuses twice."""
    wire.reset()
    echo = "".join(KEYS.values()).encode()
    wire.fail(f"{CHART}KO", status=200, body=b'{"chart":{"error":"%s"}}' % echo)
    wire.fail(f"{CHART}XOM", status=404, body=echo)
    folder = tmp_path_factory.mktemp("halted")
    platform = _open(folder, {**KEYS, "INSTGOV_YAHOO_URL": wire.url})
    with pytest.raises(SystemHalt):
        run_night(platform)
    return platform


def test_no_key_is_in_any_file_of_the_home_after_a_night_with_faults(halted: Platform) -> None:
    secrets = [value.encode() for value in KEYS.values() if len(value) > 1]
    files = [path for path in halted.home.root.rglob("*") if path.is_file()]
    assert any(path.name == "KO_yahoo.json.gz" for path in files)
    for path in files:
        body = path.read_bytes()
        plain = gzip.decompress(body) if path.suffix == ".gz" else body
        assert not [s for s in secrets if s in plain], path


@pytest.mark.roadmap("0.2")
def test_symbols_the_provider_refuses_halt_by_name_and_cost_confidence(halted: Platform) -> None:
    (cause,) = halted.state_log().refresh().causes
    assert (cause.reason_code, cause.symbols) == (ReasonCode.HISTORY_MISSING, ("KO", "XOM"))
    answers = _read(halted, "provider_answers").filter(pl.col("symbol").is_in(["KO", "XOM"]))
    told = answers.sort("symbol").select("reason_code", "status", "requests", "rows").rows()
    assert told == [("PROVIDER_MALFORMED", 200, 1, 0), ("PROVIDER_NOT_FOUND", 404, 1, 0)]


@pytest.mark.roadmap("1.5")
def test_without_keys_the_market_does_not_open_and_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        _open(tmp_path, {})
    told = str(refused.value)
    for word in (
        "history_batch", "reference", "live_quote", "execution", "INSTGOV_YAHOO_PERSONAL_USE",
        "ALPACA_API_KEY_ID", "ALPACA_API_SECRET_KEY",
    ):  # fmt: skip
        assert word in told
    assert not (tmp_path / "data").exists()


def test_an_address_that_may_not_be_sent_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="INSTGOV_YAHOO_URL must be an https address"):
        _open(tmp_path, {**KEYS, "INSTGOV_YAHOO_URL": "http://elsewhere.example"})
    assert not (tmp_path / "data").exists()


@pytest.mark.roadmap("2.1")
def test_the_live_market_is_not_ingested_while_it_trades(wire: Wire, tmp_path: Path) -> None:
    wire.reset()
    noon = datetime(2025, 3, 12, 17, tzinfo=UTC)
    platform = _open(tmp_path, {**KEYS, "INSTGOV_YAHOO_URL": wire.url}, now=noon)
    with pytest.raises(DataRejected) as refused:
        run_night(platform)
    assert refused.value.reason_code is ReasonCode.INGESTION_WINDOW_CLOSED
    assert wire.journal == []
