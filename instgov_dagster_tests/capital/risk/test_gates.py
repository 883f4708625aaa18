import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.capital.book import BookRisk
from instgov_dagster.capital.risk.gates import (
    gate_correlation,
    gate_cvar,
    gate_drawdown,
    gate_execution,
    gate_hurdle,
    gate_leverage,
    gate_marginal,
    gate_prefix,
    gate_sector,
)
from instgov_dagster.vocabulary.capital import ExecutionRegime, GateResult, RiskMeasure
from instgov_dagster.vocabulary.policy.capital import CVaRConfig, RiskLimits
from instgov_dagster.vocabulary.reasons import ReasonCode

pytestmark = pytest.mark.roadmap("0.5", "5.4", "TEST.5")
CONFIG, LIMITS = CVaRConfig(), RiskLimits()
ANY = st.floats(allow_nan=True, allow_infinity=True)
BAD = [math.nan, math.inf, -math.inf]


def risk(gate: float) -> BookRisk:
    return BookRisk(
        measures=((RiskMeasure.CURRENT, gate), (RiskMeasure.STRESSED, gate)),
        gate=gate,
        standard_error=0.0,
        n_scenarios=1000,
        reason_codes=(ReasonCode.CVAR_WITHIN_LIMITS,),
    )


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [
        (0.02, 0.06, True),
        (0.02, 0.0601, False),
        (0.08, 0.079, True),
        (0.08, 0.08, True),
        (0.08, 0.081, False),
        (-0.01, 0.0, True),
    ],
)
def test_the_book_stays_within_its_limit_or_gets_no_worse(
    before: float, after: float, *, passed: bool
) -> None:
    answer = gate_cvar(risk(before), risk(after), config=CONFIG)
    assert answer.passed is passed
    wanted = ReasonCode.CVAR_WITHIN_LIMITS if passed else ReasonCode.PORTFOLIO_CVAR_BREACH
    assert answer.reason_codes == (wanted,)
    assert (answer.value, answer.limit) == (after, max(before, 0.06))
    assert answer.headroom == pytest.approx(max(before, 0.06) - after)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (gate_marginal(0.005, config=CONFIG), ReasonCode.CVAR_WITHIN_LIMITS),
        (
            gate_hurdle(0.005, 0.01, hurdle=0.02, is_forced=False, limits=LIMITS),
            ReasonCode.CVAR_WITHIN_LIMITS,
        ),
        (gate_prefix(0.0, 0.05, config=CONFIG), ReasonCode.CVAR_WITHIN_LIMITS),
        (
            gate_execution(0.01, is_increase=True, regime=ExecutionRegime.CALM),
            ReasonCode.WITHIN_LIMIT,
        ),
        (gate_leverage(0.1, 0.2, limits=LIMITS), ReasonCode.WITHIN_LIMIT),
        (gate_drawdown(0.1, is_increase=True, limits=LIMITS), ReasonCode.WITHIN_LIMIT),
        (gate_correlation(0.1, is_increase=True, limits=LIMITS), ReasonCode.WITHIN_LIMIT),
        (gate_sector(0.1, 0.2, sector="TECH", limits=LIMITS), ReasonCode.WITHIN_LIMIT),
    ],
    ids=lambda value: value.name if isinstance(value, GateResult) else "",
)
def test_a_gate_that_opens_says_what_it_is_within(answer: GateResult, code: ReasonCode) -> None:
    assert answer.passed
    assert answer.reason_codes == (code,)


@given(ANY, ANY)
def test_the_joint_gate_never_opens_on_what_it_cannot_see(before: float, after: float) -> None:
    answer = gate_cvar(risk(before), risk(after), config=CONFIG)
    if not (math.isfinite(before) and math.isfinite(after)):
        assert answer.reason_codes == (ReasonCode.RISK_NOT_FINITE,)
    assert answer.passed == (
        math.isfinite(before) and math.isfinite(after) and after <= max(before, 0.06)
    )


@pytest.mark.roadmap("5.3")
@pytest.mark.parametrize(("delta", "passed"), [(0.01, True), (0.0101, False), (-1.0, True)])
def test_an_order_adds_at_most_the_marginal_limit(delta: float, *, passed: bool) -> None:
    assert gate_marginal(delta, config=CONFIG).passed is passed


@pytest.mark.parametrize(
    ("delta", "gain", "forced", "passed"),
    [
        (0.005, 0.0001, False, True),  # exactly the hurdle of 0.02 * 0.005
        (0.005, 0.00009, False, False),
        (0.005, -0.001, True, True),
        (-0.001, -0.5, False, True),
        (0.0, -0.5, False, True),
    ],
)
def test_an_order_that_adds_risk_pays_the_hurdle(
    delta: float, gain: float, *, forced: bool, passed: bool
) -> None:
    answer = gate_hurdle(delta, gain, hurdle=0.02, is_forced=forced, limits=LIMITS)
    assert answer.passed is passed


@pytest.mark.parametrize(
    ("before", "prefix", "passed"),
    [(0.02, 0.06, True), (0.02, 0.07, False), (0.08, 0.08, True), (0.08, 0.0801, False)],
)
def test_no_prefix_of_the_list_takes_the_book_past_its_limit(
    before: float, prefix: float, *, passed: bool
) -> None:
    assert gate_prefix(before, prefix, config=CONFIG).passed is passed


@pytest.mark.roadmap("8.4")
@pytest.mark.parametrize("regime", list(ExecutionRegime))
@pytest.mark.parametrize("is_increase", [True, False])
@pytest.mark.parametrize("delta", [-0.001, 0.0, 0.001])
def test_in_a_crisis_only_a_reduction_that_relieves_the_tail_goes(
    regime: ExecutionRegime, delta: float, *, is_increase: bool
) -> None:
    answer = gate_execution(delta, is_increase=is_increase, regime=regime)
    calm = regime is not ExecutionRegime.CRISIS
    assert answer.passed is (calm or (not is_increase and delta < 0.0))


def test_a_book_above_a_limit_may_shrink_and_not_grow() -> None:
    assert gate_leverage(1.2, 1.1, limits=LIMITS).passed
    assert not gate_leverage(1.1, 1.2, limits=LIMITS).passed
    assert not gate_leverage(0.9, 1.01, limits=LIMITS).passed
    assert gate_sector(0.3, 0.29, sector="TECH", limits=LIMITS).passed
    assert not gate_sector(0.2, 0.26, sector="TECH", limits=LIMITS).passed
    assert gate_sector(0.2, 0.9, sector="UNKNOWN", limits=LIMITS).passed
    assert not gate_drawdown(0.19, is_increase=True, limits=LIMITS).passed
    assert gate_drawdown(0.19, is_increase=False, limits=LIMITS).passed
    assert not gate_correlation(0.95, is_increase=True, limits=LIMITS).passed
    assert gate_correlation(0.95, is_increase=False, limits=LIMITS).passed


def every_gate(bad: float) -> list[GateResult]:
    gates = [
        gate_marginal(bad, config=CONFIG),
        gate_prefix(bad, 0.01, config=CONFIG),
        gate_prefix(0.01, bad, config=CONFIG),
        gate_hurdle(bad, 0.01, hurdle=0.02, is_forced=True, limits=LIMITS),
        gate_hurdle(0.01, bad, hurdle=0.02, is_forced=True, limits=LIMITS),
        gate_leverage(bad, 0.1, limits=LIMITS),
        gate_leverage(0.1, bad, limits=LIMITS),
        gate_execution(bad, is_increase=False, regime=ExecutionRegime.CALM),
    ]
    for pair in itertools.permutations((bad, 0.1)):
        gates += [gate_sector(*pair, sector=name, limits=LIMITS) for name in ("TECH", "UNKNOWN")]
    for is_increase in (True, False):
        gates.append(gate_drawdown(bad, is_increase=is_increase, limits=LIMITS))
        gates.append(gate_correlation(bad, is_increase=is_increase, limits=LIMITS))
    return gates


@pytest.mark.parametrize("bad", BAD)
def test_every_gate_is_closed_to_a_number_that_is_not_finite(bad: float) -> None:
    for answer in every_gate(bad):
        assert not answer.passed
        assert answer.reason_codes == (ReasonCode.RISK_NOT_FINITE,)
        assert answer.headroom is None


@pytest.mark.parametrize("bad", BAD)
def test_a_blind_gate_keeps_its_name_and_what_it_could_see(bad: float) -> None:
    told = {
        "marginal_cvar": gate_marginal(bad, config=CONFIG),
        "hurdle": gate_hurdle(bad, 0.3, hurdle=0.02, is_forced=True, limits=LIMITS),
        "execution": gate_execution(bad, is_increase=False, regime=ExecutionRegime.CALM),
        "prefix_cvar": gate_prefix(0.01, bad, config=CONFIG),
        "leverage": gate_leverage(0.1, bad, limits=LIMITS),
        "cvar": gate_cvar(risk(0.01), risk(bad), config=CONFIG),
    }
    assert {name: gate.name for name, gate in told.items()} == {name: name for name in told}
    assert {gate.value for gate in told.values()} == {None}
    limits = {name: gate.limit for name, gate in told.items()}
    assert limits == {
        "marginal_cvar": 0.01,
        "hurdle": 0.3,
        "execution": 0.0,
        "prefix_cvar": 0.06,
        "leverage": 1.0,
        "cvar": 0.06,
    }
    assert gate_prefix(bad, 0.01, config=CONFIG).value == 0.01
    assert gate_prefix(bad, 0.01, config=CONFIG).limit is None


def test_every_gate_says_its_name_its_number_its_limit_and_the_room_between() -> None:
    def told(gate: GateResult) -> tuple[object, ...]:
        return (gate.name, gate.value, gate.limit, gate.headroom)

    crisis = gate_execution(-0.002, is_increase=False, regime=ExecutionRegime.CRISIS)
    calm = gate_execution(0.002, is_increase=True, regime=ExecutionRegime.CALM)
    assert told(crisis) == ("execution", -0.002, 0.0, 0.002)
    assert told(calm) == ("execution", 0.002, None, None)
    marginal = gate_marginal(0.004, config=CONFIG)
    assert told(marginal) == ("marginal_cvar", 0.004, 0.01, 0.01 - 0.004)
    hurdle = gate_hurdle(0.005, 0.003, hurdle=0.02, is_forced=False, limits=LIMITS)
    assert told(hurdle) == ("hurdle", 0.02 * 0.005, 0.003, 0.003 - 0.02 * 0.005)
    prefix = gate_prefix(0.02, 0.05, config=CONFIG)
    assert told(prefix) == ("prefix_cvar", 0.05, 0.06, 0.06 - 0.05)
    leverage = gate_leverage(0.1, 0.4, limits=LIMITS)
    assert told(leverage) == ("leverage", 0.4, 1.0, 0.6)
    names = {
        gate_drawdown(0.1, is_increase=True, limits=LIMITS).name,
        gate_correlation(0.1, is_increase=True, limits=LIMITS).name,
        gate_sector(0.1, 0.1, sector="TECH", limits=LIMITS).name,
    }
    assert names == {"drawdown", "correlation", "sector"}


def test_a_prefix_says_whether_it_kept_the_limit() -> None:
    kept, broke = (gate_prefix(0.02, value, config=CONFIG) for value in (0.06, 0.07))
    assert kept.reason_codes == (ReasonCode.CVAR_WITHIN_LIMITS,)
    assert broke.reason_codes == (ReasonCode.PREFIX_CVAR_BREACH,)


def test_rounding_at_a_limit_is_let_pass_and_not_a_bit_more() -> None:
    edge = LIMITS.leverage + LIMITS.limit_tolerance
    assert gate_leverage(0.0, edge, limits=LIMITS).passed
    assert not gate_leverage(0.0, math.nextafter(edge, 2.0), limits=LIMITS).passed
    least = 0.02 * 0.005 - LIMITS.hurdle_tolerance
    for gain, passed in ((least, True), (math.nextafter(least, 0.0), False)):
        gate = gate_hurdle(0.005, gain, hurdle=0.02, is_forced=False, limits=LIMITS)
        assert gate.passed is passed
