"""The market `live`: providers for its bars, Alpaca for its quotes, and no other market's help."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final, Self

import polars as pl

from instgov_dagster.adapters.markets.live.asking import Asker
from instgov_dagster.adapters.markets.live.clients import provider_addresses
from instgov_dagster.adapters.markets.live.history import HistoryProvider
from instgov_dagster.adapters.markets.live.quote_feed import QuoteFeed
from instgov_dagster.adapters.markets.live.source import LiveBars
from instgov_dagster.adapters.markets.protocol import Fetched, Keeper
from instgov_dagster.adapters.markets.quote_stream import QuoteStream, SessionSpan
from instgov_dagster.adapters.runtime import Clock
from instgov_dagster.bars.classify import class_of
from instgov_dagster.bars.ingestion import BAR_SCHEMA
from instgov_dagster.bars.providers import entitled_providers, provider_verdict, route
from instgov_dagster.vocabulary.bars import Market, Purpose, Universe, UniverseSymbol
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

#: What each purpose of the live market needs in the environment.
NEEDS: Final[Mapping[Purpose, tuple[str, ...]]] = {
    Purpose.HISTORY_BATCH: ("INSTGOV_YAHOO_PERSONAL_USE=1 (or POLYGON_API_KEY for stocks)",),
    Purpose.REFERENCE: ("INSTGOV_YAHOO_PERSONAL_USE=1", "FRED_API_KEY for its series"),
    Purpose.LIVE_QUOTE: ("ALPACA_API_KEY_ID", "ALPACA_API_SECRET_KEY"),
    Purpose.EXECUTION: ("ALPACA_API_KEY_ID", "ALPACA_API_SECRET_KEY"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveMarket:
    """One installation's live market.

    Attributes
    ----------
    configured
        The universe that is traded.
    environment
        Keys, plans, addresses.
    providers
        Of history and references, by their names.
    progress
        Told the number of symbols asked for so far, and of how many.
    keep
        Keeps each payload before it is read; a night gives it.
    """

    configured: Universe
    policy: Policy
    environment: Mapping[str, str] = field(repr=False)
    clock: Clock
    providers: Mapping[str, HistoryProvider]
    progress: Callable[[int, int], None]
    keep: Keeper | None = None

    @property
    def name(self) -> Market:
        """The market this is."""
        return Market.LIVE

    def universe(self, configured: Universe) -> Universe:
        """Give the configured universe: the live market names none of its own."""
        return configured

    def keeping(self, keep: Keeper, /) -> Self:
        """Give the market for one night: what it receives is kept before it is read."""
        return replace(self, keep=keep)

    def fetch(
        self, symbols: Sequence[str], start: date, end_exclusive: date, asof: date
    ) -> Fetched:
        """Ask the entitled providers for ``[start, end_exclusive)``, for nothing from ``asof`` on.

        Raises
        ------
        ValueError
            If nothing keeps what is received.
        """
        if self.keep is None:
            raise ValueError("what is received must be kept before it is read, was kept by nobody")
        bars = LiveBars(
            universe_asked=self.configured,
            policy=self.policy,
            environment=self.environment,
            providers=self.providers,
            progress=self.progress,
            keep=self.keep,
        )
        return bars.fetch(symbols, start, end_exclusive, asof)

    def day_bars(self, symbols: Sequence[str], day: date) -> pl.DataFrame:  # noqa: ARG002  # nobody knows them
        """Give no bars: the day is being lived."""
        return pl.DataFrame(schema=BAR_SCHEMA)

    def quote_stream(
        self,
        symbols: Sequence[str],
        span: SessionSpan,
        *,
        last_closes: Mapping[str, float],
        half_spread_bps: Mapping[str, float],  # noqa: ARG002  # the quotes bring their own
    ) -> QuoteStream:
        """Open the quotes of one session; only symbols with a live route are ever asked for.

        Raises
        ------
        SystemHalt
            ``PROVIDER_NOT_ENTITLED`` where no key is set: nobody trades blind.
        """
        from instgov_dagster.adapters.markets.live.alpaca.quotes import AlpacaQuotes

        key_id, secret = (self.environment.get(name, "") for name in NEEDS[Purpose.LIVE_QUOTE])
        if not key_id.strip() or not secret.strip():
            raise SystemHalt(
                ReasonCode.PROVIDER_NOT_ENTITLED, "no live quotes: " + _sentence(Purpose.LIVE_QUOTE)
            )
        providers = self.policy.providers
        quotes = AlpacaQuotes(
            Asker(providers, clock=self.clock),
            {s: kind for s in symbols if (kind := class_of(self.configured.of(s))) is not None},
            key_id=key_id.strip(),
            secret=secret.strip(),
            timeout_seconds=providers.broker_timeout_seconds,
            base_url=provider_addresses(self.environment).get("alpaca"),
        )
        return QuoteFeed(
            quotes,
            symbols,
            last_closes=last_closes,
            start=span.instant(0),
            period_seconds=span.period_seconds,
        )


def require_keys(universe: Universe, policy: Policy, environment: Mapping[str, str]) -> None:
    """Refuse to open the live market where a symbol of its universe cannot be asked for.

    Raises
    ------
    InputError
        Naming each purpose that has nobody entitled, the symbols it is for, and the variables.
    """
    missing: dict[Purpose, list[str]] = {}
    for entry in universe.symbols:
        for purpose, days in _purposes(entry, policy):
            entitled = entitled_providers(environment, days, policy=policy.providers)
            verdict = provider_verdict(
                entry.symbol, days, purpose, entitled, history=policy.history
            )
            if not verdict.is_selected:
                missing.setdefault(purpose, []).append(entry.symbol)
    if missing:
        told = "; ".join(
            f"{purpose} of {_some(names)} needs {_sentence(purpose)}"
            for purpose, names in missing.items()
        )
        raise InputError(f"--market live must have its providers' keys in the environment: {told}")


def _purposes(entry: UniverseSymbol, policy: Policy) -> tuple[tuple[Purpose, int], ...]:
    days = policy.history.window_days
    if entry.is_reference:
        return ((Purpose.REFERENCE, days),)
    kind = class_of(entry)
    live = (Purpose.LIVE_QUOTE, Purpose.EXECUTION)
    # What has no route in this market is SIM_ONLY, not a key that is missing.
    routed = tuple((purpose, 0) for purpose in live if route(Market.LIVE, kind, purpose).is_open)
    return ((Purpose.HISTORY_BATCH, days), *routed)


def _sentence(purpose: Purpose) -> str:
    return " and ".join(NEEDS[purpose])


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
