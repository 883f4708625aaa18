"""`instgov bench survive`: sessions walked a second, beside a simulator and a walk-forward."""

import os
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np

from instgov_dagster.adapters.runtime.processes.memory import peak_rss_mb
from instgov_dagster.loop.proving.survival.keeping.memory import fresh_memory
from instgov_dagster.loop.proving.survival.knowing.world import World
from instgov_dagster.loop.proving.survival.run import open_world, walk_of
from instgov_dagster.loop.proving.survival.telling.answer import Question
from instgov_dagster.loop.proving.survival.telling.benchmarks import Field, field_of
from instgov_dagster.loop.proving.survival.variants import GOVERNED
from instgov_dagster.vocabulary.bars import Market

OURS: Final = "instgov"
_YEAR: Final = 252
_RISK_AVERSION: Final = 5.0
Report = Callable[[dict[str, Any]], None]


def bench_survive(
    sizes: Sequence[int],
    *,
    bars: Path | None = None,
    end: date | None = None,
    peer_seconds: float = 60.0,
    on_row: Report | None = None,
) -> list[dict[str, Any]]:
    """Walk the last sessions of one history by every engine, on the same bars and days.

    Parameters
    ----------
    sizes
        How many sessions, one row an engine each.
    bars
        A folder of vendor bars; the simulated market without one.
    end
        The last session; that of the history without one.
    peer_seconds
        What a peer may take for one size.

    Returns
    -------
    Rows ``engine``, ``n`` (symbols), ``s`` (sessions asked for), ``sessions`` (done),
    ``sessions_per_second``, ``cpu_seconds``, ``rss_mb``, ``timed_out`` and ``note``; ours first.
    Of ours ``fit_seconds`` are apart: GARCH is fitted again every week, and not in the rate; and
    ``published`` counts the sessions whose night did not end early.
    """
    market = Market.FILES if bars is not None else Market.SIMULATED
    question = Question(market=market, bars=bars, years=1, end=end, is_compared=False)
    world = open_world(question, {})
    whole = world.history.sessions(None, None)
    rows = []
    for size in sizes:
        days = whole[-size:]
        field = field_of(world.history, days, world.policy)
        for measure in (_ours, _cvxportfolio, _skfolio):
            row = measure(world, field, days, peer_seconds)
            rows.append(row)
            if on_row is not None:
                on_row(row)
    return rows


def _row(engine: str, field: Field, days: Sequence[date], note: str, **told: Any) -> dict[str, Any]:
    head = {"engine": engine, "n": len(field.symbols), "s": len(days)}
    empty = dict.fromkeys(
        ("sessions", "published", "sessions_per_second", "cpu_seconds", "fit_seconds")
    )
    return head | empty | {"rss_mb": None, "timed_out": False, "note": note} | told


def _ours(world: World, field: Field, days: tuple[date, ...], limit: float) -> dict[str, Any]:
    del limit  # ours is walked to the end
    memories = {GOVERNED: fresh_memory(world.policy.nav_usd)}
    walk = walk_of({GOVERNED: world}, memories)
    cpu = _cpu_seconds()
    halted = [found[GOVERNED].halted_at for found in walk.days(days)]
    done = len(halted)
    clocked = walk.clocked
    rest = clocked.seconds - clocked.fit_seconds
    return _row(
        OURS, field, days, "six strategies, CVaR auction, gates, vetoes, fills, lifecycles",
        sessions=done, published=halted.count(None), sessions_per_second=done / rest,
        cpu_seconds=_cpu_seconds() - cpu, fit_seconds=clocked.fit_seconds,
        rss_mb=peak_rss_mb() + clocked.beside_rss_mb,
    )  # fmt: skip


def _cpu_seconds() -> float:
    # Of this process and of those it has ended.
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _cvxportfolio(
    world: World, field: Field, days: tuple[date, ...], limit: float
) -> dict[str, Any]:
    del world
    note = "single-period mean-variance, long only, no CVaR and no gates"
    try:
        import cvxportfolio as cvx
    except ImportError:
        return _row("cvxportfolio", field, days, "not installed: it comes with the bench extra")
    returns, volumes, prices = _frames(field)
    simulator = cvx.StockMarketSimulator(
        returns=returns, volumes=volumes, prices=prices, cash_key="cash", round_trades=False
    )
    policy = cvx.SinglePeriodOptimization(
        cvx.ReturnsForecast() - _RISK_AVERSION * cvx.FullCovariance(),
        [cvx.LongOnly(), cvx.LeverageLimit(1)],
    )
    return _in_parts(
        "cvxportfolio", field, days, note, limit,
        lambda part: simulator.backtest(policy, start_time=part[0], end_time=part[1]),
    )  # fmt: skip


def _skfolio(world: World, field: Field, days: tuple[date, ...], limit: float) -> dict[str, Any]:
    del world
    note = "WalkForward of MeanRisk by CVaR, a year back, a session ahead, long only, no costs"
    try:
        from skfolio import RiskMeasure
        from skfolio.model_selection import WalkForward, cross_val_predict
        from skfolio.optimization import MeanRisk
    except ImportError:
        return _row("skfolio", field, days, "not installed: it comes with the development group")
    usable = _whole_columns(field)
    closes = field.close[:, usable]
    returns = closes[1:] / closes[:-1] - 1.0
    splits = WalkForward(train_size=_YEAR, test_size=1)
    model = MeanRisk(risk_measure=RiskMeasure.CVAR)

    def run(part: tuple[int, int]) -> None:
        first, last = part
        cross_val_predict(model, returns[first - _YEAR : last], cv=splits)

    begin = returns.shape[0] - len(days)
    parts = [(begin + k, begin + k + 1) for k in range(len(days))]
    return _timed("skfolio", field, days, note, limit, run, parts)


def _in_parts(  # what is run, and what is told of it
    engine: str,
    field: Field,
    days: tuple[date, ...],
    note: str,
    limit: float,
    run: Callable[[Any], object],
) -> dict[str, Any]:
    # A simulator trades at each open of a span: at least two sessions at a time.
    import pandas as pd

    stamps = [pd.Timestamp(day, tz="UTC") for day in days]
    step = 10
    parts = [
        (stamps[k], stamps[min(k + step, len(stamps) - 1)]) for k in range(0, len(stamps) - 1, step)
    ]
    return _timed(engine, field, days, note, limit, run, parts, sessions_a_part=step)


def _timed(  # what is run, and what is told of it
    engine: str,
    field: Field,
    days: tuple[date, ...],
    note: str,
    limit: float,
    run: Callable[[Any], object],
    parts: Sequence[Any],
    *,
    sessions_a_part: int = 1,
) -> dict[str, Any]:
    run(parts[0])  # libraries load and programs compile on the first
    begun, cpu, done = time.perf_counter(), time.process_time(), 0
    for part in parts:
        run(part)
        done += min(sessions_a_part, len(days) - done)
        if time.perf_counter() - begun > limit:
            break
    seconds = time.perf_counter() - begun
    return _row(
        engine, field, days, note,
        sessions=done, sessions_per_second=done / seconds,
        cpu_seconds=time.process_time() - cpu, rss_mb=peak_rss_mb(),
        timed_out=done < len(days) - 1,
    )  # fmt: skip


def _whole_columns(field: Field) -> np.ndarray[Any, np.dtype[np.intp]]:
    # Peers take no holes: the symbols held over the year before the span and over it.
    tail = field.close[max(field.first - _YEAR - 1, 0) :]
    return np.flatnonzero(np.isfinite(tail).all(axis=0) & (tail > 0.0).all(axis=0))


def _frames(field: Field) -> tuple[Any, Any, Any]:
    # Open-to-open returns with a column of cash, volumes in dollars and prices, as asked for.
    import pandas as pd

    usable = _whole_columns(field)
    begin = max(field.first - 5 * _YEAR, 0)
    index = pd.DatetimeIndex(field.dates[begin:].astype("datetime64[ns]"), tz="UTC")
    names = [field.symbols[k] for k in usable]
    opens = pd.DataFrame(field.open[begin:, usable], index=index, columns=names).ffill().bfill()
    returns = opens.shift(-1) / opens - 1.0
    returns["cash"] = 0.0
    # Deep enough that participation is no matter: what is measured is time.
    volumes = pd.DataFrame(1e10, index=index, columns=names)
    return returns, volumes, opens
