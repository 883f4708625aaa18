"""The clients of the entitled providers, made from the environment; their keys go nowhere else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from instgov_dagster.adapters.markets.live.asking import Asker
from instgov_dagster.adapters.markets.live.history import HistoryProvider
from instgov_dagster.adapters.markets.live.plain import plain_getter, require_address
from instgov_dagster.adapters.markets.live.providers.binance import BASE_URL as BINANCE_URL
from instgov_dagster.adapters.markets.live.providers.binance import BinanceHistory
from instgov_dagster.adapters.markets.live.providers.fred import BASE_URL as FRED_URL
from instgov_dagster.adapters.markets.live.providers.fred import FredHistory
from instgov_dagster.adapters.markets.live.providers.polygon import BASE_URL as POLYGON_URL
from instgov_dagster.adapters.markets.live.providers.polygon import PolygonHistory
from instgov_dagster.adapters.runtime import Clock
from instgov_dagster.adapters.runtime.turns import Turns
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy

#: Another address for a provider, for a proxy or a rehearsal: https, or this machine.
ADDRESS_VARIABLES: Final = {
    "alpaca": "INSTGOV_ALPACA_DATA_URL",
    "alpaca_trading": "INSTGOV_ALPACA_TRADING_URL",
    "binance": "INSTGOV_BINANCE_URL",
    "fred": "INSTGOV_FRED_URL",
    "polygon": "INSTGOV_POLYGON_URL",
    "yahoo": "INSTGOV_YAHOO_URL",
}
_SECRET_VARIABLES: Final = (
    "ALPACA_API_KEY_ID",
    "ALPACA_API_SECRET_KEY",
    "FRED_API_KEY",
    "POLYGON_API_KEY",
)
_REDACTED: Final = b"REDACTED"


def provider_addresses(environment: Mapping[str, str]) -> dict[str, str]:
    """Give the addresses set for providers in the environment.

    Raises
    ------
    InputError
        If one is neither https nor on this machine.
    """
    return {
        provider: require_address(variable, environment[variable])
        for provider, variable in ADDRESS_VARIABLES.items()
        if environment.get(variable, "").strip()
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scrubber:
    """Takes the keys out of whatever is kept, should a provider ever send one back."""

    secrets: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Scrubber":
        """Know the keys of an environment."""
        values = (environment.get(name, "").strip() for name in _SECRET_VARIABLES)
        return cls(secrets=tuple(sorted((v.encode() for v in values if v), key=len, reverse=True)))

    def clean(self, body: bytes) -> bytes:
        """Give the bytes without any key."""
        for secret in self.secrets:
            body = body.replace(secret, _REDACTED)
        return body


def history_providers(
    environment: Mapping[str, str],
    policy: ProviderPolicy,
    *,
    clock: Clock,
    cache_dir: Path,
    turns: Callable[[str], Turns] | None = None,
) -> Mapping[str, HistoryProvider]:
    """Make a client for every provider that serves history or references.

    Whether one may be asked is `select_provider`'s matter; a client whose key is missing is none.

    Parameters
    ----------
    cache_dir
        Where yfinance keeps its cookies.
    turns
        Whom a provider's rate is shared with, by its name; this process alone by default.

    Raises
    ------
    InputError
        If an address set in the environment may not be sent a key.
    """
    addresses = provider_addresses(environment)
    asker = Asker(policy, clock=clock, turns=turns)
    get = plain_getter(policy.request_timeout_seconds)
    pages = policy.max_pages
    polygon_key = environment.get("POLYGON_API_KEY", "").strip()
    fred_key = environment.get("FRED_API_KEY", "").strip()
    makers: dict[str, Callable[[], HistoryProvider]] = {
        "binance": lambda: BinanceHistory(
            asker, get, max_pages=pages, base_url=addresses.get("binance", BINANCE_URL)
        ),
        "yahoo": lambda: _yahoo(asker, policy, cache_dir, addresses.get("yahoo")),
    }
    if polygon_key:
        makers["polygon"] = lambda: PolygonHistory(
            asker,
            get,
            key=polygon_key,
            max_pages=pages,
            base_url=addresses.get("polygon", POLYGON_URL),
        )
    if fred_key:
        makers["fred"] = lambda: FredHistory(
            asker, get, key=fred_key, base_url=addresses.get("fred", FRED_URL)
        )
    return {name: make() for name, make in makers.items()}


def _yahoo(
    asker: Asker, policy: ProviderPolicy, cache_dir: Path, base_url: str | None
) -> HistoryProvider:
    from instgov_dagster.adapters.markets.live.providers.yahoo import YahooHistory  # curl is heavy

    return YahooHistory(
        asker,
        timeout_seconds=policy.request_timeout_seconds,
        cache_dir=cache_dir,
        base_url=base_url,
    )
