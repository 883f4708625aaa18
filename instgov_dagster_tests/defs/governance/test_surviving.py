"""The survival replay through Dagster: one named span walked, shown and judged."""

from datetime import date

import dagster as dg
import pytest

from instgov_dagster.defs.governance.surviving import walked_survival
from instgov_dagster.loop.proving.survival.spans import SPANS, Span
from instgov_dagster_tests.defs.conftest import Installation, metadata_of, verdicts_of


def walked(place: Installation, start: date, end: date) -> dg.ExecuteInProcessResult:
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setitem(SPANS, "2015", Span(start=start, end=end))
        return dg.materialize(
            [walked_survival],
            partition_key="2015",
            resources={"platform": place.platform()},
            instance=instance,
            raise_on_error=False,
        )


def test_a_span_is_walked_shown_and_judged(fresh: Installation) -> None:
    result = walked(fresh, date(2025, 3, 11), date(2025, 3, 12))
    told = metadata_of(result, "survival_replay")
    assert told["sessions"] == 2
    assert told["benchmarks"]["spy_buy_and_hold"]["max_drawdown"] >= 0.0
    assert "governance_off" in told["head"]
    assert (fresh.home / told["report"]).is_file()
    assert verdicts_of(result) == {
        ("survival_replay", "cvar_gate_holds"): True,
        ("survival_replay", "last_night_agrees"): True,
    }


def test_a_span_the_market_does_not_hold_fails_and_says_what_it_holds(
    fresh: Installation,
) -> None:
    result = walked(fresh, date(1931, 3, 11), date(1931, 3, 12))
    assert not result.success
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert "1931-03-1" in str(failed.step_failure_data.error_display_string)
    assert not (fresh.home / "survival").exists()
