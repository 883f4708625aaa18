"""Tonight's forecasts of every model for every symbol; how far to trust them is health's."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.beliefs.models import Model, build_model
from instgov_dagster.beliefs.predictive import read_law, standard_law
from instgov_dagster.beliefs.returns import ReturnPanel, return_panel
from instgov_dagster.vocabulary.beliefs import ModelForecast
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy, ModelPolicy
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode

Floats = NDArray[np.float64]

FORECAST_SCHEMA = pl.Schema(
    {
        "symbol": pl.String(),
        "model_id": pl.String(),
        "mu": pl.Float64(),
        "sigma": pl.Float64(),
        "p_loss": pl.Float64(),
        "cvar_95": pl.Float64(),
        "lower_95": pl.Float64(),
        "upper_95": pl.Float64(),
        "horizon_days": pl.Int64(),
        "forecast_session": pl.Date(),
        "reason_codes": pl.List(pl.String),
    }
)


class Forecast(NamedTuple):
    """Means and standard deviations per horizon; NaN in both where there is no forecast."""

    mu: Floats
    sigma: Floats


def predict_path(model: Model, panel: ReturnPanel, policy: ForecastPolicy) -> Forecast:
    """Forecast from every session of the panel, as it would have been done on that session.

    Parameters
    ----------
    model
        The mu model.
    panel
        Prices and what follows from them, ``T`` sessions of ``N`` symbols.
    policy
        The largest annual Sharpe ratio a forecast may claim.

    Returns
    -------
    Arrays of shape ``(T, N)``; no row changes when later prices do.

    Notes
    -----
    SPEC 3: mu is clipped to ``|sqrt(252 / H) mu / sigma| <= 1``.
    """
    mu, sigma = model.predict_path(panel), panel.sigma
    limit = policy.max_annual_sharpe * sigma * np.sqrt(panel.horizon / policy.sessions_per_year)
    exists = np.isfinite(mu) & np.isfinite(sigma)
    return Forecast(
        np.where(exists, np.clip(mu, -limit, limit), np.nan), np.where(exists, sigma, np.nan)
    )


def predict(model: Model, prices: Floats, policy: ForecastPolicy, *, horizon: int) -> Forecast:
    """Forecast from the last session of the prices, arrays of shape ``(N,)``."""
    path = predict_path(model, return_panel(prices, policy=policy, horizon=horizon), policy)
    return Forecast(path.mu[-1], path.sigma[-1])


def _require_panel(dates: NDArray[np.datetime64], symbols: tuple[str, ...], prices: Floats) -> None:
    if prices.ndim != 2 or prices.shape != (len(dates), len(symbols)) or not len(dates):
        raise ValueError(
            f"prices must have shape (T, N) = ({len(dates)}, {len(symbols)}) with T >= 1, "
            f"was {prices.shape}"
        )
    if len(set(symbols)) != len(symbols):
        raise ValueError("symbols must be distinct")
    if not bool(np.all(dates[1:] > dates[:-1])):
        raise ValueError("dates must increase strictly")


def forecast_models(
    dates: NDArray[np.datetime64],
    symbols: tuple[str, ...],
    prices: Floats,
    *,
    models: ModelPolicy,
    cvar: CVaRConfig,
) -> pl.DataFrame:
    """Forecast every symbol with every model of the strategies, from the last session held.

    Parameters
    ----------
    dates, symbols, prices
        ``(T,)`` increasing sessions, ``N`` names, ``(T, N)``; NaN before a symbol's first bar.
    models
        The models and the law their forecasts are read by.
    cvar
        Only its horizon is read: mu and CVaR speak of the same sessions.

    Returns
    -------
    One row a symbol and model (``FORECAST_SCHEMA``), before costs: ``p_loss`` is P(return < 0).
    Where a model has nothing finite to say every number is null, ``FORECAST_NOT_FINITE``.

    Raises
    ------
    ValueError
        If the panel's shape, order or symbols are inconsistent, or a model is unknown.
    """
    _require_panel(dates, symbols, prices)
    policy = models.forecast
    panel = return_panel(prices, policy=policy, horizon=cvar.horizon_days)
    law = standard_law(policy.predictive_dof)
    frames = []
    for model_id in models.model_ids:
        path = predict_path(build_model(model_id, policy), panel, policy)
        mu, sigma = path.mu[-1], path.sigma[-1]
        read = read_law(mu, sigma, law)
        frames.append(
            pl.DataFrame(
                {"symbol": symbols, "mu": mu, "sigma": sigma, **read._asdict()}
            ).with_columns(model_id=pl.lit(model_id))
        )
    absent = pl.col("mu").is_null()
    return (
        pl.concat(frames)
        .fill_nan(None)
        .with_columns(
            horizon_days=pl.lit(cvar.horizon_days, dtype=pl.Int64),
            forecast_session=pl.lit(dates[-1].astype("datetime64[D]").item(), dtype=pl.Date),
            reason_codes=pl.when(absent)
            .then(pl.lit([str(ReasonCode.FORECAST_NOT_FINITE)]))
            .otherwise(pl.lit([str(ReasonCode.FORECAST_STATED)])),
        )
        .select(list(FORECAST_SCHEMA))
        .cast(FORECAST_SCHEMA)
        .sort("symbol", "model_id")
    )


def forecast_rows(forecasts: pl.DataFrame) -> tuple[ModelForecast, ...]:
    """View the forecasts that exist as validated rows, refusing what no forecast can be.

    Raises
    ------
    ValueError
        If a row breaks a bound of ``ModelForecast``.
    """
    held = forecasts.filter(pl.col("mu").is_not_null()).drop("reason_codes")
    return tuple(ModelForecast(**row) for row in held.iter_rows(named=True))
