"""The words of the bars wing: classes, statuses, purposes, universe; numbers in policy.bars."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from instgov_dagster.vocabulary.checks import check_bounds, number
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The word a frame carries where a symbol is observed and never bid for.
REFERENCE: Final = "REFERENCE"

#: What ``select_provider`` answers when nobody entitled may serve (roadmap 1.3).
NO_VALID_PROVIDER: Final = "NO_VALID_PROVIDER"

#: The sector of a symbol nobody placed in one.
UNKNOWN_SECTOR: Final = "UNKNOWN"


class AssetClass(StrEnum):
    """The four classes that may hold capital (roadmap 1.1)."""

    STOCKS = "STOCKS"
    FX = "FX"
    CRYPTO = "CRYPTO"
    COMMODITIES = "COMMODITIES"


class SymbolStatus(StrEnum):
    """What the bars of one symbol are worth; the worst status that applies is the one told."""

    VALID = "VALID"
    INVALID_DATA = "INVALID_DATA"
    INSUFFICIENT_HISTORY = "INSUFFICIENT_HISTORY"
    STALE = "STALE"
    REFERENCE = "REFERENCE"

    @property
    def rank(self) -> int:
        """The severity: INVALID_DATA outranks INSUFFICIENT_HISTORY outranks STALE."""
        return _STATUS_RANKS[self]


_STATUS_RANKS: MappingProxyType[SymbolStatus, int] = MappingProxyType(
    {
        SymbolStatus.VALID: 0,
        SymbolStatus.REFERENCE: 0,
        SymbolStatus.STALE: 1,
        SymbolStatus.INSUFFICIENT_HISTORY: 2,
        SymbolStatus.INVALID_DATA: 3,
    }
)


class Purpose(StrEnum):
    """Why a provider is asked; the separation of providers hangs on it (roadmap 1.4)."""

    HISTORY_BATCH = "history_batch"
    STRESS_BATCH = "stress_batch"
    REFERENCE = "reference"
    LIVE_QUOTE = "live_quote"
    EXECUTION = "execution"

    @property
    def is_live(self) -> bool:
        """Whether the purpose belongs to the live path, which may not ask for long history."""
        return self in (Purpose.LIVE_QUOTE, Purpose.EXECUTION)


class Market(StrEnum):
    """Where bars and quotes come from; there is never a silent fall-back between them."""

    SIMULATED = "simulated"
    FILES = "files"
    LIVE = "live"


class BrokerAccount(StrEnum):
    """Which account the orders of the market `live` go to; other markets know the embedded one."""

    EMBEDDED = "embedded"
    ALPACA_PAPER = "alpaca_paper"
    ALPACA_LIVE = "alpaca_live"

    @property
    def is_remote(self) -> bool:
        """Whether somebody else keeps it, so that it must be asked and compared."""
        return self is not BrokerAccount.EMBEDDED


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTable:
    """One number for each asset class."""

    stocks: float = number()
    fx: float = number()
    commodities: float = number()
    crypto: float = number()

    def __post_init__(self) -> None:
        check_bounds(self)

    def of(self, asset_class: AssetClass) -> float:
        """Give the number of one class."""
        match asset_class:
            case AssetClass.STOCKS:
                return self.stocks
            case AssetClass.FX:
                return self.fx
            case AssetClass.COMMODITIES:
                return self.commodities
            case AssetClass.CRYPTO:
                return self.crypto


def is_plain_name(text: str) -> bool:
    """Tell whether a text names itself and no other place of a file system.

    A symbol names files, table rows and parts of addresses: what steps out of its folder on any
    system is no symbol, whoever quotes it later.
    """
    is_step = ".." in text or text in {".", "NUL"}
    return not is_step and text.isprintable() and not set(text) & {"/", "\\"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UniverseSymbol:
    """One symbol of the universe.

    ``asset_class`` is ``None`` where nobody declared it (``classify_symbol`` decides) and for a
    reference. ``listed_on`` is the first trade date, where it is known.
    """

    symbol: str
    asset_class: AssetClass | None = None
    sector: str = UNKNOWN_SECTOR
    listed_on: date | None = None
    is_reference: bool = False

    def __post_init__(self) -> None:
        if not self.symbol or self.symbol != self.symbol.strip():
            raise ValueError(
                f"UniverseSymbol.symbol must be a word without spaces, was {self.symbol!r}"
            )
        if not is_plain_name(self.symbol):
            raise ValueError(
                "UniverseSymbol.symbol must be no path, no device and without control characters,"
                f" was {self.symbol!r}"
            )
        if not self.sector:
            raise ValueError(f"UniverseSymbol.sector of {self.symbol} must not be empty, was ''")
        if self.is_reference and self.asset_class is not None:
            raise ValueError(
                f"UniverseSymbol.asset_class of the reference {self.symbol} must be None, "
                f"was {self.asset_class!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """Every symbol the system knows, references included, each of them once, kept sorted."""

    symbols: tuple[UniverseSymbol, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.symbols, key=_symbol_of))
        twice = sorted({a.symbol for a, b in pairwise(ordered) if a.symbol == b.symbol})
        if twice:
            raise ValueError(f"Universe.symbols must be distinct, was twice: {', '.join(twice)}")
        object.__setattr__(self, "symbols", ordered)

    @property
    def tradable(self) -> tuple[str, ...]:
        """Give the symbols that are decided in every cycle, sorted; ineligible ones included."""
        return tuple(sorted(entry.symbol for entry in self.symbols if not entry.is_reference))

    @property
    def references(self) -> tuple[str, ...]:
        """Give the symbols that are observed and never bid for, sorted."""
        return tuple(sorted(entry.symbol for entry in self.symbols if entry.is_reference))

    def of(self, symbol: str) -> UniverseSymbol:
        """Give the entry of one symbol.

        Raises
        ------
        ValueError
            If the symbol is not in the universe.
        """
        place = bisect_left(self.symbols, symbol, key=_symbol_of)
        if place == len(self.symbols) or self.symbols[place].symbol != symbol:
            raise ValueError(f"symbol must be in the universe, was {symbol!r}")
        return self.symbols[place]


def _symbol_of(entry: UniverseSymbol) -> str:
    return entry.symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCapability:
    """One row of the capability matrix: what a provider may be asked for (roadmap 1.2)."""

    provider: str
    asset_classes: frozenset[AssetClass]
    max_history_days: int = number(ge=0)
    requires_entitlement: bool
    purposes: frozenset[Purpose]

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.provider:
            raise ValueError("ProviderCapability.provider must not be empty, was ''")
        if not self.purposes:
            raise ValueError(f"ProviderCapability.purposes of {self.provider} must not be empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderVerdict:
    """The answer of a provider selection: a provider's name or ``NO_VALID_PROVIDER``, and why."""

    provider: str
    reason_code: ReasonCode

    @property
    def is_selected(self) -> bool:
        """Whether somebody may serve the request."""
        return self.provider != NO_VALID_PROVIDER
