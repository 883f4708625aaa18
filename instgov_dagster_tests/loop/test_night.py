from datetime import timedelta

import polars as pl
import pytest

from instgov_dagster.adapters.store.bar_store import append_bars
from instgov_dagster.adapters.store.night_store import read_night, write_night
from instgov_dagster.adapters.store.published import published_meta
from instgov_dagster.bars.calendars import history_window
from instgov_dagster.governance.audit import frame_sha256
from instgov_dagster.governance.state.rows import state_from_frame
from instgov_dagster.loop.decision.book import book_from_frame
from instgov_dagster.loop.live.operator import act
from instgov_dagster.loop.live.recovery import last_book
from instgov_dagster.loop.night import STEPS, NightResult, night, run_step
from instgov_dagster.loop.night_run.run import NightRun
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.loop.steps.context import INPUT_TABLES
from instgov_dagster.vocabulary.errors import InputError, LeaseHeld, ResumeRefused, SystemHalt
from instgov_dagster.vocabulary.governance import Chain, Phase, SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF, run_night


def inputs_of(platform: Platform) -> dict[str, pl.DataFrame]:
    with NightRun(platform, ASOF, run_id="reader") as run:
        return {name: run.table(name) for name in INPUT_TABLES}


def fold(platform: Platform) -> NightResult:
    return night(inputs_of(platform), platform.context(ASOF))


def hashes(result: NightResult) -> dict[str, str]:
    return {step.name: frame_sha256(result.tables[step.name]) for step in STEPS}


@pytest.mark.roadmap("4.4", "2.1")
def test_the_fold_of_the_steps_is_what_the_stored_night_holds(platform: Platform) -> None:
    result = fold(platform)
    assert result.halted_at is None
    assert [stamp.phase for stamp in result.stamps] == list(Phase)[:6]
    with platform.warehouse.reader() as con:
        stamps = read_night(con, "phase_stamps", asof=ASOF)
    assert stamps["stamp_hash"].to_list() == [stamp.stamp_hash for stamp in result.stamps]
    with NightRun(platform, ASOF, run_id="reader") as run:
        for step in STEPS:
            stored = run.table(step.name)
            made = result.tables[step.name]
            assert stored.height == made.height, step.name
        stored = run.table("governance_decisions").select("symbol", "decision", "reason_codes")
    assert stored.equals(
        result.tables["governance_decisions"].select("symbol", "decision", "reason_codes")
    )


@pytest.mark.roadmap("3.1")
def test_a_bar_known_after_the_instant_changes_no_byte_of_the_night(platform: Platform) -> None:
    before = hashes(fold(platform))
    context = platform.context(ASOF)
    start, end = history_window(ASOF, platform.policy.history)
    later = context.known_at + timedelta(seconds=1)
    with platform.warehouse.reader() as con:
        known = con.execute(
            "SELECT * EXCLUDE (ordinal, version, recorded_at, run_id, is_restated, is_withdrawn)"
            " FROM bar_versions WHERE symbol = 'SPY'"
        ).pl()
    planted = known.filter(pl.col("date").is_between(start, end, closed="left")).with_columns(
        pl.col("close") * 7.0,
        pl.lit(later).alias("known_at"),
        pl.lit("f" * 64).alias("source_sha256"),
    )
    with platform.warehouse.txn() as con:
        done = append_bars(
            con, planted, run_id="future", recorded_at=later, knowledge_instant=later
        )
    assert done.restated == planted.height > 1000
    assert hashes(fold(platform)) == before


@pytest.mark.parametrize("table", ["bars", "stress_bars"])
def test_a_night_refuses_bars_that_were_known_only_later(platform: Platform, table: str) -> None:
    inputs = inputs_of(platform)
    late = platform.context(ASOF).known_at + timedelta(seconds=1)
    inputs[table] = inputs[table].with_columns(
        pl.when(pl.int_range(pl.len()) == 0)
        .then(pl.lit(late))
        .otherwise(pl.col("known_at"))
        .alias("known_at")
    )
    with pytest.raises(ValueError, match=f"1 {table} were known only after"):
        night(inputs, platform.context(ASOF))


@pytest.mark.roadmap("3.1")
def test_a_symbol_whose_history_ends_early_halts_the_night_by_name(platform: Platform) -> None:
    inputs = inputs_of(platform)
    cut = ASOF - timedelta(days=60)
    inputs["bars"] = inputs["bars"].filter((pl.col("symbol") != "KO") | (pl.col("date") < cut))
    result = night(inputs, platform.context(ASOF))
    assert result.halted_at == "history_coverage"
    assert [(c.reason_code, c.symbols) for c in result.causes] == [
        (ReasonCode.HISTORY_MISSING, ("KO",))
    ]
    assert "data_governance" not in result.tables


def test_a_step_without_the_stamps_before_it_stops_the_system(platform: Platform) -> None:
    result = fold(platform)
    step = next(step for step in STEPS if step.name == "risk_verdicts")
    tables = {name: result.tables[name] for name in step.needs}
    with pytest.raises(SystemHalt) as halt:
        run_step(step, tables, result.stamps[:2], platform.context(ASOF), made=hashes(result))
    assert halt.value.reason_code is ReasonCode.PHASE_ORDER_VIOLATED


def test_a_repeated_night_adds_no_row(platform: Platform) -> None:
    with NightRun(platform, ASOF, run_id="again") as run:
        report = run.ingest()
        outcomes = [run.run_step(step.name) for step in STEPS]
    assert (report.added, report.restated, report.withdrawn) == (0, 0, 0)
    assert report.stress_added == 0
    assert {outcome.name: outcome.rows_added for outcome in outcomes if outcome.rows_added} == {}


@pytest.mark.roadmap("5.2")
def test_the_history_before_the_window_is_held_and_stamped_with_it(platform: Platform) -> None:
    inputs = inputs_of(platform)
    start, _ = history_window(ASOF, platform.policy.history)
    earlier = inputs["stress_bars"]
    assert earlier["date"].max() < start <= inputs["bars"]["date"].min()
    assert (start - earlier["date"].min()).days > 3000
    changed = {**inputs, "stress_bars": earlier.with_columns(pl.col("close") * 1.01)}
    first, other = fold(platform).stamps[0], night(changed, platform.context(ASOF)).stamps[0]
    assert first.phase is other.phase is Phase.INGESTION
    assert first.stamp_hash != other.stamp_hash


def test_a_night_hears_the_forecasts_of_earlier_nights_and_not_its_own(
    platform: Platform,
) -> None:
    with NightRun(platform, ASOF, run_id="reader") as run:
        own = run.table("risk_forecasts")
        assert run.table("past_risk_forecasts").is_empty()
    earlier = ASOF - timedelta(days=1)
    with platform.warehouse.txn() as con:
        write_night(
            con, "risk_forecasts", own, asof=earlier, run_id="before", recorded_at=platform.now()
        )
    with NightRun(platform, ASOF, run_id="reader") as run:
        heard = run.table("past_risk_forecasts")
    assert heard["asof"].unique().to_list() == [earlier]
    assert heard.drop("asof").sort("scope").equals(own.sort("scope"))


def test_two_nights_at_once_are_refused(platform: Platform) -> None:
    with (
        NightRun(platform, ASOF, run_id="one"),
        pytest.raises(LeaseHeld),
        NightRun(platform, ASOF, run_id="two"),
    ):
        pytest.fail("a second night must not begin")


@pytest.mark.roadmap("2.1")
def test_the_next_day_appends_and_keeps_what_the_first_night_knew(platform: Platform) -> None:
    names = [step.name for step in STEPS if step.name != "price_history"]

    def stored() -> dict[str, str]:
        with platform.warehouse.reader() as con:
            return {name: frame_sha256(read_night(con, name, asof=ASOF)) for name in names}

    first = stored()
    run_night(platform, ASOF + timedelta(days=1), run_id="night-2")
    with platform.warehouse.reader() as con:
        counted = con.sql('SELECT count(DISTINCT "asof") FROM governance_decisions').fetchall()
    assert counted == [(2,)]
    assert stored() == first


def test_a_night_earlier_than_the_published_one_is_refused(platform: Platform) -> None:
    night_folder = platform.home.published / "night"
    before = published_meta(night_folder)
    run = NightRun(platform, ASOF - timedelta(days=1), run_id="backfill")
    with pytest.raises(InputError, match=f"asof must be >= {ASOF}"), run:
        pytest.fail("an earlier night must not begin")
    assert published_meta(night_folder) == before
    with NightRun(platform, ASOF, run_id="the lock is free") as again:
        assert again.table("data_quality").height > 0


def rows_of(platform: Platform) -> dict[str, int]:
    with platform.warehouse.reader() as con:
        tables = con.sql("SELECT DISTINCT table_name FROM night_writes").fetchall()
        return {
            name: con.sql(f'SELECT count(*) FROM "{name}"').fetchall()[0][0]  # noqa: S608  # from the catalog
            for (name,) in [*tables, ("night_writes",)]
        }


def test_a_night_repeated_after_its_own_session_sees_the_book_before_it(
    platform: Platform,
) -> None:
    before, inputs = rows_of(platform), inputs_of(platform)
    run_session(platform, ASOF, cycles=2, period_seconds=0.0, run_id="day")
    traded = last_book(platform)
    assert traded is not None
    assert traded.holdings
    assert last_book(platform, before=ASOF) is None
    run_night(platform, run_id="again")
    assert rows_of(platform) == before
    again = inputs_of(platform)
    assert {name for name in inputs if not inputs[name].equals(again[name])} == set()
    run_night(platform, ASOF + timedelta(days=1), run_id="next")
    with NightRun(platform, ASOF + timedelta(days=1), run_id="reader") as run:
        assert book_from_frame(run.table("portfolio")) == traded
        assert run.table("strategy_returns")["date"].unique().to_list() == [ASOF]


@pytest.mark.roadmap("7.1")
def test_a_halt_before_the_night_is_in_its_decisions(platform: Platform) -> None:
    act(platform.home, platform.key, operator="ann", reason="drill", is_halt=True)
    run_night(platform, run_id="halted")
    with NightRun(platform, ASOF, run_id="reader") as run:
        decided = run.table("governance_decisions")
        state = state_from_frame(run.table("system_state"))
    assert state.name is SystemStateName.HALT_SYSTEM
    assert "EXECUTE" not in decided["decision"].to_list()
    codes = decided["reason_codes"].list.contains(ReasonCode.STATE_HALTED.value)
    assert codes.any()


@pytest.mark.parametrize(
    ("table", "change", "step"),
    [
        ("data_quality", pl.col("quality_score") * 0.5, "history_coverage"),
        ("model_forecasts", pl.col("mu") * 2.0, "risk_verdicts"),
        ("night_portfolio", pl.lit("7").alias("cash_usd"), "execution_plan"),
    ],
)
def test_a_table_made_again_alone_makes_every_later_step_refuse(
    platform: Platform, table: str, change: pl.Expr, step: str
) -> None:
    with platform.warehouse.txn() as con:
        frame = read_night(con, table, asof=ASOF).with_columns(change)
        write_night(con, table, frame, asof=ASOF, run_id="alone", recorded_at=platform.now())
    with NightRun(platform, ASOF, run_id="later") as run:
        with pytest.raises(SystemHalt, match="outputs changed after it was stamped") as halt:
            run.run_step(step)
        assert halt.value.reason_code is ReasonCode.PHASE_ORDER_VIOLATED
        with pytest.raises(SystemHalt, match="outputs changed after it was stamped"):
            run.publish()


def test_a_phase_stop_of_the_night_is_over_once_a_whole_night_is_published(
    platform: Platform,
) -> None:
    with NightRun(platform, ASOF, run_id="broken") as run:
        state = run.stop(SystemHalt(ReasonCode.PHASE_ORDER_VIOLATED, "a step ran alone"))
    assert state.name is SystemStateName.STOP_SYSTEM
    with pytest.raises(ResumeRefused):
        act(platform.home, platform.key, operator="ann", reason="too early", is_halt=False)
    run_night(platform, run_id="mended")
    state, _ = act(platform.home, platform.key, operator="ann", reason="mended", is_halt=False)
    assert state.name is SystemStateName.RUNNING


def test_the_night_journals_its_decisions_before_it_publishes(night_platform: Platform) -> None:
    log = night_platform.state_log()
    assert log.refresh().name == "RUNNING"
    assert log.heads[Chain.NIGHT] == 1
