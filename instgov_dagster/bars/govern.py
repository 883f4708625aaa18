"""The data governance of one night: who may be bid for, who is served by whom, who halts."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from instgov_dagster.bars.classify import class_of, class_word
from instgov_dagster.bars.providers import provider_verdict, route
from instgov_dagster.bars.quality.verdicts import Schema, verdict_frame
from instgov_dagster.vocabulary.bars import (
    AssetClass,
    Market,
    ProviderVerdict,
    Purpose,
    SymbolStatus,
    Universe,
    UniverseSymbol,
)
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

#: One row a symbol; ``is_halting`` rows name the causes of HALT_SYSTEM.
GOVERNANCE_SCHEMA: Final[Schema] = {
    "symbol": pl.String,
    "asset_class": pl.String,
    "sector": pl.String,
    "is_reference": pl.Boolean,
    "status": pl.String,
    "data_quality": pl.Float64,
    "history_days": pl.Int64,
    "provider": pl.String,
    "provider_confidence": pl.Float64,
    "has_route": pl.Boolean,
    "is_eligible": pl.Boolean,
    "is_halting": pl.Boolean,
    "reason_codes": pl.List(pl.String),
}

#: The causes of HALT_SYSTEM that data can give.
HALTING_REASONS: Final = frozenset(
    {ReasonCode.HISTORY_MISSING, ReasonCode.REFERENCE_INVALID, ReasonCode.CLASS_DISAGREEMENT}
)


def govern_data(
    coverage: pl.DataFrame,
    quality: pl.DataFrame,
    classes: pl.DataFrame,
    *,
    universe: Universe,
    market: Market,
    entitled: frozenset[str],
    history: HistoryPolicy,
    confidence: Mapping[str, float] | None = None,
) -> pl.DataFrame:
    """Judge every symbol of the universe on class, provider, quality and history together.

    Parameters
    ----------
    coverage, quality
        ``COVERAGE_SCHEMA`` and ``QUALITY_SCHEMA``, one row a symbol of the universe each.
    classes
        What ``compare_classes`` answered: the symbols whose class disagrees.
    entitled
        What ``entitled_providers`` answered; only ``live`` reads it.
    confidence
        By provider, 1 - the share of its answers rejected or malformed over 20 nights. A market
        that serves itself (``files``, ``simulated``) has 1; a provider not named has 0.

    Returns
    -------
    pl.DataFrame
        ``GOVERNANCE_SCHEMA``, sorted by symbol; at least one reason code each.

    Raises
    ------
    InputError
        If a symbol of the universe has no row, or two, in ``coverage`` or ``quality``.

    Notes
    -----
    Roadmap 1.1 to 1.5, 2.5 and 3.1; step 3 of the execution order.
    """
    covered = _by_symbol(coverage, "coverage", universe)
    scored = _by_symbol(quality, "quality", universe)
    disagreeing = set(classes["symbol"].to_list())
    records = [
        _record(
            entry,
            covered[entry.symbol],
            scored[entry.symbol],
            provider=_provider(entry, market, entitled, history),
            market=market,
            is_disagreeing=entry.symbol in disagreeing,
            confidence=confidence or {},
        )
        for entry in universe.symbols
    ]
    return verdict_frame(records, GOVERNANCE_SCHEMA)


#: What became of each question of a night to a provider; empty where the market serves itself.
ANSWERS_SCHEMA: Final = {
    "provider": pl.String,
    "symbol": pl.String,
    "reason_code": pl.String,
    "status": pl.Int64,
    "requests": pl.Int64,
    "rows": pl.Int64,
    "detail": pl.String,
}


def provider_confidence(
    tonight: pl.DataFrame, before: pl.DataFrame, *, nights: int
) -> dict[str, float]:
    """Tell how far each provider's answers can be relied on (SPEC 5).

    Parameters
    ----------
    tonight
        ``ANSWERS_SCHEMA``.
    before
        The same of earlier nights, with their ``asof``.
    nights
        How many nights count, tonight's included.

    Returns
    -------
    By provider, 1 - the share of its answers that were rejected or malformed; a provider nobody
    asked is absent.
    """
    kept = before["asof"].unique().sort(descending=True).head(nights - 1)
    recent = before.filter(pl.col("asof").is_in(kept.implode()))
    asked = pl.concat([tonight.select(list(ANSWERS_SCHEMA)), recent.select(list(ANSWERS_SCHEMA))])
    asked = asked.filter(pl.col("requests") > 0)
    good = pl.col("reason_code") == ReasonCode.PROVIDER_SELECTED.value
    return dict(asked.group_by("provider").agg(good.mean()).iter_rows())


def halting_causes(governance: pl.DataFrame) -> tuple[tuple[str, ReasonCode], ...]:
    """Give each (symbol, reason) that must halt the system, sorted."""
    return tuple(
        sorted(
            (symbol, ReasonCode(code))
            for symbol, codes in governance.filter(pl.col("is_halting"))
            .select("symbol", "reason_codes")
            .iter_rows()
            for code in codes
            if code in HALTING_REASONS
        )
    )


def _by_symbol(frame: pl.DataFrame, name: str, universe: Universe) -> dict[str, dict[str, object]]:
    found = {row["symbol"]: row for row in frame.iter_rows(named=True)}
    absent = [entry.symbol for entry in universe.symbols if entry.symbol not in found]
    if absent:
        raise InputError(f"{name} must hold every symbol, was without {', '.join(absent)}")
    if len(found) != frame.height:
        raise InputError(f"{name} must hold each symbol once, was {frame.height} rows")
    return found


def _provider(
    entry: UniverseSymbol, market: Market, entitled: frozenset[str], history: HistoryPolicy
) -> ProviderVerdict:
    if market is not Market.LIVE:
        return ProviderVerdict(provider=market.value, reason_code=ReasonCode.PROVIDER_SELECTED)
    purpose = Purpose.REFERENCE if entry.is_reference else Purpose.HISTORY_BATCH
    return provider_verdict(entry.symbol, history.window_days, purpose, entitled, history=history)


def _confidence(provider: str, market: Market, confidence: Mapping[str, float]) -> float:
    serves_itself = market is not Market.LIVE and provider == market.value
    value = confidence.get(provider, 1.0 if serves_itself else 0.0)
    return value if 0.0 <= value <= 1.0 else 0.0  # NaN compares false


def _record(
    entry: UniverseSymbol,
    covered: dict[str, object],
    scored: dict[str, object],
    *,
    provider: ProviderVerdict,
    market: Market,
    is_disagreeing: bool,
    confidence: Mapping[str, float],
) -> dict[str, object]:
    kind = class_of(entry)
    status = max(
        SymbolStatus(str(scored["status"])),
        SymbolStatus(str(covered["status"])),
        key=lambda found: found.rank,
    )
    has_route = _has_route(kind, market)
    reasons = [
        *_codes(scored),
        *_codes(covered),
        ReasonCode.CLASS_DISAGREEMENT if is_disagreeing else ReasonCode.CLASSIFIED,
    ]
    if not provider.is_selected:
        reasons.append(provider.reason_code)
    if entry.is_reference:
        reasons.append(ReasonCode.REFERENCE_NOT_BID)
        if status is not SymbolStatus.REFERENCE:
            reasons.append(ReasonCode.REFERENCE_INVALID)
    elif not has_route:
        reasons.append(route(market, kind, Purpose.EXECUTION).reason_code)
    is_eligible = (
        status is SymbolStatus.VALID
        and not entry.is_reference
        and not is_disagreeing
        and provider.is_selected
        and has_route
        and covered["passes"] is True
    )
    unique = tuple(dict.fromkeys(reasons))
    return {
        "symbol": entry.symbol,
        "asset_class": class_word(kind),
        "sector": entry.sector,
        "is_reference": entry.is_reference,
        "status": status.value,
        "data_quality": scored["quality_score"],
        "history_days": covered["rows"],
        "provider": provider.provider,
        "provider_confidence": _confidence(provider.provider, market, confidence),
        "has_route": has_route,
        "is_eligible": is_eligible,
        "is_halting": not HALTING_REASONS.isdisjoint(unique),
        "reason_codes": unique,
    }


def _has_route(kind: AssetClass | None, market: Market) -> bool:
    # A reference is never sent anywhere; it needs no route, and has none.
    return kind is not None and all(
        route(market, kind, purpose).is_open for purpose in (Purpose.LIVE_QUOTE, Purpose.EXECUTION)
    )


def _codes(row: dict[str, object]) -> list[ReasonCode]:
    codes = row["reason_codes"]
    return [ReasonCode(str(code)) for code in codes] if isinstance(codes, list) else []
