"""Volume rules and the day-late FX closes, by hand and against a plain loop."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from instgov_dagster.bars.adjusted import report_fx_closes
from instgov_dagster.bars.quality.rows import PRICES, gather_rows, usable_series
from instgov_dagster.bars.quality.volume import find_volume_spikes, row_medians
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster_tests.bars.quality.frames import (
    ASOF,
    HISTORY,
    QUALITY,
    calm_bars,
    universe_of,
    verdict,
    with_value,
)

N = 1257


def flags_of(row: dict[str, Any]) -> dict[str, Any]:
    """Read the flags of a verdict."""
    return dict(json.loads(row["flags"]))


@pytest.mark.roadmap("2.4")
@pytest.mark.parametrize("value", [0.0, None, float("nan"), -1.0])
def test_a_session_without_volume_is_counted_in_stocks(value: float | None) -> None:
    flag = flags_of(verdict(with_value(calm_bars(), 100, volume=value)))["ZERO_VOLUME"]
    assert flag["count"] == 1
    assert flag["penalty"] == pytest.approx(0.20 * (1 / N) / 0.10)


@pytest.mark.parametrize(
    ("symbol", "kind"), [("EURUSD=X", AssetClass.FX), ("CL=F", AssetClass.COMMODITIES)]
)
def test_zero_volume_is_no_defect_where_the_class_does_not_report_it(
    symbol: str, kind: AssetClass
) -> None:
    bars = calm_bars(symbol, kind).with_columns(volume=pl.lit(None, dtype=pl.Float64))
    row = verdict(bars, universe_of(**{symbol: kind}))
    assert row["quality_score"] == 1.0
    assert ("VOLUME_NOT_APPLICABLE" in row["reason_codes"]) is (kind is AssetClass.FX)


@pytest.mark.roadmap("2.4")
def test_six_robust_deviations_of_log_volume_is_a_spike_and_four_is_not() -> None:
    # Uniform log volume on [-0.3, 0.3]: MAD 0.15, sigma 0.2224, six of them 1.334 = factor 3.80.
    bars = calm_bars()
    base = 1e6
    told = flags_of(verdict(with_value(bars, 900, volume=base * 4.6)))
    assert told["VOLUME_SPIKE"]["count"] == 1
    assert told["VOLUME_SPIKE"]["penalty"] == pytest.approx(0.10 * (1 / N) / 0.02)
    assert flags_of(verdict(with_value(bars, 900, volume=base * 3.0))) == {}
    assert flags_of(verdict(with_value(bars, 900, volume=base / 50))) == {}


def test_nothing_is_judged_before_252_sessions_of_volume() -> None:
    assert flags_of(verdict(with_value(calm_bars(), 251, volume=1e9))) == {}
    assert "VOLUME_SPIKE" in flags_of(verdict(with_value(calm_bars(), 252, volume=1e9)))


def test_a_volume_that_never_varied_measures_no_deviation() -> None:
    bars = with_value(calm_bars().with_columns(volume=pl.lit(1e6)), 900, volume=1e9)
    assert flags_of(verdict(bars)) == {}


def test_the_blocked_rule_is_the_plain_loop() -> None:
    generator = np.random.default_rng(5)
    frames, names = [], ["AAA", "BBB", "CCC"]
    for name, last in zip(names, (1257, 700, 260), strict=True):
        bars = calm_bars(name, last=last)
        heavy = 1e6 * np.exp(generator.standard_t(2, bars.height))
        heavy[generator.random(bars.height) < 0.02] = 0.0
        frames.append(bars.with_columns(volume=pl.Series(heavy)))
    rows = gather_rows(
        pl.concat(frames),
        universe=universe_of(**dict.fromkeys(names, AssetClass.STOCKS)),
        asof=ASOF,
        history=HISTORY,
        columns=(*PRICES, "volume", "split"),
    )
    found = find_volume_spikes(rows, usable_series(rows), QUALITY)
    for place, frame in enumerate(frames):
        logs = np.log(frame["volume"].to_numpy()[frame["volume"].to_numpy() > 0])
        expected = 0
        for i in range(252, logs.size):
            begin = 252 + (i - 252) // 21 * 21
            past = logs[begin - 252 : begin]
            sigma = 1.482602218505602 * np.median(np.abs(past - np.median(past)))
            expected += logs[i] > np.median(past) + 6 * sigma
        assert found.count[place] == expected
    assert found.count.sum() > 0


@pytest.mark.parametrize("width", [1, 2, 251, 252])
def test_the_medians_of_rows_are_numpy_s(width: int) -> None:
    table = np.random.default_rng(width).normal(size=(7, width))
    assert np.array_equal(row_medians(table.copy()), np.median(table, axis=1))


def late(bars: pl.DataFrame) -> pl.DataFrame:
    """Give FX bars whose close is the bar's own open, as Yahoo sends them."""
    return bars.with_columns(
        open=pl.col("close").shift(1).fill_null(100.0), true_close=pl.col("close")
    ).with_columns(
        high=pl.max_horizontal("open", "true_close") * 1.002,
        low=pl.min_horizontal("open", "true_close") * 0.998,
        close=pl.col("open") * 1.00001,
    )


def measured(bars: pl.DataFrame) -> dict[str, Any]:
    """Measure the closes of one FX symbol."""
    return report_fx_closes(
        bars,
        universe=universe_of(**{"EURUSD=X": AssetClass.FX}),
        asof=ASOF,
        policy=QUALITY,
        history=HISTORY,
    ).row(0, named=True)


def test_a_close_that_repeats_the_open_is_late_and_the_next_open_cures_it() -> None:
    bars = calm_bars("EURUSD=X", AssetClass.FX)
    row = measured(late(bars).drop("true_close"))
    assert row["is_late"]
    assert row["body_before"] < 0.01
    assert row["body_after"] > 0.3
    assert not row["is_suspect"]
    scored = verdict(late(bars).drop("true_close"), universe_of(**{"EURUSD=X": AssetClass.FX}))
    assert "FX_CLOSE_REPAIRED" in scored["reason_codes"]


def test_a_close_in_time_is_left_alone() -> None:
    row = measured(calm_bars("EURUSD=X", AssetClass.FX))
    assert not row["is_late"]
    assert not row["is_suspect"]


def test_a_close_that_stays_at_the_open_after_the_repair_is_suspect() -> None:
    flat = calm_bars("EURUSD=X", AssetClass.FX).with_columns(
        open=pl.lit(1.0), high=pl.lit(1.1), low=pl.lit(0.9), close=pl.lit(1.0)
    )
    row = measured(flat)
    assert row["is_late"]
    assert row["is_suspect"]
    scored = verdict(flat, universe_of(**{"EURUSD=X": AssetClass.FX}))
    assert "FX_CLOSE_SUSPECT" in scored["reason_codes"]


def test_bars_without_height_cannot_be_measured_and_are_suspect() -> None:
    pegged = calm_bars("EURUSD=X", AssetClass.FX).with_columns(
        open=pl.lit(1.0), high=pl.lit(1.0), low=pl.lit(1.0), close=pl.lit(1.0)
    )
    row = measured(pegged)
    assert row["body_before"] is None or np.isnan(row["body_before"])
    assert not row["is_late"]
    assert row["is_suspect"]
