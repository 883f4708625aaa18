"""Assets and rules of the capital wing: stress, impact, auction, gates, plan (phases 4, 5, 8)."""

from dataclasses import asdict

import dagster as dg

from instgov_dagster.defs.graph import Wing, night_asset, rule
from instgov_dagster.defs.halting import failing_closed
from instgov_dagster.defs.reporting import (
    counts,
    gate_table,
    none_breaks,
    open_night,
    read_table,
    report_step,
    run_night_step,
    stress_facts,
    verdict,
)
from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.capital import AuctionDecision, CoverageTest, RiskMeasure
from instgov_dagster.vocabulary.governance import Phase
from instgov_dagster.vocabulary.reasons import ReasonCode

#: How the book as a whole is named where a verdict names a symbol.
BOOK = "*"


@night_asset(Wing.CAPITAL, Phase.CAPITAL_COMPETITION, after=["data_governance"])
def stress_scenarios(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Lay out the overlapping five-session returns that CVaR is measured on (5.2)."""
    outcome = run_night_step(context, platform, "stress_scenarios")
    return report_step(
        outcome,
        measures=counts(outcome.frame, "measure"),
        first_date=outcome.frame["scenario_date"].min(),
        last_date=outcome.frame["scenario_date"].max(),
        **stress_facts(outcome.frame),
    )


@night_asset(Wing.CAPITAL, Phase.CAPITAL_COMPETITION, after=["stress_scenarios", "market_impact"])
def risk_forecasts(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Forecast the tail of the book carried into the night, for the coverage tests (5.2)."""
    outcome = run_night_step(context, platform, "risk_forecasts")
    book = outcome.frame.row(0, named=True)
    numbers = ("gross", "value_at_risk", "cvar", "standard_error", "n_scenarios")
    return report_step(outcome, **{name: book[name] for name in numbers})


@night_asset(Wing.CAPITAL, Phase.CAPITAL_COMPETITION, after=["data_governance"])
def cvar_coverage(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Hold the forecasts of earlier nights against the losses that came (5.2)."""
    import polars as pl

    outcome = run_night_step(context, platform, "cvar_coverage")
    book = outcome.frame.filter(pl.col("scope") == BOOK)
    return report_step(outcome, **dict(book.select("test", "value").iter_rows()))


@night_asset(Wing.CAPITAL, Phase.CAPITAL_COMPETITION, after=["data_governance"])
def market_impact(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Estimate what trading each symbol costs: volume, volatility, spread, impact (8.3)."""
    outcome = run_night_step(context, platform, "market_impact")
    return report_step(
        outcome,
        highest_impact_bps=outcome.frame["market_impact_bps"].max(),
        widest_spread_bps=outcome.frame["spread_bps"].max(),
        without_estimate=outcome.frame["market_impact_bps"].null_count(),
    )


@night_asset(
    Wing.CAPITAL,
    Phase.CAPITAL_COMPETITION,
    after=[
        "regime_beliefs",
        "model_decay_metrics",
        "strategy_lifecycle",
        "stress_scenarios",
        "market_impact",
    ],
)
def auction_bids(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Assemble one bid for each strategy on each symbol with scenarios (4.1)."""
    outcome = run_night_step(context, platform, "auction_bids")
    return report_step(
        outcome,
        symbols=outcome.frame["symbol"].n_unique(),
        strategies=counts(outcome.frame, "strategy_id"),
        best_mu_hat=outcome.frame["mu_hat"].max(),
    )


@night_asset(Wing.CAPITAL, Phase.CAPITAL_COMPETITION, after=["auction_bids"])
def auction_certificate(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Store the proof of the night's auction: tail weights, prices, bound and gap (4.3)."""
    outcome = run_night_step(context, platform, "auction_certificate")
    proof = outcome.frame.row(0, named=True)
    told = ("status", "objective", "upper_bound", "gap", "rounding", "lambda_star")
    return report_step(outcome, **{name: proof[name] for name in told})


@night_asset(Wing.CAPITAL, Phase.CAPITAL_COMPETITION, after=["auction_certificate"])
def capital_allocations(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Let all bids compete: max of expected return less lambda times CVaR (4.3, 4.4, DB.4)."""
    outcome = run_night_step(context, platform, "capital_allocations")
    return report_step(
        outcome,
        gross=outcome.frame["allocated_weight"].sum(),
        allocated=outcome.frame["allocated"].sum(),
        decisions=counts(outcome.frame, "decision"),
        reasons=counts(outcome.frame.explode("reason_codes"), "reason_codes"),
    )


@night_asset(Wing.CAPITAL, Phase.CVAR_RISK_GATES, after=["capital_allocations"])
def risk_verdicts(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Judge the final book, each order last in, and each prefix of the list (0.5, 5.3-5.5)."""
    import polars as pl

    outcome = run_night_step(context, platform, "risk_verdicts")
    book = outcome.frame.filter(pl.col("symbol") == BOOK)
    cvar = book.filter(pl.col("gate") == "cvar").row(0, named=True)
    return report_step(
        outcome,
        cvar_gate=cvar["value"],
        cvar_limit=cvar["limit_value"],
        cvar_headroom=cvar["headroom"],
        book_gates=gate_table(book),
        orders_refused=outcome.frame.filter(~pl.col("passed"))["symbol"].n_unique(),
    )


@night_asset(Wing.CAPITAL, Phase.EXECUTION_SIMULATION, after=["risk_verdicts"])
def execution_plan(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult:
    """Plan the approved orders, reductions first, each with its impact estimate (0.9, 8.3-8.5)."""
    outcome = run_night_step(context, platform, "execution_plan")
    return report_step(
        outcome,
        sides=counts(outcome.frame, "side"),
        styles=counts(outcome.frame, "style"),
        notional_usd=outcome.frame["notional_usd"].sum(),
        dearest_order_bps=outcome.frame["total_cost_bps"].max(),
    )


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
    return verdict(passed=is_enough, fewest=plain, minimum=policy.min_scenarios, measures=measures)


@rule("stress_scenarios", blocking=False)
def stress_set_is_present(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """No stressed set is missing; where one is, the current CVaR is multiplied instead (5.2)."""
    measures = counts(read_table(context, platform, "stress_scenarios"), "measure")
    multiplier = platform.open().policy.cvar.missing_stress_multiplier
    is_present = RiskMeasure.STRESSED in measures
    return verdict(passed=is_present, warns=True, measures=measures, multiplier=multiplier)


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
    with failing_closed(platform):
        found = open_night(context, platform).compare_engines()
    tolerance = platform.open().policy.auction.gap_tolerance
    is_equal = found.difference is not None and found.difference <= tolerance
    return verdict(passed=is_equal, tolerance=tolerance, **asdict(found))


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
    slack = 100.0 * platform.open().policy.auction.weight_quantum
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
    return answer if book.height else verdict(passed=False, rows=0)


def _limit_rule(gate: str, sentence: str) -> dg.AssetChecksDefinition:
    # One named limit of the final book; the gate's own row says value and limit.
    def check(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> dg.AssetCheckResult:
        import polars as pl

        rows = read_table(context, platform, "risk_verdicts").filter(pl.col("gate") == gate)
        book = rows.filter(pl.col("symbol") == BOOK).to_dicts()
        refused = rows.filter(~pl.col("passed") & (pl.col("symbol") != BOOK)).height
        told = {key: row[key] for row in book for key in ("value", "limit_value", "headroom")}
        return verdict(passed=[r["passed"] for r in book] == [True], refused=refused, **told)

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
        return verdict(passed=[r["passed"] for r in mine] == [True], warns=not blocking, **told)

    check.__name__, check.__doc__ = f"cvar_coverage_{test.value}", sentence
    return rule("cvar_coverage", blocking=blocking)(check)


cvar_coverage_e_process = _coverage_rule(
    CoverageTest.E_PROCESS, "The e-value against the forecasts is below its limit.", blocking=True
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
