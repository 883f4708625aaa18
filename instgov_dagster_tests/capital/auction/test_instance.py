import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.capital.auction.instance import Incidence
from instgov_dagster_tests.capital.auction.settings import free_bid, many, one, run
from instgov_dagster_tests.capital.worlds import random_instance, small_config

pytestmark = pytest.mark.roadmap("4.3", "TEST.4")


@settings(max_examples=50)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**31))
def test_pairs_say_what_the_matrix_of_groups_and_bids_says(
    n_groups: int, n_bids: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.random((n_groups, n_bids)) < 0.4
    pairs = Incidence.from_rows(rows)
    weights, prices = rng.random(n_bids), rng.random(n_groups)
    assert pairs.sums(weights) == pytest.approx(rows @ weights)
    assert pairs.charges(prices) == pytest.approx(prices @ rows)
    some = rng.random(n_groups) < 0.5
    assert np.array_equal(pairs.touched(some), rows[some].any(axis=0))
    assert np.array_equal(pairs.to_rows(), rows)
    assert pairs.equals(Incidence.from_rows(rows.copy()))
    flipped = rows.copy()
    flipped[0, 0] = not flipped[0, 0]
    assert not pairs.equals(Incidence.from_rows(flipped))
    asked = np.flatnonzero(rng.random(n_bids) < 0.5)
    for j, groups in pairs.groups_of(asked).items():
        assert groups == np.flatnonzero(rows[:, j]).tolist()


@pytest.mark.parametrize(
    ("group_of", "bid_of"),
    [([0, 0], [1, 1]), ([1, 0], [0, 0]), ([0], [3]), ([2], [0]), ([-1], [0])],
)
def test_pairs_out_of_order_or_range_are_refused(group_of: list[int], bid_of: list[int]) -> None:
    with pytest.raises(ValueError, match="Incidence"):
        Incidence(n_groups=2, n_bids=3, group_of=np.array(group_of), bid_of=np.array(bid_of))


def test_what_follows_from_an_instance_is_kept_with_it() -> None:
    instance = one(0.1, held=np.array([0.02]))
    assert instance.net_held.tolist() == [0.02]
    assert instance.reach.tolist() == pytest.approx([0.03])  # up to the name cap of 5 %
    (tail,) = instance.tails  # the stressed measure is two and a half times the same matrix
    assert tail.limit == pytest.approx(0.06 * 0.85 / 2.5)
    assert tail.hurdle == 0.02


def test_the_numbers_beside_a_losers_codes_add_up() -> None:
    base = random_instance(5, n_symbols=8, n_scenarios=130, is_holding=True, config=small_config())
    result = run(base)
    bids = result.bids
    price = bids["tail_charge_bps"] + bids["cap_charge_bps"] + bids["cost_charge_bps"]
    short = np.maximum(price.to_numpy() - 1e4 * base.values, 0.0)
    lost = (bids["decision"] == "LOSE").to_numpy() & (bids["weight"] == 0.0).to_numpy()
    assert lost.any()
    assert bids["priced_out_bps"].to_numpy()[lost] == pytest.approx(short[lost], abs=1e-9)
    assert (bids["cap_headroom"] >= 0.0).all()
    penalties = [name for name in bids.columns if name.endswith("_penalty")]
    assert len(penalties) == 5


def test_a_bid_at_the_end_of_a_cap_has_no_headroom() -> None:
    result = run(many([free_bid("S000"), free_bid("S001", mu=0.003)], (0.1, 0.1)))
    assert result.weights == pytest.approx([0.05, 0.045])
    assert result.bids["cap_headroom"].to_list() == pytest.approx([0.0, 0.0], abs=1e-12)
