"""Tonight's forecasts of every model for every symbol; how far to trust them is health's."""

from datetime import date

import numpy as np
import polars as pl

from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.beliefs.models import card_of
from instgov_dagster.beliefs.predictive import read_law, standard_law
from instgov_dagster.vocabulary.beliefs import ModelForecast
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

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


def forecast_models(walked: Walk, models: ModelPolicy) -> pl.DataFrame:
    """State tonight's forecast of every symbol by every model of the strategies.

    Parameters
    ----------
    walked
        The panel walked to its last session.
    models
        The models and the law their forecasts are read by.

    Returns
    -------
    One row a symbol and model (``FORECAST_SCHEMA``), before costs: ``p_loss`` is P(return < 0).
    Where a model has nothing finite to say every number is null, ``FORECAST_NOT_FINITE``.

    Raises
    ------
    ValueError
        If a model is unknown.
    """
    law = standard_law(models.forecast.predictive_dof)
    frames = []
    for model_id in models.model_ids:
        card_of(model_id)
        mu = walked.mus[model_id][-1]
        sigma = np.where(np.isfinite(mu), walked.sigma[-1], np.nan)
        read = read_law(mu, sigma, law)
        frames.append(
            pl.DataFrame(
                {"symbol": walked.symbols, "mu": mu, "sigma": sigma, **read._asdict()},
                schema_overrides={"symbol": pl.String},
            ).with_columns(model_id=pl.lit(model_id))
        )
    absent = pl.col("mu").is_null()
    return (
        pl.concat(frames)
        .fill_nan(None)
        .with_columns(
            horizon_days=pl.lit(walked.horizon, dtype=pl.Int64),
            forecast_session=pl.lit(last_session(walked), dtype=pl.Date),
            reason_codes=pl.when(absent)
            .then(pl.lit([str(ReasonCode.FORECAST_NOT_FINITE)]))
            .otherwise(pl.lit([str(ReasonCode.FORECAST_STATED)])),
        )
        .select(list(FORECAST_SCHEMA))
        .cast(FORECAST_SCHEMA)
        .sort("symbol", "model_id")
    )


def last_session(walked: Walk) -> date:
    """Give the session tonight's forecasts are made from."""
    day: date = walked.dates[-1].astype("datetime64[D]").item()
    return day


def forecast_rows(forecasts: pl.DataFrame) -> tuple[ModelForecast, ...]:
    """View the forecasts that exist as validated rows, refusing what no forecast can be.

    Raises
    ------
    ValueError
        If a row breaks a bound of ``ModelForecast``.
    """
    held = forecasts.filter(pl.col("mu").is_not_null()).drop("reason_codes")
    return tuple(ModelForecast(**row) for row in held.iter_rows(named=True))
