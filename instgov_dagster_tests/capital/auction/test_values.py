import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.capital.auction.bids import BidTable
from instgov_dagster.capital.auction.values import AdjustedValues, adjusted_values, break_ties
from instgov_dagster.vocabulary.capital import CapitalAuctionInput
from instgov_dagster.vocabulary.policy.capital import AuctionPolicy
from instgov_dagster_tests.capital.worlds import bid

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")


def value(row: CapitalAuctionInput, decay: float = 1.0, sessions: float = 0.0) -> AdjustedValues:
    return adjusted_values(
        BidTable.from_rows([row]),
        final_decay_factor=np.array([decay]),
        sessions_since_forecast=np.array([sessions]),
        policy=AuctionPolicy(),
    )


def taken(values: AdjustedValues) -> float:
    return math.fsum(
        float(part[0])
        for part in (
            values.negative_part,
            values.data_quality_penalty,
            values.model_decay_penalty,
            values.provider_penalty,
            values.correlation_penalty,
            values.time_decay_penalty,
        )
    )


def test_each_penalty_by_hand_in_the_order_of_the_specification() -> None:
    row = bid(
        mu=0.01,
        data_quality_score=0.8,
        provider_confidence=0.5,
        correlation_risk=0.4,
        time_decay_rate=math.log(2.0) / 5.0,
    )
    values = value(row, decay=0.5, sessions=5.0)
    # 0.01 -> 0.008 (quality) -> 0.004 (decay) -> 0.002 (provider) -> 0.0018 (1 - 0.1) -> 0.0009.
    assert values.data_quality_penalty[0] == pytest.approx(0.002)
    assert values.model_decay_penalty[0] == pytest.approx(0.004)
    assert values.provider_penalty[0] == pytest.approx(0.002)
    assert values.correlation_penalty[0] == pytest.approx(0.0002)
    assert values.time_decay_penalty[0] == pytest.approx(0.0009)
    assert values.mu_hat[0] == pytest.approx(0.0009)


@given(
    st.floats(-0.2, 0.2),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.floats(-1.0, 1.0),
    st.floats(0.0, 30.0),
)
def test_the_penalties_sum_to_what_was_lost_and_never_pay(  # one an input
    mu: float, quality: float, decay: float, provider: float, correlation: float, age: float
) -> None:
    row = bid(
        mu=mu,
        data_quality_score=quality,
        provider_confidence=provider,
        correlation_risk=correlation,
        time_decay_rate=0.05,
    )
    values = value(row, decay=decay, sessions=age)
    assert taken(values) == pytest.approx(float(values.mu[0] - values.mu_hat[0]), abs=1e-16)
    assert 0.0 <= values.mu_hat[0] <= max(mu, 0.0)
    for name in ("data_quality", "model_decay", "provider", "correlation", "time_decay"):
        assert getattr(values, f"{name}_penalty")[0] >= 0.0


def test_a_negative_forecast_is_worth_nothing_and_no_penalty_makes_it_better() -> None:
    values = value(bid(mu=-0.01, data_quality_score=0.6), decay=0.5)
    assert values.mu_hat[0] == 0.0
    assert values.negative_part[0] == -0.01
    assert values.data_quality_penalty[0] == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 1.1])
def test_a_decay_factor_outside_zero_and_one_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="final_decay_factor"):
        value(bid(), decay=bad)


def test_an_age_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="sessions_since_forecast"):
        value(bid(), sessions=math.nan)


def test_ties_are_broken_by_identity_and_not_by_place() -> None:
    names = ["momentum|A", "momentum|B", "james_stein|A"]
    values = np.full(3, 0.004)
    forward = break_ties(values, names, policy=AuctionPolicy())
    backward = break_ties(values, names[::-1], policy=AuctionPolicy())
    assert np.array_equal(forward, backward[::-1])
    assert len(set(forward.tolist())) == 3
    assert np.abs(forward - values).max() <= 3e-8


def test_the_spacing_of_ties_shrinks_with_the_number_of_bids() -> None:
    names = [f"momentum|{i}" for i in range(5000)]
    lowered = np.zeros(5000) - break_ties(np.zeros(5000), names, policy=AuctionPolicy())
    assert 4999 * 1e-5 / 5000 <= lowered.max() < 1e-5 + 1e-15
