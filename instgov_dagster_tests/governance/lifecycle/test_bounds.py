"""Each rule of a life at exactly its bound: what is asked for is enough."""

import pytest

from instgov_dagster_tests.governance.lifecycle.worlds import (
    ENDED,
    HARVESTING,
    HURDLE,
    INCUBATING,
    SCALING,
    look,
)

pytestmark = [pytest.mark.roadmap("10.3"), pytest.mark.roadmap("TEST.10")]


def test_exactly_what_a_promotion_asks_for_is_enough() -> None:
    scaled = look(
        INCUBATING,
        {"error_rate": 0.01},
        deployed=126,
        positive_blocks=4,
        psr=0.985,
        max_drawdown=0.10,
    )
    assert scaled.stage is SCALING
    grown = look(SCALING, deployed=252, psr=0.995, dsr=0.90, return_per_cvar=HURDLE)
    assert grown.stage is HARVESTING


def test_what_has_ended_stays_ended_and_says_no_more() -> None:
    over = look(ENDED, psr=0.999)
    assert (over.stage, over.reason_codes) == (ENDED, ())
