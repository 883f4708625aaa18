"""The night's data steps: quality, adjusted history, verification, governance (steps 1 to 3)."""

import polars as pl

from instgov_dagster.bars.adjusted import adjust_bars
from instgov_dagster.bars.classify import compare_classes, found_classes
from instgov_dagster.bars.govern import govern_data, halting_causes, provider_confidence
from instgov_dagster.bars.history import cover_history, missing_history
from instgov_dagster.bars.quality.score import score_bars
from instgov_dagster.governance.state import cause_of
from instgov_dagster.loop.steps.context import NightContext, Tables
from instgov_dagster.vocabulary.governance import Cause
from instgov_dagster.vocabulary.reasons import ReasonCode

#: What governance speaks for; missing history is the verification's own word.
GOVERNANCE_DOMAIN = frozenset(
    {
        ReasonCode.CLASS_DISAGREEMENT,
        ReasonCode.REFERENCE_INVALID,
        ReasonCode.NO_VALID_SYMBOL,
    }
)


def judge_quality(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Score every symbol's raw bars (roadmap 2.4, 2.5)."""
    return score_bars(
        tables["bars"],
        universe=context.universe,
        asof=context.asof,
        policy=context.policy.quality,
        history=context.policy.history,
    )


def adjust_history(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Bring the raw bars to one comparable series a symbol (DB.1)."""
    return adjust_bars(
        tables["bars"],
        universe=context.universe,
        asof=context.asof,
        policy=context.policy.quality,
        history=context.policy.history,
    )


def verify_history(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Compare what is held with what the class calendars expect (roadmap 3.1)."""
    classes = tables["symbol_classes"]
    first_dates = dict(classes.select("symbol", "first_seen").iter_rows())
    return cover_history(
        tables["price_history"],
        tables["data_quality"],
        universe=context.universe,
        asof=context.asof,
        history=context.policy.history,
        first_dates=first_dates,
    )


def history_causes(frame: pl.DataFrame) -> tuple[Cause, ...]:
    """Name the symbols whose missing history halts the system."""
    symbols = missing_history(frame)
    if not symbols:
        return ()
    detail = f"minimum history is missing: {', '.join(symbols)}"
    return (cause_of(ReasonCode.HISTORY_MISSING, detail, symbols=symbols),)


def govern(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Judge class, provider, quality and history together (roadmap 1.1-1.5)."""
    persisted = tables["symbol_classes"].select("symbol", "asset_class", "is_reference")
    return govern_data(
        tables["history_coverage"],
        tables["data_quality"],
        compare_classes(found_classes(context.universe), persisted),
        universe=context.universe,
        market=context.market,
        entitled=context.entitled,
        history=context.policy.history,
        confidence=provider_confidence(
            tables["provider_answers"],
            tables["past_provider_answers"],
            nights=context.policy.providers.confidence_nights,
        ),
    )


def governance_causes(frame: pl.DataFrame) -> tuple[Cause, ...]:
    """Name what in the data halts the system: references, classes, nothing left to trade."""
    by_code: dict[ReasonCode, list[str]] = {}
    for symbol, code in halting_causes(frame):
        by_code.setdefault(code, []).append(symbol)
    causes = [
        cause_of(code, f"{code.sentence} {', '.join(symbols)}", symbols=symbols)
        for code, symbols in sorted(by_code.items())
        if code in GOVERNANCE_DOMAIN
    ]
    if not frame["is_eligible"].any():
        causes.append(cause_of(ReasonCode.NO_VALID_SYMBOL, "no symbol is eligible tonight"))
    return tuple(causes)
