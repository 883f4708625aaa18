"""Every rule that refuses, vetoes, halts or stops: statistic, settings, source; nothing is judged.

The page docs/governance-rules.md is written from this table, the policy and the sources: where a
rule is enforced and which tests prove it is read from the code, never typed here.
"""

from dataclasses import dataclass
from typing import Final

from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The severities that keep something from happening.
GOVERNING: Final = (Severity.STOP, Severity.HALT, Severity.VETO, Severity.REJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: what is measured, the settings it is held against, and why so.

    Attributes
    ----------
    settings
        Paths in the policy, e.g. ``cvar.portfolio_limit``; empty where the rule has no number.
    """

    code: ReasonCode
    statistic: str
    settings: tuple[str, ...]
    source: str


def governing_codes() -> tuple[ReasonCode, ...]:
    """List the codes that a rule must stand for, the gravest first."""
    return tuple(code for severity in GOVERNING for code in ReasonCode if code.severity is severity)


_HTTP = "the status of one answer"
_PROVIDERS: Final = (
    ("NO_VALID_PROVIDER", "providers of the class that are entitled", (), "roadmap 0.1, 2.3"),
    ("PROVIDER_NOT_ENTITLED", "the provider's variables and the days its plan covers",
     ("providers.polygon_free_plan_days",), "roadmap 2.4"),
    ("LIVE_HISTORY_FORBIDDEN", "days of history a live request asks for",
     ("history.live_history_limit_days",), "roadmap 0.1"),
    ("HISTORY_IN_LIVE_LOOP", "whether the live loop asks for history", (), "roadmap 3.3"),
    ("INTRADAY_FORBIDDEN", "interval and clock times of the rows", (), "roadmap 2.1"),
    ("INGESTION_WINDOW_CLOSED", "the instant against close and next open",
     ("history.close_delay_hours", "history.ingestion_closes_before_open_hours"), "roadmap 2.1"),
    ("SHARDS_INCOMPLETE", "the manifest of every shard against the night's own", (), "roadmap 2.1"),
    ("PROVIDER_BAD_REQUEST", _HTTP, (), "roadmap 2.2: 400, one request"),
    ("PROVIDER_UNAUTHORIZED", _HTTP, (), "roadmap 2.2: 401, one request"),
    ("PROVIDER_FORBIDDEN", _HTTP, (), "roadmap 2.2: 403, one request"),
    ("PROVIDER_NOT_FOUND", _HTTP, (), "roadmap 2.2: 404, one request"),
    ("PROVIDER_UNPROCESSABLE", _HTTP, (), "roadmap 2.2: 422, one request"),
    ("PROVIDER_RESTRICTED_LOCATION", _HTTP, (), "SPEC 1: 451, one request"),
    ("PROVIDER_RATE_LIMITED", "tries of a batch request answered 429", ("providers.batch_tries",),
     "SPEC 1"),
    ("PROVIDER_UNAVAILABLE", "tries of a batch request answered 5xx or cut",
     ("providers.batch_tries",), "SPEC 1"),
    ("PROVIDER_TIMEOUT", "seconds without an answer",
     ("providers.request_timeout_seconds", "providers.deadline_seconds"), "SPEC 1"),
    ("PROVIDER_MALFORMED", "whether an answer can be read and holds rows", (), "SPEC 1"),
    ("UNKNOWN_ASSET_CLASS", "the class's name", (), "roadmap 0.2"),
    ("CLASS_DISAGREEMENT", "the class found against the class persisted", (), "roadmap 1.2"),
)  # fmt: skip
_DATA: Final = (
    ("REFERENCE_INVALID", "the verdict on a reference series", ("quality.invalid_below",),
     "SPEC 1"),
    ("INVALID_DATA", "quality score", ("quality.invalid_below",), "roadmap 2.5"),
    ("INSUFFICIENT_HISTORY", "sessions of a symbol listed inside the window",
     ("history.coverage", "history.min_judged_rows"), "roadmap 1.4"),
    ("HISTORY_MISSING", "share of the expected sessions, and the last closed session",
     ("history.coverage", "history.nominal_sessions"), "roadmap 1.4"),
    ("DATA_STALE", "the last bar against the last closed session", ("history.close_delay_hours",),
     "roadmap 1.4"),
    ("STALE_DATA", "minutes since the snapshot was verified", ("loop.snapshot_ttl_minutes",),
     "roadmap 3.3"),
    ("SNAPSHOT_EXPIRED", "minutes since the snapshot was verified",
     ("loop.snapshot_ttl_minutes", "loop.snapshot_halt_multiple"), "roadmap 3.3"),
    ("SNAPSHOT_MISSING", "sha256 of every published file against its manifest", (), "roadmap 3.2"),
    ("QUOTE_INVALID", "bid, ask and the age of the quote", ("loop.quote_max_age_seconds",),
     "SPEC 9"),
    ("QUOTE_MISSING", "whether a quote arrived", ("loop.quote_max_age_seconds",), "SPEC 9"),
    ("MARKET_CLOSED", "whether the market of the symbol is open", (), "roadmap 3.2"),
    ("NO_VALID_SYMBOL", "symbols that are eligible", (), "SPEC 1"),
    ("SINGLE_MODEL", "healthy models of the symbol",
     ("models.health.min_healthy_models", "models.health.min_healthy_decay"), "roadmap 6.4"),
    ("MODEL_EXPIRED", "days since the last validation passed", ("models.health.max_age_days",),
     "roadmap 6.1"),
    ("FORECAST_NOT_FINITE", "mu, sigma and CVaR of the forecast", (), "SPEC 7, finite first"),
)  # fmt: skip
_CAPITAL: Final = (
    ("AUCTION_INFEASIBLE", "whether cash keeps every limit of the auction",
     ("auction.feasibility_tolerance",), "roadmap 4.3"),
    ("AUCTION_NOT_PASSED", "weight the auction granted", (), "roadmap 0.3"),
    ("BID_NOT_FINITE", "every number of the bid", (), "roadmap 4.1, finite first"),
    ("TOO_FEW_SCENARIOS", "scenarios of a measure",
     ("cvar.min_scenarios", "cvar.min_stressed_scenarios"), "roadmap 5.1"),
    ("SCENARIO_REFUSED", "a scenario's return below -1 outside commodities", (), "SPEC 4"),
    ("RISK_NOT_FINITE", "every number of a gate", (), "SPEC 7, finite first"),
    ("PORTFOLIO_CVAR_BREACH", "the largest CVaR measure of the final book",
     ("cvar.portfolio_limit", "cvar.confidence_level", "cvar.horizon_days"),
     "roadmap 0.5, 5.4; Rockafellar and Uryasev (2002)"),
    ("MARGINAL_CVAR_BREACH", "current CVaR an order adds, last in", ("cvar.marginal_limit",),
     "roadmap 5.3"),
    ("CVAR_HURDLE_NOT_MET", "net gain of an order less lambda times the CVaR it adds",
     ("auction.hurdle", "limits.hurdle_tolerance"), "roadmap 5.4"),
    ("PREFIX_CVAR_BREACH", "the largest measure after the first orders of the list",
     ("cvar.portfolio_limit",), "roadmap 5.4"),
    ("CVAR_SCALE_REFUSED", "limit over CVaR of a book in breach",
     ("cvar.scale_on_breach", "cvar.min_scale_factor"), "roadmap 5.5"),
    ("LEVERAGE_LIMIT", "gross over net asset value", ("limits.leverage",), "roadmap 9.1"),
    ("DRAWDOWN_LIMIT", "loss from the peak", ("limits.drawdown",), "roadmap 9.1"),
    ("CORRELATION_LIMIT", "correlation of horizon returns with the book held",
     ("limits.correlation", "limits.correlation_sessions"), "roadmap 9.1"),
    ("SECTOR_LIMIT", "gross of one sector", ("limits.sector",), "roadmap 9.1"),
    ("NO_IMPACT_ESTIMATE", "volume, volatility and spread of the symbol",
     ("impact.volatility_sessions", "impact.spread_min_sessions"),
     "roadmap 8.2; Toth et al. (2011)"),
    ("PARTICIPATION", "share of a day's volume",
     ("impact.max_participation", "impact.orders.crisis_participation"), "roadmap 8.3"),
    ("EXECUTION_CRISIS_NO_INCREASE", "CVaR an order adds in a crisis", (), "roadmap 8.4"),
)  # fmt: skip
_VETOES: Final = (
    ("VETO_UNEXPLAINED_PROFITS", "result that positions and costs do not explain, and its ranks",
     ("veto.unexplained_floor_bps", "veto.unexplained_mad_multiple", "veto.unexplained_sessions",
      "veto.rank_sessions", "veto.rank_correlation_min"), "roadmap 9.2; Spearman (1904)"),
    ("VETO_TOO_PERFECT_EXECUTION", "fills outside their bar, above mid, without slippage, always",
     ("veto.bar_test_min_fills", "veto.execution_min_fills", "veto.better_than_mid_share",
      "veto.better_than_mid_p_value", "veto.slippage_deviation_ratio", "veto.passive_fill_rate",
      "veto.passive_markout_bps"), "roadmap 9.2"),
    ("VETO_DATA_DEPENDENCY", "turnover without one provider or the last bar; gross on stale bars",
     ("veto.dependency_share", "veto.stale_gross_share"), "roadmap 9.2"),
    ("VETO_CORRELATED_WINS", "mean correlation and effective bets of the winners",
     ("veto.wins_correlation", "veto.wins_effective_bets", "veto.wins_min_winners",
      "veto.wins_sessions"), "roadmap 9.2; Meucci (2009)"),
    ("VETO_CVAR", "CVaR of the book", ("cvar.portfolio_limit",), "roadmap 9.2"),
    ("VETO_LEVERAGE", "gross over net asset value", ("limits.leverage",), "roadmap 9.2"),
    ("VETO_DRAWDOWN", "loss from the peak", ("limits.drawdown",), "roadmap 9.2"),
    ("VETO_MODEL_DECAY", "final decay of the model", ("models.health.min_healthy_decay",),
     "roadmap 9.2"),
    ("VETO_HISTORY", "share of the expected sessions", ("history.coverage",), "roadmap 9.2"),
    ("VETO_QUALITY", "quality score", ("quality.invalid_below",), "roadmap 9.2"),
    ("VETO_STANDING", "sessions since a veto fired", ("veto.sticky_sessions",), "SPEC 7"),
)  # fmt: skip
_STATES: Final = (
    ("STATE_REDUCE_ONLY", "the gravest cause that stands", (), "SPEC 7"),
    ("STATE_HALTED", "the gravest cause that stands", (), "SPEC 7"),
    ("STATE_STOPPED", "the gravest cause that stands", (), "SPEC 7"),
    ("STATE_UNKNOWN", "whether the three chains can be read and agree", (), "SPEC 7"),
    ("OPERATOR_HALT", "an operator's act, with name and reason", (), "SPEC 7"),
    ("AUDIT_WRITE_FAILED", "whether a frame is on disk", (), "roadmap 0.6"),
    ("CHAIN_BROKEN", "the digest of every frame on the one before", (), "roadmap 0.6"),
    ("ANCHOR_MISMATCH", "the chain against where it was anchored", ("loop.anchor_every_cycles",),
     "roadmap 0.6"),
    ("CONFIG_HASH_MISMATCH", "sha256 of policy and universe", (), "SPEC 7"),
    ("CODE_HASH_MISMATCH", "sha256 of the package's sources", (), "SPEC 7"),
    ("PHASE_ORDER_VIOLATED", "stamps of the phases before, by their parents' hashes", (),
     "roadmap, execution order"),
    ("STATE_NOT_CONTINUED", "hash of the state a session restores", (), "roadmap 3.4"),
    ("RECONCILIATION_UNRESOLVED", "orders, fills, units and cash of broker and journal", (),
     "roadmap 9.4"),
    ("ORDER_NOT_APPROVED", "the approval's MAC over order and receipt", (), "roadmap 9.4"),
    ("ORDER_UNKNOWN_OUTCOME", "whether the broker tells what became of an order", (),
     "roadmap 9.4"),
    ("BROKER_NO_CASH", "cash at the broker", (), "roadmap 8.1"),
    ("BROKER_NO_POSITION", "units at the broker", (), "roadmap 8.1"),
    ("BROKER_WASH_TRADE", "an order of the account on the other side", (), "FINRA 5210"),
    ("BROKER_DAY_TRADES", "day trades of the account, as the broker counts", (), "FINRA 4210"),
    ("BROKER_REFUSED", "whether the broker takes the order", (), "roadmap 0.2"),
    ("LEASE_HELD", "whether another process leads", (), "SPEC 9"),
    ("FENCED", "parent, own run, state and lease of the leader", ("loop.fence_every_seconds",),
     "SPEC 9"),
    ("UNEXPECTED_FAILURE", "a failure no rule foresees", (), "SPEC 7, fails closed"),
    ("SCHEMA_MISMATCH", "sha256 of every applied migration", (), "SPEC, stores"),
    ("WAREHOUSE_BUSY", "seconds another process kept the store", (), "SPEC, stores"),
    ("WAREHOUSE_CORRUPT", "whether the store opens and holds what was written", (),
     "SPEC, stores"),
    ("DISK_FULL", "MiB free", ("loop.min_free_disk_mib",), "roadmap 0.6"),
)  # fmt: skip
_LIFECYCLE: Final = (
    ("STRATEGY_DECOMMISSIONED", "the stage of the strategy", (), "roadmap 10.3"),
    ("STRATEGY_PERFORMANCE_POOR", "probabilistic Sharpe ratio; capital decay",
     ("lifecycle.decommission.psr", "lifecycle.decommission.psr_sessions",
      "lifecycle.decommission.capital_decay"), "roadmap 10.3; Bailey and Lopez de Prado (2012)"),
    ("STRATEGY_DRAWDOWN", "drawdown of the strategy", ("lifecycle.decommission.drawdown",),
     "roadmap 10.3"),
    ("STRATEGY_VETOED_OFTEN", "vetoes on the strategy",
     ("lifecycle.decommission.vetoes", "lifecycle.decommission.veto_sessions"), "roadmap 10.3"),
    ("MASS_DRAWDOWN_REVIEW", "share of the strategies that reach their drawdown together",
     ("lifecycle.decommission.mass_share", "lifecycle.decommission.mass_sessions"), "SPEC 8"),
)  # fmt: skip

#: One rule a governing code, by subject.
RULES: Final = {
    subject: tuple(
        Rule(code=ReasonCode(code), statistic=statistic, settings=settings, source=source)
        for code, statistic, settings, source in rows
    )
    for subject, rows in (
        ("Providers", _PROVIDERS),
        ("Data, quotes and forecasts", _DATA),
        ("Capital and risk", _CAPITAL),
        ("Vetoes", _VETOES),
        ("State, audit and stores", _STATES),
        ("Lifecycle", _LIFECYCLE),
    )
}
