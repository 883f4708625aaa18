"""The market of a folder of vendor bars, replayed as of any date; never a live provider."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Self

import polars as pl

from instgov_dagster.adapters.config import load_universe
from instgov_dagster.adapters.markets.bar_files import (
    PROVIDER,
    UNIVERSE_FILE,
    FolderBars,
    read_folder,
)
from instgov_dagster.adapters.markets.payloads import SymbolPayloads
from instgov_dagster.adapters.markets.protocol import Fetched, Keeper
from instgov_dagster.adapters.markets.quote_stream import (
    QuoteStream,
    SessionSpan,
    bridged_stream,
)
from instgov_dagster.adapters.markets.replay.minute_quotes import (
    QUOTES_FILE,
    quotes_file,
    read_minutes,
)
from instgov_dagster.adapters.markets.replay.stream import at_the_clocks_pace, replayed_stream
from instgov_dagster.bars.calendars import xnys_close
from instgov_dagster.bars.ingestion import first_dates
from instgov_dagster.vocabulary.bars import (
    REFERENCE,
    UNKNOWN_SECTOR,
    AssetClass,
    Market,
    Universe,
    UniverseSymbol,
    is_plain_name,
)
from instgov_dagster.vocabulary.errors import InputError

# A quote known so long before the open may stand at it; an older one would be too old anyway.
_BEFORE_OPEN = timedelta(hours=1)


class FilesMarket:
    """A market whose bars are those of a folder, read once when first asked.

    Parameters
    ----------
    folder
        Holds ``bars.parquet`` or one CSV a symbol, optionally ``actions.parquet`` and
        ``universe.yaml`` and ``minute_quotes.parquet``.
    quotes
        A folder that holds ``minute_quotes.parquet``: sessions must find their day in it. None
        replays those beside the bars, on the days they have.

    Raises
    ------
    InputError
        If a folder of quotes is named that holds none.
    """

    def __init__(self, folder: Path, *, quotes: Path | None = None) -> None:
        self._path = folder
        self._must_replay = quotes is not None
        self._minutes = quotes_file(quotes or folder)
        if self._must_replay and self._minutes is None:
            raise InputError(f"--quotes must name a folder with {QUOTES_FILE}, was {quotes}")

    @property
    def name(self) -> Market:
        """The market this is."""
        return Market.FILES

    def universe(self, configured: Universe) -> Universe:
        """Give the folder's own universe, else the symbols of its bars.

        Sectors nobody declares in the folder are taken from the configured universe; a symbol
        without a listing date was listed, for all this market knows, on its first bar. A symbol
        of the folder's universe without bars stays in it, for the history gate to name.

        Raises
        ------
        InputError
            If the folder's bars or its universe cannot be understood.
        """
        own = self._path / UNIVERSE_FILE
        declared = load_universe(self._path) if own.is_file() else self._symbols_of_bars(configured)
        firsts = self._first_dates
        return Universe(
            symbols=tuple(
                entry
                if entry.listed_on is not None or entry.symbol not in firsts
                else replace(entry, listed_on=firsts[entry.symbol])
                for entry in declared.symbols
            )
        )

    def keeping(self, _keep: Keeper, /) -> Self:
        """Give the market itself: its rows are its payloads, kept when they are staged."""
        return self

    def fetch(
        self, symbols: Sequence[str], start: date, end_exclusive: date, asof: date
    ) -> Fetched:
        """Give the bars of ``[start, end_exclusive)``, and none dated ``asof`` or later.

        Raises
        ------
        InputError
            If the folder's bars cannot be understood.
        DataRejected
            With ``INTRADAY_FORBIDDEN`` if a bar has a time of day.
        """
        end = min(end_exclusive, asof)
        frame = self._folder.bars.filter(
            pl.col("symbol").is_in(list(symbols)), pl.col("date").is_between(start, end, "left")
        )
        payloads = SymbolPayloads(frame, symbols, provider=PROVIDER)
        firsts = self._first_dates
        return Fetched(
            frame=frame,
            payloads=payloads,
            sha256=payloads.digests(),
            provider=PROVIDER,
            first_dates={name: firsts[name] for name in sorted(symbols) if name in firsts},
            notices=self._folder.notices,
        )

    def day_bars(self, symbols: Sequence[str], day: date) -> pl.DataFrame:
        """Give at most one bar a symbol: the first the folder holds of ``day``."""
        rows = self._folder.bars.filter(
            pl.col("date") == day, pl.col("symbol").is_in(list(symbols))
        )
        return rows.unique("symbol", keep="first", maintain_order=True)

    def quote_stream(
        self,
        symbols: Sequence[str],
        span: SessionSpan,
        *,
        last_closes: Mapping[str, float],
        half_spread_bps: Mapping[str, float],
    ) -> QuoteStream:
        """Open the quotes of one session: the day's real minutes, and the walk of its bars.

        A symbol without minutes that day is walked; beside real minutes at the clock's pace.

        Raises
        ------
        InputError
            If quotes were asked for and the day has none of these symbols.
        """
        minutes = {}
        if self._minutes is not None:
            since, until = span.instant(0) - _BEFORE_OPEN, xnys_close(span.day)
            minutes = read_minutes(self._minutes, symbols, since=since, until=until)
        if self._must_replay and not minutes:
            raise InputError(f"--quotes must hold minutes of {span.day}, held none")
        bars = self.day_bars(symbols, span.day)
        walked = bridged_stream(
            symbols,
            bars,
            at_the_clocks_pace(span) if minutes else span,
            last_closes=last_closes,
            half_spread_bps=half_spread_bps,
        )
        return replayed_stream(walked, minutes, bars) if minutes else walked

    def last_date(self) -> date:
        """Give the date of the folder's last bar."""
        last: date = self._folder.bars["date"].max()  # type: ignore[assignment]  # a folder has rows
        return last

    @cached_property
    def _folder(self) -> FolderBars:
        return read_folder(self._path)

    @cached_property
    def _first_dates(self) -> dict[str, date]:
        return first_dates(self._folder.bars)

    def _symbols_of_bars(self, configured: Universe) -> Universe:
        sectors = {entry.symbol: entry.sector for entry in configured.symbols}
        found = self._folder.bars.select("symbol", "asset_class").unique().sort("symbol")
        strange = [name for name in found["symbol"] if not is_plain_name(name)]
        if strange:
            raise InputError(
                f"{self._path}: symbol must be no path, no device and without control characters,"
                f" was {strange[0]!r}"
            )
        return Universe(
            symbols=tuple(
                UniverseSymbol(
                    symbol=symbol,
                    asset_class=None if word == REFERENCE else AssetClass(word),
                    sector=sectors.get(symbol, UNKNOWN_SECTOR),
                    is_reference=word == REFERENCE,
                )
                for symbol, word in found.iter_rows()
            )
        )
