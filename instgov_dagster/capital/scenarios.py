"""Scenarios of horizon returns from closes, and the set of measures a book is held against."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.cvar import cvar
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode

_TOTAL_LOSS = -1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScenarioMeasure:
    """One CVaR measure: the returns it is taken on and what multiplies it.

    ``returns`` has shape ``(n_scenarios, n_symbols)`` in the order of ``ScenarioSet.symbols``,
    ``end_dates`` shape ``(n_scenarios,)``. A multiplier above 1 acts on max(CVaR, 0).
    """

    name: RiskMeasure
    end_dates: NDArray[np.datetime64]
    returns: NDArray[np.float64]
    multiplier: float
    reason_codes: tuple[ReasonCode, ...]
    is_finite: bool = field(init=False)
    _alone: dict[float, NDArray[np.float64]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.returns.ndim != 2 or self.end_dates.shape != (self.returns.shape[0],):
            raise ValueError(
                f"{self.name}.returns must be (n_scenarios, n_symbols) with one date a row, was "
                f"{self.returns.shape} with {self.end_dates.shape}"
            )
        if not self.multiplier >= 1.0 or not np.isfinite(self.multiplier):
            raise ValueError(f"{self.name}.multiplier must be >= 1, was {self.multiplier!r}")
        # Judged once a night, not once a second: from here on nobody may write the numbers.
        self.returns.setflags(write=False)
        object.__setattr__(self, "is_finite", bool(np.isfinite(self.returns).all()))

    def standalone_cvar(self, confidence_level: float) -> NDArray[np.float64]:
        """Give the CVaR of a unit of each symbol alone, shape ``(n_symbols,)``; kept once known.

        NaN where a return of the symbol is not finite.
        """
        if confidence_level not in self._alone:
            is_known = np.isfinite(self.returns.sum(axis=0)).tolist()
            self._alone[confidence_level] = np.array(
                [
                    cvar(-self.returns[:, i], confidence_level=confidence_level) if ok else np.nan
                    for i, ok in enumerate(is_known)
                ]
            )
        return self._alone[confidence_level]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScenarioSet:
    """The scenarios of one night: one column a symbol, the current measure first."""

    symbols: tuple[str, ...]
    measures: tuple[ScenarioMeasure, ...]
    _cuts: dict[tuple[str, ...], "ScenarioSet"] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        names = [measure.name for measure in self.measures]
        if not names or names[0] is not RiskMeasure.CURRENT or len(set(names)) != len(names):
            raise ValueError(f"measures must be distinct and begin with CURRENT, were {names}")
        for measure in self.measures:
            if measure.returns.shape[1] != len(self.symbols):
                raise ValueError(
                    f"{measure.name}.returns must have {len(self.symbols)} columns, "
                    f"was {measure.returns.shape[1]}"
                )

    @property
    def current(self) -> ScenarioMeasure:
        """The measure the hurdle and the marginal limit are taken on."""
        return self.measures[0]

    def select(self, symbols: tuple[str, ...]) -> "ScenarioSet":
        """Keep the columns of ``symbols``, in that order; the last cut is kept.

        Raises
        ------
        ValueError
            If a symbol has no scenarios: what cannot be measured cannot be held.
        """
        if symbols == self.symbols:
            return self
        if symbols not in self._cuts:
            self._cuts.clear()
            self._cuts[symbols] = self._cut(symbols)
        return self._cuts[symbols]

    def _cut(self, symbols: tuple[str, ...]) -> "ScenarioSet":
        place = {symbol: i for i, symbol in enumerate(self.symbols)}
        missing = [symbol for symbol in symbols if symbol not in place]
        if missing:
            raise ValueError(f"symbols must have scenarios, without any were {missing}")
        columns = np.array([place[symbol] for symbol in symbols], dtype=np.intp)
        cut: dict[int, NDArray[np.float64]] = {}
        measures = []
        for measure in self.measures:
            key = id(measure.returns)  # a multiplied measure shares its matrix, and keeps doing so
            if key not in cut:
                cut[key] = np.ascontiguousarray(measure.returns[:, columns])
            measures.append(
                ScenarioMeasure(
                    name=measure.name,
                    end_dates=measure.end_dates,
                    returns=cut[key],
                    multiplier=measure.multiplier,
                    reason_codes=measure.reason_codes,
                )
            )
        return ScenarioSet(symbols=symbols, measures=tuple(measures))


def base_prices(prices: NDArray[np.float64], *, config: CVaRConfig) -> NDArray[np.float64]:
    """Floor each close at a share of the median of the trailing closes.

    A return is a change over a base; a base near or below zero (oil on 2020-04-20) would make it
    meaningless, so it never falls below ``base_floor_share`` of the trailing median.

    Parameters
    ----------
    prices
        Shape ``(n_sessions, n_symbols)``, NaN where nothing was known.

    Returns
    -------
    Shape ``(n_sessions, n_symbols)``, NaN where the close is.
    """
    names = [str(i) for i in range(prices.shape[1])]
    frame = pl.DataFrame(prices, schema=names, orient="row").fill_nan(None)
    medians = frame.select(
        pl.all().rolling_median(config.base_floor_sessions, min_samples=1)
    ).to_numpy()
    floor = config.base_floor_share * medians.astype(np.float64)
    return np.where(np.isfinite(prices), np.maximum(prices, floor), np.nan)


def scenario_returns(
    prices: NDArray[np.float64], asset_classes: tuple[AssetClass, ...], *, config: CVaRConfig
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Cut overlapping horizon returns from closes, keeping the rows complete for every symbol.

    A return is (P_t - P_{t-H}) / max(P_{t-H}, floor), see `base_prices` (SPEC 4).

    Parameters
    ----------
    prices
        Shape ``(n_sessions, n_symbols)``, one row a session, NaN where nothing was known.
    asset_classes
        The class of each column.

    Returns
    -------
    The returns, shape ``(n_scenarios, n_symbols)``, and the row of ``prices`` each one ends on.

    Raises
    ------
    ValueError
        If the shapes disagree.
    DataRejected
        ``TOO_FEW_SCENARIOS`` below ``min_scenarios`` complete rows; ``SCENARIO_REFUSED`` where a
        base is not positive or a return outside COMMODITIES loses more than everything.
    """
    if prices.ndim != 2 or prices.shape[1] != len(asset_classes):
        raise ValueError(f"prices must have {len(asset_classes)} columns, was {prices.shape}")
    horizon = config.horizon_days
    if prices.shape[0] <= horizon:
        raise DataRejected(
            ReasonCode.TOO_FEW_SCENARIOS, f"{prices.shape[0]} sessions for a horizon of {horizon}"
        )
    base = base_prices(prices, config=config)[:-horizon]
    change = prices[horizon:] - prices[:-horizon]
    complete = np.isfinite(change).all(axis=1) & np.isfinite(base).all(axis=1)
    rows = np.flatnonzero(complete)
    if rows.size < config.min_scenarios:
        raise DataRejected(
            ReasonCode.TOO_FEW_SCENARIOS, f"{rows.size} complete rows of {config.min_scenarios}"
        )
    change, base = change[rows], base[rows]
    if not (base > 0.0).all():
        column = int(np.argmin(base.min(axis=0)))
        raise DataRejected(
            ReasonCode.SCENARIO_REFUSED, f"the base price of column {column} is not positive"
        )
    returns = change / base
    bounded = np.array([kind is not AssetClass.COMMODITIES for kind in asset_classes])
    worst = np.where(bounded, returns.min(axis=0, initial=np.inf), np.inf)
    if worst.size and worst.min() < _TOTAL_LOSS:
        column = int(np.argmin(worst))
        raise DataRejected(
            ReasonCode.SCENARIO_REFUSED, f"column {column} returned {worst[column]:.6f}"
        )
    return np.ascontiguousarray(returns), rows + horizon


def build_scenarios(
    dates: NDArray[np.datetime64],
    symbols: tuple[str, ...],
    asset_classes: tuple[AssetClass, ...],
    prices: NDArray[np.float64],
    *,
    config: CVaRConfig,
) -> ScenarioSet:
    """Build the night's scenario set from closes: current, and stressed by multiplication.

    Without a stress set the stressed measure is ``missing_stress_multiplier`` times the current
    one and says ``STRESS_SET_MISSING``.

    Parameters
    ----------
    dates
        Shape ``(n_sessions,)``.
    symbols, asset_classes
        The name and the class of each column.
    prices
        Shape ``(n_sessions, n_symbols)``, NaN where nothing was known.

    Raises
    ------
    ValueError, DataRejected
        As `scenario_returns`.
    """
    if dates.shape != (prices.shape[0],) or len(symbols) != prices.shape[1]:
        raise ValueError(
            f"prices must be {dates.size} x {len(symbols)}, was {prices.shape[0]} x "
            f"{prices.shape[1]}"
        )
    returns, rows = scenario_returns(prices, asset_classes, config=config)
    return with_missing_stress(symbols, dates[rows].astype("datetime64[D]"), returns, config=config)


def with_missing_stress(
    symbols: tuple[str, ...],
    end_dates: NDArray[np.datetime64],
    returns: NDArray[np.float64],
    *,
    config: CVaRConfig,
) -> ScenarioSet:
    """Hold current returns as the current measure and, multiplied, as the missing stressed one.

    Parameters
    ----------
    symbols
        The name of each column.
    end_dates
        Shape ``(n_scenarios,)``.
    returns
        Shape ``(n_scenarios, n_symbols)``.

    Raises
    ------
    DataRejected
        ``TOO_FEW_SCENARIOS`` below ``min_scenarios`` rows.
    """
    if returns.shape[0] < config.min_scenarios:
        raise DataRejected(
            ReasonCode.TOO_FEW_SCENARIOS, f"{returns.shape[0]} rows of {config.min_scenarios}"
        )
    current = ScenarioMeasure(
        name=RiskMeasure.CURRENT,
        end_dates=end_dates,
        returns=returns,
        multiplier=1.0,
        reason_codes=(),
    )
    stressed = ScenarioMeasure(
        name=RiskMeasure.STRESSED,
        end_dates=end_dates,
        returns=returns,
        multiplier=config.missing_stress_multiplier,
        reason_codes=(ReasonCode.STRESS_SET_MISSING,),
    )
    return ScenarioSet(symbols=symbols, measures=(current, stressed))


def symbols_hash(symbols: tuple[str, ...]) -> str:
    """Digest the column order, so that a stored row is never read against other columns."""
    return hashlib.sha256("\n".join(symbols).encode()).hexdigest()


def scenarios_to_frame(scenarios: ScenarioSet) -> pl.DataFrame:
    """Write the measures that have returns of their own: one row a scenario.

    Returns
    -------
    Columns ``measure``, ``scenario_date``, ``returns`` (a list in symbol order) and
    ``symbols_hash``. A measure that multiplies another's returns is not written twice.
    """
    digest = symbols_hash(scenarios.symbols)
    seen: set[int] = set()
    frames = []
    for measure in scenarios.measures:
        if id(measure.returns) in seen:
            continue
        seen.add(id(measure.returns))
        n_scenarios, n_symbols = measure.returns.shape
        rows = pl.Series("returns", measure.returns, dtype=pl.Array(pl.Float64, n_symbols)).cast(
            pl.List(pl.Float64)
        )
        frames.append(
            pl.DataFrame(
                {
                    "measure": pl.Series([measure.name.value] * n_scenarios, dtype=pl.String),
                    "scenario_date": pl.Series(measure.end_dates.astype("datetime64[D]")),
                    "returns": rows,
                    "symbols_hash": pl.Series([digest] * n_scenarios, dtype=pl.String),
                }
            )
        )
    return pl.concat(frames)


def scenarios_from_frame(
    frame: pl.DataFrame, symbols: tuple[str, ...], *, config: CVaRConfig
) -> ScenarioSet:
    """Read a set written by `scenarios_to_frame`, bit-equal.

    Parameters
    ----------
    frame
        The rows of one night.
    symbols
        The columns, in the order the set was written.

    Raises
    ------
    DataRejected
        ``SCENARIO_REFUSED`` if the rows belong to other symbols or hold a number that is not
        finite; ``TOO_FEW_SCENARIOS`` if a measure has too few.
    """
    if frame["symbols_hash"].unique().to_list() != [symbols_hash(symbols)]:
        raise DataRejected(ReasonCode.SCENARIO_REFUSED, "the rows belong to other symbols")
    current = _read_measure(frame, RiskMeasure.CURRENT, len(symbols))
    fresh = with_missing_stress(symbols, *current, config=config)
    stressed = _read_measure(frame, RiskMeasure.STRESSED, len(symbols))
    if stressed[0].size == 0:
        return fresh
    if stressed[0].size < config.min_stressed_scenarios:
        raise DataRejected(
            ReasonCode.TOO_FEW_SCENARIOS,
            f"{stressed[0].size} stressed rows of {config.min_stressed_scenarios}",
        )
    held = ScenarioMeasure(
        name=RiskMeasure.STRESSED,
        end_dates=stressed[0],
        returns=stressed[1],
        multiplier=1.0,
        reason_codes=(),
    )
    return ScenarioSet(symbols=symbols, measures=(fresh.current, held))


def _read_measure(
    frame: pl.DataFrame, name: RiskMeasure, n_symbols: int
) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    rows = frame.filter(pl.col("measure") == name.value).sort("scenario_date")
    if rows.height and rows["returns"].list.len().unique().to_list() != [n_symbols]:
        raise DataRejected(ReasonCode.SCENARIO_REFUSED, f"a {name} row is not {n_symbols} wide")
    flat = rows["returns"].explode(empty_as_null=False).to_numpy().astype(np.float64)
    if not np.isfinite(flat).all():
        raise DataRejected(ReasonCode.SCENARIO_REFUSED, f"a {name} return is not finite")
    dates = rows["scenario_date"].to_numpy().astype("datetime64[D]")
    return dates, np.ascontiguousarray(flat.reshape(rows.height, n_symbols))
