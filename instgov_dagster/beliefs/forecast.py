"""Tonight's forecasts of every model for every symbol; how far to trust them is health's."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

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
    return forecast_walks([walked], models)[0]


def forecast_walks(walks: Sequence[Walk], models: ModelPolicy) -> list[pl.DataFrame]:
    """State the forecasts of several walks at once, each as :func:`forecast_models` states it.

    Raises
    ------
    ValueError
        If a model is unknown.
    """
    for model_id in models.model_ids:
        card_of(model_id)
    spoken = [(walk, name) for walk in walks for name in models.model_ids]
    if not spoken:
        return []
    mu = np.concatenate([walk.mus[name][-1] for walk, name in spoken])
    stated = np.concatenate([walk.sigma[-1] for walk, _ in spoken])
    sigma = np.where(np.isfinite(mu), stated, np.nan)
    read = read_law(mu, sigma, standard_law(models.forecast.predictive_dof))
    sizes = [len(models.model_ids) * len(walk.symbols) for walk in walks]
    absent = pl.col("mu").is_null()
    rows = (
        pl.DataFrame(
            {
                "walk": np.repeat(np.arange(len(walks)), sizes),
                "symbol": [symbol for walk, _ in spoken for symbol in walk.symbols],
                "model_id": [name for walk, name in spoken for _ in walk.symbols],
                "horizon_days": np.repeat([walk.horizon for walk in walks], sizes),
                "forecast_session": np.repeat(_last_days(walks), sizes),
                "mu": mu,
                "sigma": sigma,
                **read._asdict(),
            },
            schema_overrides={"symbol": pl.String, "model_id": pl.String},
        )
        .with_columns(pl.col("mu", "sigma", *read._fields).fill_nan(None))
        .with_columns(
            reason_codes=pl.when(absent)
            .then(pl.lit([str(ReasonCode.FORECAST_NOT_FINITE)]))
            .otherwise(pl.lit([str(ReasonCode.FORECAST_STATED)])),
        )
        .sort("walk", "symbol", "model_id")
        .select(list(FORECAST_SCHEMA))
        .cast(FORECAST_SCHEMA)
    )
    ends = np.cumsum(sizes).tolist()
    return [rows[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def _last_days(walks: Sequence[Walk]) -> NDArray[np.datetime64]:
    return np.array([last_session(walk) for walk in walks], dtype="datetime64[D]")


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
