"""A veto in the cycle: what it takes, what it freezes, and the conditions of the book itself."""

from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from instgov_dagster.loop.cycle import decide, opening_state
from instgov_dagster.loop.decision.snapshot import SNAPSHOT_TABLES, Snapshot, snapshot_from_tables
from instgov_dagster.loop.folding.continuity import state_sha256
from instgov_dagster.loop.live.opening import open_snapshot
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.steps.decision import night_quotes
from instgov_dagster.vocabulary.governance import ALL, Decision, Veto
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF
from instgov_dagster_tests.loop.test_cycle import NOW, holding, run, told

pytestmark = [pytest.mark.roadmap("9.2"), pytest.mark.roadmap("9.4")]


@pytest.fixture(scope="module")
def snapshot(night_platform: Platform) -> Snapshot:
    return open_snapshot(night_platform, ASOF)


def veto(code: ReasonCode, strategy: str = ALL, symbol: str = ALL) -> Veto:
    return Veto(
        strategy_id=strategy, symbol=symbol, reason_code=code, trigger="test", raised_on=ASOF,
        statistic=9.0, threshold=2.0, n=25,
    )  # fmt: skip


STICKY = (
    ReasonCode.VETO_UNEXPLAINED_PROFITS,
    ReasonCode.VETO_TOO_PERFECT_EXECUTION,
    ReasonCode.VETO_DATA_DEPENDENCY,
)
FREEZING = (
    ReasonCode.VETO_CORRELATED_WINS,
    ReasonCode.VETO_MODEL_DECAY,
    ReasonCode.VETO_HISTORY,
    ReasonCode.VETO_QUALITY,
)


@pytest.mark.parametrize("code", [*STICKY, *FREEZING])
def test_no_code_of_a_veto_lets_its_symbol_grow(
    night_platform: Platform, snapshot: Snapshot, code: ReasonCode
) -> None:
    state = replace(told(snapshot), vetoes=(veto(code),))
    decision = run(night_platform, snapshot, state=state)
    assert decision.orders == ()
    asked = [row for row in decision.decisions if row.decision is Decision.VETO]
    assert asked
    assert {row.veto_reason for row in asked} == {code}


@pytest.mark.parametrize(
    ("code", "keeps"), [*((c, False) for c in STICKY), *((c, True) for c in FREEZING)]
)
def test_what_bars_increases_only_lets_a_holding_be_and_any_other_veto_takes_it(
    night_platform: Platform, snapshot: Snapshot, code: ReasonCode, *, keeps: bool
) -> None:
    won = (
        run(night_platform, snapshot)
        .auction.bids.sort("weight", descending=True)
        .row(0, named=True)
    )
    book = holding(snapshot, won["symbol"], 50_000.0, won["strategy_id"])
    state = replace(told(snapshot), vetoes=(veto(code, won["strategy_id"], won["symbol"]),))
    bids = run(night_platform, snapshot, state=state, book=book).auction.bids
    row = bids.filter(
        (pl.col("symbol") == won["symbol"]) & (pl.col("strategy_id") == won["strategy_id"])
    ).row(0, named=True)
    assert row["vetoed"]
    assert (row["weight"] > 0.0) is keeps
    assert row["weight"] <= row["held_weight"] + 1e-9
    assert (ReasonCode.VETO_STANDING in row["reason_codes"]) is not keeps
    assert code in row["reason_codes"]


def test_a_book_past_its_drawdown_limit_adds_nothing_and_says_why(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    nav = Decimal(10_000_000)
    book = replace(
        holding(snapshot, "KO", 50_000.0, "james_stein"), peak_nav_usd=nav / Decimal("0.8")
    )
    decision = run(night_platform, snapshot, book=book)
    assert not any(row.decision is Decision.EXECUTE for row in decision.decisions)
    asked = [row for row in decision.decisions if row.decision is Decision.VETO]
    assert {row.veto_reason for row in asked} == {ReasonCode.VETO_DRAWDOWN}
    near = replace(book, peak_nav_usd=nav / Decimal("0.83"))
    grown = run(night_platform, snapshot, book=near)
    assert not any(ReasonCode.VETO_DRAWDOWN in row.veto_triggers for row in grown.decisions)


def test_a_book_over_its_leverage_limit_adds_nothing_and_says_why(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    # 12 of 10 millions: two millions are borrowed.
    book = holding(snapshot, "TLT", 12_000_000.0, "james_stein")
    decision = run(night_platform, snapshot, book=book)
    assert not any(row.decision is Decision.EXECUTE for row in decision.decisions)
    triggers = {code for row in decision.decisions for code in row.veto_triggers}
    assert ReasonCode.VETO_LEVERAGE in triggers


def test_a_book_in_breach_of_its_tail_adds_nothing_and_says_why(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    book = holding(snapshot, "BTC-USD", 9_000_000.0, "james_stein")
    decision = run(night_platform, snapshot, book=book)
    assert decision.found.verdict.risk_before.gate > night_platform.policy.cvar.portfolio_limit
    assert not any(row.decision is Decision.EXECUTE for row in decision.decisions)
    asked = [row for row in decision.decisions if row.decision is Decision.VETO]
    assert {ReasonCode.VETO_CVAR} <= {c for row in asked for c in row.veto_triggers}


def test_the_conditions_of_one_cycle_are_not_carried_into_the_next(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    from instgov_dagster.capital.auction.engine.hot import HotSolver

    book = holding(snapshot, "TLT", 12_000_000.0, "james_stein")
    _, state = decide(
        snapshot, night_quotes(snapshot, NOW), book, told(snapshot), night_platform.policy,
        solver=HotSolver(),
    )  # fmt: skip
    assert state.vetoes == snapshot.vetoes


def test_a_session_starts_with_the_vetoes_of_the_published_night(
    night_platform: Platform, snapshot: Snapshot
) -> None:
    import numpy as np

    from instgov_dagster.adapters.store.published import read_snapshot
    from instgov_dagster.governance.veto import vetoes_to_frame

    published = read_snapshot(night_platform.home.published / "night").tables
    tables = {name: published[name] for name in SNAPSHOT_TABLES}
    days = np.array([ASOF], dtype="datetime64[D]")
    rows = vetoes_to_frame(
        [veto(STICKY[0]), replace(veto(STICKY[1]), cleared_on=ASOF)],
        asof=ASOF, sessions=days, policy=night_platform.policy.veto,
    )  # fmt: skip
    vetoed = snapshot_from_tables(
        {**tables, "vetoes": rows}, snapshot_id="s", asof=ASOF, policy=night_platform.policy
    )
    assert opening_state(vetoed).vetoes == (veto(STICKY[0]),)
    assert vetoed.content_sha256 != snapshot.content_sha256
    # What is carried from cycle to cycle is the same: a night published again is no other state.
    assert state_sha256(opening_state(vetoed)) == state_sha256(opening_state(snapshot))
    assert run(night_platform, vetoed, state=replace(told(vetoed))).orders == ()


CODES = st.sampled_from([*STICKY, *FREEZING])


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_is_vetoed_no_vetoed_bid_grows(
    night_platform: Platform, snapshot: Snapshot, data: st.DataObject
) -> None:
    strategies = st.sampled_from([ALL, *(view.strategy_id for view in snapshot.strategies)])
    scopes = st.tuples(CODES, strategies, st.sampled_from([ALL, *snapshot.symbols]))
    vetoes = tuple(veto(*scope) for scope in data.draw(st.lists(scopes, max_size=5)))
    book = holding(snapshot, "KO", 50_000.0, snapshot.strategies[0].strategy_id)
    state = replace(told(snapshot), vetoes=vetoes)
    bids = run(night_platform, snapshot, state=state, book=book).auction.bids
    for row in bids.iter_rows(named=True):
        if any(v.touches(row["strategy_id"], row["symbol"]) for v in vetoes):
            assert row["weight"] <= row["held_weight"] + 1e-9
