"""What all symbols share: the days, the regime of each and the market's moves on them."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.adapters.markets.simulation.noise import decay_sum, stream, student_shocks
from instgov_dagster.adapters.markets.simulation.parameters import (
    STOCKS,
    ClassDynamics,
    WorldParameters,
    dynamics_of,
)
from instgov_dagster.adapters.markets.simulation.profiles import Profile
from instgov_dagster.adapters.markets.simulation.regimes import by_regime, regime_path
from instgov_dagster.bars.calendars import expected_sessions
from instgov_dagster.vocabulary.bars import AssetClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """The shared part of a world; every array has one entry per calendar day from the origin.

    Attributes
    ----------
    regimes
        Of each day, shape ``(n_days,)``.
    market_shocks
        Of unit variance, zero where the exchange is closed.
    market_moves
        Log moves of the market factor around its trend, zero where the exchange is closed.
    """

    seed: int
    parameters: WorldParameters
    regimes: NDArray[np.int8]
    market_shocks: NDArray[np.float64]
    market_moves: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """One symbol's sessions (D), log total returns and volatility, each ``(n_sessions,)``."""

    days: NDArray[np.datetime64]
    returns: NDArray[np.float64]
    volatility: NDArray[np.float64]
    regimes: NDArray[np.int8]


@lru_cache(maxsize=4)
def record_tape(seed: int, parameters: WorldParameters) -> Tape:
    """Draw the regimes and the market factor of a world."""
    n_days = (parameters.horizon - parameters.origin).days
    regimes = regime_path(
        seed, origin=parameters.origin, n_days=n_days, parameters=parameters.regimes
    )
    shocks = student_shocks(
        stream(seed, "market"), n_days, degrees=STOCKS.tail_degrees, bound=parameters.shock_bound
    )
    is_open = np.zeros(n_days, dtype=bool)
    is_open[_places(None, parameters)] = True
    per_year = STOCKS.sessions_per_year
    numbers = parameters.regimes
    steps = (
        by_regime(numbers.market_drift_annual, regimes) / per_year
        + by_regime(numbers.market_volatility_annual, regimes) / np.sqrt(per_year) * shocks
    )
    moves = np.zeros(n_days)
    moves[is_open] = around_trend(steps[is_open], per_year=per_year, parameters=parameters)
    return Tape(
        seed=seed,
        parameters=parameters,
        regimes=regimes,
        market_shocks=np.where(is_open, shocks, 0.0),
        market_moves=moves,
    )


def around_trend(
    steps: NDArray[np.float64], *, per_year: float, parameters: WorldParameters
) -> NDArray[np.float64]:
    """Turn shocks into moves whose sum is pulled back to zero over years.

    Notes
    -----
    The increments of an Ornstein-Uhlenbeck process: daily they are the shocks to within one part
    in a thousand, over decades they keep a price near its trend line.
    """
    memory = 0.5 ** (1.0 / (parameters.half_life_years * per_year))
    return np.diff(decay_sum(steps, memory), prepend=0.0)


def symbol_moves(
    tape: Tape, symbol: str, *, asset_class: AssetClass | None, group: str, profile: Profile
) -> Moves:
    """Compose a symbol's returns of trend, market, its group's factor and what is its own.

    Parameters
    ----------
    group
        The sector of a stock, the class's name of anything else: who shares the factor.
    """
    dynamics = STOCKS if asset_class is None else dynamics_of(asset_class)
    places = _places(asset_class, tape.parameters)
    regimes = tape.regimes[places]
    per_year = dynamics.sessions_per_year
    scale = by_regime(dynamics.regime_scale, regimes)
    factor = _own_moves(tape, ("factor", group), dynamics, places, scale)
    own = _own_moves(tape, ("own", symbol), dynamics, places, scale)
    returns = (
        profile.growth_annual / per_year
        + profile.beta * tape.market_moves[places]
        + profile.factor_loading * dynamics.factor_volatility_annual * factor
        + profile.own_volatility_annual * own
    )
    market = by_regime(tape.parameters.regimes.market_volatility_annual, regimes)
    variance = (profile.beta * market) ** 2 + scale**2 * (
        (profile.factor_loading * dynamics.factor_volatility_annual) ** 2
        + profile.own_volatility_annual**2
    )
    return Moves(
        days=np.datetime64(tape.parameters.origin, "D") + places,
        returns=np.clip(returns, -dynamics.max_log_move, dynamics.max_log_move),
        volatility=np.sqrt(variance / per_year),
        regimes=regimes,
    )


def volatility_index_moves(tape: Tape) -> Moves:
    """Compose the log moves of the volatility index, which follows the regime and fears falls.

    The first return carries the level: the sum of all of them is the logarithm of the index.
    """
    numbers = tape.parameters.regimes
    places = _places(None, tape.parameters)
    regimes = tape.regimes[places]
    noise = stream(tape.seed, "volatility-index").standard_normal(tape.regimes.size)[places]
    levels = np.log(by_regime(numbers.vix_level, regimes))
    steps = (
        numbers.vix_speed * levels
        - numbers.vix_market_loading * tape.market_shocks[places]
        + numbers.vix_noise * noise
    )
    steps[0] += (1.0 - numbers.vix_speed) * levels[0]
    path = decay_sum(steps, 1.0 - numbers.vix_speed)
    return Moves(
        days=np.datetime64(tape.parameters.origin, "D") + places,
        returns=np.diff(path, prepend=0.0),
        volatility=np.full(path.size, np.hypot(numbers.vix_market_loading, numbers.vix_noise)),
        regimes=regimes,
    )


def _own_moves(
    tape: Tape,
    names: tuple[str, str],
    dynamics: ClassDynamics,
    places: NDArray[np.int64],
    scale: NDArray[np.float64],
) -> NDArray[np.float64]:
    # Log moves of a factor with an annual volatility of one in the NORMAL regime.
    shocks = student_shocks(
        stream(tape.seed, *names),
        tape.regimes.size,
        degrees=dynamics.tail_degrees,
        bound=tape.parameters.shock_bound,
    )[places]
    per_year = dynamics.sessions_per_year
    return around_trend(
        scale * shocks / np.sqrt(per_year), per_year=per_year, parameters=tape.parameters
    )


@lru_cache(maxsize=16)
def _places(asset_class: AssetClass | None, parameters: WorldParameters) -> NDArray[np.int64]:
    # Where the sessions of a class lie, counted in days from the origin.
    days = expected_sessions(asset_class, parameters.origin, parameters.horizon)
    return (days - np.datetime64(parameters.origin, "D")).astype(np.int64)


def day_number(day: date, parameters: WorldParameters) -> int:
    """Count the days from the origin to a date."""
    return (day - parameters.origin).days
