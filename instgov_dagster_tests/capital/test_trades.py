import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.capital.trades import (
    TradeDraft,
    TradingConditions,
    draft_trades,
    round_to_lot,
    whole_holding,
)
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import ExecutionRegime
from instgov_dagster.vocabulary.policy.capital import ImpactPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

pytestmark = pytest.mark.roadmap("8.4", "TEST.8")
POLICY = ImpactPolicy()


def conditions(n: int = 1, **fields: Any) -> TradingConditions:
    defaults: dict[str, Any] = {
        "symbols": tuple(f"S{i:03d}" for i in range(n)),
        "asset_classes": (AssetClass.STOCKS,) * n,
        "mid": np.full(n, 100.0),
        "spread_bps": np.full(n, 4.0),
        "is_quoted": np.ones(n, dtype=bool),
        "adv_usd": np.full(n, 1e8),
        "traded_usd": np.zeros(n),
        "volatility_annual": np.full(n, 0.2),
        "nav_usd": 10_000_000.0,
        "regime": ExecutionRegime.CALM,
    }
    return TradingConditions(**{**defaults, **fields})


def draft(before: float, target: float, **fields: Any) -> TradeDraft:
    return draft_trades(
        conditions(**fields),
        before=np.array([before]),
        target=np.array([target]),
        policy=POLICY,
    )


def test_a_target_becomes_units_at_the_mid() -> None:
    found = draft(0.0, 0.01)
    assert found.quantity == (Decimal("1000.0000"),)
    assert found.weight_delta[0] == pytest.approx(0.01)
    assert found.share[0] == pytest.approx(1.0)
    assert found.after(np.array([0.0]))[0] == pytest.approx(0.01)


@given(st.floats(0.0, 1e6), st.sampled_from([0.0001, 1.0, 0.000001, 100.0]))
def test_rounding_is_toward_zero_and_by_less_than_a_lot(quantity: float, lot: float) -> None:
    rounded = round_to_lot(quantity, lot)
    assert rounded <= Decimal(repr(quantity)) < rounded + Decimal(repr(lot))
    assert rounded % Decimal(repr(lot)) == 0


@given(st.floats(0.0, 0.1), st.floats(0.0, 0.1), st.floats(0.01, 5000.0))
def test_a_trade_never_overshoots_its_target(before: float, target: float, mid: float) -> None:
    found = draft(before, target, mid=np.array([mid]))
    reached = float(found.after(np.array([before]))[0])
    assert min(before, target) - 1e-12 <= reached <= max(before, target) + 1e-12
    assert 0.0 <= found.share[0] <= 1.0


def test_a_change_too_small_to_be_worth_an_order_is_none() -> None:
    found = draft(0.0, 0.00001)  # 100 USD of a least order of 200
    assert found.quantity == (Decimal(0),)
    assert found.weight_delta[0] == 0.0
    assert found.reason_codes == ((ReasonCode.ORDER_BELOW_MINIMUM,),)


@pytest.mark.parametrize("asset_class", [AssetClass.STOCKS, AssetClass.FX, AssetClass.CRYPTO])
def test_dust_leaves_whole_though_it_is_less_than_a_lot_and_a_least_order(
    asset_class: AssetClass,
) -> None:
    held = Decimal("0.00001234")
    before = float(held) * 100.0 / 1e7
    found = draft(before, 0.0, asset_classes=(asset_class,))
    assert found.quantity == (held,)
    assert found.after(np.array([before]))[0] == 0.0
    assert found.reason_codes == ((),)
    assert draft(before, before / 2, asset_classes=(asset_class,)).quantity == (Decimal(0),)


def test_an_exit_that_volume_cuts_is_an_order_like_any_other() -> None:
    found = draft(0.05, 0.0, adv_usd=np.array([1000.0]))  # 100 USD of a least order of 200
    assert found.quantity == (Decimal(0),)
    assert found.reason_codes == ((ReasonCode.PARTICIPATION, ReasonCode.ORDER_BELOW_MINIMUM),)


@given(st.integers(1, 10**16), st.floats(1e-4, 1e6), st.floats(1e5, 1e10))
def test_an_exit_never_sells_more_than_is_held(units: int, mid: float, nav: float) -> None:
    held = Decimal(units).scaleb(-8)
    weight = float(held) * mid / nav
    sold = whole_holding(weight * nav / mid)
    assert sold <= held
    assert held - sold <= Decimal("0.00000002") + held * Decimal("1e-14")
    if held < 100_000:
        assert sold == held


@pytest.mark.parametrize(
    ("fields", "usd"),
    [
        ({}, 100_000.0),
        ({"traded_usd": np.array([40_000.0])}, 60_000.0),
        ({"regime": ExecutionRegime.CRISIS}, 50_000.0),
    ],
)
def test_a_trade_is_cut_to_its_share_of_daily_volume(fields: dict[str, Any], usd: float) -> None:
    found = draft(0.05, 0.0, adv_usd=np.array([1e6]), **fields)
    assert -found.weight_delta[0] * 1e7 == pytest.approx(usd)
    assert ReasonCode.PARTICIPATION in found.reason_codes[0]
    assert found.share[0] == pytest.approx(usd / 500_000.0)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"mid": np.array([math.nan])}, ReasonCode.QUOTE_INVALID),
        ({"mid": np.array([0.0])}, ReasonCode.QUOTE_INVALID),
        ({"mid": np.array([-37.63])}, ReasonCode.QUOTE_INVALID),
        ({"adv_usd": np.array([math.nan])}, ReasonCode.NO_IMPACT_ESTIMATE),
    ],
)
def test_what_cannot_be_priced_is_not_traded(fields: dict[str, Any], code: ReasonCode) -> None:
    found = draft(0.0, 0.01, **fields)
    assert found.quantity == (Decimal(0),)
    assert found.reason_codes == ((code,),)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_target_that_is_not_finite_is_not_traded(bad: float) -> None:
    found = draft(0.01, bad)
    assert found.weight_delta[0] == 0.0
    assert found.reason_codes == ((ReasonCode.RISK_NOT_FINITE,),)


def test_lots_are_those_of_the_class() -> None:
    found = draft(0.0, 0.00123, asset_classes=(AssetClass.FX,), mid=np.array([1.0837]))
    assert found.quantity[0] == Decimal("11350.0")
    assert found.quantity[0] % 1 == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"mid": np.zeros(2)}, "mid"), ({"nav_usd": math.nan}, "nav_usd"), ({"nav_usd": 0.0}, "nav")],
)
def test_conditions_that_are_impossible_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        conditions(**fields)
