"""The four pictures of a night's beliefs: regime, reliability, decay, rank correlation."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.beliefs.evaluation.charts import Curves, Floats
from instgov_dagster.beliefs.evaluation.statistics import rank_correlations
from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.beliefs.models import BENCHMARK
from instgov_dagster.beliefs.predictive import standard_law
from instgov_dagster.beliefs.trust.decay import (
    error_factor,
    error_ratio_path,
    rolling_sum,
    session_errors,
)
from instgov_dagster.vocabulary.beliefs import Regime
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy

PICTURE_SCHEMA = pl.Schema(
    {"name": pl.String(), "title": pl.String(), "svg": pl.String(), "points": pl.String()}
)


def _days(dates: NDArray[np.datetime64]) -> tuple[Floats, list[str], Sequence[str]]:
    days = dates.astype("datetime64[D]")
    names = [str(day) for day in days]
    places = np.linspace(0, len(days) - 1, 3).round().astype(int)
    return days.astype(np.float64), names, [names[k] for k in places]


def regime_picture(path: pl.DataFrame) -> Curves:
    """Stack the filtered probabilities of the regimes, session by session."""
    x, labels, ticks = _days(path["session"].to_numpy())
    shares = {
        regime.value: path[f"current_belief_{regime.value.lower()}"].to_numpy() for regime in Regime
    }
    title = "Filtered regime probabilities"
    return Curves(
        title=title, x=x, labels=labels, series=shares, ticks=ticks, bounds=(0.0, 1.0),
        is_stacked=True,
    )  # fmt: skip


def reliability_picture(walked: Walk, policy: ModelPolicy) -> Curves:
    """Set how often outcomes fell below each stated level against the level itself."""
    from scipy.special import stdtr  # scipy is heavy at import

    law = standard_law(policy.forecast.predictive_dof)
    bins = policy.evaluation.reliability_bins
    levels = np.arange(bins + 1) / bins
    series: dict[str, Floats] = {"as stated": levels}
    for name in _judged(walked, policy):
        errors = session_errors(walked, walked.mus[name])
        pit = np.asarray(stdtr(law.dof, errors[np.isfinite(errors)] / law.unit))
        share = np.searchsorted(np.sort(pit), levels, side="right") / max(pit.size, 1)
        series[name] = share if pit.size else np.full(levels.shape, np.nan)
    return Curves(
        title="Reliability: share of outcomes below each stated level",
        x=levels, labels=levels.tolist(), series=series, ticks=("0", "0.5", "1"),
        bounds=(0.0, 1.0),
    )  # fmt: skip


def decay_picture(walked: Walk, policy: ModelPolicy) -> Curves:
    """Draw the median factor that each model's recent error leaves of its weight."""
    health = policy.health
    x, labels, ticks = _days(walked.dates)
    series: dict[str, Floats] = {}
    for name in _judged(walked, policy):
        errors = session_errors(walked, walked.mus[name])
        ratio = error_ratio_path(
            errors, recent=health.error_sessions, reference=health.reference_sessions
        )
        factor = np.where(np.isfinite(ratio), error_factor(ratio, health), np.nan)
        series[name] = _medians(factor)
    return Curves(
        title="Decay by error: median over symbols",
        x=x, labels=labels, series=series, ticks=ticks, bounds=(0.0, 1.0),
    )  # fmt: skip


def _medians(values: Floats) -> Floats:
    is_known = np.isfinite(values).any(axis=1)
    out = np.full(values.shape[0], np.nan)
    if is_known.any():
        out[is_known] = np.nanmedian(values[is_known], axis=1)
    return out


def correlation_picture(walked: Walk, policy: ModelPolicy) -> Curves:
    """Draw the mean rank correlation of each model over a trailing window."""
    rules = policy.evaluation
    outcome = walked.future() / walked.sigma
    x, labels, ticks = _days(walked.dates)
    series: dict[str, Floats] = {}
    for name in _judged(walked, policy):
        said = walked.mus[name] / walked.sigma
        found = rank_correlations(said, outcome, min_symbols=rules.min_symbols)
        held = np.isfinite(found)
        window = rules.ic_window_sessions
        count = rolling_sum(held.astype(np.float64), window)
        mean = rolling_sum(found, window) / np.maximum(count, 1.0)
        series[name] = np.where(held & (count >= rules.min_sessions), mean, np.nan)
    title = f"Rank correlation with the next {walked.horizon} sessions, {window_of(policy)}"
    return Curves(title=title, x=x, labels=labels, series=series, ticks=ticks)


def window_of(policy: ModelPolicy) -> str:
    """Say the window of the rank correlation's picture in words."""
    return f"mean of {policy.evaluation.ic_window_sessions} sessions"


def _judged(walked: Walk, policy: ModelPolicy) -> list[str]:
    return [name for name in policy.model_ids if name in walked.mus and name != BENCHMARK]


def belief_pictures(walked: Walk, path: pl.DataFrame, policy: ModelPolicy) -> pl.DataFrame:
    """Draw all of them, one row each (``PICTURE_SCHEMA``).

    Parameters
    ----------
    walked
        The panel walked to its last session.
    path
        ``PATH_SCHEMA`` of the regime, session by session.
    policy
        The models drawn, and the windows.
    """
    with np.errstate(all="ignore"):
        drawn: Mapping[str, tuple[str, Curves]] = {
            "regime": ("What was believed of the regime", regime_picture(path)),
            "reliability": ("How often what was stated came", reliability_picture(walked, policy)),
            "decay": ("What errors left of the models' weight", decay_picture(walked, policy)),
            "rank_ic": ("How forecasts ranked with outcomes", correlation_picture(walked, policy)),
        }
    rows = [
        {"name": name, "title": title, "svg": curves.svg(), "points": curves.points()}
        for name, (title, curves) in drawn.items()
    ]
    return pl.DataFrame(rows, schema=PICTURE_SCHEMA).sort("name")
