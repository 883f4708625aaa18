"""The night as one pure composition: ordered steps from bars to decisions. No stores live here."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from instgov_dagster.governance.audit import frame_sha256
from instgov_dagster.governance.stamps import require_stamps, stamp_phase
from instgov_dagster.loop.decision.snapshot import SNAPSHOT_TABLES
from instgov_dagster.loop.steps import (
    bars,
    beliefs,
    capital,
    coverage,
    decision,
    proof,
    stress,
    vetoes,
)
from instgov_dagster.loop.steps.context import (
    INPUT_TABLES,
    STAMPED_INPUTS,
    NightContext,
    NightStep,
    Tables,
)
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Cause, Phase, PhaseStamp
from instgov_dagster.vocabulary.reasons import ReasonCode

_WALKED = ("price_history", "data_governance", "sigma_fits", "previous_sigma_fits")
_DECIDING = (*SNAPSHOT_TABLES, "portfolio", "system_state")

STEPS: tuple[NightStep, ...] = (
    NightStep(
        name="data_quality",
        needs=("bars",),
        phase=Phase.INGESTION,
        run=bars.judge_quality,
    ),
    NightStep(
        name="price_history",
        needs=("bars", "data_quality"),
        phase=Phase.INGESTION,
        run=bars.adjust_history,
        completes_phase=True,
    ),
    NightStep(
        name="history_coverage",
        needs=("price_history", "data_quality", "symbol_classes"),
        phase=Phase.DB_VERIFICATION,
        run=bars.verify_history,
        completes_phase=True,
        find_causes=bars.history_causes,
        cause_domain=frozenset({ReasonCode.HISTORY_MISSING}),
    ),
    NightStep(
        name="data_governance",
        needs=(
            "history_coverage",
            "data_quality",
            "symbol_classes",
            "provider_answers",
            "past_provider_answers",
        ),
        phase=Phase.DATA_GOVERNANCE,
        run=bars.govern,
        completes_phase=True,
        find_causes=bars.governance_causes,
        cause_domain=bars.GOVERNANCE_DOMAIN,
    ),
    NightStep(
        name="regime_beliefs",
        needs=("price_history", "data_governance"),
        phase=Phase.CAPITAL_COMPETITION,
        run=beliefs.believe,
        find_causes=beliefs.regime_causes,
        cause_domain=frozenset({ReasonCode.REGIME_CRISIS_REDUCE_ONLY}),
    ),
    NightStep(
        name="sigma_fits",
        needs=("price_history", "data_governance", "previous_sigma_fits"),
        phase=Phase.CAPITAL_COMPETITION,
        run=beliefs.fit,
    ),
    NightStep(
        name="model_forecasts",
        needs=_WALKED,
        phase=Phase.CAPITAL_COMPETITION,
        run=beliefs.forecast,
    ),
    NightStep(
        name="model_decay_metrics",
        needs=(*_WALKED, "model_forecasts"),
        phase=Phase.CAPITAL_COMPETITION,
        run=beliefs.assess,
    ),
    NightStep(
        name="belief_state",
        needs=_WALKED,
        phase=Phase.CAPITAL_COMPETITION,
        run=beliefs.seal,
    ),
    NightStep(
        name="cvar_coverage",
        needs=("past_risk_forecasts", "price_history"),
        phase=Phase.CAPITAL_COMPETITION,
        run=coverage.cover_risk,
    ),
    NightStep(
        name="strategy_lifecycle_log",
        needs=(
            "previous_lifecycle",
            "previous_vetoes",
            "previous_model_trials",
            "strategy_returns",
            "session_accounts",
            "model_decay_metrics",
            "cvar_coverage",
        ),
        phase=Phase.CAPITAL_COMPETITION,
        run=capital.advance_lifecycle,
        find_causes=capital.lifecycle_causes,
        cause_domain=frozenset({ReasonCode.MASS_DRAWDOWN_REVIEW}),
    ),
    NightStep(
        name="stress_scenarios",
        needs=("price_history", "data_governance", "portfolio", "bars", "stress_bars"),
        phase=Phase.CAPITAL_COMPETITION,
        run=stress.build_stress,
        cause_domain=frozenset({ReasonCode.TOO_FEW_SCENARIOS, ReasonCode.SCENARIO_REFUSED}),
    ),
    NightStep(
        name="market_impact",
        needs=("price_history", "data_governance", "portfolio"),
        phase=Phase.CAPITAL_COMPETITION,
        run=capital.estimate_market,
    ),
    NightStep(
        name="risk_forecasts",
        needs=("portfolio", "stress_scenarios", "market_impact"),
        phase=Phase.CAPITAL_COMPETITION,
        run=coverage.forecast_risk,
    ),
    NightStep(
        name="veto_findings",
        needs=(
            *(name for name in _DECIDING if name != "vetoes"),
            *_WALKED[:1],
            *_WALKED[2:],
            "bars",
            "data_quality",
            "history_coverage",
            "previous_vetoes",
            "session_accounts",
            "recorded_fills",
            "passive_orders",
            "strategy_returns",
        ),
        phase=Phase.CAPITAL_COMPETITION,
        run=vetoes.find_vetoes,
    ),
    NightStep(
        name="vetoes",
        needs=("veto_findings", "previous_vetoes", "veto_clears"),
        phase=Phase.CAPITAL_COMPETITION,
        run=vetoes.settle,
    ),
    NightStep(
        name="auction_bids",
        needs=_DECIDING,
        phase=Phase.CAPITAL_COMPETITION,
        run=decision.assemble,
    ),
    NightStep(
        name="auction_certificate",
        needs=_DECIDING,
        phase=Phase.CAPITAL_COMPETITION,
        run=proof.certify_night,
    ),
    NightStep(
        name="capital_allocations",
        needs=_DECIDING,
        phase=Phase.CAPITAL_COMPETITION,
        run=decision.allocate,
        completes_phase=True,
    ),
    NightStep(
        name="risk_verdicts",
        needs=(*_DECIDING, "capital_allocations"),
        phase=Phase.CVAR_RISK_GATES,
        run=decision.judge_risk,
        completes_phase=True,
    ),
    NightStep(
        name="execution_plan",
        needs=(*_DECIDING, "capital_allocations", "risk_verdicts"),
        phase=Phase.EXECUTION_SIMULATION,
        run=decision.plan_execution,
        completes_phase=True,
    ),
    NightStep(
        name="governance_decisions",
        needs=(
            *_DECIDING,
            "capital_allocations",
            "risk_verdicts",
            "execution_plan",
        ),
        phase=Phase.LIVE_TRADING,
        run=decision.decide_symbols,
    ),
    # What follows decides nothing tonight: it stands behind the decision, not before it.
    NightStep(
        name="model_evaluation",
        needs=_WALKED,
        phase=Phase.LIVE_TRADING,
        run=beliefs.evaluate,
    ),
    NightStep(
        name="model_trials",
        needs=("model_evaluation", "previous_model_trials"),
        phase=Phase.LIVE_TRADING,
        run=beliefs.count_trials,
    ),
    NightStep(
        name="belief_pictures",
        needs=_WALKED,
        phase=Phase.LIVE_TRADING,
        run=beliefs.draw,
    ),
)

STEP_BY_NAME: Mapping[str, NightStep] = {step.name: step for step in STEPS}

#: Every table a phase's stamp covers.
PHASE_TABLES: Mapping[Phase, tuple[str, ...]] = {
    phase: (
        *(STAMPED_INPUTS if phase is Phase.INGESTION else ()),
        *(step.name for step in STEPS if step.phase is phase),
    )
    for phase in Phase
}

#: The codes a night finds anew by itself.
FOUND_BY_STEPS = frozenset(code for step in STEPS for code in step.cause_domain)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepResult:
    """What one step made: its table, the causes it found, the stamp it earned."""

    step: NightStep
    frame: pl.DataFrame
    causes: tuple[Cause, ...]
    stamp: PhaseStamp | None
    content_sha256: str

    @property
    def is_halting(self) -> bool:
        """Whether a latched cause stands, so that nothing after this step may run."""
        return any(cause.is_latched for cause in self.causes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NightResult:
    """Every table a night made, its stamps, and what stopped it, if anything did."""

    tables: Tables
    stamps: tuple[PhaseStamp, ...]
    causes: tuple[Cause, ...]
    halted_at: str | None


def content_sha256(frame: pl.DataFrame) -> str:
    """Hash what a table says, as the store does: its date is the night's, not its content."""
    return frame_sha256(frame.drop("asof", strict=False))


def phase_outputs(phase: Phase, made: Mapping[str, str]) -> dict[Phase, dict[str, str]]:
    """Give, for every phase before one, the hashes its tables have now.

    Parameters
    ----------
    made
        Table name to content hash, as the night holds them now; a table it lacks is left out,
        which no stamp agrees with.
    """
    return {
        before: {name: made[name] for name in names if name in made}
        for before, names in PHASE_TABLES.items()
        if before.step < phase.step
    }


def run_step(
    step: NightStep,
    tables: Tables,
    stamps: tuple[PhaseStamp, ...],
    context: NightContext,
    *,
    made: Mapping[str, str],
) -> StepResult:
    """Run one step on what it needs, after checking the stamps of every phase before it.

    Parameters
    ----------
    tables
        At least the tables the step needs; it is shown no other.
    stamps
        The stamps of the night so far.
    made
        Content hash of every table the night holds now: a table that changed after its phase was
        stamped makes the stamp stale.

    Raises
    ------
    SystemHalt
        ``PHASE_ORDER_VIOLATED`` where an earlier phase has no valid stamp, or the step completes
        a phase of which a table was never made.
    KeyError
        If a needed table is missing.
    """
    require_stamps(stamps, step.phase, context.asof, phase_outputs(step.phase, made))
    frame = step.run({name: tables[name] for name in step.needs}, context)
    causes = step.find_causes(frame) if step.find_causes else ()
    is_done = step.completes_phase and not any(cause.is_latched for cause in causes)
    digest = content_sha256(frame)
    stamp = _stamp(step, stamps, context, {**made, step.name: digest}) if is_done else None
    return StepResult(step=step, frame=frame, causes=causes, stamp=stamp, content_sha256=digest)


def _stamp(
    step: NightStep,
    stamps: tuple[PhaseStamp, ...],
    context: NightContext,
    made: Mapping[str, str],
) -> PhaseStamp:
    names = PHASE_TABLES[step.phase]
    missing = [name for name in names if name not in made]
    if missing:
        raise SystemHalt(
            ReasonCode.PHASE_ORDER_VIOLATED,
            f"{step.phase} cannot be stamped, never made: {', '.join(missing)}",
        )
    before = tuple(stamp for stamp in stamps if stamp.step < step.phase.step)
    return stamp_phase(step.phase, context.asof, {name: made[name] for name in names}, before)


def night(inputs: Tables, context: NightContext) -> NightResult:
    """Fold every step over the inputs; a latched cause ends the night where it was found.

    Parameters
    ----------
    inputs
        The tables named by `INPUT_TABLES`; no bar in them was known only after
        ``context.known_at``.

    Raises
    ------
    ValueError
        If an input is missing or a bar was known only later.
    """
    missing = [name for name in INPUT_TABLES if name not in inputs]
    if missing:
        raise ValueError(f"a night needs the tables {missing}")
    for name in ("bars", "stress_bars"):
        late = inputs[name].filter(pl.col("known_at") > context.known_at)
        if late.height:
            raise ValueError(f"{late.height} {name} were known only after {context.known_at}")
    tables = dict(inputs)
    made = {name: content_sha256(inputs[name]) for name in STAMPED_INPUTS}
    stamps: tuple[PhaseStamp, ...] = ()
    causes: tuple[Cause, ...] = ()
    for step in STEPS:
        result = run_step(step, tables, stamps, context, made=made)
        tables[step.name] = result.frame
        made[step.name] = result.content_sha256
        stamps = (*stamps, result.stamp) if result.stamp else stamps
        causes = (*causes, *result.causes)
        if result.is_halting:
            return NightResult(tables=tables, stamps=stamps, causes=causes, halted_at=step.name)
    return NightResult(tables=tables, stamps=stamps, causes=causes, halted_at=None)
