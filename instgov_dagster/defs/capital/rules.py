"""Rules of the capital wing: what must hold of scenarios, auction, gates, coverage and plan."""

from dataclasses import asdict

import dagster as dg

from instgov_dagster.defs.graph import rule
from instgov_dagster.defs.halting import failing_closed
from instgov_dagster.defs.reporting import (
    counts,
    gate_table,
    none_breaks,
    nothing_to_judge,
    open_night,
    read_table,
    verdict,
)
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.capital import AuctionDecision, CoverageTest, RiskMeasure
from instgov_dagster.vocabulary.reasons import ReasonCode

#: How the book as a whole is named where a verdict names a symbol.
BOOK = "*"


@rule("stress_scenarios")
def enough_scenarios(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """CVaR rests on at least 1000 current and filtered scenarios, and 240 stressed ones if any."""
    measures = counts(read_table(context, platform, "stress_scenarios"), "measure")
    policy = platform.open().policy.cvar
    plain = min(measures.get(name, 0) for name in (RiskMeasure.CURRENT, RiskMeasure.FILTERED))
    stressed = measures.get(RiskMeasure.STRESSED, policy.min_stressed_scenarios)
    is_enough = plain >= policy.min_scenarios and stressed >= policy.min_stressed_scenarios
    return verdict(
        passed=is_enough,
        value=plain,
        limit=policy.min_scenarios,
        sense=">=",
        stressed=stressed,
        least_stressed=policy.min_stressed_scenarios,
        measures=measures,
    )


@rule("stress_scenarios", blocking=False)
def stress_set_is_present(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No stressed set is missing; where one is, the current CVaR is multiplied instead (5.2)."""
    measures = counts(read_table(context, platform, "stress_scenarios"), "measure")
    multiplier = platform.open().policy.cvar.missing_stress_multiplier
    held = measures.get(RiskMeasure.STRESSED, 0)
    return verdict(
        passed=held > 0, value=held, limit=1, sense=">=", warns=True, multiplier=multiplier
    )


@rule("market_impact")
def impact_is_estimated(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every symbol has a finite impact estimate or says it has none, and some have one (8.3)."""
    import polars as pl

    impact = read_table(context, platform, "market_impact")
    is_estimated = pl.col("market_impact_bps").is_finite().fill_null(value=False)
    says_so = pl.col("reason_codes").list.contains(ReasonCode.NO_IMPACT_ESTIMATE)
    has_any = bool(impact.select(is_estimated.any()).item())
    return none_breaks(impact, ~(is_estimated | says_so) | pl.lit(not has_any))


@rule("auction_bids")
def bids_are_finite(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every number of every bid is finite: the auction sees no NaN (4.1)."""
    import polars as pl
    import polars.selectors as cs

    bids = read_table(context, platform, "auction_bids")
    is_whole = pl.all_horizontal(cs.float().is_finite(), cs.integer().is_not_null())
    return none_breaks(bids, ~is_whole)


@rule("auction_certificate")
def fast_equals_reference(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """On the night's own auction the hot engine finds what the full program finds (4.3)."""
    from instgov_dagster.loop.steps.proof import compare_night

    with failing_closed(platform):
        night = open_night(context, platform)
        found = compare_night(night.table, night.context)
    tolerance = platform.open().policy.auction.gap_tolerance
    is_equal = found.difference is not None and found.difference <= tolerance
    return verdict(passed=is_equal, value=found.difference, limit=tolerance, **asdict(found))


@rule("capital_allocations")
def stage_caps_hold(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No strategy above the cap of its stage is granted anything: 2, 5, 10, 0 % of NAV (10.5)."""
    import polars as pl

    caps = read_table(context, platform, "strategy_lifecycle_log")
    rows = read_table(context, platform, "capital_allocations")
    gross = pl.col("allocated_weight").sum()
    is_granted = (pl.col("decision") == AuctionDecision.GRANT).any()
    sums = rows.group_by("strategy_id").agg(
        gross_pct=100.0 * gross, is_granted=is_granted
    ).sort("strategy_id")  # fmt: skip
    told = sums.join(caps.select("strategy_id", "stage", "capital_pct"), "strategy_id", how="left")
    slack = 100.0 * platform.open().policy.auction.feasibility_tolerance
    is_above = pl.col("gross_pct") > pl.col("capital_pct") + slack
    return none_breaks(told, is_above & pl.col("is_granted"))


@rule("capital_allocations")
def nothing_ineligible_is_granted(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No symbol that data governance calls ineligible is granted capital (2.5, 4.4)."""
    import polars as pl

    governed = read_table(context, platform, "data_governance")
    rows = read_table(context, platform, "capital_allocations")
    eligible = governed.filter("is_eligible")["symbol"].implode()
    told = rows.select("strategy_id", "symbol", "decision", "allocated_weight", "reason_codes")
    is_granted = pl.col("decision") == AuctionDecision.GRANT
    return none_breaks(told, is_granted & ~pl.col("symbol").is_in(eligible))


@rule("capital_allocations")
def every_bid_is_answered(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every bid has one answer, losers too, and each answer at least one reason (4.2)."""
    import polars as pl

    bids = read_table(context, platform, "auction_bids").select("strategy_id", "symbol")
    rows = read_table(context, platform, "capital_allocations")
    keys = ["strategy_id", "symbol"]
    told = bids.join(rows.select(*keys, "decision", "reason_codes"), on=keys, how="left")
    unanswered = pl.col("decision").is_null() | (pl.col("reason_codes").list.len() == 0)
    return none_breaks(told, unanswered | pl.struct(keys).is_duplicated(), answers=rows.height)


@rule("risk_verdicts")
def cvar_is_within_its_limit(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """CVaR of the final book is within its limit, or no worse than the breach it inherits (5.4)."""
    import polars as pl

    verdicts = read_table(context, platform, "risk_verdicts")
    is_book_cvar = (pl.col("symbol") == BOOK) & (pl.col("gate") == "cvar")
    gates = verdicts.filter(is_book_cvar).to_dicts()
    limit = platform.open().policy.cvar.portfolio_limit
    is_within = [gate["passed"] and gate["value"] <= gate["limit_value"] for gate in gates]
    value = gates[0]["value"] if gates else None
    return verdict(passed=is_within == [True], value=value, limit=limit)


@rule("risk_verdicts")
def book_gates_pass(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Every gate of the book as a whole is passed: CVaR, leverage, drawdown, sectors (5.4)."""
    import polars as pl

    verdicts = read_table(context, platform, "risk_verdicts")
    book = verdicts.filter(pl.col("symbol") == BOOK)
    answer = none_breaks(book, ~pl.col("passed"), gates=gate_table(book))
    return answer if book.height else nothing_to_judge()


def _limit_rule(gate: str, sentence: str) -> dg.AssetChecksDefinition:
    # One named limit of the final book; the gate's own row says value and limit.
    def check(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> dg.AssetCheckResult:
        import polars as pl

        verdicts = read_table(context, platform, "risk_verdicts").filter(pl.col("gate") == gate)
        book = verdicts.filter(pl.col("symbol") == BOOK).to_dicts()
        refused = verdicts.filter(~pl.col("passed") & (pl.col("symbol") != BOOK)).height
        told = book[0] if len(book) == 1 else dict.fromkeys(("value", "limit_value", "headroom"))
        passed = [row["passed"] for row in book] == [True]
        return verdict(
            passed=passed,
            value=told["value"],
            limit=told["limit_value"],
            headroom=told["headroom"],
            orders_refused=refused,
        )

    check.__name__, check.__doc__ = f"{gate}_is_within_its_limit", sentence
    return rule("risk_verdicts")(check)


leverage_is_within_its_limit = _limit_rule(
    "leverage", "The final book's gross is within the leverage limit, or no larger than it was."
)
drawdown_is_within_its_limit = _limit_rule(
    "drawdown", "Nothing grows while the drawdown from the peak is beyond its limit."
)
correlation_is_within_its_limit = _limit_rule(
    "correlation", "Nothing that grows moves too much like the book that was held."
)
sector_is_within_its_limit = _limit_rule(
    "sector", "Every sector of the final book is within its limit, or no larger than it was."
)


def _coverage_rule(
    test: CoverageTest, sentence: str, *, blocking: bool = False
) -> dg.AssetChecksDefinition:
    # One test of the whole book's forecasts; on too few outcomes it passes and says so.
    def check(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> dg.AssetCheckResult:
        import polars as pl

        rows = read_table(context, platform, "cvar_coverage")
        mine = rows.filter((pl.col("scope") == BOOK) & (pl.col("test") == test.value)).to_dicts()
        told = {key: row[key] for row in mine for key in row if key not in {"scope", "passed"}}
        if mine and not mine[0]["is_judged"]:
            told["notice"] = f"not enough outcomes to judge: {mine[0]['outcomes']}"
        passed = [row["passed"] for row in mine] == [True]
        return verdict(
            passed=passed,
            value=told.pop("value", None),
            limit=told.pop("limit_value", None),
            sense="<" if test is CoverageTest.E_PROCESS else ">=",
            warns=not blocking,
            **told,
        )

    check.__name__, check.__doc__ = f"cvar_coverage_{test.value}", sentence
    return rule("cvar_coverage", blocking=blocking)(check)


cvar_coverage_e_process = _coverage_rule(
    CoverageTest.E_PROCESS,
    "The e-value against the CVaR forecasts is below its limit, watched every night (5.2).",
    blocking=True,
)
cvar_coverage_kupiec = _coverage_rule(
    CoverageTest.KUPIEC, "Value at risk is exceeded about as often as it should be (Kupiec 1995)."
)
cvar_coverage_christoffersen = _coverage_rule(
    CoverageTest.CHRISTOFFERSEN,
    "Exceedances come at the right rate and not in clusters (Christoffersen 1998).",
)
cvar_coverage_acerbi_szekely = _coverage_rule(
    CoverageTest.ACERBI_SZEKELY,
    "Losses beyond value at risk are about as large as CVaR says (Acerbi and Szekely 2014).",
)


@rule("execution_plan")
def every_order_has_an_impact_estimate(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No order stands in the plan without a finite estimate of what it costs (0.9)."""
    import polars as pl

    plan = read_table(context, platform, "execution_plan")
    costs = ("temporary_impact_bps", "permanent_impact_bps", "spread_cost_bps", "total_cost_bps")
    return none_breaks(plan, ~pl.all_horizontal(pl.col(costs).is_finite()))


@rule("execution_plan")
def only_approved_orders_are_planned(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No symbol is in the plan that failed a gate: nothing buys back a CVaR failure (5.4)."""
    import polars as pl

    plan = read_table(context, platform, "execution_plan")
    verdicts = read_table(context, platform, "risk_verdicts")
    refused = verdicts.filter(~pl.col("passed"))["symbol"].unique().implode()
    judged = verdicts["symbol"].unique().implode()
    told = plan.select("sequence", "symbol", "side", "notional_usd")
    is_out = pl.col("symbol").is_in(refused) | ~pl.col("symbol").is_in(judged)
    return none_breaks(told, is_out)
