"""The severity and the sentence of every reason code; the codes themselves are in reasons."""

from enum import StrEnum


class Severity(StrEnum):
    """What a reason does to the thing it is attached to."""

    INFO = "INFO"
    WARNING = "WARNING"
    REJECT = "REJECT"
    VETO = "VETO"
    HALT = "HALT"
    STOP = "STOP"


_INFO, _WARNING, _REJECT, _VETO, _HALT, _STOP = Severity


_PROVIDERS = {
    "PROVIDER_SELECTED": (_INFO, "An entitled provider serves the request."),
    "NO_VALID_PROVIDER": (_REJECT, "No entitled provider may serve this request."),
    "PROVIDER_NOT_ENTITLED": (
        _REJECT,
        "The provider's variables are unset or its plan does not cover the days asked for.",
    ),
    "SIM_ONLY": (
        _INFO,
        "The class has no live or execution route: observed and simulated, never sent to a broker.",
    ),
    "LIVE_HISTORY_FORBIDDEN": (
        _REJECT,
        "A live or execution request asked for more history than the live path allows.",
    ),
    "HISTORY_IN_LIVE_LOOP": (_STOP, "History was requested from inside the live loop."),
    "INTRADAY_FORBIDDEN": (
        _REJECT,
        "Historical ingestion received an intraday interval or timestamp.",
    ),
    "INGESTION_WINDOW_CLOSED": (
        _REJECT,
        "The live market may be ingested only between the close and the next open.",
    ),
    "SHARDS_INCOMPLETE": (
        _REJECT,
        "A shard of the night's bars is missing or of another night; nothing was appended.",
    ),
    "PROVIDER_BAD_REQUEST": (_REJECT, "The provider answered 400; the request is not repeated."),
    "PROVIDER_UNAUTHORIZED": (_REJECT, "The provider answered 401; the request is not repeated."),
    "PROVIDER_FORBIDDEN": (_REJECT, "The provider answered 403; the request is not repeated."),
    "PROVIDER_NOT_FOUND": (_REJECT, "The provider answered 404; the request is not repeated."),
    "PROVIDER_UNPROCESSABLE": (_REJECT, "The provider answered 422; the request is not repeated."),
    "PROVIDER_RESTRICTED_LOCATION": (
        _REJECT,
        "The provider answered 451: not served in this location.",
    ),
    "PROVIDER_RATE_LIMITED": (
        _REJECT,
        "The provider answered 429 until the bounded tries were spent.",
    ),
    "PROVIDER_UNAVAILABLE": (
        _REJECT,
        "The provider failed (5xx or a cut body) until the bounded tries were spent.",
    ),
    "PROVIDER_TIMEOUT": (_REJECT, "The provider did not answer in time."),
    "PROVIDER_MALFORMED": (
        _REJECT,
        "The provider's answer could not be understood or held nothing.",
    ),
    "UNKNOWN_ASSET_CLASS": (_REJECT, "The asset class is not one of the four and not a reference."),
    "CLASS_DISAGREEMENT": (
        _REJECT,
        "The class found differs from the class persisted for the symbol.",
    ),
    "CLASSIFIED": (_INFO, "The symbol's class agrees with the class persisted for it."),
    "REFERENCE_NOT_BID": (_INFO, "A reference series is observed and never bid for."),
    "REFERENCE_INVALID": (_HALT, "A reference series is invalid, stale or missing."),
}
_QUALITY = {
    "DATA_VALID": (_INFO, "The bars pass every rule that applies."),
    "MISSING_SESSIONS": (_WARNING, "Sessions the class calendar expects have no bar."),
    "DUPLICATE_DATES": (_WARNING, "The same date was delivered more than once."),
    "PRICE_NOT_POSITIVE": (_WARNING, "A price is zero or negative."),
    "NEGATIVE_PRICE_VALID": (_INFO, "A negative commodity price is real and kept."),
    "PRICE_NOT_FINITE": (_WARNING, "A price is missing or not a finite number."),
    "PRICE_SPIKE": (_WARNING, "A price jumped and came back the next session."),
    "LEVEL_BREAK": (
        _WARNING,
        "The price level broke without a recorded split or the volume to explain it.",
    ),
    "OHLC_INCONSISTENT": (_WARNING, "High, low, open and close contradict each other."),
    "ZERO_VOLUME": (_WARNING, "Sessions without volume in a class that reports it."),
    "VOLUME_SPIKE": (_WARNING, "Volume beyond six robust deviations of its own trailing history."),
    "VOLUME_NOT_APPLICABLE": (_INFO, "The class reports no volume; volume rules do not apply."),
    "OFF_SESSION_ROWS": (_INFO, "Rows outside the class calendar were dropped."),
    "FX_CLOSE_REPAIRED": (
        _INFO,
        "Vendor FX closes are a day late and were realigned to the next open.",
    ),
    "FX_CLOSE_SUSPECT": (_WARNING, "FX closes still equal their opens after the repair."),
    "RESTATED_HISTORY": (
        _WARNING,
        "The provider changed history that was already stored; a new version was added.",
    ),
    "QUALITY_DEGRADED": (
        _WARNING,
        "The quality score is between the invalid threshold and full trust; forecasts are cut.",
    ),
    "INVALID_DATA": (_REJECT, "The quality score is below the threshold: stored, never bid for."),
    "INSUFFICIENT_HISTORY": (
        _REJECT,
        "The symbol was listed inside the window and has too few sessions.",
    ),
    "HISTORY_SHORT_OF_NOMINAL": (
        _INFO,
        "The history passes its calendar's requirement with fewer rows than the nominal count.",
    ),
    "HISTORY_MISSING": (_HALT, "A symbol of the universe lacks the minimum history."),
    "HISTORY_SUFFICIENT": (_INFO, "The history covers what the calendar expects."),
    "DATA_STALE": (_REJECT, "The last bar is older than the last closed session."),
    "STALE_DATA": (
        _REJECT,
        "The published snapshot has not been verified within its time to live.",
    ),
    "SNAPSHOT_EXPIRED": (
        _HALT,
        "The published snapshot has not been verified within twice its time to live.",
    ),
    "SNAPSHOT_MISSING": (_STOP, "No published snapshot can be read and verified."),
    "QUOTE_INVALID": (_REJECT, "The quote is crossed, one-sided, not finite or too old."),
    "QUOTE_MISSING": (_REJECT, "No quote arrived for the symbol."),
    "MARKET_CLOSED": (_REJECT, "The symbol's market is closed: nothing is ordered in it."),
    "NO_VALID_SYMBOL": (_HALT, "No symbol of the universe has data worth trading on."),
}
_BELIEFS = {
    "REGIME_NORMAL": (_INFO, "The chance of a crisis within the horizon is below the trigger."),
    "REGIME_INPUT_MISSING": (
        _WARNING,
        "A regime observation is missing; the belief is mixed toward VOLATILE.",
    ),
    "REGIME_PREEMPTIVE_DERISK": (
        _WARNING,
        "The chance of a crisis within the horizon exceeds the trigger; the gross budget is cut.",
    ),
    "REGIME_CRISIS_REDUCE_ONLY": (
        _WARNING,
        "The chance of a crisis within the horizon allows reductions only.",
    ),
    "SINGLE_MODEL": (_REJECT, "Fewer than two healthy models forecast the symbol."),
    "MODEL_EXPIRED": (_REJECT, "The model passed no validation within its maximum age."),
    "MODEL_AUTOCORR_FLIP": (
        _WARNING,
        "The residuals' autocorrelation changed sign; the weight is halved.",
    ),
    "MODEL_DECAYED": (_WARNING, "Age, error or flip cut the model's weight."),
    "MODEL_HEALTHY": (_INFO, "The model keeps its full weight."),
    "MODEL_COVERAGE_REJECTED": (
        _WARNING,
        "The interval held too many or too few outcomes; the model's confidence is zero.",
    ),
    "FORECAST_STATED": (_INFO, "A finite forecast was made, with its interval."),
    "FORECAST_NOT_FINITE": (_REJECT, "A forecast is missing or not a finite number."),
    "SIGMA_FITTED": (_INFO, "The volatility model's parameters were estimated anew."),
    "SIGMA_FIT_FAILED": (
        _WARNING,
        "The volatility model found no sound parameters; the last good ones age on.",
    ),
    "SIGMA_MEMBER_SILENT": (
        _WARNING,
        "A volatility model says nothing of the symbol; the confidence is cut by its share.",
    ),
    "SIGMA_PARAMETERS_AGED": (
        _INFO,
        "The volatility model's parameters are older than tonight; the confidence is cut.",
    ),
}
_CAPITAL = {
    "ALLOCATED": (_INFO, "The bid won capital in the auction."),
    "AUCTION_OPTIMAL": (_INFO, "The auction was solved to optimality and checked independently."),
    "AUCTION_CERTIFIED_SUBOPTIMAL": (_WARNING, "The auction stopped early with a certified gap."),
    "AUCTION_PREVIOUS_SCALED": (
        _WARNING,
        "The auction failed; the previous target was kept, scaled into its limits.",
    ),
    "AUCTION_NO_TRADE": (_WARNING, "The auction failed; nothing is traded."),
    "AUCTION_CLEARED_TO_CASH": (
        _INFO,
        "No bid beats the hurdle per unit of CVaR: capital stays in cash.",
    ),
    "AUCTION_INFEASIBLE": (_STOP, "The auction has no feasible point although cash always is one."),
    "AUCTION_NOT_PASSED": (_REJECT, "An increase was asked for that no auction granted."),
    "PRICED_OUT": (
        _INFO,
        "The bid's value after costs is below the price of the capital it needs.",
    ),
    "MU_NOT_POSITIVE": (_INFO, "The adjusted expected return is not positive."),
    "BID_NOT_FINITE": (_REJECT, "A bid carries a number that is missing or not finite."),
    "STAGE_CAP_BINDS": (_INFO, "The strategy's stage cap is used up."),
    "NAME_CAP_BINDS": (_INFO, "The name cap is used up."),
    "SECTOR_CAP_BINDS": (_INFO, "The sector cap is used up."),
    "CLASS_CAP_BINDS": (_INFO, "The asset class cap is used up."),
    "BUDGET_BINDS": (_INFO, "The gross budget of the regime is used up."),
    "CVAR_LIMIT_BINDS": (_INFO, "The CVaR limit is used up."),
    "MARGINAL_CAP_BINDS": (_INFO, "The bid reached the size its own CVaR allows."),
    "PARTICIPATION_CAP_BINDS": (_INFO, "The bid reached the share of daily volume it may take."),
    "TOO_FEW_SCENARIOS": (_HALT, "Fewer scenarios than the risk measure needs."),
    "SCENARIO_REFUSED": (_HALT, "A scenario return is impossible for its class."),
    "STRESS_SET_MISSING": (_WARNING, "No stress set is held; current CVaR is multiplied instead."),
    "RISK_NOT_FINITE": (_REJECT, "A risk number is missing or not finite."),
    "CVAR_WITHIN_LIMITS": (_INFO, "Every CVaR measure is within its limit."),
    "WITHIN_LIMIT": (_INFO, "The number the gate judges is within its limit."),
    "PORTFOLIO_CVAR_BREACH": (_REJECT, "The book's CVaR exceeds the portfolio limit."),
    "MARGINAL_CVAR_BREACH": (_REJECT, "The order adds more CVaR than one order may."),
    "CVAR_HURDLE_NOT_MET": (
        _REJECT,
        "The expected return does not pay for the CVaR the order adds.",
    ),
    "PREFIX_CVAR_BREACH": (_REJECT, "A prefix of the order list would exceed the CVaR limit."),
    "CVAR_BREACH_SCALED": (
        _WARNING,
        "The book breached its CVaR limit and every position was scaled down.",
    ),
    "CVAR_SCALE_REFUSED": (
        _HALT,
        "The breach cannot be scaled away within the configured minimum.",
    ),
    "LEVERAGE_LIMIT": (_REJECT, "Gross exposure exceeds its limit."),
    "DRAWDOWN_LIMIT": (_REJECT, "The drawdown from the peak exceeds its limit."),
    "CORRELATION_LIMIT": (_REJECT, "The bid is too correlated with the book held."),
    "SECTOR_LIMIT": (_REJECT, "The sector's exposure exceeds its limit."),
    "NO_IMPACT_ESTIMATE": (_REJECT, "No impact can be estimated without volume and volatility."),
    "IMPACT_ESTIMATED": (_INFO, "Impact and spread costs were estimated."),
    "PARTICIPATION": (_REJECT, "The order is too large a share of daily volume."),
    "EXECUTION_CRISIS_NO_INCREASE": (_REJECT, "In a crisis regime no order may increase risk."),
    "EXECUTION_PASSIVE": (_INFO, "Calm regime: passive limit orders."),
    "EXECUTION_SLICED": (_INFO, "Volatile or crisis regime: the order is sliced."),
    "ORDER_BELOW_MINIMUM": (_INFO, "The change is smaller than the smallest order worth its cost."),
}
_GOVERNANCE = {
    "TARGET_INCREASE": (_INFO, "The position grows toward its target."),
    "TARGET_DECREASE": (_INFO, "The position shrinks toward its target."),
    "HOLD_AT_TARGET": (_INFO, "The position is at its target."),
    "NO_POSITION_NO_BID": (_INFO, "Nothing is held and no bid won capital."),
    "FORCED_SELL": (_WARNING, "The holding exceeds a cap and is reduced to it."),
    "LATE_CYCLE_HOLD": (_WARNING, "The cycle was late; what is held is held."),
    "VETO_UNEXPLAINED_PROFITS": (
        _VETO,
        "Realised profit and loss is not explained by positions and returns.",
    ),
    "VETO_TOO_PERFECT_EXECUTION": (_VETO, "Fills are better than the market allows."),
    "VETO_DATA_DEPENDENCY": (_VETO, "The decision hangs on one provider or on one bar."),
    "VETO_CORRELATED_WINS": (_VETO, "The winning strategies are one bet."),
    "VETO_CVAR": (_VETO, "Governance vetoed the bid for its tail risk."),
    "VETO_LEVERAGE": (_VETO, "Governance vetoed the bid for leverage."),
    "VETO_DRAWDOWN": (_VETO, "Governance vetoed the bid for drawdown."),
    "VETO_MODEL_DECAY": (_VETO, "Governance vetoed the bid for a decayed model."),
    "VETO_HISTORY": (_VETO, "Governance vetoed the bid for its history."),
    "VETO_QUALITY": (_VETO, "Governance vetoed the bid for its data quality."),
    "VETO_STANDING": (_VETO, "A veto raised earlier still stands."),
    "NO_VETO": (_INFO, "No veto trigger fired."),
    "STATE_RUNNING": (_INFO, "No cause stands against trading."),
    "STATE_REDUCE_ONLY": (_REJECT, "The system state allows reductions only."),
    "STATE_HALTED": (_REJECT, "The system is halted; no order may increase risk."),
    "STATE_STOPPED": (_REJECT, "The system is stopped; nothing is sent."),
    "STATE_UNKNOWN": (_STOP, "The system state cannot be established."),
    "OPERATOR_HALT": (_HALT, "An operator halted the system."),
    "OPERATOR_RESUME": (_INFO, "An operator resumed the system, with a reason."),
    "AUDIT_WRITE_FAILED": (_STOP, "The audit journal could not be written."),
    "CHAIN_BROKEN": (_STOP, "A journal chain does not verify."),
    "ANCHOR_MISMATCH": (_STOP, "A journal chain is shorter than, or differs from, its anchors."),
    "CONFIG_HASH_MISMATCH": (
        _STOP,
        "The configuration differs from the one the night was built on.",
    ),
    "CODE_HASH_MISMATCH": (_STOP, "The code differs from the one the night was built on."),
    "PHASE_ORDER_VIOLATED": (_STOP, "A step ran without the stamps of the steps before it."),
    "PHASE_STAMPED": (_INFO, "The step ran after all the steps it stands on."),
    "STATE_NOT_CONTINUED": (
        _STOP,
        "A session restored another state than the one its predecessor of the day left.",
    ),
    "RECONCILIATION_UNRESOLVED": (
        _STOP,
        "The broker's book and ours differ and the difference is unexplained.",
    ),
    "ORDER_NOT_APPROVED": (_STOP, "An order reached the router without a valid approval."),
    "ORDER_UNKNOWN_OUTCOME": (_STOP, "The broker's answer to an order could not be established."),
    "ORDER_SENT": (_INFO, "The order was approved, audited and sent."),
    "ORDER_FILLED": (_INFO, "The order was filled."),
    "ORDER_PARTIALLY_FILLED": (_INFO, "The order was filled in part."),
    "ORDER_REJECTED_BY_BROKER": (_WARNING, "The broker rejected the order."),
    "ORDER_RESTING": (_INFO, "The limit order stands in the book, not yet filled."),
    "ORDER_CANCELLED": (_INFO, "What was not filled of the order was cancelled."),
    "ORDER_NEVER_SENT": (
        _WARNING,
        "The order was planned and never reached the broker; the next cycle decides anew.",
    ),
    "ORDER_RECOVERED": (
        _INFO,
        "The outcome was learned from the broker after the session that sent the order broke off.",
    ),
    "BROKER_NO_CASH": (_REJECT, "The account holds too little cash for the order."),
    "BROKER_NO_POSITION": (_REJECT, "The account holds less than the order would sell."),
    "BROKER_WASH_TRADE": (_REJECT, "The broker sees an order of the account on the other side."),
    "BROKER_DAY_TRADES": (_REJECT, "The broker's rule on pattern day trading forbids the order."),
    "BROKER_REFUSED": (_REJECT, "The broker refused the order for a reason of its own."),
    "SESSION_STARTED": (_INFO, "A live session took the lease."),
    "SESSION_ENDED": (_INFO, "A live session ended in order."),
    "SESSION_STOP_REQUESTED": (_INFO, "A signal asked the session to end before its last cycle."),
    "TORN_TAIL_CUT": (
        _WARNING,
        "A killed writer left part of a frame; nothing acted on it and it was cut off.",
    ),
    "NIGHT_COMPLETED": (_INFO, "A night ran to its end."),
    "LEASE_HELD": (_REJECT, "Another leader holds the lease."),
    "FENCED": (_STOP, "The session lost its parent, its run or its lease."),
    "UNEXPECTED_FAILURE": (_STOP, "A failure that no rule foresees; nothing is sent."),
    "SCHEMA_MISMATCH": (_STOP, "The store's schema differs from the migrations of this version."),
    "WAREHOUSE_BUSY": (_REJECT, "The warehouse stayed locked by another process."),
    "WAREHOUSE_CORRUPT": (_HALT, "The warehouse is missing or cannot be read."),
    "DISK_FULL": (_STOP, "There is not enough free space to write the audit safely."),
    "HEALTHY": (_INFO, "Loop, daemon, projection, chain and event log are as they should be."),
    "LEADER_SILENT": (
        _WARNING,
        "A session that has not ended gives no heartbeat: it hangs or was killed.",
    ),
    "SESSION_MISSING": (_WARNING, "A session is wanted and none leads."),
    "CHAIN_STANDS_STILL": (
        _WARNING,
        "The leader lives and its chain does not advance: no cycle is journalled.",
    ),
    "DAEMON_SILENT": (
        _WARNING,
        "Dagster's daemon gives no heartbeat: no night is asked for, no sensor ticks.",
    ),
    "PROJECTION_LAGS": (_WARNING, "Readers see less than the loop's chain holds, for too long."),
    "EVENT_LOG_FULL": (
        _WARNING,
        "Dagster's folder is too large, or its disk has too little free space.",
    ),
    "EVENT_LOG_UNWRITABLE": (_WARNING, "Dagster's event log cannot be written."),
    "ALERTS_UNDELIVERED": (
        _WARNING,
        "Alerts wait that a channel would not take, or the channels are set up wrongly.",
    ),
    "STRATEGY_INCUBATING": (_INFO, "The strategy is incubating."),
    "STRATEGY_SCALING": (_INFO, "The strategy is scaling."),
    "STRATEGY_HARVESTING": (_INFO, "The strategy is harvesting."),
    "STRATEGY_DECOMMISSIONED": (_REJECT, "The strategy is decommissioned and may hold nothing."),
    "STRATEGY_PROMOTED": (_INFO, "The strategy moved up one stage."),
    "STRATEGY_PERFORMANCE_POOR": (
        _REJECT,
        "The strategy's true Sharpe ratio is very unlikely to be positive.",
    ),
    "STRATEGY_DRAWDOWN": (_REJECT, "The strategy's drawdown exceeds what ends a strategy."),
    "STRATEGY_VETOED_OFTEN": (_REJECT, "The strategy was vetoed too often in its recent sessions."),
    "STRATEGY_CAPITAL_DECAYED": (_INFO, "The strategy's capital decayed for want of proof."),
    "MASS_DRAWDOWN_REVIEW": (
        _HALT,
        "Half or more of the strategies reached their drawdown limit together.",
    ),
}

GROUPS = {
    "Data: providers and ingestion": _PROVIDERS,
    "Data: quality and history": _QUALITY,
    "Beliefs: regime and models": _BELIEFS,
    "Capital: auction, risk and execution": _CAPITAL,
    "Governance: decisions, vetoes, state and audit": _GOVERNANCE,
}
