"""The vetoes of governance as pure rules, and which of them stand.

Every rule fails closed: an input that is not finite fires with an infinite statistic. Too few
observations do not fire, and the finding says how many there were.
"""

from instgov_dagster.governance.veto.concentration import (
    veto_correlated_wins,
    veto_data_dependency,
)
from instgov_dagster.governance.veto.execution import (
    FillSample,
    chance_of_heads,
    veto_passive_fills,
    veto_too_perfect_execution,
)
from instgov_dagster.governance.veto.findings import LimitReading, veto_limits
from instgov_dagster.governance.veto.profits import veto_unexplained_profits
from instgov_dagster.governance.veto.rows import (
    CLEAR_SCHEMA,
    FINDING_SCHEMA,
    VETO_SCHEMA,
    findings_from_frame,
    findings_to_frame,
    vetoes_from_frame,
    vetoes_to_frame,
)
from instgov_dagster.governance.veto.standing import (
    VetoIndex,
    raise_vetoes,
    sessions_passed,
    settle_vetoes,
    spent_before,
    standing_vetoes,
    vetoes_on,
)

__all__ = [
    "CLEAR_SCHEMA",
    "FINDING_SCHEMA",
    "VETO_SCHEMA",
    "FillSample",
    "LimitReading",
    "VetoIndex",
    "chance_of_heads",
    "findings_from_frame",
    "findings_to_frame",
    "raise_vetoes",
    "sessions_passed",
    "settle_vetoes",
    "spent_before",
    "standing_vetoes",
    "veto_correlated_wins",
    "veto_data_dependency",
    "veto_limits",
    "veto_passive_fills",
    "veto_too_perfect_execution",
    "veto_unexplained_profits",
    "vetoes_from_frame",
    "vetoes_on",
    "vetoes_to_frame",
]
