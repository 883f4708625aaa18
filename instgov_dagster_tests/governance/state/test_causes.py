"""Every cause of the state: latched in its chain, no resume while it stands, and how it ends."""

import dataclasses
from collections.abc import Collection
from pathlib import Path

import pytest

from instgov_dagster.adapters.journal import Journal, read_anchors
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.governance.state import (
    CAUSES,
    OCCURRENCES,
    PROVED_BY_RESUMING,
    CauseRow,
    Ending,
    cause_of,
    causes_markdown,
)
from instgov_dagster.loop.live.opening import PROVED_BY_ENDING, PROVED_BY_OPENING
from instgov_dagster.loop.live.operator import act
from instgov_dagster.loop.night import FOUND_BY_STEPS
from instgov_dagster.loop.night_run.run import PROVED_BY_PUBLISHING
from instgov_dagster.loop.state_log import StateLog, observe
from instgov_dagster.vocabulary.errors import ResumeRefused
from instgov_dagster.vocabulary.governance import Chain, SystemStateName, least_state
from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster.vocabulary.reasons import ReasonCode

pytestmark = [pytest.mark.roadmap("0.6"), pytest.mark.roadmap("0.7")]

ROWS = {row.reason_code: row for row in CAUSES}
DOMAINS = {
    Ending.STEP: FOUND_BY_STEPS,
    Ending.NIGHT: PROVED_BY_PUBLISHING,
    Ending.OPENING: PROVED_BY_OPENING,
    Ending.SESSION: PROVED_BY_ENDING,
    Ending.RESUMING: PROVED_BY_RESUMING,
}
#: The chain the check behind an ending writes to: it clears only what stands in its own.
WRITES_TO = {
    Ending.STEP: Chain.NIGHT,
    Ending.NIGHT: Chain.NIGHT,
    Ending.OPENING: Chain.LOOP,
    Ending.SESSION: Chain.LOOP,
    Ending.RESUMING: Chain.OPERATOR,
}
LATCHED = [
    pytest.param(row, chain, id=f"{row.reason_code}-{chain}")
    for row in CAUSES
    for chain in row.chains
    if row.reason_code is not ReasonCode.REGIME_CRISIS_REDUCE_ONLY
]

#: The chain whose writer meets the condition, worked out from who walks, appends and resumes.
_R, _LOOP, _NIGHT, _OPERATOR = ReasonCode, Chain.LOOP, Chain.NIGHT, Chain.OPERATOR
LATCHED_IN = {
    (_NIGHT,): {
        _R.REGIME_CRISIS_REDUCE_ONLY, _R.HISTORY_MISSING, _R.REFERENCE_INVALID,
        _R.NO_VALID_SYMBOL, _R.TOO_FEW_SCENARIOS, _R.SCENARIO_REFUSED, _R.MASS_DRAWDOWN_REVIEW,
        _R.SCHEMA_MISMATCH, _R.WAREHOUSE_CORRUPT,
    },
    (_LOOP,): {
        _R.CVAR_SCALE_REFUSED, _R.SNAPSHOT_EXPIRED, _R.SNAPSHOT_MISSING, _R.CONFIG_HASH_MISMATCH,
        _R.CODE_HASH_MISMATCH, _R.STATE_NOT_CONTINUED, _R.HISTORY_IN_LIVE_LOOP,
        _R.ORDER_NOT_APPROVED, _R.ORDER_UNKNOWN_OUTCOME, _R.FENCED,
    },
    (_OPERATOR,): {_R.OPERATOR_HALT},
    (_NIGHT, _LOOP): {
        _R.AUCTION_INFEASIBLE, _R.RECONCILIATION_UNRESOLVED, _R.PHASE_ORDER_VIOLATED,
        _R.AUDIT_WRITE_FAILED, _R.UNEXPECTED_FAILURE,
    },
    (_LOOP, _NIGHT, _OPERATOR): {_R.CHAIN_BROKEN, _R.ANCHOR_MISMATCH, _R.DISK_FULL},
    (): {_R.STATE_UNKNOWN},
}  # fmt: skip


def write(
    home: Home, chain: Chain, found: Collection[ReasonCode], domain: Collection[ReasonCode]
) -> None:
    anchors = read_anchors(home.anchors, chain.value)
    causes = [cause_of(code, "raised by the test") for code in found]
    with Journal.open(home.journal_dir, chain.value, anchors=anchors) as journal:
        observe(home, journal, StateLog(home, None), causes, domain=domain)


def resume(home: Home) -> SystemStateName:
    return act(home, None, operator="risk", reason="mended", is_halt=False)[0].name


def test_every_code_that_halts_or_stops_has_its_row_and_no_other_code_but_the_regime_s() -> None:
    grave = {code for code in ReasonCode if code.severity in (Severity.HALT, Severity.STOP)}
    assert set(ROWS) == grave | {ReasonCode.REGIME_CRISIS_REDUCE_ONLY}
    assert len(ROWS) == len(CAUSES)


@pytest.mark.parametrize("row", CAUSES, ids=lambda row: row.reason_code.value)
def test_what_the_table_says_ends_a_cause_is_what_the_checks_speak_for(row: CauseRow) -> None:
    code = row.reason_code
    assert (Ending.RESUME in row.endings) == (code in OCCURRENCES)
    for ending in set(row.endings) & set(DOMAINS):
        assert code in DOMAINS[ending], ending
    if code not in OCCURRENCES:
        for ending, domain in DOMAINS.items():
            assert (code in domain) <= (ending in row.endings), ending


@pytest.mark.parametrize("row", CAUSES, ids=lambda row: row.reason_code.value)
def test_in_every_chain_that_may_latch_it_something_can_end_it(row: CauseRow) -> None:
    if Ending.RESUME in row.endings or row.reason_code is ReasonCode.STATE_UNKNOWN:
        return
    assert row.chains
    assert set(row.chains) <= {WRITES_TO[ending] for ending in row.endings}


def test_a_cause_is_latched_first_by_the_writers_that_can_meet_it() -> None:
    found: dict[tuple[Chain, ...], set[ReasonCode]] = {}
    for row in CAUSES:
        found.setdefault(row.chains, set()).add(row.reason_code)
    assert found == LATCHED_IN


def test_a_row_of_the_table_is_named_and_never_changed() -> None:
    row = ROWS[ReasonCode.FENCED]
    assert not hasattr(row, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.raised_by = "nobody"  # type: ignore[misc]  # the point
    with pytest.raises(TypeError, match="positional"):
        CauseRow(row.reason_code, row.raised_by, row.chains, row.endings)  # type: ignore[misc]


@pytest.mark.parametrize(("row", "chain"), LATCHED)
def test_a_latched_cause_stands_until_it_is_mended_and_an_operator_resumes(
    tmp_path: Path, row: CauseRow, chain: Chain
) -> None:
    home, code = Home(tmp_path), row.reason_code
    write(home, chain, {code}, {code})
    assert StateLog(home, None).refresh().name is least_state(code)
    if code in OCCURRENCES:
        assert resume(home) is SystemStateName.RUNNING
        return
    if chain is not Chain.OPERATOR:
        with pytest.raises(ResumeRefused, match=code.value):
            resume(home)
        assert StateLog(home, None).refresh().name is least_state(code), "nothing was lifted"
        (ending,) = (e for e in row.endings if WRITES_TO.get(e) is chain)
        write(home, chain, (), DOMAINS[ending])
        assert StateLog(home, None).refresh().name is least_state(code), "mended is not resumed"
    assert resume(home) is SystemStateName.RUNNING


def test_a_regime_in_crisis_ends_by_itself_when_its_step_no_longer_finds_it(tmp_path: Path) -> None:
    home, code = Home(tmp_path), ReasonCode.REGIME_CRISIS_REDUCE_ONLY
    write(home, Chain.NIGHT, {code}, {code})
    assert StateLog(home, None).refresh().name is SystemStateName.REDUCE_ONLY
    write(home, Chain.NIGHT, (), {code})
    assert StateLog(home, None).refresh().name is SystemStateName.RUNNING


def test_the_table_of_the_governance_page_is_the_table_of_the_code() -> None:
    page = Path(__file__).parents[3] / "docs" / "governance.md"
    assert causes_markdown() in page.read_text(encoding="utf-8")
