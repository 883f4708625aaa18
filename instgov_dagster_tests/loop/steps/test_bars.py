"""What in the night's data halts the system."""

import polars as pl
import pytest

from instgov_dagster.loop.steps.bars import governance_causes
from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode


@pytest.mark.parametrize(
    ("eligible", "codes"),
    [([True, False], []), ([False, False], [ReasonCode.NO_VALID_SYMBOL])],
)
def test_a_night_on_which_nothing_is_eligible_halts(
    eligible: list[bool], codes: list[ReasonCode]
) -> None:
    frame = pl.DataFrame(
        {
            "symbol": ["A", "B"],
            "is_halting": [False, False],
            "is_eligible": eligible,
            "reason_codes": [["DATA_VALID"], ["INVALID_DATA"]],
        }
    )
    causes = governance_causes(frame)
    assert [cause.reason_code for cause in causes] == codes
    assert all(cause.state is SystemStateName.HALT_SYSTEM for cause in causes)
