"""The pictures of a walk as SVG: value, drawdown, tail, evidence, regime, cash, lives, gates."""

from collections.abc import Mapping
from datetime import date
from html import escape
from itertools import groupby
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.beliefs.evaluation.charts import (
    MOST_POINTS,
    PLOT,
    Ticks,
    area_chart,
    line_chart,
)
from instgov_dagster.loop.proving.survival.telling.answer import Answer
from instgov_dagster.loop.proving.survival.variants import GOVERNED, UNGOVERNED
from instgov_dagster.vocabulary.governance import StrategyLifecycle, SystemStateName

Floats = NDArray[np.float64]
_LEFT, _RIGHT, _WIDTH = 46, 150, 640
_REGIME_COLOURS: Final = {"normal": "#9fbfdf", "volatile": "#e5b04a", "crisis": "#b3261e"}
_ROW, _TOP = 22, 34
_STAGE_COLOURS: Final = {
    StrategyLifecycle.INCUBATING.value: "#9fb7d6",
    StrategyLifecycle.SCALING.value: "#4f86c0",
    StrategyLifecycle.HARVESTING.value: "#2b7a4b",
    StrategyLifecycle.DECOMMISSIONED.value: "#c7cbd1",
}
_STATE_COLOURS: Final = {
    SystemStateName.REDUCE_ONLY.value: "#f2d16b",
    SystemStateName.HALT_SYSTEM.value: "#e08a5b",
    SystemStateName.STOP_SYSTEM.value: "#b3261e",
}
# A night that ended early though nothing latched, as where the tail's forecasts are refuted: on
# its day nothing can be reduced either, so it outranks REDUCE_ONLY.
_ENDED: Final = "ENDED"
_BANDS: Final = {**_STATE_COLOURS, _ENDED: "#b59fd0"}
_SHADES: Final = (
    "shaded yellow while only reductions were allowed, orange while halted, red while stopped,"
    " violet where a night ended early"
)
_LEDGER_ROWS: Final = 16


def draw(answer: Answer) -> dict[str, str]:
    """Draw every picture of a walk, by its caption."""
    out = {
        f"Net asset value beside the benchmarks, less 1; {_SHADES}": _shaded(
            answer, _values(answer)
        ),
        "Fall from the highest value": drawdown_chart(answer.paths, _ticks(answer)),
        "Five-session CVaR forecast against the loss that came": _tail(answer),
        "Evidence against the tail's forecasts, and the limit at which a night ends": _evidence(
            answer
        ),
        "What was believed of the market": _regime(answer),
        "Gross and cash": _gross(answer),
        "Stages of the strategies": _lives(answer),
        "Who was refused and why: decisions by first cause": _ledger(answer),
    }
    return {caption: svg for caption, svg in out.items() if svg}


def _ticks(answer: Answer) -> Ticks:
    # First, middle and last session, by their place in the walk.
    places = sorted({0, len(answer.days) // 2, len(answer.days) - 1})
    return [(float(k), answer.days[k].isoformat()) for k in places]


def _firsts(n: int) -> NDArray[np.intp]:
    # A chart draws so many points at most: where there are more, one stands for a stretch.
    return np.arange(0, n, max(-(-n // MOST_POINTS), 1))


def nearest_breaches(excess: Floats) -> NDArray[np.intp]:
    """Find in each stretch the night whose loss came nearest to its forecast, or furthest beyond.

    Parameters
    ----------
    excess
        Loss less value at risk, shape ``(n,)``, n >= 1.

    Returns
    -------
    Places, ascending, at most `MOST_POINTS`.
    """
    firsts = _firsts(excess.size)
    ends = [*firsts[1:].tolist(), excess.size]
    pairs = zip(firsts.tolist(), ends, strict=True)
    return np.array([i + int(np.argmax(excess[i:j])) for i, j in pairs], dtype=np.intp)


def _values(answer: Answer) -> str:
    series = {name: path[1:] / path[0] - 1.0 for name, path in answer.paths.items()}
    x = np.arange(len(answer.days), dtype=np.float64)
    note = "net asset value over its start, less one; after costs"
    return line_chart("Net asset value", x, series, note=note, ticks=_ticks(answer))


def _shaded(answer: Answer, svg: str) -> str:
    left, top, span, height = PLOT
    n = max(len(answer.days) - 1, 1)
    bands = [
        f'<rect x="{left + first / n * span:.1f}" y="{top}"'
        f' width="{max(count / n * span, 1):.1f}"'
        f' height="{height}" fill="{_BANDS[word]}" fill-opacity="0.5"/>'
        for word, first, count in shaded_runs(answer.governed)
    ]
    place = svg.index("<title>")
    return svg[:place] + "".join(bands) + svg[place:]


def shaded_runs(sessions: pl.DataFrame) -> list[tuple[str, int, int]]:
    """Find the runs of sessions that were not simply RUNNING: word, first place, count.

    Parameters
    ----------
    sessions
        ``state`` and ``halted_at`` of one walk, in order.
    """
    words = [
        _ENDED if ended is not None and not SystemStateName(state).is_latched else state
        for state, ended in sessions.select("state", "halted_at").iter_rows()
    ]
    runs, first = [], 0
    for word, days in groupby(words):
        count = len(list(days))
        if word in _BANDS:
            runs.append((word, first, count))
        first += count
    return runs


def drawdown_chart(paths: Mapping[str, Floats], ticks: Ticks) -> str:
    """Draw how far each value lies below its highest; of many sessions the lowest of a stretch.

    Parameters
    ----------
    paths
        Net asset values by name, each ``(sessions + 1,)``.
    """
    series, firsts = {}, _firsts(0)
    for name, path in paths.items():
        falls = path[1:] / np.maximum.accumulate(path)[1:] - 1.0
        firsts = _firsts(falls.size)
        series[name] = np.fmin.reduceat(falls, firsts)
    step = int(firsts[1]) if firsts.size > 1 else 1
    more = f"; the lowest of every {step} sessions" if step > 1 else ""
    note = f"value over the highest before it, less one{more}"
    return line_chart("Drawdown", firsts.astype(np.float64), series, note=note, ticks=ticks)


def _tail(answer: Answer) -> str:
    found = answer.coverage.outcomes
    if found.losses.size < 2:
        return ""
    at = nearest_breaches(found.losses - found.value_at_risk)
    x = found.ends.astype("datetime64[D]").astype(np.float64)
    ticks = [(float(x[k]), str(found.ends[k].astype("datetime64[D]"))) for k in (0, -1)]
    x = x[at]
    series = {
        "loss": found.losses[at],
        "CVaR forecast": found.cvar[at],
        "value at risk": found.value_at_risk[at],
    }
    note = "what a night forecast for five sessions, and what they brought"
    if at.size < found.losses.size:
        step = -(-found.losses.size // MOST_POINTS)
        note += f"; of every {step} the night nearest to its limit"
    return line_chart("Five-session loss, fraction of NAV", x, series, note=note, ticks=ticks)


def _evidence(answer: Answer) -> str:
    sessions = answer.records.tables["sessions"]
    values = {
        name: _column(sessions.filter(pl.col("walk") == name), "e_value")
        for name in (GOVERNED, UNGOVERNED)
        if name in answer.memories
    }
    return evidence_chart(values, limit=answer.policy.cvar.coverage.e_limit, ticks=_ticks(answer))


def evidence_chart(values: Mapping[str, Floats], *, limit: float, ticks: Ticks) -> str:
    """Draw e-values by their logarithm beside their limit; of many sessions the highest one.

    Parameters
    ----------
    values
        E-values by name, each ``(sessions,)``; NaN where a night did not come so far. A path that
        holds nothing else is left out, and nothing is drawn of fewer than two sessions.
    """
    seen = {name: path for name, path in values.items() if np.isfinite(path).any()}
    size = max((path.size for path in seen.values()), default=0)
    if size < 2:
        return ""
    firsts = _firsts(size)
    with np.errstate(divide="ignore"):
        series = {name: np.fmax.reduceat(np.log10(path), firsts) for name, path in seen.items()}
    series["limit"] = np.full(firsts.size, np.log10(limit))
    step = int(firsts[1]) if firsts.size > 1 else 1
    more = f"; the highest of every {step} sessions" if step > 1 else ""
    note = f"log10 of the e-value of each night{more}"
    x = firsts.astype(np.float64)
    return line_chart("Evidence against the forecasts", x, series, note=note, ticks=ticks)


def _column(frame: pl.DataFrame, name: str) -> Floats:
    return frame[name].fill_null(np.nan).to_numpy().astype(np.float64)


def _regime(answer: Answer) -> str:
    mine = answer.governed.with_row_index("place").filter(
        pl.col("current_belief_normal").is_not_null()
    )
    if mine.height < 2:
        return ""
    shares = {
        name: _column(mine, f"current_belief_{name}") for name in ("normal", "volatile", "crisis")
    }
    x = mine["place"].to_numpy().astype(np.float64)
    return area_chart(
        "Regime probabilities", x, shares, note="probability of each regime after each session",
        ticks=_ticks(answer), colours=_REGIME_COLOURS,
    )  # fmt: skip


def _gross(answer: Answer) -> str:
    mine = answer.governed
    x = np.arange(mine.height, dtype=np.float64)
    series = {"gross": _column(mine, "gross"), "cash": _column(mine, "cash")}
    note = "after each day's orders"
    return line_chart("Gross and cash, fraction of NAV", x, series, note=note, ticks=_ticks(answer))


def _lives(answer: Answer) -> str:
    rows = answer.records.tables["strategies"]
    if rows.is_empty():
        return ""
    place = {day: k for k, day in enumerate(answer.days)}
    names = rows["strategy_id"].unique().sort().to_list()
    height = _TOP + _ROW * (len(names) + 2)
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(answer.days), 1)
    parts = [f'<text x="{_LEFT}" y="18" font-size="13">Stages</text>']
    for k, name in enumerate(names):
        y = _TOP + _ROW * k
        parts.append(f'<text x="{_WIDTH - _RIGHT + 8}" y="{y + 14}">{escape(name)}</text>')
        for first, last, stage in _runs(rows.filter(pl.col("strategy_id") == name), place):
            width = (last - first + 1) * step
            parts.append(
                f'<rect x="{_LEFT + first * step:.1f}" y="{y}" width="{width:.1f}"'
                f' height="{_ROW - 5}" fill="{_STAGE_COLOURS[stage]}"/>'
            )
    for k, (stage, colour) in enumerate(_STAGE_COLOURS.items()):
        x, y = _LEFT + 130 * k, height - 20
        parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 15}" y="{y + 9}">{stage.lower()}</text>')
    return _svg(parts, height)


def _runs(rows: pl.DataFrame, place: dict[date, int]) -> list[tuple[int, int, str]]:
    out: list[tuple[int, int, str]] = []
    for day, stage in rows.sort("date").select("date", "stage").iter_rows():
        at = place[day]
        if out and out[-1][2] == stage:
            out[-1] = (out[-1][0], at, stage)
        else:
            out.append((at, at, stage))
    return out


def _ledger(answer: Answer) -> str:
    told = answer.records.tables["reasons"].filter(pl.col("decision") != "EXECUTE")
    if told.is_empty():
        return ""
    counts = (
        told.group_by("decision", "reason_code")
        .agg(pl.col("symbols").sum())
        .sort("symbols", "decision", "reason_code", descending=[True, False, False])
        .head(_LEDGER_ROWS)
    )
    most = float(counts["symbols"].max())  # type: ignore[arg-type]
    parts = [f'<text x="10" y="18" font-size="13">Gate ledger, {GOVERNED}</text>']
    for k, (decision, code, n) in enumerate(counts.iter_rows()):
        y = _TOP + _ROW * k
        parts.append(f'<text x="10" y="{y + 13}">{escape(decision)} {escape(code)}</text>')
        parts.append(
            f'<rect x="330" y="{y}" width="{230.0 * n / most:.1f}" height="{_ROW - 6}"'
            f' fill="#1f5fa8"/><text x="{335 + 230.0 * n / most:.1f}" y="{y + 13}">{n}</text>'
        )
    return _svg(parts, _TOP + _ROW * counts.height + 10)


def _svg(parts: list[str], height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="11" role="img">'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>'
    )
