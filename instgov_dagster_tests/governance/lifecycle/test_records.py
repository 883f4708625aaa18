"""What a strategy brings is told whole and checked, and each number drawn from it is worked out."""

import dataclasses
import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from skfolio.measures import probabilistic_sharpe_ratio

from instgov_dagster.governance.lifecycle.metrics import (
    expected_best_sharpe,
    minimum_track_record,
    trials_deviation,
)
from instgov_dagster.governance.lifecycle.records import (
    Measured,
    StrategyRecord,
    Trials,
    measure_strategy,
    returns_of,
)
from instgov_dagster.vocabulary.governance import Veto
from instgov_dagster.vocabulary.reasons import ReasonCode as Code
from instgov_dagster_tests.governance.lifecycle.worlds import (
    CALENDAR,
    POLICY,
    measured,
    record,
    steady,
)

pytestmark = [pytest.mark.roadmap("10.2"), pytest.mark.roadmap("10.3")]

LEAST = 1e-6
DATES = CALENDAR[:10]
START = CALENDAR[2].item()
SHORT = dataclasses.replace(
    POLICY,
    look_sessions=1,
    proof_sessions=3,
    decommission=dataclasses.replace(POLICY.decommission, veto_sessions=3),
)
#: Ten sessions, of which the first two lie before the start, and one of the rest has no capital.
PNL = np.array([-0.02, 0.01, 0.002, -0.001, 0.0, 0.0008, -0.005, 0.002, 0.001, -0.0002])
GROSS = np.array([0.02, 0.02, 0.02, 0.02, 0.0, 0.02, 0.02, 0.02, 0.01, 0.02])
VOLATILITY = np.array([0.08, 0.08, 0.08, 0.08, math.nan, 0.16, 0.08, 0.08, 0.08, 0.08])
RETURNS = np.array([0.10, -0.05, 0.02, -0.25, 0.10, 0.10, -0.01])


def told(**changes: Any) -> StrategyRecord:
    return record("s", np.zeros(10), **{
        "pnl": PNL, "gross": GROSS, "volatility_annual": VOLATILITY, **changes
    })  # fmt: skip


def veto(session: int, code: Code = Code.VETO_DRAWDOWN) -> Veto:
    return Veto(
        strategy_id="s", symbol="*", reason_code=code, trigger="test.rule",
        raised_on=CALENDAR[session].item(), statistic=1.0, threshold=0.5, n=9,
    )  # fmt: skip


def measure(given: StrategyRecord, *, trials: Trials = Trials(count=1)) -> Measured:  # noqa: B008
    return measure_strategy(given, DATES, start=START, trials=trials, policy=SHORT)


def test_a_record_is_measured_by_hand() -> None:
    found = measure(told(vetoes=(
        veto(6), veto(7), veto(8, Code.VETO_CORRELATED_WINS), veto(9),
    )))  # fmt: skip
    value = 1.1 * 0.95 * 1.02 * 0.75
    assert (found.sessions, found.deployed) == (8, 7)
    assert found.total_return == pytest.approx(value * 1.1 * 1.1 * 0.99 - 1)
    last = np.array([0.10, 0.10, -0.01])
    assert found.sharpe_rolling == pytest.approx(last.mean() / last.std(ddof=1) * math.sqrt(252))
    assert found.max_drawdown == pytest.approx(1 - value / 1.1)
    assert found.profit_factor == pytest.approx(0.32 / 0.31)
    assert found.last_profit_date == CALENDAR[8].item()
    assert found.psr == pytest.approx(float(probabilistic_sharpe_ratio(RETURNS)), abs=1e-12)
    assert found.positive_blocks == 3
    # Sums of five: -0.08, -0.08, -0.04; their tail of 0.15 observations is 0.08 deep.
    assert found.return_per_cvar == pytest.approx(-0.2 / 3 / 0.08)
    assert found.trailing_pnl == pytest.approx(0.0028)
    # The fall passes a fifth with the fifth session of eight, which is the fourth deployed.
    assert found.first_breach_ago == 3
    assert found.vetoes == 2, "session 7 opens the window of three, session 6 lies before it"


def test_a_minimum_record_is_held_against_its_own_threshold_and_the_best_of_all_trials() -> None:
    returns = steady(100)
    given = record("s", returns)
    dates = CALENDAR[:100]
    trials = Trials(count=4, ratios=(0.05, -0.10, 0.30))
    spread = trials_deviation(np.array(trials.ratios), 100)
    assert spread == pytest.approx(np.std(trials.ratios, ddof=1))
    best = expected_best_sharpe(4, spread)
    start = CALENDAR[0].item()
    found = measure_strategy(given, dates, start=start, trials=trials, policy=POLICY)
    per_unit, _ = returns_of(given, dates, start=start, policy=POLICY)
    assert found.psr_min_sessions == minimum_track_record(per_unit, confidence=0.985)
    assert found.dsr_min_sessions == minimum_track_record(per_unit, confidence=0.90, benchmark=best)
    oracle = probabilistic_sharpe_ratio(per_unit, benchmark_sharpe_ratio=best)
    assert found.dsr == pytest.approx(float(oracle), abs=1e-9)
    assert found.dsr_min_sessions is not None
    one = measure_strategy(given, dates, start=start, trials=Trials(count=1), policy=POLICY)
    assert one.dsr_min_sessions == minimum_track_record(per_unit, confidence=0.90)
    none = measure_strategy(given, dates, start=start, trials=Trials(count=0), policy=POLICY)
    assert (none.dsr, none.dsr_min_sessions) == (None, None)


def test_a_strategy_without_a_session_has_no_number() -> None:
    after = CALENDAR[10].item()
    found = measure_strategy(
        told(vetoes=(veto(9),)), DATES, start=after, trials=Trials(count=3), policy=SHORT
    )
    assert found == Measured(
        sessions=0, deployed=0, total_return=0.0, sharpe_rolling=None, max_drawdown=0.0,
        profit_factor=None, last_profit_date=None, psr=None, psr_min_sessions=None, dsr=None,
        dsr_min_sessions=None, positive_blocks=0, return_per_cvar=-math.inf, trailing_pnl=0.0,
        first_breach_ago=None, vetoes=0,
    )  # fmt: skip


def test_a_session_without_a_gain_is_no_profit_and_a_fall_to_the_limit_no_breach() -> None:
    flat = measure(told(pnl=np.zeros(10)))
    assert (flat.last_profit_date, flat.first_breach_ago) == (None, None)
    # Falls by exactly a quarter, which is the limit and a binary fraction.
    at_limit = dataclasses.replace(
        SHORT, decommission=dataclasses.replace(SHORT.decommission, drawdown=0.25)
    )
    fall = record("s", np.zeros(2), pnl=np.array([0.0, -0.125]), gross=np.full(2, 0.5))
    for policy, wanted in ((at_limit, None), (SHORT, 0)):
        found = measure_strategy(
            fall, CALENDAR[:2], start=CALENDAR[0].item(), trials=Trials(count=1), policy=policy
        )
        assert (found.max_drawdown, found.first_breach_ago) == (0.25, wanted)


def test_returns_begin_with_the_start_itself() -> None:
    returns, is_deployed = returns_of(told(), DATES, start=START, policy=SHORT)
    assert returns == pytest.approx(RETURNS)
    assert is_deployed.tolist() == [True, True, False, True, True, True, True, True]
    later, _ = returns_of(told(), DATES, start=START + timedelta(days=1), policy=SHORT)
    assert later == pytest.approx(RETURNS[1:])
    with pytest.raises(ValueError, match=r"^s: 10 sessions of 9 dates$"):
        returns_of(told(), DATES[:9], start=START, policy=SHORT)


@pytest.mark.parametrize(
    ("changes", "can_be"),
    [
        ({}, True),
        ({"error_rate": 1.0, "signal_stale_hours": 0.0, "e_value": 0.0}, True),
        ({"error_rate": 0.0}, True),
        ({"error_rate": 1.0 + 1e-9}, False),
        ({"error_rate": -1e-9}, False),
        ({"error_rate": math.nan}, False),
        ({"signal_stale_hours": math.inf}, False),
        ({"signal_stale_hours": -1e-9}, False),
        ({"e_value": math.inf}, False),
        ({"e_value": -1.0}, False),
        ({"pnl": np.where(np.arange(10) == 4, math.nan, PNL)}, False),
        ({"gross": np.where(np.arange(10) == 4, math.nan, GROSS)}, False),
        ({"gross": np.where(np.arange(10) == 4, LEAST / 2, GROSS)}, True),  # its NaN is not read
        ({"gross": np.where(np.arange(10) == 4, LEAST, GROSS)}, False),  # at work: NaN is read
        ({"volatility_annual": np.where(np.arange(10) == 5, 0.0, VOLATILITY)}, False),
        ({"volatility_annual": np.where(np.arange(10) == 4, 0.0, VOLATILITY)}, True),
        ({"volatility_annual": np.where(np.arange(10) == 5, 1e-9, VOLATILITY)}, True),
        ({"volatility_annual": np.where(np.arange(10) == 5, math.inf, VOLATILITY)}, False),
    ],
)
def test_a_record_is_measurable_where_all_that_is_read_can_be(
    changes: dict[str, Any], *, can_be: bool
) -> None:
    assert told(**changes).is_measurable(LEAST) is can_be


def test_a_record_names_its_strategy_and_has_arrays_of_one_length() -> None:
    with pytest.raises(ValueError, match=r"^StrategyRecord\.strategy_id must not be empty$"):
        record("", np.zeros(3))
    for name in ("pnl", "gross", "volatility_annual"):
        with pytest.raises(ValueError, match=r"^the record of s must have arrays of one length$"):
            told(**{name: np.ones(9)})
    assert told().vetoes == ()


def test_trials_are_counted_and_measured() -> None:
    assert Trials(count=0).ratios == ()
    for count, ratios in ((-1, ()), (3, (0.1, math.nan)), (3, (math.inf,))):
        with pytest.raises(ValueError, match=r"^trials must be counted and measured, was Trials"):
            Trials(count=count, ratios=ratios)


@pytest.mark.parametrize("held", [told(), measured(), Trials(count=1)])
def test_what_was_told_or_measured_is_named_and_closed_and_never_changed(held: Any) -> None:
    assert not hasattr(held, "__dict__"), "no number beside those that were checked"
    first = dataclasses.fields(held)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(held, first, getattr(held, first))
    with pytest.raises(TypeError, match="positional"):
        type(held)(*(getattr(held, field.name) for field in dataclasses.fields(held)))
