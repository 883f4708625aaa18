"""The life of a strategy: its numbers, the rules of its stages, the nightly evaluation."""

from instgov_dagster.governance.lifecycle.evaluation import (
    LifecycleReport,
    capital_decay,
    evaluate_lifecycle,
    fresh_state,
    is_proof,
)
from instgov_dagster.governance.lifecycle.metrics import (
    deflated_sharpe,
    expected_best_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_odds,
    sharpe_ratio,
    track_record_needed,
    trials_deviation,
    unit_returns,
)
from instgov_dagster.governance.lifecycle.records import (
    Measured,
    StrategyRecord,
    Trials,
    measure_strategy,
)
from instgov_dagster.governance.lifecycle.rows import (
    LIFECYCLE_SCHEMA,
    lifecycle_from_frame,
    lifecycle_to_frame,
)
from instgov_dagster.governance.lifecycle.transitions import Transition, judge_stage

__all__ = [
    "LIFECYCLE_SCHEMA",
    "LifecycleReport",
    "Measured",
    "StrategyRecord",
    "Transition",
    "Trials",
    "capital_decay",
    "deflated_sharpe",
    "evaluate_lifecycle",
    "expected_best_sharpe",
    "fresh_state",
    "is_proof",
    "judge_stage",
    "lifecycle_from_frame",
    "lifecycle_to_frame",
    "measure_strategy",
    "minimum_track_record",
    "probabilistic_sharpe",
    "sharpe_odds",
    "sharpe_ratio",
    "track_record_needed",
    "trials_deviation",
    "unit_returns",
]
