import numpy as np
import pytest

from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import StrategyGrant
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.auction.settings import free_bid, many, one, run

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")


def grant(cap: float, decay: float = 1.0, name: str = "momentum") -> StrategyGrant:
    return StrategyGrant(strategy_id=name, stage_cap=cap, capital_decay=decay)


def test_a_name_may_hold_five_percent_and_the_cap_has_a_price() -> None:
    result = run(one(0.1))
    # 40 bps less 0.02 * 0.1 of hurdle leaves 20 bps a unit, bought up to the name cap.
    assert result.weights.tolist() == [0.05]
    assert result.certificate is not None
    assert result.certificate.objective == pytest.approx(0.05 * 0.002, abs=1e-12)
    assert [(p.code, p.key) for p in result.prices] == [(ReasonCode.NAME_CAP_BINDS, "S000")]
    assert result.prices[0].price == pytest.approx(0.002, abs=1e-9)
    assert result.outputs[0].reason_codes == (ReasonCode.ALLOCATED, ReasonCode.NAME_CAP_BINDS)


@pytest.mark.roadmap("10.5")
@pytest.mark.parametrize(("stage_cap", "held"), [(0.02, 0.019), (0.05, 0.0475), (0.0, 0.0)])
def test_a_strategy_grows_to_95_percent_of_its_stage_cap(stage_cap: float, held: float) -> None:
    result = run(one(0.1, grants=(grant(stage_cap),)))
    assert result.weights[0] == pytest.approx(held, abs=1e-12)


@pytest.mark.roadmap("0.8", "10.4")
def test_capital_decays_when_nothing_is_proved() -> None:
    held = np.array([0.019])
    fresh = run(one(0.1, grants=(grant(0.02),), held=held))
    later = run(one(0.1, grants=(grant(0.02, 0.5),), held=held))
    assert fresh.weights.tolist() == [0.019]
    assert later.weights[0] == pytest.approx(0.01)
    assert ReasonCode.FORCED_SELL in later.outputs[0].reason_codes


@pytest.mark.parametrize(
    ("held", "kept"), [(0.0190, 0.0190), (0.0195, 0.0195), (0.0200, 0.0200), (0.0230, 0.0200)]
)
def test_a_holding_is_sold_by_force_only_above_its_full_cap(held: float, kept: float) -> None:
    result = run(one(0.1, grants=(grant(0.02),), held=np.array([held])))
    assert result.weights[0] == pytest.approx(kept, abs=1e-12)


@pytest.mark.roadmap("7.5")
def test_a_crisis_budget_reduces_every_allocation() -> None:
    calm = run(one(0.1))
    crisis = run(one(0.1, budget=0.01))
    closed = run(one(0.1, budget=0.0, held=np.array([0.03])))
    assert calm.weights[0] == 0.05
    assert crisis.weights[0] == pytest.approx(0.01)
    assert ReasonCode.BUDGET_BINDS in crisis.outputs[0].reason_codes
    assert closed.weights[0] == 0.0


def test_a_sector_is_capped_and_an_unknown_one_is_not() -> None:
    rows = [free_bid(f"S{i:03d}", f"s{i}") for i in range(6)]
    losses = (0.1,) * 6
    grants = tuple(grant(0.10, name=f"s{i}") for i in range(6))
    tech = {f"S{i:03d}": "TECH" for i in range(6)}
    capped = run(many(rows, losses, sectors=tech, grants=grants))
    free = run(many(rows, losses, grants=grants))
    assert capped.weights.sum() == pytest.approx(0.204, abs=1e-6)  # the CVaR limit is tighter
    tight = run(many(rows, (0.02,) * 6, sectors=tech, grants=grants))
    assert tight.weights.sum() == pytest.approx(0.25, abs=1e-6)
    assert run(many(rows, (0.02,) * 6, grants=grants)).weights.sum() == pytest.approx(0.3)
    assert free.weights.sum() == pytest.approx(0.204, abs=1e-6)


def test_crypto_holds_at_most_ten_percent() -> None:
    rows = [free_bid(f"S{i:03d}", f"s{i}", asset_class=AssetClass.CRYPTO) for i in range(4)]
    grants = tuple(grant(0.10, name=f"s{i}") for i in range(4))
    result = run(many(rows, (0.02,) * 4, grants=grants))
    assert result.weights.sum() == pytest.approx(0.10, abs=1e-6)
    assert result.prices[0].code is ReasonCode.CLASS_CAP_BINDS


def test_a_bid_is_capped_where_its_own_cvar_reaches_the_marginal_limit() -> None:
    result = run(one(0.5, fields={"mu": 0.02}))
    assert result.weights[0] == pytest.approx(0.01 / 0.5)
    assert ReasonCode.MARGINAL_CAP_BINDS in result.outputs[0].reason_codes


def test_two_bids_on_one_symbol_share_its_caps() -> None:
    rows = [free_bid("S000", "a"), free_bid("S000", "b")]
    grants = (grant(0.10, name="a"), grant(0.10, name="b"))
    result = run(many(rows, (0.1,), grants=grants))
    assert result.weights.sum() == pytest.approx(0.05, abs=1e-6)
    heavy = [free_bid("S000", "a", mu=0.02), free_bid("S000", "b", mu=0.02)]
    crowded = run(many(heavy, (0.5,), grants=grants))
    assert crowded.weights.sum() == pytest.approx(0.02, abs=1e-6)


def test_a_purchase_takes_at_most_a_tenth_of_daily_volume() -> None:
    instance = one(0.1, fields={"adv_usd": 1_000_000.0})
    result = run(instance)
    assert result.weights[0] == pytest.approx(0.01)  # 10 % of 1 m USD on 10 m USD
    assert ReasonCode.PARTICIPATION_CAP_BINDS in result.outputs[0].reason_codes
    used = run(one(0.1, fields={"adv_usd": 1_000_000.0}, traded_usd={"S000": 60_000.0}))
    assert used.weights[0] == pytest.approx(0.004)


def test_a_sale_forced_by_a_cap_is_never_infeasible_for_want_of_volume() -> None:
    result = run(one(0.1, fields={"adv_usd": 0.0}, held=np.array([0.09])))
    assert result.status == "OPTIMAL"
    assert result.weights[0] == pytest.approx(0.05)


def test_a_sale_that_nothing_forces_stays_within_volume() -> None:
    wanted_out = {"adv_usd": 1_000_000.0, "mu": 0.0}
    result = run(one(0.1, fields=wanted_out, held=np.array([0.04])))
    assert result.weights[0] == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("terms", "weight"),
    [
        ({"blocks": ((ReasonCode.INVALID_DATA,),)}, 0.0),
        ({"blocks": ((ReasonCode.VETO_CVAR,),)}, 0.0),
        ({"freezes": ((ReasonCode.STATE_REDUCE_ONLY,),)}, 0.02),
    ],
)
def test_blocked_bids_hold_nothing_and_frozen_ones_do_not_grow(
    terms: dict[str, object], weight: float
) -> None:
    result = run(one(0.1, held=np.array([0.02]), **terms))
    assert result.weights[0] == pytest.approx(weight)
    assert next(iter(terms.values()))[0][0] in result.outputs[0].reason_codes  # type: ignore[index]


def test_a_vetoed_bid_says_so_and_why() -> None:
    result = run(one(0.1, blocks=((ReasonCode.INVALID_DATA, ReasonCode.VETO_CVAR),)))
    assert result.outputs[0].vetoed
    assert result.outputs[0].veto_reason is ReasonCode.VETO_CVAR
    assert result.outputs[0].decision == "VETOED"


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"grants": ()}, "grant"),
        ({"sectors": {}}, "sector"),
        ({"budget": 1.5}, "budget"),
        ({"budget": float("nan")}, "budget"),
        ({"nav_usd": 0.0}, "nav_usd"),
        ({"held": np.zeros(2)}, "one row a bid"),
    ],
)
def test_terms_that_are_missing_or_impossible_are_refused(
    terms: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        one(0.1, **terms)


def test_dust_left_by_rounding_counts_as_nothing_held() -> None:
    assert one(0.1, held=np.array([-1e-12])).held.tolist() == [0.0]


@pytest.mark.parametrize("held", [0.0, 0.02, 0.05, 0.07])
@pytest.mark.parametrize("value", [0.0, 0.0015, 0.004, 0.02])
def test_the_cap_keeps_its_price_whatever_was_asked_before(held: float, value: float) -> None:
    solver = HotSolver()
    fields = {"mu": value}
    for before in (one(0.1, held=np.array([held]), fields=fields), one(0.1), one(0.1)):
        result = run(before, solver=solver)
    assert [(p.code, p.key) for p in result.prices] == [(ReasonCode.NAME_CAP_BINDS, "S000")]
    assert result.prices[0].price == pytest.approx(0.002, abs=1e-9)
