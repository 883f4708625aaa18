from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from instgov_dagster.adapters.config import load_policy
from instgov_dagster.bars.calendars import expected_sessions
from instgov_dagster.governance.lifecycle import (
    fresh_state,
    lifecycle_from_frame,
    lifecycle_to_frame,
)
from instgov_dagster.governance.veto import VETO_SCHEMA
from instgov_dagster.loop.decision.book import Holding, book_to_frame, fresh_book
from instgov_dagster.loop.folding.attribution import STRATEGY_RETURNS
from instgov_dagster.loop.folding.evidence import ACCOUNT_SCHEMA
from instgov_dagster.loop.steps.capital import (
    RESULTS,
    advance_lifecycle,
    estimate_market,
    lifecycle_causes,
    roll_to_sessions,
)
from instgov_dagster.loop.steps.context import NightContext
from instgov_dagster.loop.steps.coverage import COVERAGE_SCHEMA
from instgov_dagster.loop.steps.rows import RowsByName
from instgov_dagster.loop.steps.stress import build_stress
from instgov_dagster.vocabulary.bars import AssetClass, Market, Universe
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import StrategyLifecycle, StrategyLifecycleState
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import CONFIG

POLICY = load_policy(CONFIG)
RULES = POLICY.lifecycle
SPECS = POLICY.models.strategies
FIRST = SPECS[0].strategy_id
START, ASOF = date(2022, 1, 3), date(2025, 3, 12)


def night(asof: date = ASOF) -> NightContext:
    return NightContext(
        asof=asof,
        known_at=datetime(asof.year, asof.month, asof.day, 6, tzinfo=UTC),
        market=Market.SIMULATED,
        universe=Universe(symbols=()),
        policy=POLICY,
        entitled=frozenset(),
    )


def rows_of(days: list[date], pnl: Any, *, name: str = FIRST, gross: float = 0.02) -> pl.DataFrame:
    n = len(days)
    columns = {
        "date": days,
        "strategy_id": [name] * n,
        "pnl": np.broadcast_to(np.asarray(pnl, dtype=np.float64), n),
        "gross": np.full(n, gross),
        "volatility_annual": np.full(n, 0.08),
    }
    return pl.DataFrame(columns, schema=STRATEGY_RETURNS)


def tables(
    previous: list[StrategyLifecycleState], returns: pl.DataFrame | None = None
) -> dict[str, pl.DataFrame]:
    health = [
        {"model_id": spec.model_id, "date": date(2025, 3, 11), "is_healthy": True} for spec in SPECS
    ]
    return {
        "previous_lifecycle": lifecycle_to_frame(previous),
        "strategy_returns": rows_of([], []) if returns is None else returns,
        "model_decay_metrics": pl.DataFrame(health),
        "cvar_coverage": coverage_of(),
        "previous_vetoes": pl.DataFrame(schema=VETO_SCHEMA),
        "previous_model_trials": pl.DataFrame({"trial_number": [1, 2, 3, 4]}),
        "session_accounts": pl.DataFrame(schema=ACCOUNT_SCHEMA),
    }


def coverage_of(*rows: tuple[str, float, int]) -> pl.DataFrame:
    """E-values by strategy: name, value, outcomes."""
    return pl.DataFrame(
        [{"scope": s, "test": "e_process", "value": v, "outcomes": n} for s, v, n in rows],
        schema=COVERAGE_SCHEMA,
    )


def advance(
    previous: list[StrategyLifecycleState], returns: pl.DataFrame | None = None
) -> Mapping[str, StrategyLifecycleState]:
    frame = advance_lifecycle(tables(previous, returns), night())
    return {state.strategy_id: state for state in lifecycle_from_frame(frame)}


def winner(stage: StrategyLifecycle, name: str = FIRST) -> StrategyLifecycleState:
    cap = RULES.stage_caps.of(stage)
    return replace(fresh_state(name, START, RULES), stage=stage, max_capital_pct=cap)


def sessions_before(asof: date) -> list[date]:
    return [day.item() for day in expected_sessions(AssetClass.STOCKS, START, asof)]


def rolled(rows: pl.DataFrame, sessions: Any, *, since: date = START) -> dict[str, list[float]]:
    own = RowsByName(rows, "strategy_id", RESULTS).of(FIRST, since=since)
    return {name: column.tolist() for name, column in roll_to_sessions(own, sessions).items()}


def test_a_strategy_s_rows_are_its_own_from_a_day_on_and_in_their_order() -> None:
    days = [date(2025, 3, 5), date(2025, 3, 3), date(2025, 3, 4)]
    other = rows_of(days[:1], 0.009, name="another")
    rows = pl.concat([rows_of(days, [0.003, 0.001, 0.002]), other])
    held = RowsByName(rows, "strategy_id", ("pnl",))
    assert held.of(FIRST)["pnl"].tolist() == [0.003, 0.001, 0.002]
    assert held.of(FIRST, since=days[2])["pnl"].tolist() == [0.003, 0.002]
    assert held.of("another")["date"].tolist() == days[:1]
    assert held.of("nobody")["pnl"].tolist() == []


def test_a_day_that_is_no_session_counts_in_the_next_one() -> None:
    friday = date(2025, 3, 7)
    days = [friday + timedelta(days=n) for n in range(4)]  # Friday to Monday
    rows = rows_of(days, [0.001, 0.002, -0.005, 0.0005]).with_columns(
        gross=pl.Series([0.01, 0.04, 0.02, 0.01]), volatility_annual=pl.Series([0.1, 0.5, 0.4, 0.2])
    )
    sessions = expected_sessions(AssetClass.STOCKS, friday, date(2025, 3, 11))
    assert sessions.tolist() == [friday, date(2025, 3, 10)]
    found = rolled(rows, sessions)
    assert found["pnl"] == pytest.approx([0.001, -0.0025])
    assert found["gross"] == [0.01, 0.04]
    assert found["volatility_annual"] == [0.1, 0.2]


def test_days_after_the_last_session_wait_for_the_next_one() -> None:
    friday = date(2025, 3, 7)
    rows = rows_of([friday, date(2025, 3, 8), date(2025, 3, 9)], [0.001, -0.002, -0.003])
    until_sunday = expected_sessions(AssetClass.STOCKS, friday, date(2025, 3, 10))
    until_monday = expected_sessions(AssetClass.STOCKS, friday, date(2025, 3, 11))
    assert rolled(rows, until_sunday)["pnl"] == [0.001]
    assert rolled(rows, until_monday)["pnl"] == pytest.approx([0.001, -0.005])


def test_a_session_without_trading_deployed_nothing() -> None:
    sessions = expected_sessions(AssetClass.STOCKS, date(2025, 3, 3), date(2025, 3, 8))
    assert rolled(rows_of([], []), sessions) == {name: [0.0] * 5 for name in RESULTS}
    assert rolled(rows_of([], []), sessions[:0]) == {name: [] for name in RESULTS}


def test_a_loss_of_a_weekend_reaches_the_drawdown_of_the_strategy() -> None:
    saturday = date(2025, 3, 8)
    found = advance([winner(StrategyLifecycle.INCUBATING)], rows_of([saturday], -0.002))[FIRST]
    assert found.max_drawdown == pytest.approx(0.1)
    assert found.deployed_sessions == 1


def steady_gains() -> pl.DataFrame:
    """Gains that pass every measured rule of both promotions."""
    days = sessions_before(ASOF)
    noise = np.random.default_rng(3).normal(4e-5, 4e-5, len(days))
    return rows_of(days, noise)


@pytest.mark.roadmap("10.3")
@pytest.mark.parametrize("stage", [StrategyLifecycle.INCUBATING, StrategyLifecycle.SCALING])
def test_what_nobody_measures_promotes_no_strategy_and_ends_none(stage: StrategyLifecycle) -> None:
    found = advance([winner(stage)], steady_gains())[FIRST]
    assert found.looked_at_session == found.sessions > RULES.look_sessions
    assert found.psr is not None
    assert found.psr >= RULES.promotion.harvesting_psr
    assert found.stage is stage
    assert found.error_rate == 1.0


def test_a_signal_is_as_old_as_the_close_it_was_made_from() -> None:
    # New York closed on 11 March 2025 at 20:00 UTC; the night stands at 06:00 UTC of the 12th.
    assert advance([])[FIRST].signal_stale_hours == pytest.approx(10.0)


def test_a_model_without_a_forecast_proves_nothing_tonight() -> None:
    given = tables([winner(StrategyLifecycle.INCUBATING)], steady_gains())
    empty = given["model_decay_metrics"].filter(pl.col("model_id") != SPECS[0].model_id)
    frame = advance_lifecycle({**given, "model_decay_metrics": empty}, night())
    row = frame.row(by_predicate=pl.col("strategy_id") == FIRST, named=True)
    assert ReasonCode.RISK_NOT_FINITE in row["reason_codes"]
    assert row["capital_decay"] < 1.0


def test_a_strategy_that_left_the_configuration_keeps_its_row_and_its_end() -> None:
    gone = winner(StrategyLifecycle.DECOMMISSIONED, "gone")
    idle = winner(StrategyLifecycle.SCALING, "idle")
    found = advance([gone, idle])
    assert sorted(found) == sorted({"gone", "idle", *(spec.strategy_id for spec in SPECS)})
    assert found["gone"].stage is StrategyLifecycle.DECOMMISSIONED
    assert found["gone"].capital_pct == 0.0
    assert found["idle"].stage is StrategyLifecycle.SCALING
    assert found["idle"].capital_decay < 1.0


def test_strategies_that_left_do_not_dilute_a_mass_drawdown() -> None:
    # Three of the six configured fell 30 % yesterday: half of them, whatever is no longer run.
    left = [winner(StrategyLifecycle.INCUBATING, f"left{n}") for n in range(3)]
    active = [winner(StrategyLifecycle.INCUBATING, spec.strategy_id) for spec in SPECS]
    assert len(active) == 6
    fallen = [replace(state, sessions=len(sessions_before(ASOF)) - 1) for state in active]
    one = rows_of([sessions_before(ASOF)[-1]], -0.006)
    half = [one.with_columns(strategy_id=pl.lit(spec.strategy_id)) for spec in SPECS[:3]]
    frame = advance_lifecycle(tables([*left, *fallen], pl.concat(half)), night())
    (cause,) = lifecycle_causes(frame)
    assert cause.reason_code is ReasonCode.MASS_DRAWDOWN_REVIEW
    assert FIRST in cause.detail


@pytest.mark.parametrize("step", [build_stress, estimate_market])
@pytest.mark.parametrize("held", ["GONE", "^VIX"])
def test_a_holding_outside_the_universe_stops_the_system_by_name(
    step: Callable[[Mapping[str, pl.DataFrame], NightContext], pl.DataFrame], held: str
) -> None:
    holding = Holding(strategy_id=FIRST, symbol=held, quantity=Decimal(3))
    governed = pl.DataFrame(
        {
            "symbol": ["SPY", "^VIX"],
            "asset_class": ["STOCKS", None],
            "is_reference": [False, True],
            "is_eligible": [True, False],
        }
    )
    given = {
        "portfolio": book_to_frame(replace(fresh_book(1e6), holdings=(holding,))),
        "data_governance": governed,
        "price_history": pl.DataFrame(schema={"symbol": pl.String}),
    }
    with pytest.raises(SystemHalt, match="held, not in the universe") as halt:
        step(given, night())
    assert halt.value.reason_code is ReasonCode.RECONCILIATION_UNRESOLVED
    assert held in halt.value.detail
