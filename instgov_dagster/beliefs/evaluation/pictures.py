"""The four pictures of a night's beliefs: regime, reliability, decay, rank correlation."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.beliefs.evaluation.charts import (
    Floats,
    Ticks,
    area_chart,
    line_chart,
    panel_chart,
    points_text,
)
from instgov_dagster.beliefs.evaluation.statistics import rank_correlations, shares_below
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


class Picture(NamedTuple):
    """A picture as it is drawn here, and its points for whoever draws it anew."""

    svg: str
    points: str


_COLOURS = {Regime.NORMAL: "#9fbfdf", Regime.VOLATILE: "#e5b04a", Regime.CRISIS: "#b3261e"}


def _days(dates: NDArray[np.datetime64]) -> tuple[Floats, Ticks]:
    # Marked where a year begins; a history within two years by its first and its last day.
    days = dates.astype("datetime64[D]")
    years = np.arange(*days[[0, -1]].astype("datetime64[Y]") + np.array([1, 2]))
    starts = years[years.astype("datetime64[D]") <= days[-1]].astype("datetime64[D]")
    marked = starts if starts.shape[0] > 1 else np.unique(days[[0, -1]])
    ticks = [(float(day.astype(np.int64)), str(day)) for day in marked]
    if starts.shape[0] > 1:
        ticks = [(at, word[:4]) for at, word in ticks]
    return days.astype(np.float64), ticks


def _names(dates: NDArray[np.datetime64]) -> list[str]:
    return [str(day) for day in dates.astype("datetime64[D]")]


def regime_picture(path: pl.DataFrame) -> Picture:
    """Stack the filtered probabilities of the regimes, session by session."""
    x, ticks = _days(path["session"].to_numpy())
    shares = {
        regime.value: path[f"current_belief_{regime.value.lower()}"].to_numpy() for regime in Regime
    }
    svg = area_chart(
        "Filtered regime probabilities", x, shares,
        note="probability of each regime after each session, on what was known then",
        ticks=ticks, colours={regime.value: _COLOURS[regime] for regime in Regime},
    )  # fmt: skip
    return Picture(svg, points_text(_names(path["session"].to_numpy()), shares))


def reliability_picture(walked: Walk, policy: ModelPolicy) -> Picture:
    """Set how often outcomes fell below each stated level against the level itself.

    Notes
    -----
    The differences from the diagonal, which are small, and the band of Kolmogorov's test, in
    which a true law stays; n is that of the model with the fewest sessions, so the band is wide.
    """
    from scipy.special import kolmogi  # scipy is heavy at import

    law, rules = standard_law(policy.forecast.predictive_dof), policy.evaluation
    levels = np.arange(rules.reliability_bins + 1) / rules.reliability_bins
    series: dict[str, Floats] = {}
    counts = []
    for name in _judged(walked, policy):
        errors = session_errors(walked, walked.mus[name])
        held = np.isfinite(errors)
        series[name] = shares_below(errors[held], law.levels, levels) - levels
        counts.append(int(held.any(axis=1).sum()))
    n = min(counts, default=0)
    band = float(kolmogi(rules.significance)) / np.sqrt(n) if n else 0.0
    svg = line_chart(
        "Reliability: share of outcomes below each stated level, less that level",
        levels, series,
        note=f"across: the level; grey: where a true law stays, {rules.significance:.0%} test"
        f" of {n} sessions",
        ticks=[(k / 4, f"{k / 4:g}") for k in range(5)], band=band,
    )  # fmt: skip
    return Picture(svg, points_text(levels.tolist(), series))


def decay_picture(walked: Walk, policy: ModelPolicy) -> Picture:
    """Draw the median factor that each model's recent error leaves of its weight."""
    health = policy.health
    x, ticks = _days(walked.dates)
    series: dict[str, Floats] = {}
    for name in _judged(walked, policy):
        errors = session_errors(walked, walked.mus[name])
        ratio = error_ratio_path(
            errors, recent=health.error_sessions, reference=health.reference_sessions
        )
        factor = np.where(np.isfinite(ratio), error_factor(ratio, health), np.nan)
        series[name] = _medians(factor)
    svg = panel_chart(
        "Decay by error", x, series,
        note=f"factor left by the error of {health.error_sessions} sessions against the"
        f" {health.reference_sessions} before: median over symbols",
        ticks=ticks, bounds=(0.0, 1.0),
    )  # fmt: skip
    return Picture(svg, points_text(_names(walked.dates), series))


def _medians(values: Floats) -> Floats:
    is_known = np.isfinite(values).any(axis=1)
    out = np.full(values.shape[0], np.nan)
    if is_known.any():
        out[is_known] = np.nanmedian(values[is_known], axis=1)
    return out


def correlation_picture(walked: Walk, policy: ModelPolicy) -> Picture:
    """Draw the mean rank correlation of each model over a trailing window."""
    rules = policy.evaluation
    outcome = walked.future() / walked.sigma
    x, ticks = _days(walked.dates)
    series: dict[str, Floats] = {}
    for name in _judged(walked, policy):
        said = walked.mus[name] / walked.sigma
        found = rank_correlations(said, outcome, min_symbols=rules.min_symbols)
        held = np.isfinite(found)
        window = rules.ic_window_sessions
        count = rolling_sum(held.astype(np.float64), window)
        mean = rolling_sum(found, window) / np.maximum(count, 1.0)
        series[name] = np.where(held & (count >= rules.min_sessions), mean, np.nan)
    svg = panel_chart(
        f"Rank correlation of forecasts with the next {walked.horizon} sessions", x, series,
        note=f"mean of the {rules.ic_window_sessions} sessions up to each", ticks=ticks,
    )  # fmt: skip
    return Picture(svg, points_text(_names(walked.dates), series))


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
        drawn: Mapping[str, tuple[str, Picture]] = {
            "regime": ("What was believed of the regime", regime_picture(path)),
            "reliability": ("How often what was stated came", reliability_picture(walked, policy)),
            "decay": ("What errors left of the models' weight", decay_picture(walked, policy)),
            "rank_ic": ("How forecasts ranked with outcomes", correlation_picture(walked, policy)),
        }
    rows = [
        {"name": name, "title": title, "svg": picture.svg, "points": picture.points}
        for name, (title, picture) in drawn.items()
    ]
    return pl.DataFrame(rows, schema=PICTURE_SCHEMA).sort("name")
