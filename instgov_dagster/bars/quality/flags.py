"""Every rule as a flag: the reason it gives, where it was found, and what it costs."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.bars.quality import rules, volume
from instgov_dagster.bars.quality.rows import BarRows, Series
from instgov_dagster.bars.quality.rules import Finding
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.policy.bars import QualityPolicy, RulePenalty
from instgov_dagster.vocabulary.reasons import ReasonCode

_NOTHING: Final = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One rule over all symbols; ``penalty`` has shape ``(n_symbols,)``."""

    reason: ReasonCode
    finding: Finding
    penalty: NDArray[np.float64]


def raise_flags(rows: BarRows, series: Series, policy: QualityPolicy) -> tuple[Flag, ...]:
    """Apply every rule to every symbol, those that cost first."""
    return (
        *_priced(rows, series, policy),
        *_not_positive(rows, policy),
        *_told(rows, series, policy),
    )


def penalise(rate: NDArray[np.float64], rule: RulePenalty) -> NDArray[np.float64]:
    """Give ``weight * min(1, rate / cap)``; with a cap of zero any occurrence costs it all."""
    if rule.cap == 0:
        return np.where(rate > 0, rule.weight, 0.0)
    return rule.weight * np.minimum(1.0, rate / rule.cap)


def sessions_behind(rows: BarRows, series: Series) -> NDArray[np.int64]:
    """Count the sessions closed after each symbol's last usable bar; 0 for one without bars."""
    behind = np.zeros(rows.n_symbols, dtype=np.int64)
    is_last = np.roll(series.is_first, -1)
    after = series.days[is_last] + 1
    ids = series.ids[is_last]
    for kind, calendar in rows.calendars.items():
        mine = rows.is_class(kind)[ids]
        behind[ids[mine]] = calendar.cumulative[-1] - calendar.cumulative[after[mine]]
    return behind


def _priced(rows: BarRows, series: Series, policy: QualityPolicy) -> tuple[Flag, ...]:
    returns = rules.session_returns(rows, series, policy)
    found: tuple[tuple[ReasonCode, RulePenalty, Finding], ...] = (
        (ReasonCode.MISSING_SESSIONS, policy.missing, rules.find_missing(rows, series)),
        (ReasonCode.PRICE_SPIKE, policy.spike, rules.find_spikes(rows, series, returns, policy)),
        (
            ReasonCode.LEVEL_BREAK,
            policy.level_break,
            rules.find_level_breaks(rows, series, returns, policy),
        ),
        (ReasonCode.OHLC_INCONSISTENT, policy.ohlc, rules.find_ohlc(rows, policy)),
        (ReasonCode.ZERO_VOLUME, policy.zero_volume, volume.find_zero_volume(rows, series)),
        (ReasonCode.DUPLICATE_DATES, policy.duplicates, rules.find_duplicates(rows)),
        (
            ReasonCode.VOLUME_SPIKE,
            policy.volume_spike,
            volume.find_volume_spikes(rows, series, policy),
        ),
    )
    return tuple(
        Flag(reason=reason, finding=finding, penalty=penalise(finding.rate, rule))
        for reason, rule, finding in found
    )


def _not_positive(rows: BarRows, policy: QualityPolicy) -> tuple[Flag, Flag]:
    # One rule, two reasons: what is impossible elsewhere is real in a commodity.
    finding = rules.find_not_positive(rows)
    weights = np.nan_to_num(
        rules.by_symbol(rows, policy.price_not_positive_weight),
        nan=policy.price_not_positive_weight_reference,
    )
    penalty = np.where(finding.count > 0, weights, 0.0)
    is_real = rows.is_class(AssetClass.COMMODITIES)
    return (
        _part(ReasonCode.PRICE_NOT_POSITIVE, finding, penalty, ~is_real),
        _part(ReasonCode.NEGATIVE_PRICE_VALID, finding, penalty, is_real),
    )


def _part(
    reason: ReasonCode,
    finding: Finding,
    penalty: NDArray[np.float64],
    is_mine: NDArray[np.bool_],
) -> Flag:
    kept = is_mine[finding.ids]
    return Flag(
        reason=reason,
        finding=Finding(
            count=np.where(is_mine, finding.count, 0),
            rate=np.where(is_mine, finding.rate, 0.0),
            ids=finding.ids[kept],
            days=finding.days[kept],
        ),
        penalty=np.where(is_mine, penalty, 0.0),
    )


def _told(rows: BarRows, series: Series, policy: QualityPolicy) -> tuple[Flag, ...]:
    # Reported and free of cost: a missing session is priced already, staleness is a status.
    closes = volume.measure_fx_closes(rows, series, policy)
    held = rows.n_dates
    counts = (
        (ReasonCode.OFF_SESSION_ROWS, rows.off_session),
        (ReasonCode.DATA_STALE, sessions_behind(rows, series)),
        (ReasonCode.FX_CLOSE_REPAIRED, np.where(closes.is_late, held, 0)),
        (ReasonCode.FX_CLOSE_SUSPECT, np.where(closes.is_suspect, held, 0)),
    )
    found = [(ReasonCode.PRICE_NOT_FINITE, rules.find_not_finite(rows))]
    for reason, count in counts:
        rate = count / np.maximum(held, 1)
        found.append((reason, Finding(count=count, rate=rate, ids=_NOTHING, days=_NOTHING)))
    free = np.zeros(rows.n_symbols)
    return tuple(Flag(reason=reason, finding=finding, penalty=free) for reason, finding in found)
