"""What supervisors ask of a trading system, and the control that answers; nothing runs here.

The clauses are named by number and by what they ask, in our words: the texts themselves are the
regulators'. The firm is nobody's broker-dealer and gives nobody market access: a clause that only
binds one is answered "not applicable", and why.
"""

from dataclasses import dataclass
from typing import Final

from instgov_dagster.vocabulary.reasons import ReasonCode

Codes = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One line of the card.

    Attributes
    ----------
    enforced
        ``file:function`` below the package; empty where the clause does not apply.
    tests
        Ids below the tests' folder.
    reason_codes
        What the control says when it fires.
    not_applicable
        Why the clause asks nothing of this system; empty where it does.
    """

    regulation: str
    clause: str
    asks: str
    control: str
    enforced: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    reason_codes: tuple[ReasonCode, ...] = ()
    not_applicable: str = ""

    def __post_init__(self) -> None:
        if bool(self.not_applicable) == bool(self.enforced and self.tests):
            raise ValueError(f"{self.clause} must be enforced and tested, or not applicable")


_GATES, _JUDGE = "capital/risk/gates.py:", "capital/risk/test_judge.py::"
_SESSION, _HALT = "loop/session.py:Session.", "cli/test_commands.py::test_a_halt_is_told_and_ends_"
_LIVE = "defs/governance/test_live.py::"
_TURNS = "loop/live/leading/test_turns.py::"

SEC: Final = "SEC Rule 15c3-5"
RTS: Final = "MiFID II RTS 6"
MODEL_RISK: Final = "SR 26-2"
FINRA: Final = "FINRA Notice 15-09"
#: What each source is, as the page explains it.
SOURCES: Final = {
    SEC: "market access, 17 CFR 240.15c3-5; binds broker-dealers, taken here as a standard",
    RTS: "organisation of algorithmic trading, Delegated Regulation (EU) 2017/589",
    MODEL_RISK: "model risk; SR 11-7, which it replaced on 17 April 2026, is rescinded. "
    "Lines go by topic, not by the letter's own numbers",
    FINRA: "effective practices for algorithmic trading, its five areas",
}

_ANSWERED: Final = (
    (SEC, "(c)(1)(i)", "no order beyond pre-set credit or capital thresholds",
     "leverage, CVaR and stage caps before every order",
     (_GATES + "gate_leverage", _GATES + "gate_cvar", _GATES + "gate_marginal"),
     (_JUDGE + "test_leverage_and_sector_stop_what_exceeds_them",
      _JUDGE + "test_an_order_beyond_the_marginal_limit_is_refused_and_told_what_would_pass"),
     ("LEVERAGE_LIMIT", "PORTFOLIO_CVAR_BREACH", "MARGINAL_CVAR_BREACH")),
    (SEC, "(c)(1)(ii)", "no erroneous order: price, size, duplication",
     "quotes judged, size cut to volume, one id an order",
     ("bars/quotes.py:Quotes.valid_mask", "capital/trades.py:draft_trades",
      "adapters/broker/paper.py:PaperBroker.submit"),
     ("capital/test_trades.py::test_what_cannot_be_priced_is_not_traded",
      "capital/test_trades.py::test_a_trade_is_cut_to_its_share_of_daily_volume",
      "adapters/broker/test_paper.py::test_one_id_for_two_orders_stops_the_system"),
     ("QUOTE_INVALID", "PARTICIPATION", "RECONCILIATION_UNRESOLVED")),
    (SEC, "(c)(2)(i)", "no order unless every requirement before it holds",
     "orders minted from an audited decision only; the router takes nothing else",
     ("governance/proof.py:mint_approved_order", "adapters/broker/paper.py:PaperBroker.submit"),
     ("governance/test_proof.py::test_what_does_not_belong_together_mints_nothing",
      "loop/session/test_session.py::test_the_router_takes_nothing_governance_did_not_mint"),
     ("ORDER_NOT_APPROVED",)),
    (SEC, "(c)(2)(ii)", "no order in what may not be traded",
     "routes by market and class; ineligible symbols have a cap of zero",
     ("bars/providers.py:route", "loop/decision/blocks.py:standing_blocks"),
     ("bars/test_providers.py::test_every_row_of_the_separation_holds",),
     ("NO_VALID_PROVIDER", "SIM_ONLY", "INVALID_DATA", "INSUFFICIENT_HISTORY")),
    (SEC, "(c)(2)(iii)", "systems open to authorised persons only",
     "one leader by a lease; halts and resumes in a name, journalled",
     ("loop/session.py:run_session", "loop/live/operator.py:act"),
     (_HALT + "with_three_until_it_is_resumed",
      _TURNS + "test_a_standby_that_is_asked_to_end_never_led_and_wrote_nothing"),
     ("LEASE_HELD", "OPERATOR_HALT", "OPERATOR_RESUME")),
    (SEC, "(c)(2)(iv)", "surveillance gets immediate post-trade reports",
     "broker held against journal after each answer and each session",
     ("loop/live/settling/after.py:reconcile_home", "defs/automation/alerts.py:send_alert"),
     (_LIVE + "test_a_broker_that_differs_from_the_journal_stops_the_system",),
     ("RECONCILIATION_UNRESOLVED", "ORDER_UNKNOWN_OUTCOME")),
    (SEC, "(e)", "the controls are reviewed regularly, and the review is documented",
     "this card and the parity of every day, in the job after_session",
     ("loop/folding/parity.py:check_parity", "governance/reporting/card.py:card_frame"),
     ("loop/folding/test_parity.py::test_a_day_folded_again_here_differs_nowhere",), ()),
    (RTS, "Art 5", "a documented way to develop and release",
     "a session refuses a night of other code or rules",
     ("loop/live/opening.py:open_snapshot",),
     (("loop/session/test_session.py::"
      "test_other_code_or_rules_than_the_night_s_stop_the_system_before_an_order"),),
     ("CODE_HASH_MISMATCH", "CONFIG_HASH_MISMATCH")),
    (RTS, "Art 12", "a kill function: cancel everything at once",
     "an operator's halt latches; resting orders are withdrawn each cycle",
     ("loop/live/operator.py:act", "loop/live/settling/trading.py:Trading.settle_resting"),
     (_HALT + "with_three_until_it_is_resumed",), ("OPERATOR_HALT", "STATE_HALTED")),
    (RTS, "Art 13", "surveillance for manipulation",
     "profits, fills and wins that are too good are vetoed",
     ("governance/veto/execution.py:veto_too_perfect_execution",
      "governance/veto/profits.py:veto_unexplained_profits"),
     ("governance/veto/test_codes.py::test_execution_that_is_too_good_says_so",),
     ("VETO_TOO_PERFECT_EXECUTION", "VETO_UNEXPLAINED_PROFITS", "VETO_CORRELATED_WINS")),
    (RTS, "Art 14", "business continuity",
     "a successor settles what a killed leader left and goes on bit-equal",
     ("loop/live/settling/handover.py:hand_over", "loop/folding/continuity.py:Trail.restore"),
     (("loop/live/test_kills.py::"
      "test_what_a_killed_leader_left_is_settled_by_the_broker_s_word"),
      ("loop/folding/test_faults.py::"
      "test_a_halt_an_interruption_and_a_kill_fold_again_as_every_cycle_does")),
     ("STATE_NOT_CONTINUED", "ORDER_RECOVERED", "ORDER_NEVER_SENT")),
    (RTS, "Art 15", "pre-trade: price collars, largest value and volume, limits of risk",
     "quotes judged, volume share, name, sector, leverage, drawdown and CVaR limits",
     ("capital/trades.py:draft_trades", "capital/risk/judge.py:judge_book"),
     (_JUDGE + "test_the_named_checks_stop_an_increase_and_let_a_reduction_go",
      "capital/test_impact.py::test_more_than_a_tenth_of_daily_volume_is_refused"),
     ("QUOTE_INVALID", "PARTICIPATION", "SECTOR_LIMIT", "DRAWDOWN_LIMIT", "CORRELATION_LIMIT",
      "PREFIX_CVAR_BREACH", "EXECUTION_CRISIS_NO_INCREASE")),
    (RTS, "Art 16", "monitoring in real time, with alerts",
     "every change of state is told once; failed runs are told with their code",
     ("defs/automation/sensors.py:halt_sensor", "defs/automation/alerts.py:send_alert"),
     ("defs/automation/test_sensors.py::test_every_change_of_the_state_is_told_once",),
     ("STATE_UNKNOWN", "UNEXPECTED_FAILURE")),
    (RTS, "Art 17", "post-trade: positions and fills reconciled",
     "orders, fills, units and cash of broker and journal agree to the last digit",
     ("loop/live/settling/after.py:reconcile_home",),
     (_LIVE + "test_a_broker_that_differs_from_the_journal_stops_the_system",),
     ("RECONCILIATION_UNRESOLVED",)),
    (RTS, "Art 28", "records of every order and decision",
     "a hash-chained frame on disk before anything acts; exported for third parties",
     ("adapters/journal/chain.py:Journal.append", "adapters/journal/export.py:export_bundle"),
     (("adapters/journal/test_thousand.py::"
      "test_any_one_bit_flipped_in_a_thousand_frames_is_found_and_located"),
      ("adapters/journal/test_export.py::"
      "test_a_stranger_verifies_the_bundle_without_this_program")),
     ("AUDIT_WRITE_FAILED", "CHAIN_BROKEN", "ANCHOR_MISMATCH")),
    (MODEL_RISK, "validation", "models are validated before and while they are used",
     "trust is lost by age and won back by a passed validation only",
     ("beliefs/health.py:_reason_codes", "beliefs/trust/decay.py:decay_state"),
     ("beliefs/test_health.py::test_a_model_left_alone_ages_and_expires_after_a_year",),
     ("MODEL_EXPIRED",)),
    (MODEL_RISK, "ongoing monitoring", "drift and failing assumptions are noticed",
     "forecast error, autocorrelation flips and interval coverage cut a model's weight",
     ("beliefs/trust/decay.py:decay_state", "beliefs/health.py:_reason_codes"),
     (("beliefs/trust/test_faults.py::"
      "test_a_fault_is_named_and_lowers_the_confidence_of_what_it_touches"),),
     ("MODEL_DECAYED", "MODEL_AUTOCORR_FLIP", "MODEL_COVERAGE_REJECTED")),
    (MODEL_RISK, "effective challenge", "a model is compared with others and with none",
     "a symbol needs two healthy models; their disagreement shrinks the forecast",
     ("beliefs/health.py:_reason_codes",),
     (("beliefs/test_health.py::"
      "test_a_symbol_with_one_healthy_model_is_a_single_model_and_earns_no_bid"),),
     ("SINGLE_MODEL",)),
    (MODEL_RISK, "use and limits", "use ends where a model does not hold",
     "stages cap capital, capital decays unproven, an ended strategy stays ended",
     ("governance/lifecycle/evaluation.py:evaluate_lifecycle",),
     (("governance/lifecycle/test_transitions.py::"
      "test_the_end_is_terminal_whatever_is_earned_after_it"),),
     ("STRATEGY_DECOMMISSIONED", "STRATEGY_DRAWDOWN", "STRATEGY_PERFORMANCE_POOR")),
    (MODEL_RISK, "inputs", "data are fit for the model",
     "a quality score from the raw payload; below the threshold nothing is bid for",
     ("bars/quality/score.py:score_bars",),
     ("bars/quality/test_rules.py::test_five_percent_missing_is_invalid",),
     ("INVALID_DATA", "DATA_STALE", "HISTORY_MISSING")),
    (FINRA, "risk assessment and response", "a view of all strategies' risk together",
     "one joint CVaR of the whole book; a breach scales every position",
     (_GATES + "gate_cvar", "capital/book.py:scale_book"),
     ("capital/test_book.py::test_a_breach_scales_every_position_to_the_limit_by_one_factor",),
     ("PORTFOLIO_CVAR_BREACH", "CVAR_BREACH_SCALED")),
    (FINRA, "code development", "changes are controlled and traceable",
     "the code's hash stands in every frame; other code stops the session",
     ("adapters/runtime/code.py:code_sha256", "loop/live/opening.py:open_snapshot"),
     (("loop/folding/test_fields.py::"
      "test_every_cycle_names_its_inputs_its_rules_its_code_and_its_night"),),
     ("CODE_HASH_MISMATCH",)),
    (FINRA, "testing and validation", "tested before and outside production",
     "the same pure decision live and in replay; a day folds again to its bytes",
     ("loop/cycle.py:decide", "loop/folding/parity.py:check_parity"),
     (("loop/folding/test_replay.py::"
      "test_every_cycle_of_a_day_folds_again_to_the_same_bytes"),), ()),
    (FINRA, "trading systems", "controls at the order, and a way to switch off",
     "steps refuse to run out of order; a failure no rule foresees stops the system",
     ("governance/stamps.py:require_stamps", "loop/session.py:run_session"),
     ("loop/session/test_session.py::test_a_failure_no_rule_foresees_stops_the_system_and_loses_no_fill",
      "defs/test_night.py::test_a_downstream_run_alone_refuses_by_itself_and_stops_the_system"),
     ("PHASE_ORDER_VIOLATED", "UNEXPECTED_FAILURE", "STATE_STOPPED")),
    (FINRA, "compliance", "staff can see what was decided, and why",
     "every decision carries its reasons and is explained from the journal",
     ("loop/folding/explaining/explain.py:explain_symbol",),
     (("loop/folding/explaining/test_explain.py::"
      "test_every_decision_of_every_cycle_is_explained_by_the_gates_that_decided_it"),), ()),
)  # fmt: skip
_NOT_ASKED: Final = (
    (SEC, "(d)", "the broker-dealer controls access directly and exclusively",
     "there is no customer and no sponsored access: one book, one process that leads"),
    (SEC, "(e)(2)", "the chief executive certifies the controls every year",
     "a person's act at a broker-dealer; the firm is not one"),
    (RTS, "Art 6", "conformance tests with each venue",
     "orders go to the paper broker or to a broker's interface, never to a venue"),
    (RTS, "Art 9", "a yearly self-assessment, approved and kept",
     "a person's act; this card is what it would be written from"),
    (RTS, "Art 18", "physical and electronic security of the systems",
     "the host's: accounts, disks and networks are not this program's"),
    (FINRA, "supervision of registered persons", "registration and training of staff",
     "not a member firm, and no staff in the program"),
)  # fmt: skip

CONTROLS: Final = (
    *(
        Control(
            regulation=regulation,
            clause=clause,
            asks=asks,
            control=control,
            enforced=enforced,
            tests=tests,
            reason_codes=tuple(ReasonCode(code) for code in codes),
        )
        for regulation, clause, asks, control, enforced, tests, codes in _ANSWERED
    ),
    *(
        Control(regulation=regulation, clause=clause, asks=asks, control="none", not_applicable=why)
        for regulation, clause, asks, why in _NOT_ASKED
    ),
)
