"""Whatever happens to a strategy: one step at a time, no way back, no decay undone unproved."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.governance.lifecycle import fresh_state
from instgov_dagster.vocabulary.governance import StageCaps, StrategyLifecycle
from instgov_dagster_tests.governance.lifecycle.worlds import ENDED, POLICY, START, evaluate, record

pytestmark = [pytest.mark.roadmap("10.3"), pytest.mark.roadmap("10.4")]

ORDER = list(StrategyLifecycle)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-0.003, 0.004),
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=5, max_size=25),
)
def test_a_life_goes_one_step_at_a_time_and_only_proof_restores_capital(
    seed: int, mean: float, nights: list[tuple[int, bool]]
) -> None:
    total = sum(gap for gap, _ in nights)
    returns = np.random.default_rng(seed).normal(mean, 0.004, total)
    states, n = [fresh_state("s", START, POLICY)], 0
    for gap, is_healthy in nights:
        n += gap
        told = record("s", returns[:n], is_model_healthy=is_healthy)
        states += evaluate((states[-1],), n, told).states
    for before, after in pairwise(states):
        step = ORDER.index(after.stage) - ORDER.index(before.stage)
        assert step in (0, 1) or after.stage is ENDED
        if before.stage is ENDED:
            assert (after.stage, after.capital_pct) == (ENDED, 0.0)
            continue
        assert after.capital_pct <= POLICY.stage_caps.of(after.stage)
        if after.capital_decay > before.capital_decay:
            assert after.sessions_since_proof == 0


@given(st.lists(st.floats(0, 100), min_size=3, max_size=3))
def test_a_cap_never_falls_as_the_stage_rises(caps: list[float]) -> None:
    if caps == sorted(caps):
        StageCaps(incubating=caps[0], scaling=caps[1], harvesting=caps[2])
    else:
        with pytest.raises(ValueError, match="rise with the stage"):
            StageCaps(incubating=caps[0], scaling=caps[1], harvesting=caps[2])
