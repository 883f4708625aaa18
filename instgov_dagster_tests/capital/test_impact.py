import math
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.capital.impact import (
    MARKET_IMPACT_SCHEMA,
    annual_volatility,
    estimate_impact,
    estimate_market_impact,
    impact_coefficients,
    remaining_depletion,
)
from instgov_dagster.vocabulary.capital import ExecutionImpactEstimate, ExecutionRegime
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.capital import ImpactPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

pytestmark = pytest.mark.roadmap("8.3", "TEST.8")
POLICY = ImpactPolicy()


def estimate(**fields: Any) -> ExecutionImpactEstimate:
    values: dict[str, Any] = {
        "size_usd": 100_000.0,
        "adv_usd": 10_000_000.0,
        "volatility_annual": 0.2,
        "spread_bps": 4.0,
        "is_spread_quoted": True,
        "regime": ExecutionRegime.CALM,
        "depletion": 0.0,
        "policy": POLICY,
    }
    return estimate_impact(**{**values, **fields})


def history(n: int, *, asset_class: str = "STOCKS", symbol: str = "SPY") -> pl.DataFrame:
    """A price that moves up and down by one percent in turn, with a range of two percent."""
    price = 100.0 * 1.01 ** (np.arange(n) % 2)
    return pl.DataFrame(
        {
            "symbol": [symbol] * n,
            "date": [date(2023, 1, 2) + timedelta(days=i) for i in range(n)],
            "high": price * 1.01,
            "low": price * 0.99,
            "close": price,
            "price": price,
            "asset_class": [asset_class] * n,
        }
    )


def test_the_roadmaps_formula_by_hand() -> None:
    found = estimate()
    # 0.2 * sqrt(0.01) * 0.1 * 10000 = 20; half of it; half of the spread.
    assert found.temporary_impact_bps == pytest.approx(20.0)
    assert found.permanent_impact_bps == pytest.approx(10.0)
    assert found.spread_cost_bps == pytest.approx(2.0)
    assert found.total_cost_bps == pytest.approx(32.0)
    assert found.liquidity_decay_rate == pytest.approx(math.log(2.0))
    assert found.reason_codes == (ReasonCode.IMPACT_ESTIMATED,)


@pytest.mark.roadmap("8.5")
@given(st.floats(1.0, 900_000.0), st.floats(1.01, 10.0))
def test_larger_orders_cost_more_a_dollar(size: float, factor: float) -> None:
    larger = min(size * factor, 1_000_000.0)
    assert estimate(size_usd=larger).total_cost_bps >= estimate(size_usd=size).total_cost_bps
    assert estimate(size_usd=larger).confidence <= estimate(size_usd=size).confidence


@pytest.mark.roadmap("8.5")
@given(
    size=st.floats(1.0, 1_000_000.0),
    volatility=st.floats(1e-4, 5.0),
    spread=st.floats(0.0, 500.0),
    depletion=st.floats(0.0, 20.0),
    more=st.floats(1.0, 3.0),
    regime=st.sampled_from(list(ExecutionRegime)),
)
def test_costs_are_never_negative_and_rise_with_volatility_spread_and_depletion(
    size: float,
    volatility: float,
    spread: float,
    depletion: float,
    more: float,
    regime: ExecutionRegime,
) -> None:
    fields: dict[str, Any] = {
        "size_usd": size,
        "volatility_annual": volatility,
        "spread_bps": spread,
        "depletion": depletion,
        "regime": regime,
    }
    found = estimate(**fields)
    parts = (found.temporary_impact_bps, found.permanent_impact_bps, found.spread_cost_bps)
    assert min(parts) >= 0.0
    assert found.total_cost_bps == sum(parts)
    for name in ("volatility_annual", "spread_bps", "depletion"):
        dearer = estimate(**{**fields, name: fields[name] * more})
        assert dearer.total_cost_bps >= found.total_cost_bps


@pytest.mark.roadmap("8.5")
def test_the_market_recovers_half_in_an_hour_and_never_grows_worse_by_waiting() -> None:
    assert remaining_depletion(2.0, elapsed_hours=0.0, policy=POLICY) == 2.0
    assert remaining_depletion(2.0, elapsed_hours=1.0, policy=POLICY) == pytest.approx(1.0)
    assert remaining_depletion(2.0, elapsed_hours=3.0, policy=POLICY) == pytest.approx(0.25)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_a_depletion_or_a_wait_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="depletion"):
        estimate(depletion=bad)
    with pytest.raises(ValueError, match="elapsed_hours"):
        remaining_depletion(1.0, elapsed_hours=bad, policy=POLICY)


@pytest.mark.roadmap("8.4", "8.5")
def test_a_later_slice_and_a_worse_regime_cost_more() -> None:
    assert estimate(depletion=3.0).total_cost_bps == pytest.approx(32.0 * 1.3)
    assert estimate(regime=ExecutionRegime.VOLATILE).total_cost_bps == pytest.approx(48.0)
    assert estimate(regime=ExecutionRegime.CRISIS).total_cost_bps == pytest.approx(96.0)


@pytest.mark.roadmap("0.9")
@pytest.mark.parametrize("field", ["size_usd", "adv_usd", "volatility_annual"])
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_without_volume_volatility_or_size_there_is_no_estimate(field: str, bad: float) -> None:
    with pytest.raises(DataRejected) as refused:
        estimate(**{field: bad})
    assert refused.value.reason_code is ReasonCode.NO_IMPACT_ESTIMATE


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_without_a_spread_there_is_no_estimate(bad: float) -> None:
    with pytest.raises(DataRejected) as refused:
        estimate(spread_bps=bad)
    assert refused.value.reason_code is ReasonCode.NO_IMPACT_ESTIMATE


def test_more_than_a_tenth_of_daily_volume_is_refused() -> None:
    assert estimate(size_usd=1_000_000.0).temporary_impact_bps > 0.0
    with pytest.raises(DataRejected) as refused:
        estimate(size_usd=1_000_001.0)
    assert refused.value.reason_code is ReasonCode.PARTICIPATION


def test_a_modelled_spread_is_trusted_less_than_a_quoted_one() -> None:
    assert estimate(is_spread_quoted=False).confidence < estimate().confidence < 1.0


def test_the_coefficient_is_the_estimates_temporary_and_permanent_part() -> None:
    nav = 10_000_000.0
    found = impact_coefficients(
        np.array([1e7, 0.0, np.nan, 1e7]),
        np.array([0.2, 0.2, 0.2, np.nan]),
        nav_usd=nav,
        policy=POLICY,
    )
    order = estimate()  # 1 % of net asset value
    in_bps = found[0] * math.sqrt(0.01) * 1e4
    assert in_bps == pytest.approx(order.temporary_impact_bps + order.permanent_impact_bps)
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize(("kind", "sessions"), [("STOCKS", 252), ("CRYPTO", 365), ("FX", 260)])
def test_volatility_is_annualised_by_the_sessions_of_the_class(kind: str, sessions: int) -> None:
    frame = annual_volatility(history(100, asset_class=kind), policy=POLICY)
    changes = np.array([0.01, 1 / 1.01 - 1.0] * 50)[: 63 + 36][-63:]
    wanted = changes.std(ddof=1) * math.sqrt(sessions)
    assert frame["volatility_annual"][0] == pytest.approx(wanted, rel=1e-3)


def test_too_short_a_history_has_no_volatility_and_a_reference_is_left_out() -> None:
    frame = annual_volatility(
        pl.concat([history(60), history(100, symbol="^VIX", asset_class="REFERENCE")]),
        policy=POLICY,
    )
    assert frame["symbol"].to_list() == ["SPY"]
    assert frame["volatility_annual"].to_list() == [None]


def table(adv: float | None) -> pl.DataFrame:
    frame = pl.concat([history(100), history(100, symbol="^VIX", asset_class="REFERENCE")])
    return estimate_market_impact(
        frame,
        adv=pl.DataFrame(
            {"symbol": ["SPY"], "adv_usd": [adv]}, schema_overrides={"adv_usd": pl.Float64}
        ),
        last_prices=pl.DataFrame(
            {"symbol": ["SPY"], "last_close": [101.0], "last_session": [date(2023, 4, 11)]}
        ),
        nav_usd=10_000_000.0,
        reference_size=0.01,
        policy=POLICY,
    )


def test_the_nightly_table_has_one_row_a_tradable_symbol() -> None:
    found = table(1e8)
    assert found.schema == MARKET_IMPACT_SCHEMA
    assert found["symbol"].to_list() == ["SPY"]
    row = found.row(0, named=True)
    wanted = 1.5 * 0.1 * row["volatility_annual"] * math.sqrt(1e5 / 1e8) * 1e4
    assert row["market_impact_bps"] == pytest.approx(wanted)
    assert row["spread_bps"] >= 2.0
    assert row["reason_codes"] == ["IMPACT_ESTIMATED"]


@pytest.mark.roadmap("0.9")
@pytest.mark.parametrize("adv", [None, 0.0, float("nan")])
def test_a_symbol_without_volume_has_no_impact_and_says_so(adv: float | None) -> None:
    row = table(adv).row(0, named=True)
    assert row["market_impact_bps"] is None
    assert row["reason_codes"] == ["NO_IMPACT_ESTIMATE"]
