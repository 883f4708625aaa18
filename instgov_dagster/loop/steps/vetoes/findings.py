"""Every veto rule judged on what earlier sessions left, and the settling of what stands."""

import math
from collections.abc import Iterable
from datetime import date, timedelta
from functools import partial
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.calendars import CALENDAR_START, expected_sessions
from instgov_dagster.governance.veto import (
    LimitReading,
    findings_from_frame,
    findings_to_frame,
    settle_vetoes,
    spent_before,
    veto_correlated_wins,
    veto_limits,
    veto_unexplained_profits,
    vetoes_from_frame,
    vetoes_to_frame,
)
from instgov_dagster.loop.steps.capital import RESULTS, roll_to_sessions
from instgov_dagster.loop.steps.context import NightContext, Tables
from instgov_dagster.loop.steps.rows import Columns, RowsByName
from instgov_dagster.loop.steps.vetoes.dependency import judge_dependency
from instgov_dagster.loop.steps.vetoes.execution import judge_execution
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.governance import ALL, ScopedFinding, Veto, VetoFinding, VetoKey
from instgov_dagster.vocabulary.reasons import ReasonCode

_PROFITS = ReasonCode.VETO_UNEXPLAINED_PROFITS
_EXECUTION = ReasonCode.VETO_TOO_PERFECT_EXECUTION
_WINS = ReasonCode.VETO_CORRELATED_WINS


def find_vetoes(
    tables: Tables, context: NightContext, *, without_last_bar: Tables | None = None
) -> pl.DataFrame:
    """Judge every veto rule (roadmap 9.2), each with its statistic, threshold and n.

    What an operator cleared is judged again on what came after the clearing only.

    Parameters
    ----------
    without_last_bar
        The forecasts and their health formed without the last bar, where they are at hand.
    """
    past = vetoes_from_frame(tables["previous_vetoes"])
    found = [
        *_profits(tables, context, past),
        *_execution(tables, context, past),
        *judge_dependency(tables, context, without_last_bar=without_last_bar),
        *_wins(tables, context, past),
        *_conditions(tables, context),
    ]
    return findings_to_frame(found)


def settle(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Carry, clear and raise vetoes: what stands tonight and until when (SPEC 7)."""
    policy = context.policy
    sessions = _sessions(CALENDAR_START, context.asof + timedelta(days=1))
    vetoes = settle_vetoes(
        vetoes_from_frame(tables["previous_vetoes"]),
        findings_from_frame(tables["veto_findings"]),
        cleared_keys(tables["veto_clears"]),
        asof=context.asof,
        sessions=sessions,
        policy=policy.veto,
        memory_sessions=max(
            policy.veto.sticky_sessions,
            policy.veto.rank_sessions,
            policy.veto.execution_sessions,
            policy.veto.wins_sessions,
            policy.lifecycle.decommission.veto_sessions,
        ),
    )
    return vetoes_to_frame(vetoes, asof=context.asof, sessions=sessions, policy=policy.veto)


def cleared_keys(clears: pl.DataFrame) -> frozenset[VetoKey]:
    """Read which vetoes operators cleared from rows of `CLEAR_SCHEMA`."""
    rows = clears[["strategy_id", "symbol", "reason_code", "raised_on"]].iter_rows()
    return frozenset(
        VetoKey(strategy_id=k, symbol=s, reason_code=code, raised_on=day)
        for k, s, code, day in rows
    )


def _sessions(start: date, end_exclusive: date) -> NDArray[np.datetime64]:
    return expected_sessions(AssetClass.STOCKS, max(start, CALENDAR_START), end_exclusive)


def _by_date(rows: Columns) -> Columns:
    days = rows["date"]
    if not (days[1:] < days[:-1]).any():
        return rows
    order = np.argsort(days, kind="stable")
    return {name: column[order] for name, column in rows.items()}


def _scoped(
    findings: Iterable[VetoFinding], *, strategy_id: str = ALL, symbol: str = ALL
) -> list[ScopedFinding]:
    return [
        ScopedFinding(strategy_id=strategy_id, symbol=symbol, finding=finding)
        for finding in findings
    ]


def _profits(tables: Tables, context: NightContext, past: tuple[Veto, ...]) -> list[ScopedFinding]:
    # A strategy's whole book: what its account says against what its positions explain.
    columns = ("realised", "explained", "costs")
    accounts = RowsByName(tables["session_accounts"], "strategy_id", columns)
    out = []
    for spec in context.policy.models.strategies:
        name = spec.strategy_id
        spent = spent_before(past, _PROFITS, strategy_id=name)
        rows = _by_date(accounts.of(name, since=spent))
        findings = veto_unexplained_profits(
            rows["realised"], rows["explained"], rows["costs"], context.policy.veto
        )
        out += _scoped(findings, strategy_id=name)
    return out


def _execution(
    tables: Tables, context: NightContext, past: tuple[Veto, ...]
) -> list[ScopedFinding]:
    policy = context.policy.veto
    days = _sessions(CALENDAR_START, context.asof)[-policy.execution_sessions :]
    return judge_execution(
        tables["recorded_fills"],
        tables["passive_orders"],
        tables["bars"],
        since=days[0].item() if days.size else context.asof,
        spent=partial(_spent_on, past),
        policy=policy,
    )


def _spent_on(past: tuple[Veto, ...], symbol: str) -> date:
    return spent_before(past, _EXECUTION, symbol=symbol)


def _wins(tables: Tables, context: NightContext, past: tuple[Veto, ...]) -> list[ScopedFinding]:
    names = [spec.strategy_id for spec in context.policy.models.strategies]
    returns = tables["strategy_returns"]
    spent = max(spent_before(past, _WINS, strategy_id=name) for name in names)
    first = cast("date", returns["date"].min()) if returns.height else context.asof
    sessions = _sessions(max(first, spent), context.asof)
    own = RowsByName(returns, "strategy_id", RESULTS)
    table = np.column_stack(
        [roll_to_sessions(_by_date(own.of(name, since=spent)), sessions)["pnl"] for name in names]
    )
    findings = veto_correlated_wins(table, context.policy.veto)
    total = table[-context.policy.veto.wins_sessions :].sum(axis=0)
    winners = [name for name, won in zip(names, total, strict=True) if not won <= 0.0]
    out = []
    for finding in findings:
        for name in (winners if finding.fired else []) or [ALL]:
            out += _scoped((finding,), strategy_id=name)
    return out


def _conditions(tables: Tables, context: NightContext) -> list[ScopedFinding]:
    # All that is crossed, and of every rule the reading that comes nearest to its limit.
    tradable = _tradable(tables)
    readings = [
        *_decay_readings(tables, context),
        *_history_readings(tables, tradable),
        *_quality_readings(tables, context, tradable),
    ]
    crossed: _Readings = []
    nearest: dict[str, tuple[tuple[str, str], LimitReading]] = {}
    for scope, reading in readings:
        held = nearest.get(reading.trigger)
        if not (math.isfinite(reading.statistic) and reading.statistic >= reading.threshold):
            crossed.append((scope, reading))
        elif held is None or reading.statistic < held[1].statistic:
            nearest[reading.trigger] = (scope, reading)
    told = [*crossed, *nearest.values()]
    findings = veto_limits(reading for _, reading in told)
    return [
        ScopedFinding(strategy_id=strategy_id, symbol=symbol, finding=finding)
        for ((strategy_id, symbol), _), finding in zip(told, findings, strict=True)
    ]


_Readings = list[tuple[tuple[str, str], LimitReading]]


def _decay_readings(tables: Tables, context: NightContext) -> _Readings:
    least, out = context.policy.veto.decay_min, []
    told: dict[str, list[tuple[str, float | None]]] = {}
    columns = ["model_id", "symbol", "final_decay_factor"]
    for model, symbol, decay in tables["model_decay_metrics"][columns].iter_rows():
        told.setdefault(model, []).append((symbol, decay))
    for spec in context.policy.models.strategies:
        for symbol, decay in told.get(spec.model_id, []):
            reading = _floor("model_decay", ReasonCode.VETO_MODEL_DECAY, decay, least, 1)
            out.append(((spec.strategy_id, symbol), reading))
    return out


def _history_readings(tables: Tables, tradable: frozenset[str]) -> _Readings:
    rows = tables["history_coverage"][["symbol", "rows", "required"]].iter_rows()
    return [
        (
            (ALL, symbol),
            _floor("history", ReasonCode.VETO_HISTORY, held / max(required, 1), 1.0, held),
        )
        for symbol, held, required in rows
        if symbol in tradable
    ]


def _quality_readings(tables: Tables, context: NightContext, tradable: frozenset[str]) -> _Readings:
    least = context.policy.quality.invalid_below
    rows = tables["data_quality"][["symbol", "quality_score", "rows"]].iter_rows()
    return [
        ((ALL, symbol), _floor("quality", ReasonCode.VETO_QUALITY, score, least, n))
        for symbol, score, n in rows
        if symbol in tradable
    ]


def _tradable(tables: Tables) -> frozenset[str]:
    governed = tables["data_governance"][["symbol", "is_reference"]].iter_rows()
    return frozenset(symbol for symbol, is_reference in governed if is_reference is False)


def _floor(
    trigger: str, code: ReasonCode, value: float | None, least: float, n: int
) -> LimitReading:
    return LimitReading(
        trigger=trigger,
        reason_code=code,
        statistic=math.nan if value is None else value,
        threshold=least,
        n=n,
        is_floor=True,
    )
