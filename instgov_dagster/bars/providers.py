"""Which provider may serve which symbol for which purpose (roadmap 0.1, 0.2, 1.2 to 1.5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from instgov_dagster.bars.classify import classify_symbol, is_reference_symbol
from instgov_dagster.vocabulary.bars import (
    NO_VALID_PROVIDER,
    AssetClass,
    BrokerAccount,
    Market,
    ProviderCapability,
    ProviderVerdict,
    Purpose,
)
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy, ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

_HISTORY: Final = frozenset({Purpose.HISTORY_BATCH, Purpose.STRESS_BATCH})
_LIVE: Final = frozenset({Purpose.LIVE_QUOTE, Purpose.EXECUTION})
_STOCKS, _FX, _CRYPTO, _COMMODITIES = (
    AssetClass.STOCKS,
    AssetClass.FX,
    AssetClass.CRYPTO,
    AssetClass.COMMODITIES,
)

#: The immutable matrix of roadmap 1.2; entitlement is decided by ``entitled_providers``.
CAPABILITIES: Final[MappingProxyType[str, ProviderCapability]] = MappingProxyType(
    {
        row.provider: row
        for row in (
            ProviderCapability(
                provider="alpaca",
                asset_classes=frozenset({_STOCKS, _CRYPTO}),
                max_history_days=730,
                requires_entitlement=True,
                purposes=_LIVE,
            ),
            ProviderCapability(
                provider="yahoo",
                asset_classes=frozenset(AssetClass),
                max_history_days=5000,
                requires_entitlement=True,
                purposes=_HISTORY | {Purpose.REFERENCE},
            ),
            ProviderCapability(
                provider="polygon",
                asset_classes=frozenset({_STOCKS, _FX, _CRYPTO}),
                max_history_days=5000,
                requires_entitlement=True,
                purposes=_HISTORY,
            ),
            ProviderCapability(
                provider="binance",
                asset_classes=frozenset({_CRYPTO}),
                max_history_days=1000,
                requires_entitlement=False,
                purposes=_HISTORY,
            ),
            ProviderCapability(
                provider="fred",
                asset_classes=frozenset(),
                max_history_days=20_000,
                requires_entitlement=True,
                purposes=frozenset({Purpose.REFERENCE}),
            ),
        )
    }
)

# The separation of roadmap 1.4, absolute: who may be asked for history, in this order.
_HISTORY_ROUTES: Final[MappingProxyType[AssetClass, tuple[str, ...]]] = MappingProxyType(
    {
        _STOCKS: ("yahoo", "polygon"),
        _FX: ("yahoo",),
        _COMMODITIES: ("yahoo",),
        _CRYPTO: ("yahoo", "binance"),
    }
)
_LIVE_ROUTE: Final = ("alpaca",)
_INDEX_ROUTE: Final = ("yahoo",)
_SERIES_ROUTE: Final = ("fred",)
_PAPER_BROKER: Final = "paper"
_INDEX_PREFIX: Final = "^"

# The variables that entitle a provider; a provider that requires entitlement has a row here.
_VARIABLES: Final[MappingProxyType[str, tuple[str, ...]]] = MappingProxyType(
    {
        "alpaca": ("ALPACA_API_KEY_ID", "ALPACA_API_SECRET_KEY"),
        "polygon": ("POLYGON_API_KEY",),
        "fred": ("FRED_API_KEY",),
    }
)
_YAHOO_PERSONAL_USE: Final = "INSTGOV_YAHOO_PERSONAL_USE"
_POLYGON_PLAN_DAYS: Final = "POLYGON_MAX_HISTORY_DAYS"

#: The environment's arm for real money; the configuration has the other one.
LIVE_ARMED: Final = "INSTGOV_LIVE_ARMED"

_REASONS: Final[MappingProxyType[int, ReasonCode]] = MappingProxyType(
    {
        400: ReasonCode.PROVIDER_BAD_REQUEST,
        401: ReasonCode.PROVIDER_UNAUTHORIZED,
        403: ReasonCode.PROVIDER_FORBIDDEN,
        404: ReasonCode.PROVIDER_NOT_FOUND,
        418: ReasonCode.PROVIDER_RATE_LIMITED,  # Binance: banned for going on after a 429
        422: ReasonCode.PROVIDER_UNPROCESSABLE,
        429: ReasonCode.PROVIDER_RATE_LIMITED,
        451: ReasonCode.PROVIDER_RESTRICTED_LOCATION,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a request goes in a market, or ``NO_VALID_PROVIDER`` and the reason."""

    destination: str
    reason_code: ReasonCode

    @property
    def is_open(self) -> bool:
        """Whether the request has somewhere to go."""
        return self.destination != NO_VALID_PROVIDER


def select_provider(
    symbol: str,
    history_days: int,
    purpose: Purpose | str,
    entitled_providers: frozenset[str],
    *,
    history: HistoryPolicy | None = None,
) -> str:
    """Name the provider that serves a request, or answer ``NO_VALID_PROVIDER``.

    Never raises for want of a provider and never names a second one after one refused
    (roadmap 1.3); ``provider_verdict`` tells the reason.
    """
    verdict = provider_verdict(symbol, history_days, purpose, entitled_providers, history=history)
    return verdict.provider


def provider_verdict(
    symbol: str,
    history_days: int,
    purpose: Purpose | str,
    entitled_providers: frozenset[str],
    *,
    history: HistoryPolicy | None = None,
) -> ProviderVerdict:
    """Select a provider and tell why it, or why none.

    Parameters
    ----------
    symbol
        Its spelling tells the class; an unreadable symbol has no provider.
    history_days
        Calendar days of bars asked for; 0 for a live quote or an order.
    purpose
        One of ``Purpose``; a word that is none of them has no provider.
    entitled_providers
        What ``entitled_providers`` answered for the same ``history_days``.
    history
        Holds the limit of days on the live path (roadmap 0.1); its default where ``None``.

    Returns
    -------
    ProviderVerdict
        ``LIVE_HISTORY_FORBIDDEN`` where a live purpose asks for long history,
        ``PROVIDER_NOT_ENTITLED`` where somebody capable lacks the entitlement, ``SIM_ONLY`` where
        the class has no live route, otherwise ``NO_VALID_PROVIDER``.
    """
    limits = history or HistoryPolicy()
    try:
        wanted = Purpose(purpose)
        candidates = _candidates(symbol, wanted)
    except ValueError:
        return _refuse(ReasonCode.NO_VALID_PROVIDER)
    if wanted.is_live and history_days > limits.live_history_limit_days:
        return _refuse(ReasonCode.LIVE_HISTORY_FORBIDDEN)
    capable = [p for p in candidates if 0 <= history_days <= CAPABILITIES[p].max_history_days]
    for provider in capable:
        if provider in entitled_providers:
            return ProviderVerdict(provider=provider, reason_code=ReasonCode.PROVIDER_SELECTED)
    if capable:
        return _refuse(ReasonCode.PROVIDER_NOT_ENTITLED)
    is_unrouted = wanted.is_live and not candidates
    return _refuse(ReasonCode.SIM_ONLY if is_unrouted else ReasonCode.NO_VALID_PROVIDER)


def entitled_providers(
    environment: Mapping[str, str], history_days: int, *, policy: ProviderPolicy | None = None
) -> frozenset[str]:
    """Tell who may be asked: the variables are set *and* the plan covers the days (roadmap 1.5).

    Parameters
    ----------
    environment
        The process environment, passed in; the core never reads it.
    history_days
        Calendar days of bars that will be asked for.
    policy
        Holds the days of Polygon's free plan; its default where ``None``.

    Raises
    ------
    InputError
        If ``POLYGON_MAX_HISTORY_DAYS`` is set and is not a whole number of days.
    """
    limits = policy or ProviderPolicy()
    entitled = set()
    for provider, row in CAPABILITIES.items():
        days = row.max_history_days
        if provider == "polygon":
            days = min(days, _polygon_days(environment, limits))
        if history_days <= days and _is_keyed(provider, row, environment):
            entitled.add(provider)
    return frozenset(entitled)


def reason_for_status(http_status: int) -> ReasonCode:
    """Name the reason of a refused HTTP answer (roadmap 0.2).

    Raises
    ------
    ValueError
        If the status is a success: it refuses nothing.
    """
    if 200 <= http_status < 300:
        raise ValueError(f"http_status must be a refusal, was {http_status}")
    if 500 <= http_status < 600:
        return ReasonCode.PROVIDER_UNAVAILABLE
    return _REASONS.get(http_status, ReasonCode.PROVIDER_MALFORMED)


def tries_allowed(http_status: int | None, purpose: Purpose, policy: ProviderPolicy) -> int:
    """Count the requests one question may cost: 400, 401, 403, 404, 422 and 451 cost exactly one.

    ``None`` is an answer that never came whole: a timeout or a cut body. Only those, 429 and 5xx
    may be asked again, and only in a batch.
    """
    is_passing = http_status is None or http_status == 429 or 500 <= http_status < 600
    if not is_passing or purpose.is_live:
        return policy.live_tries
    return policy.batch_tries


def route(market: Market, asset_class: AssetClass | None, purpose: Purpose) -> Route:
    """Tell where a market sends requests of a purpose; in ``live`` FX and COMMODITIES go nowhere.

    ``simulated`` and ``files`` serve all bars themselves and execute all classes on paper. In
    ``live`` the route of history names the first provider of the separation; who is entitled is
    ``select_provider``'s matter.
    """
    if market is not Market.LIVE:
        destination = _PAPER_BROKER if purpose is Purpose.EXECUTION else market.value
        return Route(destination=destination, reason_code=ReasonCode.PROVIDER_SELECTED)
    if asset_class is None:
        if purpose.is_live:
            return Route(destination=NO_VALID_PROVIDER, reason_code=ReasonCode.REFERENCE_NOT_BID)
        return Route(destination=_INDEX_ROUTE[0], reason_code=ReasonCode.PROVIDER_SELECTED)
    if purpose is Purpose.REFERENCE:
        return Route(destination=NO_VALID_PROVIDER, reason_code=ReasonCode.NO_VALID_PROVIDER)
    providers = _LIVE_ROUTE if purpose.is_live else _HISTORY_ROUTES[asset_class]
    if asset_class in CAPABILITIES[providers[0]].asset_classes:
        return Route(destination=providers[0], reason_code=ReasonCode.PROVIDER_SELECTED)
    return Route(destination=NO_VALID_PROVIDER, reason_code=ReasonCode.SIM_ONLY)


def execution_account(
    market: Market, wanted: BrokerAccount, environment: Mapping[str, str]
) -> BrokerAccount:
    """Tell which account orders go to: the configured one, in the market `live` alone.

    Real money takes two arms that nobody sets by accident: the configuration's and the
    environment's. One alone arms nothing.

    Raises
    ------
    InputError
        If the configuration names real money and the environment does not arm it.
    """
    if market is not Market.LIVE:
        return BrokerAccount.EMBEDDED
    armed = environment.get(LIVE_ARMED, "").strip()
    if wanted is BrokerAccount.ALPACA_LIVE and armed != "1":
        raise InputError(
            f"providers.broker alpaca_live trades real money: {LIVE_ARMED} must be 1, was {armed!r}"
        )
    return wanted


def history_providers(asset_class: AssetClass) -> tuple[str, ...]:
    """Name who may be asked for a class's history, in the order of the separation (roadmap 1.4)."""
    return _HISTORY_ROUTES[asset_class]


def require_outside_live_loop(*, is_live_loop: bool, symbol: str, history_days: int) -> None:
    """Stop everything when history is asked for from inside the live loop (roadmap 0.1, 3.2).

    Raises
    ------
    SystemHalt
        With ``HISTORY_IN_LIVE_LOOP``.
    """
    if is_live_loop:
        raise SystemHalt(
            ReasonCode.HISTORY_IN_LIVE_LOOP, f"{history_days} days of {symbol} were asked for"
        )


def _candidates(symbol: str, purpose: Purpose) -> tuple[str, ...]:
    # Reads the separation table only; an unreadable symbol raises InputError, a ValueError.
    asset_class = classify_symbol(symbol)
    is_index = is_reference_symbol(symbol, None)
    if purpose is Purpose.REFERENCE:
        return _INDEX_ROUTE if is_index or asset_class is not _STOCKS else _SERIES_ROUTE
    if is_index:
        return () if purpose.is_live else _INDEX_ROUTE
    names = _LIVE_ROUTE if purpose.is_live else _HISTORY_ROUTES[asset_class]
    return tuple(name for name in names if asset_class in CAPABILITIES[name].asset_classes)


def _is_keyed(provider: str, row: ProviderCapability, environment: Mapping[str, str]) -> bool:
    if not row.requires_entitlement:
        return True
    if provider == "yahoo":  # yfinance is for personal use only; somebody must say so
        return environment.get(_YAHOO_PERSONAL_USE, "").strip() == "1"
    return all(environment.get(name, "").strip() for name in _VARIABLES[provider])


def _polygon_days(environment: Mapping[str, str], policy: ProviderPolicy) -> int:
    text = environment.get(_POLYGON_PLAN_DAYS, "").strip()
    if not text:
        return policy.polygon_free_plan_days
    if not text.isascii() or not text.isdigit():
        raise InputError(f"{_POLYGON_PLAN_DAYS} must be a whole number of days >= 0, was {text!r}")
    return int(text)


def _refuse(reason_code: ReasonCode) -> ProviderVerdict:
    return ProviderVerdict(provider=NO_VALID_PROVIDER, reason_code=reason_code)
