import numpy as np
import polars as pl
import pytest

from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.result import AuctionResult
from instgov_dagster.capital.risk import BookProposal, BookVerdict, judge_book
from instgov_dagster.loop.decision.casework import forced_symbols
from instgov_dagster.loop.decision.gains import order_gains
from instgov_dagster.vocabulary.capital import ExecutionRegime
from instgov_dagster.vocabulary.policy.capital import RiskLimits
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.auction.settings import free_bid, many, run
from instgov_dagster_tests.capital.worlds import random_instance, small_config

pytestmark = pytest.mark.roadmap("0.5", "4.4", "5.4")
CONFIG = small_config()
MOVED = 1e-6


def keys_of(instance: AuctionInstance, code: ReasonCode) -> dict[str, str]:
    """The key of the cap of one kind that each symbol falls under, where there is one."""
    found = {}
    for group, members in zip(instance.groups, instance.membership.to_rows(), strict=True):
        if group.code is code:
            found |= {instance.symbols[n]: group.key for n in instance.symbol_of[members]}
    return found


def gains(instance: AuctionInstance, result: AuctionResult) -> np.ndarray:
    return order_gains(
        result,
        instance.symbols,
        sectors=keys_of(instance, ReasonCode.SECTOR_CAP_BINDS),
        classes=keys_of(instance, ReasonCode.CLASS_CAP_BINDS),
    )


def judge_choice(instance: AuctionInstance, result: AuctionResult) -> BookVerdict:
    before, after = result.net_held(instance.symbols), result.net(instance.symbols)
    forced = forced_symbols(result)
    n = len(instance.symbols)
    made = BookProposal(
        symbols=instance.symbols,
        before=before,
        after=np.where(np.abs(after - before) > MOVED, after, before),
        net_gain=gains(instance, result),
        correlations=np.zeros(n),
        sectors=("UNKNOWN",) * n,
        is_forced=np.array([symbol in forced for symbol in instance.symbols]),
        drawdown=0.0,
        hurdle=instance.hurdle,
        regime=ExecutionRegime.CALM,
    )
    return judge_book(made, instance.scenarios, config=CONFIG, limits=RiskLimits())


@pytest.mark.parametrize("seed", [*range(6), 7, 18, 42, 43, 46])  # the last five swap strategies
@pytest.mark.parametrize("is_holding", [False, True])
def test_the_gates_reject_nothing_that_the_auction_chose(seed: int, *, is_holding: bool) -> None:
    instance = random_instance(
        seed, n_symbols=12, n_scenarios=200, is_holding=is_holding, config=CONFIG
    )
    result = run(instance)
    verdict = judge_choice(instance, result)
    assert verdict.orders
    assert [order.symbol for order in verdict.orders if not order.passed] == []


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 400))
def test_the_gates_reject_nothing_in_hundreds_of_auctions(seed: int) -> None:
    instance = random_instance(
        seed, n_symbols=12, n_scenarios=200, is_holding=bool(seed % 2), config=CONFIG
    )
    verdict = judge_choice(instance, run(instance))
    assert [order.symbol for order in verdict.orders if not order.passed] == []


def test_capital_freed_for_a_better_name_is_worth_what_it_earns_there() -> None:
    # The strategy is full with a name of 40 bps; one of 60 bps comes. Selling costs 40 bps a
    # unit and frees capital that now earns 60, so the sale is worth 20 bps a unit.
    rows = [free_bid("S000", mu=0.004), free_bid("S001", mu=0.006)]
    held = np.array([0.04, 0.0])
    terms = {"held": held, "budget": 0.04}
    instance = many(rows, (0.001, 0.001), config=CONFIG, **terms)
    result = run(instance)
    sold = float(result.net(instance.symbols)[0] - held[0])
    assert sold < -0.01
    plain = result.net_gain(instance.symbols)
    told = gains(instance, result)
    assert plain[0] == pytest.approx(0.004 * sold, rel=1e-3)
    assert told[0] == pytest.approx(-0.002 * sold, rel=0.05)
    assert told[1] == plain[1]


def test_a_purchase_is_never_charged_nor_paid_for_the_capital_it_takes() -> None:
    instance = random_instance(1, n_symbols=12, n_scenarios=200, config=CONFIG)
    result = run(instance)
    assert any(price.price > 0.0 for price in result.prices)
    assert np.array_equal(gains(instance, result), result.net_gain(instance.symbols))
    assert result.bids.select(pl.col("held_weight").sum()).item() == 0.0
