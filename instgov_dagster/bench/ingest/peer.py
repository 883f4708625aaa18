"""The same night in pandas on sqlite, as a careful engineer would write it without this program."""

import sqlite3
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from instgov_dagster.bars.calendars import expected_sessions, history_window
from instgov_dagster.bench.synthetic_bars import Night
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy, QualityPolicy, RulePenalty

_COLUMNS = ("open", "high", "low", "close", "adj_close", "volume")
_MAD_TO_SIGMA = 1.482602218505602
_TABLE = """
CREATE TABLE IF NOT EXISTS bar_versions (
    symbol TEXT, date TEXT, ordinal INTEGER, open REAL, high REAL, low REAL, close REAL,
    adj_close REAL, volume REAL, known_at TEXT, run_id TEXT)
"""


def run_night(folder: Path, home: Path, *, asof: date, run_id: str) -> Night:
    """Read, score and append, with pandas and sqlite."""
    started = time.perf_counter()
    start, end = history_window(asof, HistoryPolicy())
    bars = pd.read_parquet(folder / "bars.parquet")
    bars["date"] = pd.to_datetime(bars["date"])
    bars = bars[(bars["date"] >= pd.Timestamp(start)) & (bars["date"] < pd.Timestamp(end))]
    bars = bars.sort_values(["symbol", "date"], kind="stable").reset_index(drop=True)
    scores = score_stocks(bars, start=start, end=end, policy=QualityPolicy())
    rows = append_rows(home / "peer.sqlite", bars, run_id=run_id)
    return Night(seconds=time.perf_counter() - started, rows_added=rows, scores=scores)


def score_stocks(
    bars: pd.DataFrame, *, start: date, end: date, policy: QualityPolicy
) -> dict[str, float]:
    """Score stocks without recorded splits and without an index, by the rules of SPEC 1."""
    sessions = expected_sessions(AssetClass.STOCKS, start, end)
    return {
        str(symbol): _score(group, sessions, policy)
        for symbol, group in bars.groupby("symbol", sort=False)
    }


def append_rows(file: Path, bars: pd.DataFrame, *, run_id: str) -> int:
    """Append the rows that differ from the latest known of each symbol, date and ordinal."""
    bars = bars.assign(
        ordinal=bars.groupby(["symbol", "date"]).cumcount(),
        known_at=(bars["date"] + timedelta(hours=23)).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        run_id=run_id,
        date=bars["date"].dt.strftime("%Y-%m-%d"),
    )
    key = ["symbol", "date", "ordinal"]
    with sqlite3.connect(file) as con:
        con.execute(_TABLE)
        known = pd.read_sql(f"SELECT {', '.join((*key, *_COLUMNS))} FROM bar_versions", con)  # noqa: S608  # constant names
        known = known.drop_duplicates(key, keep="last")
        both = bars.merge(known, on=key, how="left", suffixes=("", "_known"), indicator=True)
        is_same = both["_merge"].eq("both").to_numpy().copy()
        for name in _COLUMNS:
            is_same &= (both[name] == both[f"{name}_known"]).to_numpy()
        changed = both.loc[~is_same, [*key, *_COLUMNS, "known_at", "run_id"]]
        con.executemany(
            f"INSERT INTO bar_versions VALUES ({', '.join('?' * changed.shape[1])})",  # noqa: S608  # question marks only
            changed.itertuples(index=False, name=None),
        )
    con.close()
    return len(changed)


def _score(group: pd.DataFrame, sessions: np.ndarray[Any, Any], policy: QualityPolicy) -> float:
    is_usable = np.isfinite(group[["open", "high", "low", "close"]]).all(axis=1)
    one = group[is_usable].drop_duplicates("date")
    dates = len(group["date"].unique())
    if one.empty:
        return 0.0
    days = one["date"].to_numpy().astype("datetime64[D]")
    expected = int(((sessions >= days[0]) & (sessions <= days[-1])).sum())
    returns = np.log(one["close"].where(one["close"] > 0)).diff().to_numpy()
    volume = one["volume"].to_numpy()
    tolerance = one["close"].abs() * policy.ohlc_tolerance_bps / 1e4
    above = one[["open", "close", "low"]].max(axis=1) - one["high"]
    below = one["low"] - one[["open", "close", "high"]].min(axis=1)
    has_zero = bool((group[["open", "high", "low", "close"]] <= 0).any(axis=None))
    penalties = (
        _penalty((expected - len(one)) / max(expected, 1), policy.missing),
        policy.price_not_positive_weight.stocks * has_zero,
        _penalty(_spikes(returns, policy.spike_log_return.stocks) / dates, policy.spike),
        _penalty(_level_breaks(one, returns, policy) / dates, policy.level_break),
        _penalty(float((np.maximum(above, below) > tolerance).sum()) / dates, policy.ohlc),
        _penalty(float((~(volume > 0)).sum()) / dates, policy.zero_volume),
        _penalty((len(group) - dates) / dates, policy.duplicates),
        _penalty(_volume_spikes(volume[volume > 0], policy) / dates, policy.volume_spike),
    )
    return max(0.0, 1.0 - sum(penalties))


def _penalty(rate: float, rule: RulePenalty) -> float:
    if rule.cap == 0:
        return rule.weight if rate > 0 else 0.0
    return rule.weight * min(1.0, rate / rule.cap)


def _spikes(returns: np.ndarray[Any, Any], limit: float) -> int:
    now, then = returns[:-1], returns[1:]
    return int(((np.abs(now) > limit) & (np.abs(then) > limit) & (now * then < 0)).sum())


def _level_breaks(one: pd.DataFrame, returns: np.ndarray[Any, Any], policy: QualityPolicy) -> int:
    traded = (one[["high", "low", "close"]].mean(axis=1) * one["volume"]).to_numpy()
    median = np.median(traded[traded > 0]) if (traded > 0).any() else np.nan
    is_explained = traded >= policy.level_break_volume_multiple * median
    return int(((np.abs(returns) > np.log(policy.level_break_ratio)) & ~is_explained).sum())


def _volume_spikes(volume: np.ndarray[Any, Any], policy: QualityPolicy) -> int:
    logs = np.log(volume)
    window, step = policy.volume_window_sessions, policy.volume_refresh_sessions
    found = 0
    for begin in range(window, len(logs), step):
        past = logs[begin - window : begin]
        middle = np.median(past)
        spread = np.median(np.abs(past - middle))
        limit = middle + policy.volume_spike_sigmas * _MAD_TO_SIGMA * spread
        found += int((logs[begin : begin + step] > limit).sum()) if spread > 0 else 0
    return found
