"""Each veto rule says its own code, whether it fires or not."""

import numpy as np
import pytest

from instgov_dagster.governance.veto import (
    veto_data_dependency,
    veto_passive_fills,
    veto_too_perfect_execution,
)
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.governance.veto.worlds import POLICY, fills

pytestmark = [pytest.mark.roadmap("9.2")]


def test_execution_that_is_too_good_says_so() -> None:
    found = [
        *veto_too_perfect_execution(fills(price=np.full(40, 150.0)), POLICY),
        veto_passive_fills(np.ones(40, dtype=bool), np.ones(40), POLICY),
    ]
    assert any(finding.fired for finding in found)
    codes = {finding.reason_code for finding in found}
    assert codes == {ReasonCode.VETO_TOO_PERFECT_EXECUTION}


def test_a_book_that_hangs_on_one_provider_says_so() -> None:
    weights, gone = np.array([0.06, 0.04]), {"yahoo": np.zeros(2)}
    found = veto_data_dependency(weights, gone, np.zeros(2, bool), POLICY)
    assert [finding.fired for finding in found] == [True, False]
    assert {finding.reason_code for finding in found} == {ReasonCode.VETO_DATA_DEPENDENCY}
