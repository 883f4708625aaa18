"""The numbers of the bars wing, each a bounded field whose default is the specification's."""

from dataclasses import dataclass

from instgov_dagster.vocabulary.bars import BrokerAccount, ClassTable
from instgov_dagster.vocabulary.checks import check_bounds, number


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPolicy:
    """The window of history, when a session counts as closed, and how much of it must be there.

    ``stress_window_days`` is how far back the worst year is looked for; no provider of the
    capability matrix delivers more.
    """

    window_days: int = number(1825, ge=30, le=18_000)
    stress_window_days: int = number(5000, ge=30, le=18_000)
    nominal_sessions: int = number(1260, ge=21)
    coverage: float = number(0.99, gt=0, le=1)
    close_delay_hours: float = number(2.0, ge=0, le=24)
    knowledge_hour_utc: int = number(6, ge=0, le=23)
    live_history_limit_days: int = number(730, ge=0)
    min_judged_rows: int = number(63, ge=2)
    ingestion_closes_before_open_hours: float = number(1.0, ge=0, le=12)

    def __post_init__(self) -> None:
        check_bounds(self)

    def window_days_of(self, sessions: int) -> int:
        """Give the calendar days that nominally hold so many sessions (1260 name 1825 days)."""
        return round(sessions * self.window_days / self.nominal_sessions)


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePenalty:
    """What one quality rule costs: ``weight * min(1, rate / cap)``.

    A ``cap`` of zero means that a single occurrence costs the whole weight.
    """

    weight: float = number(ge=0, le=1)
    cap: float = number(ge=0, le=1)

    def __post_init__(self) -> None:
        check_bounds(self)


# CL=F settled at -37.63 on 2020-04-20: a commodity may be negative and real.
_PRICE_NOT_POSITIVE_WEIGHT = ClassTable(stocks=0.45, fx=0.45, commodities=0.10, crypto=0.45)
_SPIKE_LOG_RETURN = ClassTable(stocks=0.30, fx=0.05, commodities=0.60, crypto=0.60)


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityPolicy:
    """The rules of DATA_QUALITY_SCORE (roadmap 2.4, 2.5): weights, caps and thresholds."""

    invalid_below: float = number(0.6, ge=0, le=1)
    degraded_below: float = number(0.8, ge=0, le=1)
    missing: RulePenalty = RulePenalty(weight=0.45, cap=0.05)
    price_not_positive_weight: ClassTable = _PRICE_NOT_POSITIVE_WEIGHT
    price_not_positive_weight_reference: float = number(0.45, ge=0, le=1)
    spike: RulePenalty = RulePenalty(weight=0.45, cap=0.0)
    spike_log_return: ClassTable = _SPIKE_LOG_RETURN
    level_break: RulePenalty = RulePenalty(weight=0.45, cap=0.0)
    level_break_ratio: float = number(1.45, gt=1)
    level_break_volume_multiple: float = number(2.5, gt=0)
    index_symbol: str = "^GSPC"
    index_move: float = number(0.04, gt=0)
    ohlc: RulePenalty = RulePenalty(weight=0.20, cap=0.02)
    ohlc_tolerance_bps: float = number(50.0, ge=0)
    zero_volume: RulePenalty = RulePenalty(weight=0.20, cap=0.10)
    duplicates: RulePenalty = RulePenalty(weight=0.15, cap=0.01)
    volume_spike: RulePenalty = RulePenalty(weight=0.10, cap=0.02)
    volume_spike_sigmas: float = number(6.0, gt=0)
    volume_window_sessions: int = number(252, ge=21)
    volume_refresh_sessions: int = number(21, ge=1)
    split_match_tolerance: float = number(0.20, gt=0, lt=1)
    fx_close_min_body: float = number(0.10, gt=0, lt=1)
    fx_bridged_sessions: int = number(1, ge=0, le=5)
    shown_dates: int = number(5, ge=0, le=100)

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.degraded_below < self.invalid_below:
            raise ValueError(
                "QualityPolicy.degraded_below must be >= invalid_below "
                f"({self.invalid_below:g}), was {self.degraded_below:g}"
            )
        if not self.index_symbol:
            raise ValueError("QualityPolicy.index_symbol must not be empty, was ''")


# Well below what each allows: Polygon's free plan five a minute, FRED 120, Alpaca 200, Binance 6000
# of weight (a page of klines weighs 2); Yahoo publishes none and blocks an address for minutes.
_REQUESTS_PER_MINUTE = (
    ("alpaca", 180.0),
    ("binance", 600.0),
    ("fred", 100.0),
    ("polygon", 5.0),
    ("yahoo", 60.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPolicy:
    """How often, how fast and how long a provider is asked; over how many nights it is judged.

    ``max_pages`` bounds an answer that comes in pages; ``questions_at_once`` is how many symbols
    are asked for at a time, whatever the rates. An order whose outcome is unknown is looked up
    ``lookup_tries`` times; a cancelled one must be over by the ``cancel_deadline_seconds``.
    ``broker`` is the account that orders of the market `live` go to; real money must be armed in
    the environment too.
    """

    broker: BrokerAccount = BrokerAccount.ALPACA_PAPER
    batch_tries: int = number(3, ge=1, le=10)
    live_tries: int = number(1, ge=1, le=1)
    backoff_first_seconds: float = number(1.0, ge=0)
    backoff_max_seconds: float = number(30.0, gt=0)
    deadline_seconds: float = number(120.0, gt=0)
    request_timeout_seconds: float = number(20.0, gt=0)
    polygon_free_plan_days: int = number(730, ge=0)
    confidence_nights: int = number(20, ge=1)
    lookup_tries: int = number(3, ge=1, le=20)
    lookup_pause_seconds: float = number(0.5, ge=0, le=10)
    broker_timeout_seconds: float = number(2.0, gt=0, le=60)
    cancel_deadline_seconds: float = number(5.0, gt=0, le=120)
    max_pages: int = number(20, ge=1, le=1000)
    questions_at_once: int = number(4, ge=1, le=64)
    requests_per_minute: tuple[tuple[str, float], ...] = _REQUESTS_PER_MINUTE

    def __post_init__(self) -> None:
        check_bounds(self)
        named = [provider for provider, _ in self.requests_per_minute]
        if sorted(named) != sorted(name for name, _ in _REQUESTS_PER_MINUTE):
            raise ValueError(
                f"ProviderPolicy.requests_per_minute must name each provider once, was {named!r}"
            )
        for provider, rate in self.requests_per_minute:
            if not 0 < rate <= 60_000:
                raise ValueError(
                    f"ProviderPolicy.requests_per_minute[{provider}] must be > 0 and <= 60000, "
                    f"was {rate!r}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingPolicy:
    """What turns bars into dollars traded a day; FX reports no volume, so its pairs are given."""

    adv_sessions: int = number(21, ge=1)
    multipliers: tuple[tuple[str, float], ...] = (
        ("CL=F", 1_000.0),
        ("GC=F", 100.0),
        ("HG=F", 25_000.0),
        ("NG=F", 10_000.0),
        ("SI=F", 5_000.0),
    )
    fx_adv_usd: tuple[tuple[str, float], ...] = ()
    fx_adv_usd_default: float = number(5e9, gt=0)

    def __post_init__(self) -> None:
        check_bounds(self)
        for name, pairs in (("multipliers", self.multipliers), ("fx_adv_usd", self.fx_adv_usd)):
            if len({symbol for symbol, _ in pairs}) != len(pairs):
                raise ValueError(f"SizingPolicy.{name} must name each symbol once, was {pairs!r}")
            for symbol, value in pairs:
                if not 0 < value < float("inf"):
                    raise ValueError(
                        f"SizingPolicy.{name}[{symbol}] must be a finite number > 0, was {value!r}"
                    )
