"""`instgov bench beliefs`: a night of beliefs and one live update, beside the obvious libraries."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.beliefs.evaluation.pictures import belief_pictures
from instgov_dagster.beliefs.evaluation.scores import evaluate_models
from instgov_dagster.beliefs.filtering import filter_session, start_filter
from instgov_dagster.beliefs.forecast import forecast_models
from instgov_dagster.beliefs.health import assess_health
from instgov_dagster.beliefs.hot.day import DayFold, seal_day
from instgov_dagster.beliefs.hot.tape import closes_only
from instgov_dagster.beliefs.hot.walk import MarketPanel, walk
from instgov_dagster.beliefs.models.garch_fit import FitJob, fit_gjr
from instgov_dagster.beliefs.regime import believe_regime
from instgov_dagster.beliefs.signals import market_signals
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy, RegimePolicy

Floats = NDArray[np.float64]
OURS = "instgov"
DEFAULT_SIZES = (500,)
PEER_SECONDS = 60.0
_HORIZON = 5
_GARCH_SYMBOLS = 8
_REPEATS = 200
_LIVE_REPEATS = 20
#: What every row states; null where an engine does not do that part.
MEASURES = (
    "seconds", "cpu_seconds", "garch_seconds_a_symbol", "filter_update_us", "live_update_ms",
)  # fmt: skip


def bench_beliefs(
    sizes: Sequence[int] = DEFAULT_SIZES,
    *,
    n_sessions: int = 1260,
    peer_seconds: float = PEER_SECONDS,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Measure a night of beliefs for each size, and what the libraries take for its parts.

    Parameters
    ----------
    sizes
        Numbers of symbols.
    peer_seconds
        What a peer may take for one size; past it its row says ``timed_out``.
    on_row
        Called with each row as soon as it is known.

    Returns
    -------
    list[dict[str, Any]]
        One row an engine and size, ours first: engine, n, s (sessions), seconds (the night
        without its fits: regime, forecasts, health, evaluation, pictures), cpu_seconds,
        garch_seconds_a_symbol, filter_update_us (one session more), live_update_ms (all
        forecasts once more), timed_out, note.

    Raises
    ------
    InputError
        If a size is no whole number from 1 to 5000.
    """
    for n in sizes:
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 5000:
            raise InputError(f"sizes must be whole numbers from 1 to 5000, was {n!r}")
    rows = []
    for n in sizes:
        world = _world(n, n_sessions)
        for measure in (_ours, _pandas, _arch, _hmmlearn):
            row = measure(world, peer_seconds)
            rows.append(row)
            if on_row is not None:
                on_row(row)
    return sorted(rows, key=lambda row: row["engine"] != OURS)


def _world(n: int, n_sessions: int) -> MarketPanel:
    rng = np.random.default_rng(7)
    volatility = 0.012 * np.exp(0.5 * np.sin(np.arange(n_sessions) / 90.0))[:, None]
    market = rng.standard_t(5, (n_sessions, 1))
    returns = 3e-4 + volatility * (0.6 * market + 0.8 * rng.standard_t(5, (n_sessions, n))) * 0.77
    close = 100.0 * np.exp(np.cumsum(np.clip(returns, -0.3, 0.3), axis=0))
    opened = np.vstack([close[:1], close[:-1]]) * (1 + 0.002 * rng.standard_normal(close.shape))
    spread = 1.0 + np.abs(0.006 * rng.standard_normal((2, *close.shape)))
    return MarketPanel(
        dates=np.busday_offset("2019-01-01", np.arange(n_sessions), roll="forward"),
        symbols=tuple(f"S{j:04d}" for j in range(n)),
        close=close,
        open=opened,
        high=np.maximum(opened, close) * spread[0],
        low=np.minimum(opened, close) / spread[1],
    )


def _row(engine: str, world: MarketPanel, note: str, **measured: Any) -> dict[str, Any]:
    head = {"engine": engine, "n": len(world.symbols), "s": len(world.dates)}
    return head | dict.fromkeys(MEASURES) | {"timed_out": False, "note": note} | measured


def _mean_seconds(work: Callable[[], object], repeats: int, limit: float) -> tuple[float, bool]:
    started, done = time.perf_counter(), 0
    while done < repeats:
        work()
        done += 1
        if time.perf_counter() - started > limit:
            break
    return (time.perf_counter() - started) / done, done < repeats


def _ours(world: MarketPanel, limit: float) -> dict[str, Any]:
    regime, models = RegimePolicy(), ModelPolicy()
    started, cpu = time.perf_counter(), time.process_time()
    market = world.close.mean(axis=1)
    vix = np.full(len(world.dates), 16.0)
    signals = market_signals(world.dates, market, vix, world.close, policy=regime)
    belief = believe_regime(signals, regime)
    walked = walk(world, policy=models.forecast, horizon=_HORIZON)
    assess_health(
        walked,
        forecast_models(walked, models),
        data_quality=dict.fromkeys(world.symbols, 1.0),
        policy=models,
        asof=(world.dates[-1].astype("datetime64[D]") + 1).item(),
    )
    evaluate_models(walked, models)
    belief_pictures(walked, belief.path, models)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    jobs = [
        FitJob(walked.daily[1:, j], models.forecast.sigma.garch_max_persistence)
        for j in range(min(_GARCH_SYMBOLS, len(world.symbols)))
    ]
    fit_gjr(jobs[0])  # the library loads on the first
    cpu = time.process_time()
    for job in jobs:
        fit_gjr(job)
    fits = (time.process_time() - cpu) / len(jobs)
    state = start_filter(np.full((3, 3), 1 / 3), pseudo_counts=1000.0, initial=np.full(3, 1 / 3))
    emission = np.array([-1.0, -2.0, -3.0])
    update, _ = _mean_seconds(lambda: filter_session(state, emission), _REPEATS, limit)
    # what a live second does: the night's state restored, and this second's prices on it
    day = DayFold(len(world.symbols), policy=models.forecast, horizon=_HORIZON)
    day.restore(seal_day(walked.fold))
    ticks = closes_only(1.001 * day.last_prices())
    live, _ = _mean_seconds(lambda: day.observe(ticks), _LIVE_REPEATS, limit)
    return _row(
        OURS, world, "six strategies, eleven models",
        seconds=seconds, cpu_seconds=cpu_seconds, garch_seconds_a_symbol=fits,
        filter_update_us=1e6 * update, live_update_ms=1e3 * live,
    )  # fmt: skip


def _pandas(world: MarketPanel, limit: float) -> dict[str, Any]:
    import pandas as pd

    returns = pd.DataFrame(world.close).pct_change()

    def update() -> None:
        # what two of the sigma and two of the mu models read, over the whole panel again
        squares = returns**2
        for alpha in (0.06, 0.03):
            squares.ewm(alpha=alpha).mean().iloc[-1]
        for window in (252, 1260):
            returns.rolling(window, min_periods=63).mean().iloc[-1]
            returns.rolling(window, min_periods=63).std().iloc[-1]

    seconds, is_late = _mean_seconds(update, 3, limit)
    note = "EWMA and rolling moments of the panel once more, no regression, no range, no GARCH"
    return _row("pandas", world, note, live_update_ms=1e3 * seconds, timed_out=is_late)


def _arch(world: MarketPanel, limit: float) -> dict[str, Any]:
    from arch import arch_model

    returns = 100.0 * np.diff(np.log(world.close), axis=0)
    n = min(_GARCH_SYMBOLS, len(world.symbols))
    started, cpu, done = time.perf_counter(), time.process_time(), 0
    for j in range(n):
        arch_model(returns[:, j], mean="Zero", p=1, o=1, q=1, dist="t").fit(
            disp="off", show_warning=False
        )
        done += 1
        if time.perf_counter() - started > limit:
            break
    seconds = (time.process_time() - cpu) / done
    note = "the same fit through arch_model"
    return _row("arch", world, note, garch_seconds_a_symbol=seconds, timed_out=done < n)


def _hmmlearn(world: MarketPanel, limit: float) -> dict[str, Any]:
    note = "GaussianHMM.score_samples over the sessions held"
    try:
        from hmmlearn.hmm import GaussianHMM
    except ImportError:
        return _row("hmmlearn", world, "not installed: it comes with the development group")
    model = GaussianHMM(n_components=3, covariance_type="diag")
    model.startprob_ = np.full(3, 1 / 3)
    model.transmat_ = np.array([[0.98, 0.02, 0.0], [0.02, 0.97, 0.01], [0.0, 0.05, 0.95]])
    model.means_ = np.array([[-1.0] * 4, [0.0] * 4, [2.0] * 4])
    model.covars_ = np.ones((3, 4))
    observations = np.random.default_rng(3).standard_normal((len(world.dates), 4))
    model.score_samples(observations)
    update, is_late = _mean_seconds(lambda: model.score_samples(observations), 20, limit)
    return _row("hmmlearn", world, note, filter_update_us=1e6 * update, timed_out=is_late)
