"""Every number the beliefs wing is run by, with its bounds and its source; nothing is computed."""

import math
from dataclasses import dataclass, field

from instgov_dagster.vocabulary.checks import check_bounds, number
from instgov_dagster.vocabulary.policy.models import EvaluationPolicy, SigmaPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeValues:
    """One number for each regime."""

    normal: float = number()
    volatile: float = number()
    crisis: float = number()

    def __post_init__(self) -> None:
        check_bounds(self)

    def as_tuple(self) -> tuple[float, float, float]:
        """List the three numbers in the order of ``Regime``."""
        return (self.normal, self.volatile, self.crisis)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmissionTable:
    """Where one observation lies in each regime, and how widely it scatters.

    Notes
    -----
    ``location`` is in the observation's own unit. Where ``is_logarithmic`` the density is that
    of the observation's logarithm and ``scale`` is in log units. ``scale`` is the Student-t
    scale, which is sqrt((dof - 2) / dof) of a standard deviation.
    """

    location: RegimeValues
    scale: RegimeValues
    is_logarithmic: bool

    def __post_init__(self) -> None:
        if not all(value > 0 for value in self.scale.as_tuple()):
            raise ValueError(f"EmissionTable.scale must be > 0, was {self.scale.as_tuple()!r}")
        if self.is_logarithmic and not all(value > 0 for value in self.location.as_tuple()):
            raise ValueError(
                "EmissionTable.location must be > 0 where logarithmic, "
                f"was {self.location.as_tuple()!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionPrior:
    """Where one session leads from each regime, before anything was observed."""

    normal: RegimeValues
    volatile: RegimeValues
    crisis: RegimeValues

    def __post_init__(self) -> None:
        for name, row in (
            ("normal", self.normal.as_tuple()),
            ("volatile", self.volatile.as_tuple()),
            ("crisis", self.crisis.as_tuple()),
        ):
            # a zero would forbid a transition for ever: no data can outvote a Dirichlet zero
            if not all(0 < value < 1 for value in row):
                raise ValueError(f"TransitionPrior.{name} must lie within (0, 1), was {row!r}")
            if not abs(math.fsum(row) - 1.0) <= 1e-12:
                raise ValueError(f"TransitionPrior.{name} must sum to 1, was {math.fsum(row)!r}")


# VIX: the 7,772 CBOE closes of 1990-2020 (www1.insider-monitor.com/stats/VIX.html: mean 19.5,
# 37.3 % above 20, 8.6 % above 30, 2.6 % above 40), fitted by maximum likelihood as a mixture of
# three Student-t(5) laws of log VIX with the locations held at 14 / 22 / 38: scales .154, .212,
# .252 and weights .48, .48, .04. Fixed from there on: refitted to a calm sample, the worst
# component becomes its upper half.
_VIX = EmissionTable(
    location=RegimeValues(normal=14.0, volatile=22.0, crisis=38.0),
    scale=RegimeValues(normal=0.155, volatile=0.21, crisis=0.25),
    is_logarithmic=True,
)
# Volatility of 21 sessions, annualised: the long-run levels of the S&P 500, about .10 / .17 / .40
# (what VIX implies less its usual premium of 3 to 5 points; 2008 and 2020 peak above .80). The
# scale adds the sampling error of 21 daily returns, about 1/sqrt(2 x 21) = .154, made .2 by fat
# tails, to a spread within the regime of .2: .28 x sqrt(3/5) = .22, wider in a crisis.
_VOLATILITY = EmissionTable(
    location=RegimeValues(normal=0.10, volatile=0.17, crisis=0.40),
    scale=RegimeValues(normal=0.22, volatile=0.22, crisis=0.30),
    is_logarithmic=True,
)
# SPY against the mean of its last 200 closes, minus one: worked out from the volatility table.
# For a random walk log(S / MA200) drifts to 99.5/252 = .395 of a year's drift and scatters by
# sigma x sqrt(200/3/252) = .514 sigma. Drifts of +12 %, -2 % and -30 % a year give the
# locations, sigma of .10, .17 and .40 times sqrt(3/5) the scales. Check: the S&P 500 of
# 1954-2011 closed above its MA200 on 68.3 % of days (cxoadvisory.com); the table with weights
# .48, .48, .04 gives 64 %.
_SPY_MA200 = EmissionTable(
    location=RegimeValues(normal=0.05, volatile=-0.01, crisis=-0.12),
    scale=RegimeValues(normal=0.04, volatile=0.068, crisis=0.16),
    is_logarithmic=False,
)
# Rise of the average pairwise correlation over its own last year: one factor of volatility
# .10 / .17 / .40 over residual volatility .173 / .22 / .35 gives average correlations of
# .25 / .37 / .57 (the first is the long-run level of large US stocks; that it rises with risk is
# Longin and Solnik 2001, Journal of Finance 56, and Pollet and Wilson 2010, Journal of Financial
# Economics 96). Against their long-run mean of .32 the rises are -.07 / +.05 / +.25. The scale
# holds the sampling error of 21 sessions (about .09) and the spread within the regime.
_CORRELATION = EmissionTable(
    location=RegimeValues(normal=-0.07, volatile=0.05, crisis=0.25),
    scale=RegimeValues(normal=0.10, volatile=0.10, crisis=0.14),
    is_logarithmic=False,
)
# Mean stays of 49, 36 and 19 sessions; the stationary weights, .49 / .45 / .06, are those of the
# VIX mixture above.
_TRANSITIONS = TransitionPrior(
    normal=RegimeValues(normal=0.9795, volatile=0.02, crisis=0.0005),
    volatile=RegimeValues(normal=0.022, volatile=0.972, crisis=0.006),
    crisis=RegimeValues(normal=0.002, volatile=0.05, crisis=0.948),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimePolicy:
    """The regime filter: its fixed emissions, its prior, its horizon and its triggers (SPEC 2).

    Notes
    -----
    ``transition_pseudo_counts`` weigh each row of the prior. ``missing_input_mix`` is the share
    of the NORMAL belief that is moved to VOLATILE while an input is missing.
    """

    market_symbol: str = "SPY"
    vix_symbol: str = "^VIX"
    vix: EmissionTable = _VIX
    volatility: EmissionTable = _VOLATILITY
    spy_ma200: EmissionTable = _SPY_MA200
    correlation: EmissionTable = _CORRELATION
    transitions: TransitionPrior = _TRANSITIONS
    degrees_of_freedom: float = number(5.0, gt=2, le=100)
    transition_pseudo_counts: float = number(1000.0, gt=0, le=1e9)
    ma_sessions: int = number(200, ge=2, le=1000)
    volatility_sessions: int = number(21, ge=5, le=252)
    volatility_history_sessions: int = number(252, ge=63, le=2520)
    correlation_sessions: int = number(21, ge=10, le=252)
    correlation_reference_sessions: int = number(252, ge=63, le=2520)
    sessions_per_year: int = number(252, ge=200, le=366)
    input_carry_sessions: int = number(3, ge=0, le=10)
    missing_input_mix: float = number(0.5, gt=0, le=1)
    horizon_sessions: int = number(5, ge=1, le=63)
    derisk_threshold: float = number(0.20, gt=0, lt=1)
    reduce_only_threshold: float = number(0.50, gt=0, le=1)
    release_threshold: float = number(0.15, gt=0, lt=1)
    release_sessions: int = number(5, ge=1, le=63)
    derisk_exponent: float = number(2.0, ge=1, le=10)

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.market_symbol or not self.vix_symbol:
            raise ValueError("RegimePolicy must name its market_symbol and its vix_symbol")
        if not self.release_threshold < self.derisk_threshold < self.reduce_only_threshold:
            raise ValueError(
                "RegimePolicy must keep release_threshold < derisk_threshold < "
                f"reduce_only_threshold, was {self.release_threshold!r}, "
                f"{self.derisk_threshold!r}, {self.reduce_only_threshold!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastPolicy:
    """How mu and sigma are formed and by which law they are read (SPEC 3).

    Notes
    -----
    ``predictive_dof`` fixes the predictive law: a Student-t scaled to the forecast's sigma.
    ``base_floor_share`` and ``base_floor_sessions`` floor the base of a return at a share of
    the trailing median price, because a price can pass through zero.
    """

    sigma: SigmaPolicy = field(default_factory=SigmaPolicy)
    sigma_min_sessions: int = number(63, ge=5, le=1260)
    sigma_floor_annual: float = number(0.001, gt=0, le=0.1)
    sessions_per_year: int = number(252, ge=200, le=366)
    predictive_dof: float = number(5.0, gt=2, le=100)
    max_annual_sharpe: float = number(1.0, gt=0, le=3)
    base_floor_share: float = number(0.25, gt=0, le=1)
    base_floor_sessions: int = number(252, ge=21, le=1260)
    mean_sessions: int = number(1260, ge=252, le=2520)
    mean_min_sessions: int = number(252, ge=63, le=1260)
    momentum_lookback_sessions: int = number(252, ge=63, le=756)
    momentum_skip_sessions: int = number(21, ge=0, le=63)
    reversal_sessions: int = number(5, ge=1, le=63)
    ridge_lags: tuple[int, ...] = (1, 5, 21, 63, 252)
    ridge_penalty: float = number(1.0, gt=0, le=1000)
    defensive_share: float = number(1.0 / 3.0, gt=0, le=1)
    signal_limit: float = number(3.0, gt=0, le=10)
    slope_min_sessions: int = number(63, ge=21, le=1260)

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.mean_min_sessions > self.mean_sessions:
            raise ValueError(
                f"ForecastPolicy.mean_min_sessions must be <= mean_sessions = "
                f"{self.mean_sessions}, was {self.mean_min_sessions}"
            )
        lags = self.ridge_lags
        if not lags or list(lags) != sorted(set(lags)) or not 1 <= lags[0] <= lags[-1] <= 1260:
            raise ValueError(
                f"ForecastPolicy.ridge_lags must increase within [1, 1260], was {lags!r}"
            )
        if self.momentum_skip_sessions >= self.momentum_lookback_sessions:
            raise ValueError(
                f"ForecastPolicy.momentum_skip_sessions must be < momentum_lookback_sessions = "
                f"{self.momentum_lookback_sessions}, was {self.momentum_skip_sessions}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPolicy:
    """How trust in a model is lost and won back (SPEC 3, roadmap 6.2-6.4)."""

    disagreement_beta: float = number(math.log(2.0), gt=0, le=100)
    age_grace_days: int = number(30, ge=0, le=365)
    age_half_life_days: float = number(180.0, gt=0, le=3650)
    max_age_days: int = number(365, ge=1, le=3650)
    error_sessions: int = number(63, ge=21, le=252)
    reference_sessions: int = number(252, ge=63, le=1260)
    error_decay_rate: float = number(2.0, gt=0, le=100)
    flip_critical_z: float = number(1.96, gt=0, le=10)
    flip_factor: float = number(0.5, ge=0, le=1)
    validation_sessions: int = number(252, ge=63, le=1260)
    validation_every_sessions: int = number(21, ge=1, le=252)
    validation_significance: float = number(0.05, gt=0, lt=0.5)
    coverage_sessions: int = number(252, ge=63, le=1260)
    coverage_significance: float = number(0.01, gt=0, lt=0.5)
    min_healthy_decay: float = number(0.10, gt=0, le=1)
    min_healthy_models: int = number(2, ge=2, le=20)

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.age_grace_days >= self.max_age_days:
            raise ValueError(
                f"HealthPolicy.age_grace_days must be < max_age_days = {self.max_age_days}, "
                f"was {self.age_grace_days}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySpec:
    """One strategy: the mu model it bids with and how fast its forecast loses value."""

    strategy_id: str
    model_id: str
    half_life_sessions: float = number(gt=0, le=2520)

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.strategy_id or not self.model_id:
            raise ValueError("a StrategySpec must name its strategy and its model")


_STRATEGIES = (
    StrategySpec(strategy_id="james_stein", model_id="james_stein", half_life_sessions=126.0),
    StrategySpec(strategy_id="momentum", model_id="momentum", half_life_sessions=63.0),
    StrategySpec(strategy_id="reversal", model_id="reversal", half_life_sessions=5.0),
    StrategySpec(strategy_id="ridge", model_id="ridge", half_life_sessions=21.0),
    StrategySpec(strategy_id="combination", model_id="combination", half_life_sessions=21.0),
    StrategySpec(strategy_id="defensive", model_id="defensive", half_life_sessions=21.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPolicy:
    """The forecasting family: how it forecasts, how it is judged, which strategies bid."""

    forecast: ForecastPolicy = ForecastPolicy()
    health: HealthPolicy = HealthPolicy()
    evaluation: EvaluationPolicy = field(default_factory=EvaluationPolicy)
    strategies: tuple[StrategySpec, ...] = _STRATEGIES

    def __post_init__(self) -> None:
        names = [strategy.strategy_id for strategy in self.strategies]
        if not names:
            raise ValueError("ModelPolicy.strategies must hold at least one strategy")
        if len(set(names)) != len(names):
            raise ValueError(f"ModelPolicy.strategies must have distinct ids, was {names!r}")

    @property
    def model_ids(self) -> tuple[str, ...]:
        """The distinct models the strategies bid with, in their order."""
        return tuple(dict.fromkeys(strategy.model_id for strategy in self.strategies))

    def half_life_of(self, strategy_id: str) -> float:
        """Look up the half-life in sessions of one strategy's forecast.

        Raises
        ------
        ValueError
            If no strategy has that id.
        """
        for strategy in self.strategies:
            if strategy.strategy_id == strategy_id:
                return strategy.half_life_sessions
        raise ValueError(f"strategy_id must be one of the policy's, was {strategy_id!r}")
