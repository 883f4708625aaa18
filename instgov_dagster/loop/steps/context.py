"""What every step of a night may know beside its tables: the date, the rules, the universe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeAlias

import polars as pl

from instgov_dagster.beliefs.models.garch_fit import Spread, one_by_one
from instgov_dagster.vocabulary.bars import Market, Universe
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.governance import Cause, Phase
from instgov_dagster.vocabulary.reasons import ReasonCode

Tables: TypeAlias = Mapping[str, pl.DataFrame]

#: What a night is given: everything else is made by a step.
INPUT_TABLES = (
    "bars",
    "stress_bars",
    "symbol_classes",
    "provider_answers",
    "past_provider_answers",
    "previous_lifecycle",
    "past_risk_forecasts",
    "previous_sigma_fits",
    "previous_model_trials",
    "previous_vetoes",
    "session_accounts",
    "recorded_fills",
    "passive_orders",
    "strategy_returns",
    "veto_clears",
    "portfolio",
    "system_state",
)

#: The inputs frozen with the night's ingestion: its stamp covers them.
STAMPED_INPUTS = (
    "bars",
    "stress_bars",
    "provider_answers",
    "strategy_returns",
    "veto_clears",
    "portfolio",
    "system_state",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NightContext:
    """The fixed surroundings of one night.

    Attributes
    ----------
    asof
        The day traded (D), the partition key.
    known_at
        The instant whose knowledge the night may use, UTC.
    entitled
        Providers that may be asked for the whole history window.
    spread
        How independent fits are mapped; no result depends on it.
    """

    asof: date
    known_at: datetime
    market: Market
    universe: Universe
    policy: Policy
    entitled: frozenset[str]
    spread: Spread = field(default=one_by_one, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.known_at.tzinfo is None:
            raise ValueError(f"NightContext.known_at must be aware, was {self.known_at}")

    @property
    def cycle_id(self) -> str:
        """Name the night's own decision cycle."""
        return f"night-{self.asof.isoformat()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NightStep:
    """One step: the table it makes, what it needs, and the phase it belongs to.

    Attributes
    ----------
    needs
        Tables read: outputs of earlier steps, or inputs of the night.
    phase
        The phase of the roadmap's execution order; every earlier phase must be stamped.
    completes_phase
        Whether the phase is stamped once this step is done.
    run
        Pure: the needed tables and the context in, the step's table out.
    find_causes
        Reads the step's own table and names what stands against trading.
    cause_domain
        The codes ``find_causes`` speaks for: those a clean finding clears.
    """

    name: str
    needs: tuple[str, ...]
    phase: Phase
    run: Callable[[Tables, NightContext], pl.DataFrame]
    completes_phase: bool = False
    find_causes: Callable[[pl.DataFrame], tuple[Cause, ...]] | None = None
    cause_domain: frozenset[ReasonCode] = frozenset()
