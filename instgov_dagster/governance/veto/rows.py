"""Findings and vetoes as rows of the tables veto_findings and vetoes, there and back."""

from collections.abc import Iterable
from datetime import date

import polars as pl

from instgov_dagster.governance.veto.standing import Sessions, sessions_passed, standing_vetoes
from instgov_dagster.vocabulary.governance import ScopedFinding, Veto, VetoFinding, VetoPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

#: One row a rule and whom it speaks of; ``statistic`` is infinite where it could not be measured.
FINDING_SCHEMA = pl.Schema(
    {
        "strategy_id": pl.String(),
        "symbol": pl.String(),
        "trigger": pl.String(),
        "reason_code": pl.String(),
        "fired": pl.Boolean(),
        "statistic": pl.Float64(),
        "threshold": pl.Float64(),
        "n": pl.Int64(),
    }
)

#: One row a veto that is remembered; ``sessions_left`` is 0 where it stands for the last time.
VETO_SCHEMA = pl.Schema(
    {
        "strategy_id": pl.String(),
        "symbol": pl.String(),
        "reason_code": pl.String(),
        "trigger": pl.String(),
        "raised_on": pl.Date(),
        "statistic": pl.Float64(),
        "threshold": pl.Float64(),
        "n": pl.Int64(),
        "cleared_on": pl.Date(),
        "is_standing": pl.Boolean(),
        "sessions_left": pl.Int64(),
    }
)

#: What operators cleared: which veto, who, why, and where it stands in his chain.
CLEAR_SCHEMA = pl.Schema(
    {
        "strategy_id": pl.String(),
        "symbol": pl.String(),
        "reason_code": pl.String(),
        "raised_on": pl.Date(),
        "operator": pl.String(),
        "reason": pl.String(),
        "sequence": pl.Int64(),
    }
)


def findings_to_frame(findings: Iterable[ScopedFinding]) -> pl.DataFrame:
    """Lay findings out as rows, sorted by whom they speak of and by rule."""
    rows = [
        (
            row.strategy_id,
            row.symbol,
            row.finding.trigger,
            row.finding.reason_code.value,
            row.finding.fired,
            row.finding.statistic,
            row.finding.threshold,
            row.finding.n,
        )
        for row in sorted(
            findings, key=lambda row: (row.finding.trigger, row.strategy_id, row.symbol)
        )
    ]
    return pl.DataFrame(rows, schema=FINDING_SCHEMA, orient="row")


def findings_from_frame(frame: pl.DataFrame) -> tuple[ScopedFinding, ...]:
    """Read rows written by `findings_to_frame`; further columns are ignored."""
    return tuple(
        ScopedFinding(
            strategy_id=row["strategy_id"],
            symbol=row["symbol"],
            finding=VetoFinding(
                trigger=row["trigger"],
                fired=row["fired"],
                statistic=row["statistic"],
                threshold=row["threshold"],
                n=row["n"],
                reason_code=ReasonCode(row["reason_code"]),
            ),
        )
        for row in frame.iter_rows(named=True)
    )


def vetoes_to_frame(
    vetoes: Iterable[Veto], *, asof: date, sessions: Sessions, policy: VetoPolicy
) -> pl.DataFrame:
    """Lay vetoes out as rows, each with whether it stands on ``asof`` and for how long yet."""
    listed = tuple(vetoes)
    standing = set(standing_vetoes(listed, asof=asof, sessions=sessions, policy=policy))
    rows = [
        {
            "strategy_id": veto.strategy_id,
            "symbol": veto.symbol,
            "reason_code": veto.reason_code.value,
            "trigger": veto.trigger,
            "raised_on": veto.raised_on,
            "statistic": veto.statistic,
            "threshold": veto.threshold,
            "n": veto.n,
            "cleared_on": veto.cleared_on,
            "is_standing": veto in standing,
            "sessions_left": _left(veto, asof, sessions, policy) if veto in standing else None,
        }
        for veto in listed
    ]
    return pl.DataFrame(rows, schema=VETO_SCHEMA)


def _left(veto: Veto, asof: date, sessions: Sessions, policy: VetoPolicy) -> int:
    if veto.is_condition:
        return 0
    return policy.sticky_sessions - sessions_passed(veto.raised_on, asof=asof, sessions=sessions)


def vetoes_from_frame(frame: pl.DataFrame, *, is_standing: bool = False) -> tuple[Veto, ...]:
    """Read rows written by `vetoes_to_frame`; further columns are ignored.

    Parameters
    ----------
    is_standing
        Read only the vetoes that stand on the night the rows are of.
    """
    return tuple(
        Veto(
            strategy_id=row["strategy_id"],
            symbol=row["symbol"],
            reason_code=ReasonCode(row["reason_code"]),
            trigger=row["trigger"],
            raised_on=row["raised_on"],
            statistic=row["statistic"],
            threshold=row["threshold"],
            n=row["n"],
            cleared_on=row["cleared_on"],
        )
        for row in frame.iter_rows(named=True)
        if row["is_standing"] or not is_standing
    )
