"""Whatever is broken, no exposure grows: the ladder's step and the reason are recorded."""

import dataclasses
import math

import numpy as np
import pytest

from instgov_dagster.capital.auction.bids import BidTable
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.result import AuctionResult
from instgov_dagster.vocabulary.capital import AuctionStatus
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.policy.capital import AuctionPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.auction.properties.oddities import with_returns, with_values
from instgov_dagster_tests.capital.auction.settings import crashes, free_bid, many, one, run
from instgov_dagster_tests.capital.worlds import bid, random_instance, returns_of, small_config

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")

HELD = np.array([0.02])


def refused(instance: AuctionInstance, code: ReasonCode) -> None:
    """Assert that an auction moved nothing and says why, to every bid."""
    result = run(instance)
    assert result.status is AuctionStatus.NO_TRADE
    assert result.certificate is None
    assert code in result.reason_codes
    assert result.weights.tolist() == instance.held.tolist()
    assert all(code in codes for codes in result.bids["reason_codes"].to_list())


def grown(result: AuctionResult) -> float:
    return float((result.weights - result.held).max())


@pytest.mark.parametrize(
    "field",
    [
        "values",
        "caps",
        "group_caps",
        "half_spread",
        "impact",
        "traded",
        "buy_limits",
        "sell_limits",
    ],
)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_moves_nothing(field: str, bad: float) -> None:
    instance = one(0.1, held=HELD)
    array = getattr(instance, field).copy()
    array[-1] = bad
    refused(dataclasses.replace(instance, **{field: array}), ReasonCode.BID_NOT_FINITE)


@pytest.mark.parametrize("field", ["half_spread", "impact", "traded", "buy_limits", "sell_limits"])
def test_a_cost_or_a_volume_below_zero_moves_nothing(field: str) -> None:
    instance = one(0.1, held=HELD)
    array = getattr(instance, field).copy()
    array[0] = -1e-6
    refused(dataclasses.replace(instance, **{field: array}), ReasonCode.BID_NOT_FINITE)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("measure", [0, 1])
def test_a_scenario_that_is_no_number_moves_nothing(measure: int, bad: float) -> None:
    matrices = [crashes(0.1), crashes(0.2)]
    matrices[measure][50, 0] = bad
    refused(with_returns(one(0.1, held=HELD), *matrices), ReasonCode.RISK_NOT_FINITE)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_limit_that_is_no_number_moves_nothing(bad: float) -> None:
    instance = dataclasses.replace(one(0.1, held=HELD), measure_limits=(0.05, bad))
    refused(instance, ReasonCode.RISK_NOT_FINITE)


@pytest.mark.parametrize("hurdle", [math.nan, math.inf, -0.01])
def test_an_impossible_hurdle_is_no_auction(hurdle: float) -> None:
    with pytest.raises(ValueError, match="hurdle"):
        dataclasses.replace(one(0.1), hurdle=hurdle)


@pytest.mark.parametrize(
    "changes",
    [
        {"caps": np.array([-1e-6])},
        {"measure_limits": (0.05, -1e-6)},
        {"measure_limits": (-0.05, 0.05)},
    ],
)
def test_a_cap_or_limit_below_zero_halts(changes: dict[str, object]) -> None:
    with pytest.raises(SystemHalt) as halted:
        run(dataclasses.replace(one(0.1, held=HELD), **changes))  # type: ignore[arg-type]
    assert halted.value.reason_code is ReasonCode.AUCTION_INFEASIBLE


def test_a_group_cap_below_zero_halts() -> None:
    instance = one(0.1)
    caps = instance.group_caps.copy()
    caps[0] = -0.5
    with pytest.raises(SystemHalt, match="AUCTION_INFEASIBLE"):
        run(dataclasses.replace(instance, group_caps=caps))


def test_a_bid_made_twice_is_no_table() -> None:
    with pytest.raises(ValueError, match="once"):
        BidTable.from_rows([bid(), bid()])


def test_symbols_that_never_move_or_move_as_one_are_no_trouble() -> None:
    base = random_instance(1, n_symbols=4, n_scenarios=100, config=small_config())
    returns = returns_of(100, 4, 1)
    returns[:, 0] = 0.0
    returns[:, 2] = returns[:, 1]
    result = run(with_returns(base, returns))
    assert result.status is AuctionStatus.OPTIMAL
    assert result.weights.max() <= base.policy.name_cap


def test_when_every_bid_expects_a_loss_nothing_is_bought() -> None:
    base = random_instance(2, n_symbols=6, n_scenarios=80, is_holding=True, config=small_config())
    result = run(with_values(base, np.full(len(base.bid_ids), -0.01)))
    assert result.status is AuctionStatus.OPTIMAL
    assert base.net(result.weights - result.held).max() <= 0.0


def test_an_empty_book_and_no_value_clear_to_cash() -> None:
    base = random_instance(3, n_symbols=6, n_scenarios=80, config=small_config())
    result = run(with_values(base, np.zeros(len(base.bid_ids))))
    assert result.status is AuctionStatus.OPTIMAL
    assert not result.weights.any()
    assert ReasonCode.AUCTION_CLEARED_TO_CASH in result.reason_codes
    assert result.lambda_star == 0.0


@pytest.mark.parametrize("hurdle", [0.0, 1e3, 1e9])
def test_the_hurdle_may_be_nothing_or_huge(hurdle: float) -> None:
    base = random_instance(
        4, n_symbols=6, n_scenarios=80, is_holding=True, config=small_config(), mu_scale=0.02
    )
    result = run(dataclasses.replace(base, hurdle=hurdle))
    assert result.certificate is not None
    if hurdle == 0.0:
        assert grown(result) > 0.0
    else:
        assert base.net(result.weights - result.held).max() <= 0.0


def test_holdings_above_every_cap_are_sold_and_say_so() -> None:
    rows = [free_bid("S000", "a", mu=0.01), free_bid("S001", "a", mu=0.01)]
    instance = many(rows, (0.1, 0.1), held=np.array([0.3, 0.2]), policy=AuctionPolicy(), budget=0.5)
    result = run(instance)
    assert result.weights == pytest.approx([0.05, 0.05])
    assert all(ReasonCode.FORCED_SELL in output.reason_codes for output in result.outputs)
