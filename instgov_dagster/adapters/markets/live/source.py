"""The bars of the market `live`: its own providers, its own refusals, no fall-back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from instgov_dagster.adapters.markets.live.clients import Scrubber
from instgov_dagster.adapters.markets.live.gather import Gathered, Gatherer, Window
from instgov_dagster.adapters.markets.live.history import HistoryProvider
from instgov_dagster.adapters.markets.payloads import digest_rows
from instgov_dagster.adapters.markets.protocol import Fetched, Keeper
from instgov_dagster.bars.ingestion import BAR_SCHEMA
from instgov_dagster.bars.providers import entitled_providers
from instgov_dagster.vocabulary.bars import Market, Purpose, Universe
from instgov_dagster.vocabulary.config import Policy

PROVIDER = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBars:
    """The bars of the live market, asked for symbol by symbol.

    Attributes
    ----------
    providers
        By their names; whether one may be asked is `select_provider`'s matter.
    environment
        Says who is entitled, and what must never be kept.
    progress
        Told the number of symbols done and asked for.
    keep
        Keeps what came back before it is read.
    """

    universe_asked: Universe
    policy: Policy
    providers: Mapping[str, HistoryProvider]
    environment: Mapping[str, str] = field(repr=False)
    progress: Callable[[int, int], None]
    keep: Keeper

    @property
    def name(self) -> Market:
        """The market this is."""
        return Market.LIVE

    def universe(self, configured: Universe) -> Universe:
        """Give the configured universe: the live market names none of its own."""
        return configured

    def fetch(
        self,
        symbols: Sequence[str],
        start: date,
        end_exclusive: date,
        asof: date,
    ) -> Fetched:
        """Ask the entitled providers for ``[start, end_exclusive)``, and nothing from ``asof`` on.

        A window that begins before the night's own is asked for the worst year's sake.
        """
        window = self._window(start, min(end_exclusive, asof), asof)
        entries = [self.universe_asked.of(symbol) for symbol in sorted(symbols)]
        found = self._gatherer(window).gather(
            entries, window, keep=self.keep, progress=lambda done: self.progress(done, len(entries))
        )
        return _fetched(found)

    def _window(self, start: date, end: date, asof: date) -> Window:
        days = (asof - start).days
        is_stress = days > self.policy.history.window_days
        return Window(
            start=start,
            end=end,
            history_days=days,
            purpose=Purpose.STRESS_BATCH if is_stress else Purpose.HISTORY_BATCH,
        )

    def _gatherer(self, window: Window) -> Gatherer:
        policy = self.policy
        return Gatherer(
            providers=self.providers,
            entitled=entitled_providers(
                self.environment, window.history_days, policy=policy.providers
            ),
            history=policy.history,
            scrubber=Scrubber.of(self.environment),
            at_once=policy.providers.questions_at_once,
        )


def _fetched(found: Sequence[Gathered]) -> Fetched:
    frame = pl.concat([item.frame for item in found]) if found else pl.DataFrame(schema=BAR_SCHEMA)
    frame = frame.sort("symbol", "date", maintain_order=True)
    # A provider that does not say since when it has a symbol is taken at its first bar.
    firsts = {
        item.answer.symbol: item.first_date or item.frame["date"][0]
        for item in found
        if item.frame.height
    }
    kept = {item.answer.symbol: item.kept_sha256 for item in found if item.kept_sha256}
    refused = tuple(
        f"{item.answer.symbol}: {item.answer.reason_code}: {item.answer.detail}"
        for item in found
        if not item.frame.height
    )
    notices = tuple(notice for item in found for notice in item.notices)
    return Fetched(
        frame=frame,
        payloads={},
        sha256=digest_rows(frame),
        kept_sha256=kept,
        provider=PROVIDER,
        first_dates=firsts,
        notices=(*refused, *notices),
        answers=tuple(item.answer for item in found),
    )
