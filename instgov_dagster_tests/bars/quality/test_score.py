"""The score is bounded, never rises with a defect, and does not depend on the order of rows."""

import json
import random
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.bars.quality import QUALITY_SCHEMA, score_bars
from instgov_dagster.bars.quality.flags import penalise
from instgov_dagster.bars.quality.verdicts import verdict_frame
from instgov_dagster.vocabulary.bars import AssetClass, Universe, UniverseSymbol
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.policy.bars import QualityPolicy, RulePenalty
from instgov_dagster_tests.bars.quality.frames import (
    ASOF,
    HISTORY,
    QUALITY,
    calm_bars,
    scaled,
    scaled_before,
    sessions,
    universe_of,
    verdict,
    with_value,
)

ROWS = 320
CALM = calm_bars(last=ROWS)
SPOIL: dict[str, Callable[[pl.DataFrame, int], pl.DataFrame]] = {
    "drop": lambda bars, place: bars.filter(pl.int_range(pl.len()) != place),
    "nan": lambda bars, place: with_value(bars, place, close=float("nan")),
    "zero": lambda bars, place: with_value(bars, place, low=0.0),
    "twice": lambda bars, place: pl.concat([bars, bars.slice(place, 1)]),
    "spike": lambda bars, place: scaled(bars, place, 1.5),
    "break": lambda bars, place: scaled_before(bars, place, 2.0),
    "ohlc": lambda bars, place: with_value(bars, place, high=bars["low"][place] * 0.9),
    "no volume": lambda bars, place: with_value(bars, place, volume=0.0),
}
DEFECTS = st.sampled_from(sorted(SPOIL))


def spoil(bars: pl.DataFrame, defect: str, place: int) -> pl.DataFrame:
    """Plant one defect at a row between the first and the last."""
    return SPOIL[defect](bars, 1 + place % (bars.height - 2))


@pytest.mark.roadmap("2.5")
@settings(max_examples=30)
@given(st.lists(st.tuples(DEFECTS, st.integers(0, 10_000)), max_size=40))
def test_the_score_stays_between_zero_and_one(planted: list[tuple[str, int]]) -> None:
    bars = CALM
    for defect, place in planted:
        bars = spoil(bars, defect, place)
    row = verdict(bars)
    assert 0.0 <= row["quality_score"] <= 1.0
    assert row["reason_codes"]
    assert (row["quality_score"] == 1.0) is not any(
        flag["penalty"] > 0 for flag in json.loads(row["flags"]).values()
    )


@pytest.mark.roadmap("2.5")
@settings(max_examples=30)
@given(DEFECTS, st.lists(st.integers(0, 10_000), min_size=1, max_size=25, unique=True))
def test_more_of_a_defect_never_raises_the_score(defect: str, places: list[int]) -> None:
    bars, scores = CALM, [1.0]
    for place in places:
        bars = spoil(bars, defect, place)
        scores.append(float(verdict(bars)["quality_score"]))
    # Two level breaks or spikes next to each other may cancel; one alone already costs it all.
    assert scores[1] <= 1.0
    if defect in {"spike", "break"}:
        assert max(scores[1:]) < 1.0
    else:
        assert scores == sorted(scores, reverse=True)


@settings(max_examples=20)
@given(st.randoms(use_true_random=False), st.lists(st.tuples(DEFECTS, st.integers()), max_size=8))
def test_the_order_of_rows_does_not_change_the_verdict(
    shuffle: random.Random, planted: list[tuple[str, int]]
) -> None:
    bars = CALM
    for defect, place in planted:
        bars = spoil(bars, defect, abs(place))
    contradicting = scaled(bars.slice(5, 3), 1, 1.7)
    bars = pl.concat([bars, contradicting])
    order = list(range(bars.height))
    shuffle.shuffle(order)
    assert verdict(bars[order]) == verdict(bars)


@settings(max_examples=15)
@given(st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=30))
def test_exact_duplicates_change_only_the_duplicate_flag(places: list[int]) -> None:
    plain = verdict(CALM)
    twice = verdict(pl.concat([CALM, CALM[places]]))
    flags = json.loads(twice["flags"])
    assert set(flags) == {"DUPLICATE_DATES"}
    assert flags["DUPLICATE_DATES"]["count"] == len(places)
    assert {k: twice[k] for k in ("rows", "first_bar", "last_bar")} == {
        k: plain[k] for k in ("rows", "first_bar", "last_bar")
    }


@pytest.mark.roadmap("2.5")
def test_the_score_is_one_minus_the_weighted_sum_of_its_flags() -> None:
    bars = calm_bars()
    gone = sessions()[600:620].tolist()
    bars = pl.concat([bars.filter(~pl.col("date").is_in(gone)), bars.head(4)])
    bars = with_value(bars, 50, volume=0.0)
    row = verdict(bars)
    dates = 1257 - 20
    by_hand = (
        1.0 - 0.45 * (20 / 1257) / 0.05 - 0.15 * (4 / dates) / 0.01 - 0.20 * (1 / dates) / 0.10
    )
    assert row["quality_score"] == pytest.approx(by_hand, abs=1e-11)
    assert row["quality_score"] == pytest.approx(
        1.0 - sum(flag["penalty"] for flag in json.loads(row["flags"]).values()), abs=1e-11
    )


@pytest.mark.roadmap("2.5")
def test_the_threshold_is_below_six_tenths_and_four_tenths_of_penalty_is_not_below() -> None:
    dates = sessions()
    bars = calm_bars().with_columns(
        volume=pl.when(pl.int_range(pl.len()) % 9 == 0).then(0.0).otherwise("volume"),
        high=pl.when(pl.int_range(pl.len()) % 40 == 0).then(pl.col("low") * 0.9).otherwise("high"),
    )
    row = verdict(bars)
    assert dates.size == 1257
    assert row["quality_score"] == 0.6
    assert row["status"] == "VALID"
    assert "QUALITY_DEGRADED" in row["reason_codes"]
    assert verdict(pl.concat([bars, bars.head(1)]))["status"] == "INVALID_DATA"


def test_a_penalty_is_capped_and_a_cap_of_zero_costs_all_at_once() -> None:
    rates = np.array([0.0, 0.01, 0.05, 0.5])
    capped = penalise(rates, RulePenalty(weight=0.45, cap=0.05))
    assert capped.tolist() == pytest.approx([0.0, 0.09, 0.45, 0.45])
    at_once = penalise(rates, RulePenalty(weight=0.45, cap=0.0))
    assert at_once.tolist() == [0.0, 0.45, 0.45, 0.45]


def test_under_63_rows_nothing_is_judged_but_flags_are_told() -> None:
    row = verdict(scaled(calm_bars(last=62), 30, 3.0))
    assert row["status"] == "INSUFFICIENT_HISTORY"
    assert "PRICE_SPIKE" in json.loads(row["flags"])
    assert verdict(scaled(calm_bars(last=63), 30, 3.0))["status"] == "INVALID_DATA"


def test_a_symbol_listed_inside_the_window_lacks_history_and_is_not_invalid() -> None:
    row = verdict(calm_bars(last=700))
    assert (row["status"], row["quality_score"]) == ("INSUFFICIENT_HISTORY", 1.0)


def test_a_symbol_known_before_the_window_is_not_young() -> None:
    scored = score_bars(
        calm_bars(last=700),
        universe=universe_of(AAA=AssetClass.STOCKS),
        asof=ASOF,
        policy=QUALITY,
        history=HISTORY,
        first_dates={"AAA": date(1999, 1, 4)},
    )
    assert scored["status"].to_list() == ["VALID"]


def test_a_declared_listing_outranks_the_first_bar_held() -> None:
    listed = UniverseSymbol(
        symbol="AAA", asset_class=AssetClass.STOCKS, listed_on=ASOF - timedelta(days=1000)
    )
    scored = score_bars(
        calm_bars(last=680),
        universe=Universe(symbols=(listed,)),
        asof=ASOF,
        policy=QUALITY,
        history=HISTORY,
        first_dates={"AAA": date(1999, 1, 4)},
    )
    assert scored["status"].to_list() == ["INSUFFICIENT_HISTORY"]


def test_a_symbol_without_a_bar_scores_zero_and_is_never_valid() -> None:
    scored = score_bars(
        calm_bars(),
        universe=universe_of(AAA=AssetClass.STOCKS, BBB=AssetClass.STOCKS),
        asof=ASOF,
        policy=QUALITY,
        history=HISTORY,
    )
    assert scored.schema == pl.Schema(QUALITY_SCHEMA)
    empty = scored.row(1, named=True)
    assert (empty["symbol"], empty["quality_score"], empty["rows"]) == ("BBB", 0.0, 0)
    assert empty["status"] == "INSUFFICIENT_HISTORY"
    assert (empty["first_bar"], empty["last_bar"]) == (None, None)


def test_no_bars_at_all_is_a_verdict_on_everybody() -> None:
    scored = score_bars(
        calm_bars().clear(),
        universe=universe_of(AAA=AssetClass.STOCKS, VIX=None),
        asof=ASOF,
        policy=QUALITY,
        history=HISTORY,
    )
    assert scored["quality_score"].to_list() == [0.0, 0.0]
    assert scored["status"].to_list() == ["INSUFFICIENT_HISTORY"] * 2


def test_an_empty_universe_has_no_verdicts() -> None:
    policy = QualityPolicy()
    scored = score_bars(
        calm_bars(), universe=Universe(symbols=()), asof=ASOF, policy=policy, history=HISTORY
    )
    assert scored.is_empty()


def test_a_reference_is_judged_by_its_own_status() -> None:
    universe = universe_of(**{"^VIX": None})
    good = calm_bars("^VIX", None).with_columns(volume=pl.lit(0.0))
    assert verdict(good, universe)["status"] == "REFERENCE"
    assert verdict(good, universe)["reason_codes"] == ["REFERENCE_NOT_BID"]
    assert verdict(good.head(1200), universe)["status"] == "STALE"
    assert verdict(with_value(good, 9, close=0.0), universe)["status"] == "INVALID_DATA"
    closes_only = good.with_columns(
        pl.lit(None, dtype=pl.Float64).alias(name) for name in ("open", "high", "low")
    )
    assert verdict(closes_only, universe)["status"] == "REFERENCE"


def test_the_score_of_one_symbol_does_not_depend_on_its_neighbours() -> None:
    mine, other = calm_bars(), scaled(calm_bars("BBB", last=100), 50, 9.0)
    universe = universe_of(AAA=AssetClass.STOCKS, BBB=AssetClass.STOCKS)
    assert verdict(pl.concat([other, mine]).filter(pl.col("symbol") == "AAA")) == verdict(mine)
    together = score_bars(
        pl.concat([other, mine]), universe=universe, asof=ASOF, policy=QUALITY, history=HISTORY
    )
    assert together.row(0, named=True) == verdict(mine)


def test_a_verdict_without_a_reason_cannot_be_framed() -> None:
    with pytest.raises(ValueError, match="at least one code"):
        verdict_frame([{"reason_codes": []}], {"reason_codes": pl.List(pl.String)})


def test_a_symbol_outside_the_universe_is_an_input_error_nowhere_but_left_out() -> None:
    scored = score_bars(
        pl.concat([calm_bars(), calm_bars("ZZZ")]),
        universe=universe_of(AAA=AssetClass.STOCKS),
        asof=ASOF,
        policy=QUALITY,
        history=HISTORY,
    )
    assert scored["symbol"].to_list() == ["AAA"]


def test_a_night_before_the_calendars_begin_is_refused() -> None:
    with pytest.raises(InputError, match="must be between 1990-01-01"):
        score_bars(
            calm_bars(),
            universe=universe_of(AAA=AssetClass.STOCKS),
            asof=date(1994, 1, 3),
            policy=QUALITY,
            history=HISTORY,
        )
