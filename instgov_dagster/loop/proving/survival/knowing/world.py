"""What a walk is walked in: bars, rules, the quotes' seed and defects, and the gates that stand."""

from dataclasses import dataclass

from instgov_dagster.adapters.markets.simulation.quote_defects import NO_DEFECTS, QuoteDefects
from instgov_dagster.loop.proving.survival.knowing.history import History
from instgov_dagster.vocabulary.config import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a walk is walked in: bars, rules, the seed of the quotes' paths and their defects."""

    history: History
    policy: Policy
    seed: int
    defects: QuoteDefects = NO_DEFECTS
    has_regime_gate: bool = True
    has_vetoes: bool = True
    has_coverage_block: bool = True
