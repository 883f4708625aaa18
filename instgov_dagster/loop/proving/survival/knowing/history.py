"""All bars of a market with the instant each was known: what a night of any day may see of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.adapters.markets.protocol import MarketSource
from instgov_dagster.bars.calendars import (
    expected_sessions,
    history_window,
    knowledge_instant,
    stress_window,
)
from instgov_dagster.bars.classify import class_of, class_word, found_classes
from instgov_dagster.bars.ingestion import BAR_SCHEMA, first_dates, stage_known_at
from instgov_dagster.vocabulary.bars import Market, Universe
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy

#: The columns of `History.versions`: bars as received, when each version was known.
VERSION_COLUMNS: Final = (*BAR_SCHEMA, "known_at", "is_restated")
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """Every version of every bar of a universe; `known` and `stressed` never look ahead.

    Attributes
    ----------
    versions
        `VERSION_COLUMNS`, sorted by symbol, date and ``known_at``. A restated bar stands after the
        version it replaces.
    firsts
        First bar of each symbol, as the market tells it.
    """

    market: Market
    universe: Universe
    policy: HistoryPolicy
    versions: pl.DataFrame
    firsts: Mapping[str, date]
    notices: tuple[str, ...] = ()
    _days: dict[date, pl.DataFrame] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in VERSION_COLUMNS if name not in self.versions.columns]
        if missing:
            raise ValueError(f"versions must have the columns {', '.join(missing)}")

    def context_instant(self, asof: date) -> datetime:
        """Give the instant whose knowledge the night of a day uses."""
        return knowledge_instant(asof, self.policy)

    def known(self, asof: date) -> pl.DataFrame:
        """Give the bars of the night's window as they were known that night."""
        return self._as_of(history_window(asof, self.policy), asof)

    def stressed(self, asof: date) -> pl.DataFrame:
        """Give the bars before the night's window as they were known that night."""
        return self._as_of(stress_window(asof, self.policy), asof)

    def _as_of(self, window: tuple[date, date], asof: date) -> pl.DataFrame:
        start, end = window
        rows = self.versions.filter(
            pl.col("date").is_between(start, end, closed="left"),
            pl.col("known_at") <= self.context_instant(asof),
        )
        if not rows["is_restated"].any():
            return rows
        # A date delivered twice is kept twice; a restatement takes the place of all before it.
        last = pl.col("known_at").filter(pl.col("is_restated")).max().over("symbol", "date")
        return rows.filter(last.is_null() | (pl.col("known_at") >= last))

    def day_bars(self, day: date) -> pl.DataFrame:
        """Give the first version of each symbol's bar of a day, which no night of it knows."""
        if not self._days:
            first = self.versions.unique(["symbol", "date"], keep="first", maintain_order=True)
            self._days.update(
                {key[0]: part for key, part in first.partition_by("date", as_dict=True).items()}
            )
        return self._days.get(day, self.versions.clear())

    def classes(self) -> pl.DataFrame:
        """Give the class of each symbol that has bars, as a home persists them."""
        found = found_classes(self.universe)
        firsts = pl.DataFrame(
            {"symbol": list(self.firsts), "first_seen": list(self.firsts.values())},
            schema={"symbol": pl.String, "first_seen": pl.Date},
        )
        return found.join(firsts, on="symbol", how="inner", maintain_order="left")

    def class_word(self, symbol: str) -> str:
        """Give the class of a symbol as bars are labelled."""
        return class_word(class_of(self.universe.of(symbol)))

    def without(self, symbols: Sequence[str]) -> "History":
        """Give the same history of a universe that some symbols have left."""
        if not symbols:
            return self
        gone = set(symbols)
        kept = tuple(entry for entry in self.universe.symbols if entry.symbol not in gone)
        return replace(
            self,
            universe=Universe(symbols=kept),
            versions=self.versions.filter(~pl.col("symbol").is_in(sorted(gone))),
        )

    def last_date(self) -> date:
        """Give the date of the last bar of any symbol."""
        last: date = self.versions["date"].max()  # type: ignore[assignment]  # a history has rows
        return last

    def sessions(self, start: date | None, end: date | None) -> tuple[date, ...]:
        """List the exchange's sessions to walk: with a whole window before them, and bars on them.

        Raises
        ------
        InputError
            If the history holds no such session.
        """
        stocks = self.versions.filter(pl.col("asset_class").is_in(["STOCKS", "REFERENCE"]))
        rows = stocks if stocks.height else self.versions
        begin: date = rows["date"].min()  # type: ignore[assignment]
        last: date = rows["date"].max()  # type: ignore[assignment]
        first = begin + timedelta(days=self.policy.window_days)
        low, high = max(start or first, first), min(end or last, last)
        days = expected_sessions(None, low, high + _DAY) if low <= high else np.array([])
        if not days.size:
            raise InputError(
                f"--start and --end must hold a session within [{first}, {last}], were"
                f" {start} and {end}"
            )
        listed: list[date] = days.astype("datetime64[D]").tolist()
        return tuple(listed)


def history_of(
    source: MarketSource, configured: Universe, *, start: date, end: date, policy: HistoryPolicy
) -> History:
    """Take everything a market holds of ``[start, end)``, each bar known when its session closed.

    Raises
    ------
    InputError
        If the market cannot be read or does not hold the span.
    """
    universe = source.universe(configured)
    names = tuple(entry.symbol for entry in universe.symbols)
    fetched = source.fetch(names, start, end, end)
    staged = stage_known_at(fetched.frame, policy).with_columns(is_restated=pl.lit(value=False))
    if staged.is_empty():
        raise InputError(f"bars must hold a row in [{start}, {end}), held none")
    return History(
        market=source.name,
        universe=universe,
        policy=policy,
        versions=staged.select(VERSION_COLUMNS).sort("symbol", "date", maintain_order=True),
        firsts=dict(fetched.first_dates) or first_dates(fetched.frame),
        notices=fetched.notices,
    )


def last_prices_known(bars: pl.DataFrame, symbols: Sequence[str]) -> NDArray[np.float64]:
    """Give the last finite close of each symbol in some bars, ``(n,)``; NaN where there is none."""
    held = bars.filter(pl.col("close").is_finite()).group_by("symbol").agg(pl.col("close").last())
    closes = dict(held.iter_rows())
    return np.array([closes.get(name, np.nan) for name in symbols], dtype=np.float64)
