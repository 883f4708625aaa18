"""Assets and rules of the bars wing: ingestion, quality, history, data governance (phases 1-3)."""

import dagster as dg

from instgov_dagster.defs.graph import (
    CODE_VERSION,
    DATE_DIMENSION,
    SHARDED_DAYS,
    Wing,
    day_of,
    night_asset,
    rule,
    shard_of,
)
from instgov_dagster.defs.halting import failing_closed
from instgov_dagster.defs.reporting import (
    counts,
    mismatches,
    names,
    none_breaks,
    nothing_to_judge,
    open_night,
    read_table,
    report_ingest,
    report_shard,
    report_step,
    run_night_step,
    verdict,
)
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.bars import NO_VALID_PROVIDER, Market, Purpose, SymbolStatus
from instgov_dagster.vocabulary.governance import Phase
from instgov_dagster.vocabulary.reasons import ReasonCode


@dg.asset(
    group_name=Wing.BARS.value,
    partitions_def=SHARDED_DAYS,
    owners=Wing.BARS.owners,
    kinds={"polars"},
    tags={"instgov/phase": Phase.INGESTION.value},
    code_version=CODE_VERSION,
)
def raw_bar_shards(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Fetch one shard's symbols into the archive; the warehouse is only read (2.1, 2.6)."""
    from instgov_dagster.loop.night_run.ingest import bring_night_shard

    with failing_closed(platform):
        day, shard = shard_of(context)
        shipment = bring_night_shard(platform.open(), day, shard, run_id=context.run_id)
    for notice in shipment.notices:
        context.log.warning(notice)
    return report_shard(shipment)


_ALL_SHARDS = dg.AssetDep(
    raw_bar_shards,
    partition_mapping=dg.MultiToSingleDimensionPartitionMapping(DATE_DIMENSION),
)


@night_asset(Wing.BARS, Phase.INGESTION, after=[_ALL_SHARDS])
def raw_bars(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """Fetch the 1825 days before the day, archive what came, append what differs (2.1-2.3, 2.6).

    Where the bars come in shards, all of them must have arrived: then it appends once.
    """
    with failing_closed(platform):
        night = open_night(context, platform)
        report = night.ingest()
    for notice in report.notices:
        context.log.warning(notice)
    return report_ingest(report, night.table("bars"))


@night_asset(Wing.BARS, Phase.INGESTION, after=["raw_bars"])
def data_quality(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Score every symbol's raw bars in [0, 1]; below 0.6 is stored and never bid for (2.4, 2.5)."""
    import polars as pl

    outcome = run_night_step(context, platform, "data_quality")
    return report_step(
        outcome,
        lowest_score=outcome.frame["quality_score"].min(),
        statuses=counts(outcome.frame, "status"),
        invalid=names(outcome.frame, pl.col("status") == SymbolStatus.INVALID_DATA),
    )


@night_asset(Wing.BARS, Phase.INGESTION, after=["data_quality"])
def price_history(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Adjust the bars of each symbol to one comparable series, its class beside it (DB.1)."""
    outcome = run_night_step(context, platform, "price_history")
    return report_step(
        outcome,
        symbols=outcome.frame["symbol"].n_unique(),
        first_date=outcome.frame["date"].min(),
        last_date=outcome.frame["date"].max(),
        repaired=outcome.frame["is_repaired"].sum(),
    )


@night_asset(Wing.BARS, Phase.DB_VERIFICATION, after=["price_history"])
def history_coverage(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Compare the history held with what each class calendar expects (3.1)."""
    import polars as pl

    outcome = run_night_step(context, platform, "history_coverage")
    return report_step(
        outcome,
        passing=outcome.frame["passes"].sum(),
        failing=names(outcome.frame, ~pl.col("passes")),
        statuses=counts(outcome.frame, "status"),
    )


@night_asset(Wing.BARS, Phase.DATA_GOVERNANCE, after=["history_coverage"])
def data_governance(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Judge class, provider, entitlement, quality and history of each symbol together (1.1-1.5)."""
    import polars as pl

    outcome = run_night_step(context, platform, "data_governance")
    tradable = outcome.frame.filter(~pl.col("is_reference"))
    return report_step(
        outcome,
        eligible=tradable["is_eligible"].sum(),
        ineligible=names(tradable, ~pl.col("is_eligible")),
        halting=names(outcome.frame, pl.col("is_halting")),
        classes=counts(tradable, "asset_class"),
        providers=counts(outcome.frame, "provider"),
    )


@rule("raw_bars")
def bars_lie_inside_the_window(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every bar is dated in [D - 1825 days, D) and was known that night; there are some (2.2)."""
    import polars as pl

    from instgov_dagster.bars.calendars import history_window

    bars = read_table(context, platform, "bars").select("symbol", "date", "known_at")
    opened, day = platform.open(), day_of(context)
    start, end = history_window(day, opened.policy.history)
    is_inside = pl.col("date").is_between(start, end, closed="left")
    was_known = pl.col("known_at") <= opened.context(day).known_at
    answer = none_breaks(bars, ~(is_inside & was_known), start=start, end=end)
    return answer if bars.height else nothing_to_judge()


@rule("data_quality")
def every_symbol_is_scored(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every symbol of the universe has one score, references included (2.5)."""
    scores = read_table(context, platform, "data_quality")
    wanted = sorted(entry.symbol for entry in platform.open().universe.symbols)
    missing = sorted(set(wanted) - set(scores["symbol"].to_list()))
    wrong = mismatches(scores["symbol"].to_list(), wanted)
    return verdict(
        passed=wrong == 0,
        value=wrong,
        limit=0,
        symbols=len(wanted),
        rows=scores.height,
        missing=missing,
    )


@rule("data_quality")
def scores_are_within_bounds(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every quality score is a number from 0 to 1 (2.5)."""
    import polars as pl

    scores = read_table(context, platform, "data_quality").select("symbol", "quality_score")
    return none_breaks(scores, ~pl.col("quality_score").is_between(0.0, 1.0))


@rule("data_quality")
def some_symbol_is_valid(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Nothing downstream runs where no symbol has data worth trading on (2.5)."""
    scores = read_table(context, platform, "data_quality")
    statuses = counts(scores, "status")
    valid = statuses.get(SymbolStatus.VALID, 0)
    return verdict(passed=valid > 0, value=valid, limit=1, sense=">=", statuses=statuses)


@rule("data_quality", blocking=False)
def every_symbol_is_valid(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No symbol's bars are INVALID_DATA; one that is stays stored and is never bid for (2.5)."""
    import polars as pl

    scores = read_table(context, platform, "data_quality")
    told = scores.select("symbol", "quality_score", "status", "reason_codes")
    return none_breaks(told, pl.col("status") == SymbolStatus.INVALID_DATA, warns=True)


@rule("price_history")
def bars_are_unique(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No symbol has two bars of one date after adjustment (2.4)."""
    import polars as pl

    keys = read_table(context, platform, "price_history").select("symbol", "date")
    return none_breaks(keys, pl.struct("symbol", "date").is_duplicated())


@rule("price_history")
def prices_are_finite(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every adjusted price is a finite number (2.4)."""
    import polars as pl

    prices = read_table(context, platform, "price_history").select("symbol", "date", "price")
    return none_breaks(prices, ~pl.col("price").is_finite())


@rule("history_coverage")
def universe_history_is_complete(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every symbol listed before the window has its minimum history; else HALT_SYSTEM (3.1)."""
    import polars as pl

    coverage = read_table(context, platform, "history_coverage")
    return none_breaks(coverage, pl.col("reason_codes").list.contains(ReasonCode.HISTORY_MISSING))


@rule("data_governance")
def references_are_valid(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every reference is valid and fresh: no regime is believed without them (3.1, 7.2)."""
    import polars as pl

    governed = read_table(context, platform, "data_governance")
    return none_breaks(governed, pl.col("reason_codes").list.contains(ReasonCode.REFERENCE_INVALID))


@rule("data_governance")
def classes_are_stable(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No symbol's class disagrees with the one persisted when it was first seen (1.1)."""
    import polars as pl

    governed = read_table(context, platform, "data_governance")
    return none_breaks(
        governed, pl.col("reason_codes").list.contains(ReasonCode.CLASS_DISAGREEMENT)
    )


@rule("data_governance")
def providers_are_separated(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """History comes from the market itself or a history provider, never from a live one (1.4)."""
    import polars as pl

    from instgov_dagster.bars.providers import CAPABILITIES

    governed = read_table(context, platform, "data_governance")
    market = platform.settings().market
    batch = {Purpose.HISTORY_BATCH, Purpose.REFERENCE}
    separated = [name for name, row in CAPABILITIES.items() if batch & row.purposes]
    allowed = separated if market is Market.LIVE else [market.value]
    told = governed.select("symbol", "asset_class", "provider")
    return none_breaks(
        told, ~pl.col("provider").is_in([*allowed, NO_VALID_PROVIDER]), allowed=allowed
    )


@rule("data_governance")
def some_symbol_is_eligible(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Not every symbol is ineligible: something has class, provider, quality, history, route."""
    governed = read_table(context, platform, "data_governance")
    eligible = int(governed["is_eligible"].sum())
    return verdict(passed=eligible > 0, value=eligible, limit=1, sense=">=")
