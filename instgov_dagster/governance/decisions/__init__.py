"""One decision a symbol a cycle: the cases, the truth table and the rows."""

from instgov_dagster.governance.decisions.cases import CycleCase, SymbolCase, lead_bids
from instgov_dagster.governance.decisions.rows import DECISION_SCHEMA, decisions_to_frame
from instgov_dagster.governance.decisions.table import compose_decisions, decide_symbol, gate_of

__all__ = [
    "DECISION_SCHEMA",
    "CycleCase",
    "SymbolCase",
    "compose_decisions",
    "decide_symbol",
    "decisions_to_frame",
    "gate_of",
    "lead_bids",
]
