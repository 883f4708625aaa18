"""Vetoes that stand: raising them from findings, outliving them, finding whom they touch."""

from collections.abc import Iterable
from datetime import date

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.vocabulary.governance import ALL, Veto, VetoFinding, VetoPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode


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
            raised_on=asof,
            statistic=finding.statistic,
            threshold=finding.threshold,
            n=finding.n,
        )
        for code, finding in fired.items()
    )


def standing_vetoes(
    vetoes: Iterable[Veto],
    *,
    asof: date,
    sessions: NDArray[np.datetime64],
    policy: VetoPolicy,
) -> tuple[Veto, ...]:
    """Keep the vetoes that stand on ``asof``: not cleared, and not outlived (SPEC 7).

    A veto stands on the day it was raised and on the ``sticky_sessions`` sessions after it.

    Parameters
    ----------
    sessions
        Dates of the sessions, ascending. Sessions the array does not hold do not pass: with an
        array that ends too early a veto stands longer, never shorter.
    """
    dates = sessions.astype("datetime64[D]")
    today = np.datetime64(asof, "D")
    standing = []
    for veto in vetoes:
        if veto.raised_on > asof or (veto.cleared_on is not None and veto.cleared_on <= asof):
            continue
        raised = np.datetime64(veto.raised_on, "D")
        passed = int(((dates > raised) & (dates <= today)).sum())
        if passed <= policy.sticky_sessions:
            standing.append(veto)
    return tuple(standing)


def vetoes_on(
    vetoes: Iterable[Veto], strategy_id: str | None, symbol: str
) -> tuple[ReasonCode, ...]:
    """List the codes of the vetoes that touch a strategy's bid for a symbol, each once."""
    touching = (veto.reason_code for veto in vetoes if veto.touches(strategy_id, symbol))
    return tuple(dict.fromkeys(touching))
