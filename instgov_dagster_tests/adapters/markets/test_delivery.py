from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from instgov_dagster.adapters.config import load_universe
from instgov_dagster.adapters.markets.delivery import fetch_earlier, stage_delivery
from instgov_dagster.adapters.markets.protocol import Fetched
from instgov_dagster.adapters.markets.simulated import SimulatedMarket
from instgov_dagster.bars.calendars import CALENDAR_START, history_window, stress_window
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy

pytestmark = pytest.mark.roadmap("2.1", "2.6", "5.2")
CONFIG = Path(__file__).resolve().parents[3] / "config"
POLICY = HistoryPolicy()
ASOF = date(2024, 12, 6)
BEGIN, START = stress_window(ASOF, POLICY)


class Asked:
    """A market that remembers what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], date, date, date]] = []

    def fetch(
        self, symbols: Sequence[str], start: date, end_exclusive: date, asof: date
    ) -> Fetched:
        self.calls.append((list(symbols), start, end_exclusive, asof))
        return delivery({})


def delivery(firsts: Mapping[str, date]) -> Fetched:
    return Fetched(
        frame=pl.DataFrame(), payloads={}, sha256={}, provider="files", first_dates=firsts
    )


def ask(firsts: Mapping[str, date], held: Mapping[str, date]) -> Asked:
    market: Any = Asked()
    found = fetch_earlier(market, delivery(firsts), held, asof=ASOF, policy=POLICY)
    assert (found is not None) is bool(market.calls)
    asked: Asked = market
    return asked


def test_the_span_of_the_stress_set_ends_where_the_window_begins() -> None:
    assert history_window(ASOF, POLICY)[0] == START
    assert timedelta(days=5000) == ASOF - BEGIN
    assert stress_window(date(1995, 1, 1), POLICY) == (CALENDAR_START, date(1990, 1, 2))
    short = HistoryPolicy(window_days=1825, stress_window_days=30)
    assert stress_window(ASOF, short) == (START, START)


def test_what_the_market_holds_before_the_window_is_asked_for_on_the_first_night() -> None:
    old, older = date(2018, 1, 1), date(2000, 1, 1)
    market = ask({"AAA": old, "BBB": date(2016, 5, 2), "NEW": date(2023, 1, 3)}, {})
    assert market.calls == [(["AAA", "BBB"], date(2016, 5, 2), START, ASOF)]
    assert ask({"AAA": older}, {}).calls == [(["AAA"], BEGIN, START, ASOF)]


def test_what_the_store_holds_already_is_not_asked_for_again() -> None:
    first = date(2018, 1, 1)
    assert ask({"AAA": first}, {"AAA": first}).calls == []
    assert ask({"AAA": first}, {"AAA": first + timedelta(days=14)}).calls == []
    assert ask({"AAA": first}, {"AAA": first + timedelta(days=15)}).calls != []
    assert ask({"AAA": date(2000, 1, 1)}, {"AAA": BEGIN + timedelta(days=3)}).calls == []


def test_a_new_symbol_is_asked_for_alone() -> None:
    first = date(2018, 1, 1)
    market = ask({"AAA": first, "BBB": first}, {"AAA": first})
    assert [call[0] for call in market.calls] == [["BBB"]]


def test_a_symbol_the_market_began_with_days_before_the_window_is_left_alone() -> None:
    assert ask({"AAA": START - timedelta(days=14)}, {}).calls == []
    assert ask({"AAA": START - timedelta(days=15)}, {}).calls != []
    assert ask({}, {}).calls == []


def test_two_fetches_of_one_run_are_archived_under_two_names(tmp_path: Path) -> None:
    universe = load_universe(CONFIG)
    market = SimulatedMarket(universe, seed=7)
    whole = market.fetch(["KO"], START, ASOF, ASOF)
    earlier = fetch_earlier(market, whole, {}, asof=ASOF, policy=POLICY)
    assert earlier is not None
    staged = [
        stage_delivery(found, raw_dir=tmp_path, run_id="r", policy=POLICY, purpose=purpose)
        for found, purpose in ((whole, ""), (earlier, "stress"))
    ]
    names = sorted(path.name for path in (tmp_path / "r").iterdir())
    assert names == ["KO_simulated-stress.json.gz", "KO_simulated.json.gz"]
    window, before = (part.frame for part in staged)
    assert before["date"].max() < START <= window["date"].min()
    for part in staged:
        assert part.frame["source_sha256"].unique().to_list() == [part.sha256["KO"]]
        assert part.frame.schema["known_at"] == pl.Datetime("us", "UTC")
        assert (part.frame["known_at"].dt.date() >= part.frame["date"]).all()


def test_a_delivery_without_rows_is_staged_without_rows(tmp_path: Path) -> None:
    universe = load_universe(CONFIG)
    nothing = SimulatedMarket(universe, seed=7).fetch(["NOBODY"], START, ASOF, ASOF)
    staged = stage_delivery(nothing, raw_dir=tmp_path, run_id="r", policy=POLICY)
    assert staged.frame.is_empty()
    assert "source_sha256" in staged.frame.columns
    assert list(staged.sha256) == ["NOBODY"]
