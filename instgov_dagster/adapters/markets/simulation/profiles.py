"""What kind of thing each symbol is: price level, beta, own volatility, growth, yield, turnover."""

import math
from dataclasses import dataclass
from types import MappingProxyType

from instgov_dagster.adapters.markets.simulation.noise import between, uniform_of
from instgov_dagster.adapters.markets.simulation.parameters import (
    ClassDynamics,
    WorldParameters,
    dynamics_of,
)
from instgov_dagster.vocabulary.bars import AssetClass

MARKET_TRACKERS = frozenset({"SPY", "^GSPC"})
VOLATILITY_INDEX = "^VIX"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One symbol's constants.

    Attributes
    ----------
    factor_loading
        On the factor of the symbol's class or, for stocks, of its sector.
    growth_annual
        Of the logarithm of its value, dividends included.
    adv_usd
        Typical dollars traded a session; zero where the class reports no volume.
    """

    price: float
    beta: float
    factor_loading: float
    own_volatility_annual: float
    growth_annual: float
    yield_annual: float
    adv_usd: float


# Price, beta, own volatility, dividend yield and dollars a session of names a reader knows;
# round figures of the order of the mid-2020s, not quotations.
_KNOWN: MappingProxyType[str, tuple[float, float, float, float, float]] = MappingProxyType(
    {
        "AAPL": (260.0, 1.10, 0.16, 0.005, 1.2e10),
        "AMZN": (230.0, 1.15, 0.19, 0.0, 9.0e9),
        "ARM": (130.0, 1.30, 0.30, 0.0, 1.0e9),
        "AUDUSD=X": (0.66, 0.25, 0.04, 0.0, 0.0),
        "BAC": (54.0, 1.15, 0.15, 0.022, 2.0e9),
        "BTC-USD": (90_000.0, 0.9, 0.22, 0.0, 3.0e10),
        "CAT": (580.0, 1.05, 0.17, 0.012, 1.8e9),
        "CL=F": (60.0, 0.45, 0.27, 0.0, 2.0e10),
        "CVX": (150.0, 0.75, 0.15, 0.04, 1.4e9),
        "ETH-USD": (3_000.0, 1.1, 0.30, 0.0, 2.0e10),
        "EURUSD=X": (1.17, 0.08, 0.03, 0.0, 0.0),
        "GBPUSD=X": (1.34, 0.12, 0.04, 0.0, 0.0),
        "GC=F": (4_300.0, 0.02, 0.10, 0.0, 5.0e10),
        "GE": (310.0, 1.10, 0.18, 0.005, 1.5e9),
        "GOOGL": (310.0, 1.05, 0.17, 0.003, 8.0e9),
        "HD": (345.0, 0.95, 0.14, 0.027, 1.3e9),
        "HG=F": (5.6, 0.40, 0.15, 0.0, 9.0e9),
        "JNJ": (205.0, 0.50, 0.11, 0.025, 1.5e9),
        "JPM": (320.0, 1.05, 0.15, 0.018, 2.6e9),
        "KO": (70.0, 0.50, 0.10, 0.029, 1.1e9),
        "LIN": (425.0, 0.80, 0.13, 0.014, 9.0e8),
        "LTC-USD": (80.0, 1.0, 0.34, 0.0, 5.0e8),
        "META": (660.0, 1.20, 0.21, 0.003, 9.0e9),
        "MSFT": (480.0, 1.05, 0.14, 0.007, 1.0e10),
        "NEE": (80.0, 0.60, 0.15, 0.028, 8.0e8),
        "NVDA": (187.0, 1.45, 0.27, 0.0, 3.0e10),
        "NZDUSD=X": (0.58, 0.24, 0.04, 0.0, 0.0),
        "PFE": (25.0, 0.60, 0.15, 0.068, 1.0e9),
        "PG": (142.0, 0.45, 0.10, 0.029, 1.2e9),
        "QQQ": (615.0, 1.15, 0.05, 0.006, 2.5e10),
        "SI=F": (72.0, 0.20, 0.22, 0.0, 1.2e10),
        "SOL-USD": (125.0, 1.3, 0.45, 0.0, 4.0e9),
        "TLT": (88.0, -0.15, 0.09, 0.038, 3.0e9),
        "UNH": (330.0, 0.70, 0.18, 0.026, 2.5e9),
        "XOM": (120.0, 0.75, 0.15, 0.033, 1.8e9),
    }
)
# Price of the volatility index does not come from a trend; these two do.
_TRACKER_PRICES = MappingProxyType({"SPY": 684.0, "^GSPC": 6_850.0})
_TRACKER_YIELD = 0.012
_TRACKER_ADV_USD = 4.0e10
# Some sectors and vehicles feel their group's factor less than a plain member does.
_LOADINGS = MappingProxyType({"QQQ": 0.8, "TLT": 0.0, "GC=F": 0.7, "SI=F": 1.2, "LTC-USD": 1.1})


def profile_of(
    symbol: str, asset_class: AssetClass, *, seed: int, parameters: WorldParameters
) -> Profile:
    """Give the constants of a symbol: its own where it is known, else drawn for its name.

    Growth is the class's range of Sharpe ratios, at the symbol's own place in it, times its
    volatility: of the logarithm, so that the arithmetic mean lies half a variance higher.
    """
    if symbol in MARKET_TRACKERS:
        return _tracker(symbol, parameters)
    dynamics = dynamics_of(asset_class)
    if symbol in _KNOWN:
        price, beta, own, dividend_yield, adv = _KNOWN[symbol]
    else:
        price = _log_between(dynamics.price, uniform_of(seed, symbol, "price"))
        beta = between(*dynamics.betas, uniform_of(seed, symbol, "beta"))
        own = between(*dynamics.own_volatilities_annual, uniform_of(seed, symbol, "own"))
        dividend_yield = between(*dynamics.yields, uniform_of(seed, symbol, "yield"))
        adv = _log_between(dynamics.adv_usd, uniform_of(seed, symbol, "adv"))
    sharpe = between(*dynamics.sharpes, uniform_of(seed, symbol, "sharpe"))
    loading = _LOADINGS.get(symbol, 1.0)
    return Profile(
        price=price,
        beta=beta,
        factor_loading=loading,
        own_volatility_annual=own,
        growth_annual=sharpe * _total_volatility(beta, loading, own, dynamics, parameters),
        yield_annual=dividend_yield,
        adv_usd=0.0 if asset_class is AssetClass.FX else adv,
    )


def _tracker(symbol: str, parameters: WorldParameters) -> Profile:
    growth = parameters.market_sharpe * parameters.market_volatility_annual
    is_index = symbol.startswith("^")
    return Profile(
        price=_TRACKER_PRICES[symbol],
        beta=1.0,
        factor_loading=0.0,
        own_volatility_annual=0.0,
        # A price index grows by what its members do not pay out.
        growth_annual=growth - _TRACKER_YIELD if is_index else growth,
        yield_annual=0.0 if is_index else _TRACKER_YIELD,
        adv_usd=_TRACKER_ADV_USD,
    )


def _total_volatility(
    beta: float, loading: float, own: float, dynamics: ClassDynamics, parameters: WorldParameters
) -> float:
    market = beta * parameters.market_volatility_annual
    return math.hypot(market, loading * dynamics.factor_volatility_annual, own)


def _log_between(bounds: tuple[float, float], share: float) -> float:
    return math.exp(between(math.log(bounds[0]), math.log(bounds[1]), share))
