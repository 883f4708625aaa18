"""The health of every model on every symbol, judged by its own out-of-sample errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.beliefs.models import Family, opinions
from instgov_dagster.beliefs.trust.record import ModelRecord, judge_trail, trail_of
from instgov_dagster.vocabulary.beliefs import ModelHealthMetrics
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

# trust below one by less than this is rounding
_FULL_TRUST = 1.0 - 1e-12
# what is compared with one another: the models of a symbol, walk by walk
_PANEL = ("case", "symbol")

HEALTH_SCHEMA = pl.Schema(
    {
        "symbol": pl.String(),
        "date": pl.Date(),
        "model_id": pl.String(),
        "model_age_days": pl.Int64(),
        "rolling_error": pl.Float64(),
        "autocorr_flip": pl.Boolean(),
        "decay_factor": pl.Float64(),
        "mu": pl.Float64(),
        "sigma": pl.Float64(),
        "p_loss": pl.Float64(),
        "cvar_95": pl.Float64(),
        "confidence": pl.Float64(),
        "model_disagreement_var": pl.Float64(),
        "disagreement_penalty": pl.Float64(),
        "mu_adjusted": pl.Float64(),
        "rolling_forecast_error": pl.Float64(),
        "autocorr_flip_detected": pl.Boolean(),
        "age_decay_factor": pl.Float64(),
        "error_decay_factor": pl.Float64(),
        "final_decay_factor": pl.Float64(),
        "is_healthy": pl.Boolean(),
        "reason_codes": pl.List(pl.String),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HealthCase:
    """One walk whose forecasts are judged; its last session is enough.

    Attributes
    ----------
    record
        Of every model of the policy, one after the other, on every symbol of the walk.
    forecasts, data_quality, asof
        See :func:`assess_health`.

    Raises
    ------
    ValueError
        If panel, forecasts and quality scores differ in their symbols, or ``asof`` is not after
        the last session.
    """

    walked: Walk
    record: ModelRecord
    forecasts: pl.DataFrame
    data_quality: Mapping[str, float]
    asof: date

    def __post_init__(self) -> None:
        last = self.walked.dates[-1]
        if np.datetime64(self.asof, "D") <= last.astype("datetime64[D]"):
            raise ValueError(f"asof must be after the last session {last}, was {self.asof}")
        if self.is_empty:
            return
        horizons = self.forecasts["horizon_days"].unique().to_list()
        named = set(self.forecasts["symbol"].to_list())
        if horizons != [self.walked.horizon] or named != set(self.walked.symbols):
            raise ValueError("forecasts must hold one horizon and the symbols of the panel")
        _check_quality(self.walked.symbols, self.data_quality)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to judge."""
        return not self.walked.symbols and self.forecasts.is_empty()


def _record_frame(cases: Sequence[HealthCase], model_ids: Sequence[str]) -> pl.DataFrame:
    # Case by case, model by model, symbol by symbol.
    n = len(model_ids)
    speaks = [_speaks(case.walked) for case in cases]
    decays = [case.record.decay for case in cases]
    symbols = [list(case.walked.symbols) for case in cases]
    quality = [[float(case.data_quality[s]) for s in case.walked.symbols] for case in cases]
    columns: dict[str, Any] = {
        "case": np.repeat(np.arange(len(cases)), [n * len(names) for names in symbols]),
        "symbol": [name for names in symbols for name in names * n],
        "model_id": [name for names in symbols for name in model_ids for _ in names],
        "data_quality": [value for values in quality for value in values * n],
        "model_age_days": np.concatenate([decay.age_days for decay in decays]),
        "rolling_forecast_error": np.concatenate([decay.rolling_error for decay in decays]),
        "autocorr_flip_detected": np.concatenate([decay.has_flipped for decay in decays]),
        "age_decay_factor": np.concatenate([decay.age_factor for decay in decays]),
        "error_decay_factor": np.concatenate([decay.error_factor for decay in decays]),
        "final_decay_factor": np.concatenate([decay.final_factor for decay in decays]),
        "is_covered": np.concatenate([case.record.is_covered for case in cases]),
        "sigma_trust": np.concatenate([np.tile(case.walked.trust[-1], n) for case in cases]),
        "is_sigma_whole": np.concatenate([np.tile(all_speak, n) for all_speak in speaks]),
    }
    strings = {"symbol": pl.String, "model_id": pl.String}
    return pl.DataFrame(columns, schema_overrides=strings).with_columns(
        pl.col("rolling_forecast_error").fill_nan(None)
    )


def _speaks(walked: Walk) -> NDArray[np.bool_]:
    names = opinions(Family.SIGMA)
    speaks = np.stack([np.isfinite(walked.sigmas[name][-1]) for name in names])
    return np.asarray(speaks.all(axis=0))


def _reason_codes() -> pl.Expr:
    tests = {
        ReasonCode.FORECAST_NOT_FINITE: pl.col("mu").is_null(),
        ReasonCode.MODEL_EXPIRED: pl.col("is_expired"),
        ReasonCode.SINGLE_MODEL: pl.col("is_single"),
        ReasonCode.MODEL_AUTOCORR_FLIP: pl.col("autocorr_flip_detected"),
        ReasonCode.MODEL_DECAYED: pl.col("final_decay_factor") < 1.0,
        ReasonCode.MODEL_COVERAGE_REJECTED: ~pl.col("is_covered"),
        ReasonCode.SIGMA_MEMBER_SILENT: ~pl.col("is_sigma_whole"),
        ReasonCode.SIGMA_PARAMETERS_AGED: pl.col("is_sigma_whole")
        & (pl.col("sigma_trust") < _FULL_TRUST),
    }
    found = pl.concat_list(
        [pl.when(test).then(pl.lit(str(code))) for code, test in tests.items()]
    ).list.drop_nulls()
    return (
        pl.when(found.list.len() > 0).then(found).otherwise(pl.lit([str(ReasonCode.MODEL_HEALTHY)]))
    )


def _judge(rows: pl.DataFrame, policy: ModelPolicy) -> pl.DataFrame:
    health = policy.health
    per_year = (policy.forecast.sessions_per_year / pl.col("horizon_days")).sqrt()
    sharpe = per_year * pl.col("mu") / pl.col("sigma")
    # a derived model repeats opinions: it neither disagrees with them nor backs them
    is_opinion = pl.col("model_id").is_in(opinions(Family.MU))
    is_healthy = (
        pl.col("mu").is_not_null()
        & ~pl.col("is_expired")
        & (pl.col("final_decay_factor") >= health.min_healthy_decay)
    )
    rows = rows.with_columns(
        is_expired=pl.col("model_age_days") > health.max_age_days
    ).with_columns(
        is_healthy=is_healthy,
        # one opinion does not disagree with itself, and SINGLE_MODEL rejects it anyway
        model_disagreement_var=sharpe.filter(is_opinion).var(ddof=1).over(_PANEL).fill_null(0.0),
        confidence=pl.col("data_quality")
        * pl.col("final_decay_factor")
        * pl.col("is_covered").cast(pl.Float64)
        * pl.col("sigma_trust"),
    )
    n_healthy = (pl.col("is_healthy") & is_opinion).sum().over(_PANEL)
    is_single = n_healthy < health.min_healthy_models
    rows = rows.with_columns(
        is_single=is_single,
        disagreement_penalty=(-health.disagreement_beta * pl.col("model_disagreement_var")).exp(),
    )
    usable = pl.col("is_healthy") & ~pl.col("is_single")
    gain = pl.when(usable).then(pl.col("mu").clip(0.0) * pl.col("disagreement_penalty"))
    return rows.with_columns(
        mu_adjusted=pl.when(pl.col("mu").is_not_null()).then(
            gain.otherwise(0.0) + pl.col("mu").clip(None, 0.0)
        ),
        confidence=pl.when(pl.col("mu").is_not_null()).then("confidence").otherwise(0.0),
    ).with_columns(reason_codes=_reason_codes())


def _check_quality(symbols: tuple[str, ...], data_quality: Mapping[str, float]) -> None:
    missing = [symbol for symbol in symbols if symbol not in data_quality]
    if missing:
        raise ValueError(f"data_quality must hold every symbol, misses {missing}")
    bad = [symbol for symbol in symbols if not 0.0 <= float(data_quality[symbol]) <= 1.0]
    if bad:
        raise ValueError(f"data_quality must lie within [0, 1], does not for {bad}")


def _join(cases: Sequence[HealthCase], judged: pl.DataFrame) -> pl.DataFrame:
    forecasts = pl.concat(
        case.forecasts.drop("reason_codes").with_columns(case=pl.lit(place, dtype=pl.Int64))
        for place, case in enumerate(cases)
    )
    keys = [*_PANEL, "model_id"]
    rows = forecasts.join(judged, on=keys, how="inner", validate="1:1", maintain_order="left")
    if rows.height != forecasts.height or rows.height != judged.height:
        raise ValueError("forecasts must hold every model of the policy for every symbol, once")
    return rows.with_columns(
        date=pl.col("forecast_session"),
        rolling_error=pl.col("rolling_forecast_error"),
        autocorr_flip=pl.col("autocorr_flip_detected"),
        decay_factor=pl.col("final_decay_factor"),
    )


def assess_health(
    walked: Walk,
    forecasts: pl.DataFrame,
    *,
    data_quality: Mapping[str, float],
    policy: ModelPolicy,
    asof: date,
) -> pl.DataFrame:
    """Judge every forecast by the record of its model on its symbol.

    Parameters
    ----------
    walked, forecasts
        The panel walked to its last session, and ``forecast_models`` of it.
    data_quality
        Quality score in [0, 1] of every symbol.
    policy
        The models, the law of their forecasts and how they are judged.
    asof
        The day traded; ages are counted to it.

    Returns
    -------
    One row a symbol and model (``HEALTH_SCHEMA``). Without a forecast mu and what follows from
    it are null; where the error windows are not filled the rolling error is null and trust 0.

    Raises
    ------
    ValueError
        If panel, forecasts and quality scores differ in their symbols, or ``asof`` is not after
        the last session.

    Notes
    -----
    SPEC 3, roadmap 6.2-6.5. The errors are those of the forecasts made after every session of
    the walk with what was known then. Confidence is quality x decay x coverage, the latter times
    the trust in the stated sigma. ``mu_adjusted`` = mu x penalty on its positive part,
    which is 0 unless the row is healthy and at least two models of the symbol are; the penalty
    is ``exp(-beta Var(annual Sharpe))`` over the opinions that speak, healthy or not.
    """
    (found,) = assess_cases(
        [
            HealthCase(
                walked=walked,
                record=judge_trail(
                    trail_of(walked, policy.model_ids, policy), walked.dates, asof, policy
                ),
                forecasts=forecasts,
                data_quality=data_quality,
                asof=asof,
            )
        ],
        policy,
    )
    return found


def assess_cases(cases: Sequence[HealthCase], policy: ModelPolicy) -> list[pl.DataFrame]:
    """Judge the forecasts of several walks at once, each as :func:`assess_health` judges it.

    Raises
    ------
    ValueError
        If forecasts do not hold every model of the policy once for every symbol.
    """
    full = [case for case in cases if not case.is_empty]
    if not full:
        return [pl.DataFrame(schema=HEALTH_SCHEMA) for _ in cases]
    rows = (
        _judge(_join(full, _record_frame(full, policy.model_ids)), policy)
        .sort("case", "symbol", "model_id")
        .select(list(HEALTH_SCHEMA))
        .cast(HEALTH_SCHEMA)
    )
    ends = np.cumsum([0 if case.is_empty else case.forecasts.height for case in cases]).tolist()
    return [rows[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def health_rows(health: pl.DataFrame) -> dict[tuple[str, str], ModelHealthMetrics]:
    """View the health of the forecasts that exist as validated rows by symbol and model.

    Raises
    ------
    ValueError
        If a row breaks a bound of ``ModelHealthMetrics``.
    """
    names = [name for name in ModelHealthMetrics.__dataclass_fields__ if name != "reason_codes"]
    complete = health.drop_nulls(names)
    return {
        (row["symbol"], row["model_id"]): ModelHealthMetrics(
            **{name: row[name] for name in names},
            reason_codes=tuple(ReasonCode(code) for code in row["reason_codes"]),
        )
        for row in complete.iter_rows(named=True)
    }
