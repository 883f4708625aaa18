"""What the night's models say of this second's prices; how far they are trusted is the night's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.beliefs.hot.day import HotModels
from instgov_dagster.beliefs.hot.published import NightModels
from instgov_dagster.beliefs.hot.tape import closes_only
from instgov_dagster.beliefs.models import Family, opinions
from instgov_dagster.beliefs.predictive import read_law, standard_law
from instgov_dagster.governance.audit import array_sha256
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecasts:
    """Health-adjusted forecasts, each of shape ``(n_strategies, n_symbols)``; NaN where absent.

    Attributes
    ----------
    model_ids
        The model behind each strategy.
    penalty
        What disagreement leaves of a gain; NaN where there is no forecast.
    is_usable
        Whether a gain counts at all: the model is healthy, and not the only one that is.
    """

    model_ids: tuple[str, ...]
    mu: Floats
    mu_adjusted: Floats
    sigma: Floats
    p_loss: Floats
    cvar_95: Floats
    confidence: Floats
    decay: Floats
    model_age_days: Floats
    rolling_error: Floats
    has_flipped: NDArray[np.bool_]
    is_healthy: NDArray[np.bool_]
    is_usable: NDArray[np.bool_]
    penalty: Floats
    reasons: Mapping[tuple[int, int], tuple[ReasonCode, ...]]

    @property
    def sha256(self) -> str:
        """Hash what every strategy expects of every symbol, for the frame of a cycle."""
        return array_sha256(np.stack([self.mu, self.mu_adjusted, self.sigma]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DayModels:
    """The night's models beside the snapshot they belong to.

    Attributes
    ----------
    packed_sha256
        The digest of the state they were restored from.
    columns
        The place of each modelled symbol among the snapshot's, shape ``(M,)``.
    units
        The models' prices are total returns: what one of them is of a quoted price, ``(M,)``.
    """

    packed_sha256: str
    fold: HotModels
    columns: NDArray[np.intp]
    units: Floats


def day_models(night: NightModels, symbols: tuple[str, ...], last_close: Floats) -> DayModels:
    """Put the models on the snapshot's symbols.

    Raises
    ------
    ValueError
        If a modelled symbol is not among them.
    """
    places = {symbol: n for n, symbol in enumerate(symbols)}
    lost = [symbol for symbol in night.symbols if symbol not in places]
    if lost:
        raise ValueError(f"every modelled symbol must be in the snapshot, not there: {lost}")
    columns = np.array([places[symbol] for symbol in night.symbols], dtype=np.intp)
    closes = last_close[columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        units = np.where(closes != 0.0, night.fold.last_prices() / closes, np.nan)
    return DayModels(
        packed_sha256=night.packed_sha256, fold=night.fold, columns=columns, units=units
    )


def forecast_now(
    night: Forecasts, models: DayModels | None, marks: Floats, policy: ModelPolicy
) -> Forecasts:
    """Forecast every symbol as if the session under way closed at the marks.

    Parameters
    ----------
    night
        The forecasts of the night, and how far each is trusted: that stands all day.
    models
        The models as the night left them; without them the night's forecasts stand.
    marks
        The last price of each symbol the session knows, shape ``(n_symbols,)``.

    Notes
    -----
    A pure function of the night and of these marks: nothing is carried from second to second.
    A session that is not over can be told to be wild, never to be calm: sigma is the larger of
    the night's and the day's. What a bid is worth never grows with it, because the scenarios that
    price its risk are the night's: a gain is stated at the smaller of the two. Disagreement
    costs the more of what it cost by night and by day. Where the night said nothing, or the day
    says nothing finite, there is no forecast, and governance rejects what has none.
    """
    if models is None:
        return night
    told = models.fold.observe(closes_only(models.units * marks[models.columns]))
    at, shape = models.columns, night.mu.shape
    live, stated = np.full(shape, np.nan), np.full(shape[1], np.nan)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for k, model_id in enumerate(night.model_ids):
            live[k, at] = told.mus[model_id]
        stated[at] = told.sigma
        is_stated = np.isfinite(night.mu) & np.isfinite(live) & np.isfinite(stated)
        sigma = np.where(is_stated, np.fmax(night.sigma, stated), np.nan)
        gain = np.maximum(live, 0.0) * np.minimum(1.0, night.sigma / stated)
        mu = np.where(is_stated, gain + np.minimum(live, 0.0), np.nan)
        penalty = np.ones(shape[1])
        penalty[at] = _agreement(told.mus, told.sigma, models.fold.horizon, policy)
        kept = np.where(night.is_usable, np.fmin(night.penalty, penalty), 0.0)
        adjusted = np.maximum(mu, 0.0) * kept + np.minimum(mu, 0.0)
        law = read_law(mu, sigma, standard_law(policy.forecast.predictive_dof))
    return replace(
        night, mu=mu, mu_adjusted=adjusted, sigma=sigma, p_loss=law.p_loss, cvar_95=law.cvar_95
    )


def _agreement(mus: dict[str, Floats], sigma: Floats, horizon: int, policy: ModelPolicy) -> Floats:
    # exp(-beta Var) of the opinions' annual Sharpe ratios (SPEC 3); one that is alone agrees.
    root = np.sqrt(policy.forecast.sessions_per_year / horizon)
    sharpe = root * np.stack([mus[name] for name in opinions(Family.MU)]) / sigma
    speaks = np.isfinite(sharpe)
    count = speaks.sum(axis=0)
    known = np.where(speaks, sharpe, 0.0)
    mean = known.sum(axis=0) / np.maximum(count, 1)
    spread = np.where(speaks, (known - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1)
    variance = np.where(count > 1, spread, 0.0)
    return np.asarray(np.exp(-policy.health.disagreement_beta * variance))
