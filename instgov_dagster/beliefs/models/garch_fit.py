"""The nightly fit of GJR-GARCH with Student-t errors, symbol by symbol."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple, Protocol

import numpy as np
import polars as pl

from instgov_dagster.beliefs.hot.tape import Floats
from instgov_dagster.beliefs.models.garch_search import search_gjr
from instgov_dagster.vocabulary.policy.models import SigmaPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

MODEL_ID = "gjr_garch_t"
SIGMA_FIT_SCHEMA = pl.Schema(
    {
        "symbol": pl.String(),
        "model_id": pl.String(),
        "fitted_session": pl.Date(),
        "omega": pl.Float64(),
        "alpha": pl.Float64(),
        "gamma": pl.Float64(),
        "beta": pl.Float64(),
        "dof": pl.Float64(),
        "variance": pl.Float64(),
        "n_returns": pl.Int64(),
        "log_likelihood": pl.Float64(),
        "reason_codes": pl.List(pl.String()),
    }
)


class FitJob(NamedTuple):
    """One symbol's returns, in time order, and the rules its fit must keep."""

    returns: Floats
    max_persistence: float


class GjrFit(NamedTuple):
    """Parameters of a fit that converged, in units of the returns; no number is missing."""

    omega: float
    alpha: float
    gamma: float
    beta: float
    dof: float
    variance: float
    log_likelihood: float


class Spread(Protocol):
    """A map over independent jobs, in order; it may run them side by side."""

    def __call__(
        self, work: Callable[[FitJob], GjrFit | None], jobs: Sequence[FitJob]
    ) -> Iterable[GjrFit | None]:
        """Do the work on every job."""
        ...


def one_by_one(
    work: Callable[[FitJob], GjrFit | None], jobs: Sequence[FitJob]
) -> Iterable[GjrFit | None]:
    """Do the jobs one after another."""
    return map(work, jobs)


def fit_gjr(job: FitJob) -> GjrFit | None:
    """Fit one symbol by maximum likelihood, or give None where no sound fit was found.

    Parameters
    ----------
    job
        Shape ``(n,)`` finite returns of one session.

    Returns
    -------
    None where the returns do not vary, the search did not converge, a number is not finite, or
    the persistence ``alpha + gamma / 2 + beta`` is beyond the limit.

    Notes
    -----
    Glosten, Jagannathan and Runkle (1993), Journal of Finance 48, mean zero, through `arch`. The
    returns are divided by their deviation first: a cash fund moves a hundredth of a crypto-
    currency, and the optimiser's steps are of one size.
    """
    returns = job.returns
    scale = float(np.sqrt(np.mean(returns * returns))) if returns.size else 0.0
    if not (np.isfinite(scale) and scale > 0.0):
        return None
    found = search_gjr(returns / scale)
    if found is None:
        return None
    omega, alpha, gamma, beta, dof = (float(x) for x in found.params)
    variance = found.last_volatility**2
    fit = GjrFit(
        omega=omega * scale**2,
        alpha=alpha,
        gamma=gamma,
        beta=beta,
        dof=dof,
        variance=variance * scale**2,
        log_likelihood=found.log_likelihood - returns.size * float(np.log(scale)),
    )
    is_sound = (
        found.has_converged
        and bool(np.isfinite(fit).all())
        and min(fit.omega, fit.alpha, fit.alpha + fit.gamma, fit.beta) >= 0.0
        and fit.variance > 0.0
        and alpha + 0.5 * gamma + beta <= job.max_persistence
    )
    return fit if is_sound else None


def due_symbols(
    symbols: tuple[str, ...],
    dates: np.ndarray[Any, np.dtype[np.datetime64]],
    known: pl.DataFrame,
    policy: SigmaPolicy,
) -> tuple[str, ...]:
    """List the symbols whose last good fit is missing or due for another.

    Parameters
    ----------
    dates
        Shape ``(T,)``, the sessions held.
    known
        ``SIGMA_FIT_SCHEMA``, every fit so far. A failed one counts for nothing: it is tried again.
    """
    good = known.filter(pl.col("omega").is_not_null())
    last = dict(good.group_by("symbol").agg(pl.col("fitted_session").max()).iter_rows())
    days = dates.astype("datetime64[D]")

    def is_due(symbol: str) -> bool:
        fitted = last.get(symbol)
        if fitted is None:
            return True
        age = int((days > np.datetime64(fitted, "D")).sum())
        return age >= policy.garch_refit_sessions

    return tuple(symbol for symbol in symbols if is_due(symbol))


def fit_sigma(
    dates: np.ndarray[Any, np.dtype[np.datetime64]],
    symbols: tuple[str, ...],
    daily: Floats,
    *,
    known: pl.DataFrame,
    policy: SigmaPolicy,
    spread: Spread = one_by_one,
) -> pl.DataFrame:
    """Fit every symbol that is due, through the last session held.

    Parameters
    ----------
    dates, symbols, daily
        ``(T,)`` sessions, ``N`` names, ``(T, N)`` returns of one session, NaN where unknown.
    known
        ``SIGMA_FIT_SCHEMA``, the fits so far.
    spread
        How the fits are mapped; the result does not depend on it.

    Returns
    -------
    ``SIGMA_FIT_SCHEMA``, one row a symbol that was tried: its parameters, or nulls and
    ``SIGMA_FIT_FAILED``. A symbol with too few returns is not tried.
    """
    tried, jobs = [], []
    due = set(due_symbols(symbols, dates, known, policy))
    for j, symbol in enumerate(symbols):
        returns = daily[-policy.garch_sessions :, j]
        returns = returns[np.isfinite(returns)]
        if symbol in due and returns.size >= policy.garch_min_sessions:
            tried.append(symbol)
            jobs.append(FitJob(returns, policy.garch_max_persistence))
    session = dates[-1].astype("datetime64[D]").item() if dates.size else None
    rows = [
        _row(symbol, session, job, fit)
        for symbol, job, fit in zip(tried, jobs, spread(fit_gjr, jobs), strict=True)
    ]
    return pl.DataFrame(rows, schema=SIGMA_FIT_SCHEMA, orient="row")


def _row(symbol: str, session: date | None, job: FitJob, fit: GjrFit | None) -> dict[str, Any]:
    code = ReasonCode.SIGMA_FIT_FAILED if fit is None else ReasonCode.SIGMA_FITTED
    numbers = dict.fromkeys(GjrFit._fields) if fit is None else fit._asdict()
    return {
        "symbol": symbol,
        "model_id": MODEL_ID,
        "fitted_session": session,
        "n_returns": job.returns.size,
        "reason_codes": [str(code)],
        **numbers,
    }
