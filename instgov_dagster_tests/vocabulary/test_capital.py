import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.vocabulary.capital import (
    AuctionDecision,
    CapitalAuctionInput,
    CapitalAuctionOutput,
    ExecutionImpactEstimate,
    ExecutionRegime,
    GateResult,
    StrategyGrant,
)
from instgov_dagster.vocabulary.policy.capital import (
    AuctionPolicy,
    CVaRConfig,
    ImpactPolicy,
    RegimeTable,
    RiskLimits,
)
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.worlds import bid

NUMBERS = [f.name for f in dataclasses.fields(CapitalAuctionInput) if "bounds" in f.metadata]


def output(**fields: Any) -> CapitalAuctionOutput:
    values: dict[str, Any] = {
        "symbol": "SPY",
        "allocated": True,
        "weight": 0.01,
        "rank": 1,
        "decision": AuctionDecision.GRANT,
        "reason_codes": (ReasonCode.ALLOCATED,),
        "mu_contribution": 0.0001,
        "cvar_contribution": 0.0005,
        "liquidity_cost": 0.000001,
        "correlation_penalty": 0.0,
        "data_quality_penalty": 0.0,
        "model_decay_penalty": 0.0,
        "vetoed": False,
        "veto_reason": None,
        "strategy_id": "momentum",
        "provider_penalty": 0.0,
        "time_decay_penalty": 0.0,
        "priced_out_bps": 0.0,
    }
    return CapitalAuctionOutput(**{**values, **fields})


@pytest.mark.roadmap("4.1")
def test_a_bid_has_every_field_the_roadmap_names_in_its_order() -> None:
    assert [f.name for f in dataclasses.fields(CapitalAuctionInput)] == [
        "symbol",
        "asset_class",
        "mu",
        "sigma",
        "cvar_95",
        "marginal_cvar",
        "p_loss",
        "data_quality_score",
        "history_days",
        "provider_confidence",
        "adv_usd",
        "liquidity_cost_bps",
        "market_impact_bps",
        "correlation_risk",
        "sector_exposure",
        "holding_period_days",
        "time_decay_rate",
        "model_age_days",
        "rolling_forecast_error",
        "autocorr_flip_detected",
        "strategy_id",
        "strategy_lifecycle_stage",
        "strategy_allocation_pct",
    ]


@pytest.mark.roadmap("4.2")
def test_an_output_has_every_field_the_roadmap_names() -> None:
    named = [
        "symbol",
        "allocated",
        "weight",
        "rank",
        "decision",
        "reason_codes",
        "mu_contribution",
        "cvar_contribution",
        "liquidity_cost",
        "correlation_penalty",
        "data_quality_penalty",
        "model_decay_penalty",
        "vetoed",
        "veto_reason",
    ]
    assert [f.name for f in dataclasses.fields(CapitalAuctionOutput)][:14] == named


@pytest.mark.roadmap("8.2")
def test_an_impact_estimate_has_exactly_the_fields_the_roadmap_names() -> None:
    assert [f.name for f in dataclasses.fields(ExecutionImpactEstimate)] == [
        "temporary_impact_bps",
        "permanent_impact_bps",
        "spread_cost_bps",
        "total_cost_bps",
        "liquidity_decay_rate",
        "regime",
        "confidence",
        "reason_codes",
    ]


@pytest.mark.roadmap("8.1")
def test_the_execution_regimes_are_calm_volatile_and_crisis() -> None:
    assert [regime.value for regime in ExecutionRegime] == ["CALM", "VOLATILE", "CRISIS"]


@pytest.mark.roadmap("5.1")
def test_the_cvar_config_has_the_roadmaps_defaults() -> None:
    config = CVaRConfig()
    assert (config.confidence_level, config.portfolio_limit, config.marginal_limit) == (
        0.95,
        0.06,
        0.01,
    )
    assert config.scale_on_breach is True
    assert config.min_scale_factor == 0.0
    assert config.horizon_days == 5


@pytest.mark.roadmap("4.1", "TEST.4")
@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_bid_with_a_number_that_is_not_finite_cannot_exist(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        bid(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("symbol", ""),
        ("asset_class", "STOCKS"),
        ("mu", 1.5),
        ("sigma", 0.0),
        ("p_loss", 1.01),
        ("data_quality_score", -0.01),
        ("history_days", -1),
        ("history_days", 12.5),
        ("adv_usd", -1.0),
        ("liquidity_cost_bps", -0.1),
        ("correlation_risk", 1.1),
        ("holding_period_days", 0),
        ("autocorr_flip_detected", 1),
        ("strategy_id", ""),
        ("strategy_lifecycle_stage", "INCUBATING"),
        ("mu", True),
        ("mu", "0.01"),
        ("mu", None),
    ],
)
def test_a_bid_with_an_impossible_value_cannot_exist(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        bid(**{field: value})


def test_a_bid_is_frozen_and_has_no_room_for_more() -> None:
    row = bid()
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.mu = 1.0  # type: ignore[misc]
    assert not hasattr(row, "__dict__")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reason_codes": ()}, "reason_codes"),
        ({"vetoed": True}, "veto_reason"),
        ({"veto_reason": ReasonCode.VETO_CVAR}, "veto_reason"),
        ({"allocated": False}, "allocated"),
        ({"weight": 0.0}, "allocated"),
        ({"weight": math.nan}, "weight"),
        ({"weight": -0.01}, "weight"),
        ({"rank": 0}, "rank"),
        ({"mu_contribution": math.inf}, "mu_contribution"),
    ],
)
def test_an_output_that_contradicts_itself_cannot_exist(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        output(**fields)


def test_a_gate_cannot_pass_on_a_value_it_could_not_see() -> None:
    with pytest.raises(ValueError, match="not finite"):
        GateResult(
            name="cvar",
            passed=True,
            value=None,
            limit=0.06,
            headroom=None,
            reason_codes=(ReasonCode.CVAR_WITHIN_LIMITS,),
        )


def test_a_gate_without_a_reason_cannot_exist() -> None:
    with pytest.raises(ValueError, match="reason"):
        GateResult(
            name="cvar", passed=False, value=0.1, limit=0.06, headroom=-0.04, reason_codes=()
        )


@pytest.mark.roadmap("10.5", "0.8")
def test_a_grant_is_the_stage_cap_times_what_decay_left_of_it() -> None:
    grant = StrategyGrant(strategy_id="momentum", stage_cap=0.02, capital_decay=0.5)
    assert grant.cap == 0.01


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_no_policy_number_is_ever_outside_its_bounds(value: float) -> None:
    for kind, field in (
        (CVaRConfig, "portfolio_limit"),
        (AuctionPolicy, "name_cap"),
        (RiskLimits, "drawdown"),
        (ImpactPolicy, "max_participation"),
    ):
        try:
            made = kind(**{field: value})
        except ValueError:
            continue
        assert 0.0 <= getattr(made, field) <= 1.0


def test_a_regime_table_gives_the_number_of_each_regime() -> None:
    table = RegimeTable(calm=1.0, volatile=2.0, crisis=3.0)
    assert [table.of(regime) for regime in ExecutionRegime] == [1.0, 2.0, 3.0]
