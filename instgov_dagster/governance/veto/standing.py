"""Vetoes that stand: raising them from findings, outliving them, clearing them, whom they touch."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.vocabulary.governance import (
    ALL,
    ScopedFinding,
    Veto,
    VetoFinding,
    VetoKey,
    VetoPolicy,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

Sessions = NDArray[np.datetime64]
_DAY: Final = "datetime64[D]"


def raise_vetoes(
    findings: Iterable[VetoFinding], *, asof: date, strategy_id: str = ALL, symbol: str = ALL
) -> tuple[Veto, ...]:
    """Turn the findings that fired into vetoes on a strategy and a symbol, one a code."""
    fired: dict[ReasonCode, VetoFinding] = {}
    for finding in findings:
        if finding.fired:
            fired.setdefault(finding.reason_code, finding)
    return tuple(
        Veto(
            strategy_id=strategy_id,
            symbol=symbol,
            reason_code=code,
            trigger=finding.trigger,
            raised_on=asof,
            statistic=finding.statistic,
            threshold=finding.threshold,
            n=finding.n,
        )
        for code, finding in fired.items()
    )


def sessions_passed(raised_on: date, *, asof: date, sessions: Sessions) -> int:
    """Count the sessions after the day a veto was raised, up to and with ``asof``.

    Parameters
    ----------
    sessions
        Dates of the sessions, ascending. Sessions the array does not hold do not pass: with an
        array that ends too early a veto stands longer, never shorter.
    """
    dates = sessions.astype(_DAY)
    raised, today = np.datetime64(raised_on, "D"), np.datetime64(asof, "D")
    return int(((dates > raised) & (dates <= today)).sum())


def standing_vetoes(
    vetoes: Iterable[Veto],
    *,
    asof: date,
    sessions: Sessions,
    policy: VetoPolicy,
) -> tuple[Veto, ...]:
    """Keep the vetoes that stand on ``asof``: not cleared, and not outlived (SPEC 7).

    A veto stands on the day it was raised and on the ``sticky_sessions`` sessions after it; a
    condition only on the day it was found.

    Parameters
    ----------
    sessions
        See `sessions_passed`.
    """
    standing = []
    for veto in vetoes:
        if veto.raised_on > asof or (veto.cleared_on is not None and veto.cleared_on <= asof):
            continue
        if veto.is_condition and veto.raised_on != asof:
            continue
        if sessions_passed(veto.raised_on, asof=asof, sessions=sessions) <= policy.sticky_sessions:
            standing.append(veto)
    return tuple(standing)


def settle_vetoes(
    previous: Iterable[Veto],
    findings: Iterable[ScopedFinding],
    clears: Collection[VetoKey],
    *,
    asof: date,
    sessions: Sessions,
    policy: VetoPolicy,
    memory_sessions: int,
) -> tuple[Veto, ...]:
    """Carry the vetoes of earlier nights into this one, clear what was cleared, raise what fired.

    A finding raises nothing where the same code already stands on the same strategy and symbol:
    the first day counts, and it is outlived from there. What an operator cleared stays cleared,
    also where the same night finds it again.

    Parameters
    ----------
    previous
        The vetoes of the last night before ``asof``.
    clears
        What operators cleared so far, of any night.
    sessions
        See `sessions_passed`; it must reach back as far as the memory.
    memory_sessions
        How long a sticky veto is remembered: as long as anything still counts it.

    Returns
    -------
    Sorted by strategy, symbol, code and day: all that is remembered, standing or not.
    """
    kept = [
        _cleared(veto, clears, asof)
        for veto in previous
        if not veto.is_condition
        and sessions_passed(veto.raised_on, asof=asof, sessions=sessions) <= memory_sessions
    ]
    standing = {
        (veto.strategy_id, veto.symbol, veto.reason_code)
        for veto in standing_vetoes(kept, asof=asof, sessions=sessions, policy=policy)
    }
    scopes: dict[tuple[str, str], list[VetoFinding]] = {}
    for row in findings:
        scopes.setdefault((row.strategy_id, row.symbol), []).append(row.finding)
    raised = [
        _cleared(veto, clears, asof)
        for (strategy_id, symbol), found in scopes.items()
        for veto in raise_vetoes(found, asof=asof, strategy_id=strategy_id, symbol=symbol)
        if (strategy_id, symbol, veto.reason_code) not in standing
    ]
    return tuple(sorted((*kept, *raised), key=lambda veto: veto.key))


def _cleared(veto: Veto, clears: Collection[VetoKey], asof: date) -> Veto:
    if veto.cleared_on is not None or veto.is_condition or veto.key not in clears:
        return veto
    return replace(veto, cleared_on=max(asof, veto.raised_on))


def spent_before(
    vetoes: Iterable[Veto], code: ReasonCode, *, strategy_id: str = ALL, symbol: str = ALL
) -> date:
    """Give the day before which evidence is spent: an operator judged it and cleared the veto."""
    cleared = (
        veto.cleared_on
        for veto in vetoes
        if (veto.strategy_id, veto.symbol, veto.reason_code) == (strategy_id, symbol, code)
        and veto.cleared_on is not None
    )
    return max(cleared, default=date.min)


class VetoIndex:
    """Vetoes by whom they touch: four look-ups a bid, however many stand."""

    def __init__(self, vetoes: Iterable[Veto]) -> None:
        self._by_scope: dict[tuple[str, str], list[Veto]] = {}
        for veto in vetoes:
            self._by_scope.setdefault((veto.strategy_id, veto.symbol), []).append(veto)

    def on(self, strategy_id: str, symbol: str) -> tuple[Veto, ...]:
        """List the vetoes that touch a strategy's bid for a symbol, its own before wider ones."""
        if not self._by_scope:
            return ()
        scopes = ((strategy_id, symbol), (strategy_id, ALL), (ALL, symbol), (ALL, ALL))
        return tuple(veto for scope in scopes for veto in self._by_scope.get(scope, ()))


def vetoes_on(
    vetoes: Iterable[Veto], strategy_id: str | None, symbol: str
) -> tuple[ReasonCode, ...]:
    """List the codes of the vetoes that touch a strategy's bid for a symbol, each once."""
    touching = (veto.reason_code for veto in vetoes if veto.touches(strategy_id, symbol))
    return tuple(dict.fromkeys(touching))
