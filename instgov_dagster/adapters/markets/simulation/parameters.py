"""Every number of the simulated world, as frozen dataclasses; no random draw happens here."""

from dataclasses import dataclass, field
from datetime import date

from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.checks import check_bounds, number

RegimeTriple = tuple[float, float, float]
"""One number per regime, in the order NORMAL, VOLATILE, CRISIS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedCrisis:
    """A crisis every seed goes through, near a given date."""

    onset: date
    days: int = number(ge=5, le=365)

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeParameters:
    """The Markov chain over calendar days and what each regime means for the market factor.

    Attributes
    ----------
    to_volatile, to_crisis, volatile_to_normal, volatile_to_crisis, crisis_to_volatile
        Chances per calendar day of leaving NORMAL, NORMAL, VOLATILE, VOLATILE, CRISIS.
    market_volatility_annual, market_drift_annual, vix_level
        Per regime; the levels are those the fixed emissions of the regime filter stand for.
    """

    to_volatile: float = number(0.006, ge=0, le=1)
    to_crisis: float = number(0.0001, ge=0, le=1)
    volatile_to_normal: float = number(0.018, ge=0, le=1)
    volatile_to_crisis: float = number(0.0008, ge=0, le=1)
    crisis_to_volatile: float = number(0.025, ge=0, le=1)
    market_volatility_annual: RegimeTriple = (0.10, 0.17, 0.40)
    market_drift_annual: RegimeTriple = (0.05, -0.03, -0.9)
    vix_level: RegimeTriple = (14.0, 22.0, 38.0)
    vix_speed: float = number(0.15, gt=0, lt=1)
    vix_market_loading: float = number(0.035, ge=0, le=1)
    vix_noise: float = number(0.03, ge=0, le=1)
    prelude_days: int = number(20, ge=0)
    aftermath_days: int = number(90, ge=0)
    jitter_days: int = number(15, ge=0)
    planted: tuple[PlantedCrisis, ...] = (
        PlantedCrisis(onset=date(2002, 7, 8), days=60),
        PlantedCrisis(onset=date(2008, 9, 15), days=100),
        PlantedCrisis(onset=date(2011, 8, 4), days=45),
        PlantedCrisis(onset=date(2020, 2, 24), days=50),
        PlantedCrisis(onset=date(2023, 10, 2), days=40),
        PlantedCrisis(onset=date(2030, 3, 4), days=60),
    )

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDynamics:
    """How the symbols of one asset class move.

    Attributes
    ----------
    factor_volatility_annual
        Of the class factor (for STOCKS: of each sector's factor) in the NORMAL regime.
    regime_scale
        What class factor and own moves are multiplied with in each regime.
    max_log_move
        Bound on one session's log return: a wilder one would look like a vendor's error.
    overnight_share
        Share of a session's variance that happens before its open.
    betas, own_volatilities_annual, sharpes, yields, adv_usd
        Ranges from which a symbol without a profile of its own draws.
    """

    sessions_per_year: float = number(gt=0)
    factor_volatility_annual: float = number(ge=0)
    regime_scale: RegimeTriple
    tail_degrees: float = number(4.0, gt=2)
    max_log_move: float = number(gt=0)
    overnight_share: float = number(ge=0, lt=1)
    betas: tuple[float, float]
    own_volatilities_annual: tuple[float, float]
    sharpes: tuple[float, float]
    yields: tuple[float, float] = (0.0, 0.0)
    adv_usd: tuple[float, float]
    price: tuple[float, float]

    def __post_init__(self) -> None:
        check_bounds(self)


STOCKS = ClassDynamics(
    sessions_per_year=252.0,
    factor_volatility_annual=0.07,
    regime_scale=(1.0, 1.25, 1.9),
    max_log_move=0.22,
    overnight_share=0.28,
    betas=(0.6, 1.3),
    own_volatilities_annual=(0.14, 0.26),
    sharpes=(0.30, 0.60),
    yields=(0.0, 0.03),
    adv_usd=(2.0e8, 6.0e9),
    price=(30.0, 450.0),
)
FX = ClassDynamics(
    sessions_per_year=260.0,
    factor_volatility_annual=0.05,
    regime_scale=(1.0, 1.2, 1.6),
    max_log_move=0.04,
    overnight_share=0.02,
    betas=(0.05, 0.25),
    own_volatilities_annual=(0.03, 0.05),
    sharpes=(-0.10, 0.20),
    adv_usd=(1.0e9, 1.0e10),
    price=(0.6, 1.4),
)
CRYPTO = ClassDynamics(
    sessions_per_year=365.0,
    factor_volatility_annual=0.42,
    regime_scale=(1.0, 1.2, 1.5),
    max_log_move=0.40,
    overnight_share=0.01,
    betas=(0.8, 1.4),
    own_volatilities_annual=(0.25, 0.45),
    sharpes=(0.30, 0.55),
    adv_usd=(1.0e9, 2.0e10),
    price=(1.0, 3000.0),
)
COMMODITIES = ClassDynamics(
    sessions_per_year=252.0,
    factor_volatility_annual=0.10,
    regime_scale=(1.0, 1.2, 1.7),
    max_log_move=0.20,
    overnight_share=0.35,
    betas=(0.0, 0.5),
    own_volatilities_annual=(0.12, 0.25),
    sharpes=(0.10, 0.35),
    adv_usd=(2.0e9, 3.0e10),
    price=(3.0, 2000.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectParameters:
    """Which symbols the simulated vendor spoils, how and how often.

    Holes are planted only after the listing of a symbol too young to be bid for: a hole at the
    last closed session of any other symbol halts the system, as it should.
    """

    bad_tick_symbols: tuple[str, ...] = ("GE",)
    bad_tick_every_days: int = number(600, ge=30, le=1500)
    bad_tick_factor: float = number(1.6, gt=1.5)
    duplicate_symbols: tuple[str, ...] = ("HD", "ETH-USD")
    duplicate_share: float = number(0.0015, ge=0, lt=0.01)
    hole_symbols: tuple[str, ...] = ("ARM",)
    hole_share: float = number(0.008, ge=0, lt=0.01)
    hole_days_after_listing: int = number(400, ge=0)
    zero_volume_symbols: tuple[str, ...] = ("LTC-USD", "NEE")
    zero_volume_share: float = number(0.004, ge=0, lt=0.1)
    sunday_symbols: tuple[str, ...] = ("GBPUSD=X", "NZDUSD=X")
    sunday_share: float = number(0.2, ge=0, le=1)
    fx_late_noise: float = number(0.00003, ge=0)
    negative_prices: tuple[tuple[str, date, float], ...] = (("CL=F", date(2020, 4, 20), -12.63),)

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSplit:
    """A split in the vendor's actions; ``is_unadjusted`` where its OHLC still shows the jump."""

    symbol: str
    on: date
    ratio: float = number(gt=0)
    is_unadjusted: bool = False

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldParameters:
    """The whole simulated world; two equal values and one seed give equal bars.

    Attributes
    ----------
    origin, horizon
        First day and first day after the last that the world holds.
    anchor
        The date at which a symbol's trend line passes through its profile's price.
    half_life_years
        Of every deviation from the trend: levels stay near their trend over decades.
    """

    origin: date = date(1999, 6, 1)
    horizon: date = date(2036, 1, 1)
    anchor: date = date(2026, 1, 2)
    half_life_years: float = number(2.0, gt=0)
    market_sharpe: float = number(0.6, ge=-1, le=1)
    market_volatility_annual: float = number(0.14, gt=0)
    dividends_per_year: int = number(4, ge=1, le=12)
    shock_bound: float = number(5.5, gt=1)
    volume_noise: float = number(0.22, ge=0)
    volume_memory: float = number(0.6, ge=0, lt=1)
    volume_on_moves: float = number(0.12, ge=0)
    volume_regime_scale: RegimeTriple = (1.0, 1.15, 1.5)
    price_decimals: int = number(6, ge=2, le=10)
    regimes: RegimeParameters = field(default_factory=RegimeParameters)
    defects: DefectParameters = field(default_factory=DefectParameters)
    splits: tuple[RecordedSplit, ...] = (
        RecordedSplit(symbol="AAPL", on=date(2020, 8, 31), ratio=4.0),
        RecordedSplit(symbol="NVDA", on=date(2024, 6, 10), ratio=10.0),
        RecordedSplit(symbol="ARM", on=date(2025, 3, 17), ratio=2.0, is_unadjusted=True),
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.origin < self.anchor < self.horizon:
            raise ValueError(
                "WorldParameters must keep origin < anchor < horizon, was "
                f"{self.origin}, {self.anchor}, {self.horizon}"
            )


def dynamics_of(asset_class: AssetClass) -> ClassDynamics:
    """Look up how a class moves."""
    match asset_class:
        case AssetClass.STOCKS:
            return STOCKS
        case AssetClass.FX:
            return FX
        case AssetClass.CRYPTO:
            return CRYPTO
        case AssetClass.COMMODITIES:
            return COMMODITIES
