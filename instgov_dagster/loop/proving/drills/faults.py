"""The outside world gone wrong: feeds, disks, files and other processes; no control lives here."""

import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.adapters.journal import Frame
from instgov_dagster.adapters.markets.protocol import Fetched, Keeper, MarketSource
from instgov_dagster.adapters.markets.quote_stream import QuoteStream, SessionSpan
from instgov_dagster.adapters.store.published import publish, read_snapshot
from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.proving.drills.stage import KEPT_SNAPSHOTS, Stage
from instgov_dagster.vocabulary.bars import Market, Universe

Spoil = Callable[[Quotes, int], Quotes]
Alter = Callable[[pl.DataFrame], pl.DataFrame]

_HOLD_A_FILE = (
    "import duckdb, sys\n"
    "held = duckdb.connect(sys.argv[1])\n"
    "print('held', flush=True)\n"
    "sys.stdin.read()\n"
)


def as_told(quotes: Quotes, cycle: int) -> Quotes:
    """Leave the quotes as they are."""
    del cycle
    return quotes


def as_delivered(frame: pl.DataFrame) -> pl.DataFrame:
    """Leave the bars as they are."""
    return frame


@dataclass(slots=True, kw_only=True)
class SpoiltStream:
    """The quotes of a feed, after a fault; the fault counts from the first cycle asked for.

    Whoever opens the quotes may not know yet with which cycle of the day the session will begin.
    """

    stream: QuoteStream
    spoil: Spoil
    _first: int | None = field(init=False, default=None)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols quoted, in the order of every array."""
        return self.stream.symbols

    @property
    def bar_low(self) -> NDArray[np.float64]:
        """The least price of the day's bar, ``(n,)``."""
        return self.stream.bar_low

    @property
    def bar_high(self) -> NDArray[np.float64]:
        """The greatest price of the day's bar, ``(n,)``."""
        return self.stream.bar_high

    @property
    def replayed(self) -> tuple[str, ...]:
        """The symbols whose quotes are real."""
        return self.stream.replayed

    def instant(self, cycle: int) -> datetime:
        """Give the virtual instant of a cycle, UTC."""
        return self.stream.instant(cycle)

    def quotes_at(self, cycle: int) -> Quotes:
        """Give the quotes of one cycle, spoilt."""
        if self._first is None:
            self._first = cycle
        return self.spoil(self.stream.quotes_at(cycle), cycle - self._first)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoiltMarket:
    """A market whose feed or whose deliveries are at fault."""

    source: MarketSource
    spoil: Spoil = as_told
    alter: Alter = as_delivered

    @property
    def name(self) -> Market:
        """The market this is."""
        return self.source.name

    def universe(self, configured: Universe) -> Universe:
        """Give the universe to trade."""
        return self.source.universe(configured)

    def keeping(self, keep: Keeper, /) -> "SpoiltMarket":
        """Give the same market, keeping what it receives."""
        return replace(self, source=self.source.keeping(keep))

    def fetch(
        self, symbols: Sequence[str], start: date, end_exclusive: date, asof: date
    ) -> Fetched:
        """Give the bars of a window, altered."""
        fetched = self.source.fetch(symbols, start, end_exclusive, asof)
        return replace(fetched, frame=self.alter(fetched.frame))

    def day_bars(self, symbols: Sequence[str], day: date) -> pl.DataFrame:
        """Give at most one bar a symbol of a day."""
        return self.source.day_bars(symbols, day)

    def quote_stream(
        self,
        symbols: Sequence[str],
        span: SessionSpan,
        *,
        last_closes: Mapping[str, float],
        half_spread_bps: Mapping[str, float],
    ) -> QuoteStream:
        """Open the quotes of one session, to be spoilt."""
        stream = self.source.quote_stream(
            symbols, span, last_closes=last_closes, half_spread_bps=half_spread_bps
        )
        return SpoiltStream(stream=stream, spoil=self.spoil)


def spoilt(platform: Platform, *, spoil: Spoil = as_told, alter: Alter = as_delivered) -> Platform:
    """Put a market at fault under an installation."""
    market = SpoiltMarket(source=platform.source, spoil=spoil, alter=alter)
    return replace(platform, source=market)


@contextmanager
def file_size_limit(limit_bytes: int) -> Iterator[None]:
    """Let no file of this process grow past a size: the operating system answers EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def flip_bit(path: Path, offset: int) -> None:
    """Flip one bit of a file."""
    with path.open("r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ 1]))


def segment_of(stage: Stage) -> Path:
    """Name the last segment of the loop's chain."""
    return max((stage.platform.home.journal_dir / "loop").glob("*.igj"))


def frame_bytes(frames: Sequence[Frame], segment: Path, kind: str) -> int:
    """Measure the largest frame of a kind, as it stands in the segment."""
    ends = [*(frame.offset for frame in frames[1:]), segment.stat().st_size]
    sizes = [end - f.offset for f, end in zip(frames, ends, strict=True) if f.kind == kind]
    return max(sizes)


def republish(
    stage: Stage,
    *,
    meta: Mapping[str, Any] | None = None,
    tables: Mapping[str, Alter] | None = None,
) -> None:
    """Publish the night again with other facts beside it, or with altered tables."""
    folder = stage.platform.home.published / "night"
    held = read_snapshot(folder)
    altered = {name: alter(held.tables[name]) for name, alter in (tables or {}).items()}
    publish(
        folder,
        {**held.tables, **altered},
        meta={**held.meta, **(meta or {})},
        keep=KEPT_SNAPSHOTS,
    )


def believe(stage: Stage, regime: str) -> None:
    """Publish the night again with one regime nearly certain: normal, volatile or crisis."""
    columns = {f"current_belief_{name}": 0.01 for name in ("normal", "volatile", "crisis")}
    columns[f"current_belief_{regime}"] = 0.98

    def alter(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.lit(value).alias(name) for name, value in columns.items())

    republish(stage, tables={"regime_beliefs": alter})


@contextmanager
def held_by_another_process(warehouse: Path) -> Iterator[None]:
    """Let another process hold a DuckDB file open for a write."""
    program = [sys.executable, "-c", _HOLD_A_FILE, str(warehouse)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:  # noqa: S603  # our own words
        if other.stdout is not None:
            other.stdout.readline()
        try:
            yield
        finally:
            other.communicate()


def add_a_unit(account: Path) -> str:
    """Put one unit more of one position into the broker's own record; give the symbol."""
    with closing(sqlite3.connect(account)) as connection, connection:
        rows = connection.execute("SELECT symbol, quantity FROM positions ORDER BY symbol")
        symbol, quantity = rows.fetchall()[0]
        more = str(Decimal(quantity) + 1)
        connection.execute("UPDATE positions SET quantity = ? WHERE symbol = ?", (more, symbol))
    return str(symbol)
