"""The simulated market: deterministic by seed, calendar-true, and never mistaken for a real one."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Self

import polars as pl

from instgov_dagster.adapters.markets.payloads import SymbolPayloads
from instgov_dagster.adapters.markets.protocol import Fetched, Keeper
from instgov_dagster.adapters.markets.quote_stream import (
    QuoteStream,
    SessionSpan,
    bridged_stream,
)
from instgov_dagster.adapters.markets.simulation.parameters import WorldParameters
from instgov_dagster.adapters.markets.simulation.quote_defects import QuoteDefects
from instgov_dagster.adapters.markets.simulation.world import PROVIDER, World, build_world
from instgov_dagster.bars.classify import class_of
from instgov_dagster.vocabulary.bars import Market, Universe
from instgov_dagster.vocabulary.errors import InputError


class SimulatedMarket:
    """A market whose bars are a fixed function of (seed, symbol, date).

    Parameters
    ----------
    universe
        The symbols that exist in this world, with their sectors and listing dates.
    seed
        Which world.
    """

    def __init__(
        self,
        universe: Universe,
        *,
        seed: int,
        parameters: WorldParameters | None = None,
        quote_defects: QuoteDefects | None = None,
    ) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise InputError(f"seed must be a whole number >= 0, was {seed!r}")
        self._universe = universe
        self._seed = seed
        self._parameters = parameters or WorldParameters()
        self._quote_defects = quote_defects or QuoteDefects()

    @property
    def name(self) -> Market:
        """The market this is."""
        return Market.SIMULATED

    def universe(self, configured: Universe) -> Universe:
        """Give the configured universe as it is.

        Raises
        ------
        InputError
            If it names a symbol this world was not built with.
        """
        known = set(self._universe.symbols)
        strangers = [entry.symbol for entry in configured.symbols if entry not in known]
        if strangers:
            raise InputError(f"universe must be the simulated one, was new: {strangers}")
        return configured

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
            If the window leaves the simulated span.
        """
        end = min(end_exclusive, asof)
        self._require_in_span(start, end)
        world = self._world()
        frame = world.bars.filter(
            pl.col("symbol").is_in(list(symbols)), pl.col("date").is_between(start, end, "left")
        )
        payloads = SymbolPayloads(frame, symbols, provider=PROVIDER)
        wanted = set(symbols)
        return Fetched(
            frame=frame,
            payloads=payloads,
            sha256=payloads.digests(),
            provider=PROVIDER,
            first_dates={
                symbol: first for symbol, first in world.first_dates.items() if symbol in wanted
            },
        )

    def day_bars(self, symbols: Sequence[str], day: date) -> pl.DataFrame:
        """Give at most one bar a symbol: the one of ``day``."""
        self._require_in_span(day, day)
        rows = self._world().bars.filter(
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
        """Open the quotes of one session, a small known share of which is bad."""
        return bridged_stream(
            symbols,
            self.day_bars(symbols, span.day),
            span,
            last_closes=last_closes,
            half_spread_bps=half_spread_bps,
            defects=self._quote_defects,
        )

    def defects(self, start: date, end_exclusive: date) -> pl.DataFrame:
        """List what the simulated vendor gets wrong in a span: symbol, date, defect."""
        return self._world().defects.filter(pl.col("date").is_between(start, end_exclusive, "left"))

    def _world(self) -> World:
        symbols = tuple((entry, class_of(entry)) for entry in self._universe.symbols)
        return build_world(symbols, seed=self._seed, parameters=self._parameters)

    def _require_in_span(self, start: date, end: date) -> None:
        p = self._parameters
        if not (p.origin <= start and end <= p.horizon):
            raise InputError(
                f"the simulated market must be asked within [{p.origin}, {p.horizon}), "
                f"was [{start}, {end})"
            )
