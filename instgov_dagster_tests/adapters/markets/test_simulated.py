"""The simulated market: one world a seed, true to the calendars, its defects all listed."""

from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.adapters.config import load_universe
from instgov_dagster.adapters.markets.simulated import SimulatedMarket
from instgov_dagster.adapters.markets.simulation.defects import DefectKind
from instgov_dagster.adapters.markets.simulation.parameters import WorldParameters
from instgov_dagster.adapters.markets.simulation.regimes import CRISIS, NORMAL, VOLATILE
from instgov_dagster.adapters.markets.simulation.tape import record_tape
from instgov_dagster.bars.adjusted import adjust_bars
from instgov_dagster.bars.calendars import expected_sessions
from instgov_dagster.bars.classify import class_of
from instgov_dagster.bars.history import cover_history, missing_history
from instgov_dagster.bars.ingestion import BAR_SCHEMA
from instgov_dagster.bars.quality.score import score_bars
from instgov_dagster.vocabulary.bars import AssetClass, Market, Universe, UniverseSymbol
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy, QualityPolicy

SEED = 8
START, END = date(2019, 1, 1), date(2026, 11, 22)
CONFIG = Path(__file__).resolve().parents[3] / "config"


@lru_cache(maxsize=1)
def universe() -> Universe:
    return load_universe(CONFIG)


@lru_cache(maxsize=2)
def market(seed: int = SEED) -> SimulatedMarket:
    return SimulatedMarket(universe(), seed=seed)


def names() -> list[str]:
    return [entry.symbol for entry in universe().symbols]


def history(start: date = START, end: date = END, seed: int = SEED) -> pl.DataFrame:
    return market(seed).fetch(names(), start, end, end).frame


def closes(symbol: str) -> pl.DataFrame:
    return history().filter(pl.col("symbol") == symbol)


def defects(kind: DefectKind, start: date = START, end: date = END) -> set[tuple[str, date]]:
    rows = market().defects(start, end).filter(pl.col("defect") == kind.value)
    return set(rows.select("symbol", "date").iter_rows())


def test_the_default_universe_holds_all_four_classes_and_both_references() -> None:
    classes = [class_of(universe().of(symbol)) for symbol in universe().tradable]
    assert len(classes) == 36
    assert {kind: classes.count(kind) for kind in AssetClass} == {
        AssetClass.STOCKS: 24,
        AssetClass.FX: 4,
        AssetClass.CRYPTO: 4,
        AssetClass.COMMODITIES: 4,
    }
    assert universe().references == ("^GSPC", "^VIX")
    assert "SPY" in universe().tradable


def test_one_seed_is_one_world_and_another_seed_another() -> None:
    again = SimulatedMarket(universe(), seed=SEED).fetch(names(), START, END, END)
    assert again.frame.equals(history())
    other = history(seed=SEED + 1)
    both = history().join(other, on=["symbol", "date"])
    assert (both["close"] == both["close_right"]).mean() < 0.01


def test_bars_have_the_columns_of_bars_and_say_they_are_simulated() -> None:
    frame = history()
    assert dict(frame.schema) == {name: kind() for name, kind in BAR_SCHEMA.items()}
    assert frame["provider"].unique().to_list() == ["simulated"]
    assert frame["source"].unique().to_list() == [f"simulated:{SEED}"]
    assert market().name is Market.SIMULATED


@settings(max_examples=30, deadline=None)
@given(st.dates(date(2004, 12, 31), date(2027, 6, 1)), st.integers(1, 500), st.integers(100, 1825))
def test_a_later_night_changes_no_bar_of_an_earlier_one(asof: date, days: int, window: int) -> None:
    later = asof + timedelta(days=days)
    start = asof - timedelta(days=window)
    known = history(start, asof)
    assert known.equals(history(start, later).filter(pl.col("date") < asof))
    assert known["date"].max() < asof


def test_a_world_that_ends_sooner_has_the_same_bars_up_to_its_end() -> None:
    sooner = WorldParameters(horizon=date(2026, 11, 23))
    short = SimulatedMarket(universe(), seed=SEED, parameters=sooner)
    assert short.fetch(names(), START, END, END).frame.equals(history())
    assert short.defects(START, END).equals(market().defects(START, END))


def test_no_bar_of_the_night_itself_or_later_is_delivered_even_when_asked_for() -> None:
    asof = date(2024, 12, 6)
    frame = market().fetch(names(), START, date(2025, 12, 6), asof).frame
    assert frame["date"].max() == date(2024, 12, 5)
    own = market().day_bars(names(), asof)
    assert own["date"].unique().to_list() == [asof]
    assert set(own["symbol"]) == set(names())


def test_a_symbol_more_moves_no_other_symbols_bars() -> None:
    few = Universe(symbols=tuple(universe().of(name) for name in ("SPY", "BTC-USD", "CL=F")))
    alone = SimulatedMarket(few, seed=SEED).fetch(["SPY", "BTC-USD", "CL=F"], START, END, END)
    assert alone.frame.equals(history().filter(pl.col("symbol").is_in(list(alone.payloads))))


@pytest.mark.parametrize("symbol", ["AAPL", "EURUSD=X", "BTC-USD", "CL=F", "^VIX", "GBPUSD=X"])
def test_rows_stand_on_the_sessions_of_the_class_and_on_listed_sundays(symbol: str) -> None:
    sessions = expected_sessions(class_of(universe().of(symbol)), START, END)
    expected = set(sessions.astype(object).tolist())
    sundays = {day for name, day in defects(DefectKind.OFF_SESSION) if name == symbol}
    assert set(closes(symbol)["date"]) == expected | sundays
    assert (symbol == "GBPUSD=X") == bool(sundays)


def test_every_duplicate_hole_and_session_without_volume_is_listed_and_nothing_else() -> None:
    frame = history()
    twice = frame.filter(frame.select("symbol", "date").is_duplicated())
    assert set(twice.select("symbol", "date").iter_rows()) == defects(DefectKind.DUPLICATE)
    reports = pl.col("asset_class").is_in(["STOCKS", "CRYPTO", "COMMODITIES"])
    still = frame.filter(reports, pl.col("volume") == 0)
    assert set(still.select("symbol", "date").iter_rows()) == defects(DefectKind.ZERO_VOLUME)
    listed = universe().of("ARM").listed_on
    assert listed is not None
    sessions = expected_sessions(AssetClass.STOCKS, listed, END).astype(object).tolist()
    holes = {("ARM", day) for day in sessions} - set(
        frame.filter(pl.col("symbol") == "ARM").select("symbol", "date").iter_rows()
    )
    assert holes == defects(DefectKind.HOLE)
    assert holes
    assert len(holes) < 0.01 * len(sessions)


def test_prices_are_positive_and_inside_their_bars_but_for_the_negative_one_planted() -> None:
    frame = history()
    low = pl.min_horizontal("open", "high", "low", "close")
    high = pl.max_horizontal("open", "high", "low", "close")
    assert frame.filter(pl.col("low") != low).is_empty()
    assert frame.filter(pl.col("high") != high).is_empty()
    negative = frame.filter(pl.col("low") <= 0)
    found = set(negative.select("symbol", "date").iter_rows())
    assert found == {("CL=F", date(2020, 4, 20))} == defects(DefectKind.NEGATIVE_PRICE)


def test_total_return_is_the_price_with_its_dividends() -> None:
    frame = closes("KO")
    moves = frame.select(
        total=(pl.col("close") + pl.col("dividend")) / pl.col("close").shift(),
        adjusted=pl.col("adj_close") / pl.col("adj_close").shift(),
    ).drop_nulls()
    np.testing.assert_allclose(moves["total"], moves["adjusted"], rtol=1e-7)
    paid = frame.filter(pl.col("dividend") > 0)
    assert 29 <= paid.height <= 33  # four a year for almost eight years
    yearly = paid["dividend"].sum() / frame["close"].mean() / 7.9
    assert yearly == pytest.approx(0.029, rel=0.15)


def test_an_adjusted_split_is_recorded_without_a_jump_and_an_unadjusted_one_with_it() -> None:
    for symbol, day, ratio, jump in (
        ("AAPL", date(2020, 8, 31), 4.0, 1.0),
        ("NVDA", date(2024, 6, 10), 10.0, 1.0),
        ("ARM", date(2025, 3, 17), 2.0, 2.0),
    ):
        frame = closes(symbol).with_columns(before=pl.col("close").shift())
        row = frame.filter(pl.col("date") == day).row(0, named=True)
        assert row["split"] == ratio
        assert row["before"] / row["close"] == pytest.approx(jump, rel=0.2)
        assert frame.filter(pl.col("split") > 0).height == 1


def test_fx_closes_are_a_day_late_and_the_next_open_repairs_them() -> None:
    for symbol in ("EURUSD=X", "AUDUSD=X"):
        frame = closes(symbol)
        width = frame["high"] - frame["low"]
        late = ((frame["close"] - frame["open"]).abs() / width).median()
        cured = ((frame["open"].shift(-1) - frame["open"]).abs() / width).median()
        assert late < 0.02
        assert cured > 0.3
    assert {name for name, _ in defects(DefectKind.FX_CLOSE_LATE, date(1999, 1, 1))} == {
        name for name in names() if name.endswith("=X")
    }


def test_the_volatility_index_follows_the_regime_and_the_fund_follows_the_index() -> None:
    tape = record_tape(SEED, WorldParameters())
    vix = market().fetch(["^VIX"], date(2000, 1, 3), END, END).frame
    places = (vix["date"] - date(1999, 6, 1)).dt.total_days().to_numpy()
    regimes = tape.regimes[places]
    for regime, level in ((NORMAL, 14.0), (VOLATILE, 22.0), (CRISIS, 38.0)):
        median = float(np.median(vix["close"].to_numpy()[regimes == regime]))
        assert median == pytest.approx(level, rel=0.12)
    moves = closes("SPY").select("date", spy=pl.col("adj_close").pct_change())
    index = closes("^GSPC").select("date", gspc=pl.col("close").pct_change())
    both = moves.join(index, on="date").drop_nulls()
    assert both.select(pl.corr("spy", "gspc")).item() > 0.999


def test_a_crisis_is_in_the_past_of_every_seed_and_correlates_everything() -> None:
    for seed in (SEED, 1, 2):
        regimes = record_tape(seed, WorldParameters()).regimes
        share = (regimes == CRISIS).mean()
        assert 0.01 < share < 0.10
        day = (date(2023, 10, 20) - date(1999, 6, 1)).days
        assert regimes[day] == CRISIS
    stocks = [s for s in universe().tradable if class_of(universe().of(s)) is AssetClass.STOCKS]
    wanted = [s for s in stocks if s not in {"ARM", "GE", "TLT", "SPY", "QQQ"}]
    frame = market().fetch(wanted, date(2000, 1, 3), END, END).frame.unique(["symbol", "date"])
    wide = frame.pivot(on="symbol", index="date", values="adj_close").sort("date")
    moves = np.diff(np.log(wide.drop("date").to_numpy()), axis=0)
    days = (wide["date"][1:] - date(1999, 6, 1)).dt.total_days().to_numpy()
    regimes = record_tape(SEED, WorldParameters()).regimes[days]

    def mean_correlation(regime: int) -> float:
        matrix = np.corrcoef(moves[regimes == regime].T)
        return float((matrix.sum() - len(matrix)) / (len(matrix) * (len(matrix) - 1)))

    assert mean_correlation(CRISIS) > mean_correlation(NORMAL) + 0.15


@pytest.mark.roadmap("2.5")
@pytest.mark.parametrize("seed", [SEED, 3])
def test_the_history_gate_never_fails_and_exactly_the_planted_symbols_are_refused(
    seed: int,
) -> None:
    policy, quality_policy = HistoryPolicy(), QualityPolicy()
    spread = [END - timedelta(days=37 * k) for k in range(11)]
    for asof in (*spread, date(2005, 1, 3), date(2009, 1, 1), date(2020, 4, 21)):
        start = asof - timedelta(days=policy.window_days)
        fetched = market(seed).fetch(names(), start, asof, asof)
        quality = score_bars(
            fetched.frame,
            universe=universe(),
            asof=asof,
            policy=quality_policy,
            history=policy,
            first_dates=fetched.first_dates,
        )
        prices = adjust_bars(
            fetched.frame, universe=universe(), asof=asof, policy=quality_policy, history=policy
        )
        coverage = cover_history(
            prices,
            quality,
            universe=universe(),
            asof=asof,
            history=policy,
            first_dates=fetched.first_dates,
        )
        status = dict(quality.select("symbol", "status").iter_rows())
        assert missing_history(coverage) == (), asof
        assert {s for s in status if status[s] == "INVALID_DATA"} == {"GE"}, asof
        assert {s for s in status if status[s] == "INSUFFICIENT_HISTORY"} == {"ARM"}, asof
        assert {s for s in status if status[s] == "REFERENCE"} == {"^GSPC", "^VIX"}, asof
        assert "STALE" not in status.values(), asof


def test_any_symbol_of_any_class_can_be_simulated() -> None:
    strange = Universe(
        symbols=(
            UniverseSymbol(symbol="ZZZ", sector="SHIPPING"),
            UniverseSymbol(symbol="SEKUSD=X"),
            UniverseSymbol(symbol="DOGE-USD"),
            UniverseSymbol(symbol="KC=F"),
            UniverseSymbol(symbol="^TNX", is_reference=True),
        )
    )
    frame = (
        SimulatedMarket(strange, seed=3)
        .fetch([entry.symbol for entry in strange.symbols], START, END, END)
        .frame
    )
    assert frame["symbol"].n_unique() == 5
    assert frame.select(pl.col("low").min()).item() > 0
    assert set(frame["asset_class"]) == {"STOCKS", "FX", "CRYPTO", "COMMODITIES", "REFERENCE"}


def test_what_is_not_simulated_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="must be asked within"):
        market().fetch(["SPY"], date(1990, 1, 1), END, END)
    with pytest.raises(InputError, match="seed must be a whole number >= 0"):
        SimulatedMarket(universe(), seed=-1)
    stranger = Universe(symbols=(UniverseSymbol(symbol="NOBODY"),))
    with pytest.raises(InputError, match="NOBODY"):
        market().universe(stranger)
    assert market().universe(universe()) is universe()
    assert market().fetch(["NOBODY"], START, END, END).frame.is_empty()
