"""A night at work: lock, ingest, step after step, publish; what the Dagster shell drives."""

from collections.abc import Mapping
from datetime import date
from types import TracebackType
from typing import Any, Self

import duckdb
import polars as pl

from instgov_dagster.adapters.journal import Journal, bundle_tables
from instgov_dagster.adapters.markets.protocol import answers_frame
from instgov_dagster.adapters.runtime import FileLock
from instgov_dagster.adapters.store.bar_reads import bar_lineage, bars_as_of
from instgov_dagster.adapters.store.bar_store import append_bars, persist_classes
from instgov_dagster.adapters.store.night_store import (
    is_written,
    last_day_of_evidence,
    read_input,
    read_night,
    write_night,
    written_sha256,
)
from instgov_dagster.adapters.store.published import publish, published_meta
from instgov_dagster.bars.calendars import history_window, stress_window
from instgov_dagster.bars.classify import found_classes
from instgov_dagster.governance.audit import sha256_of
from instgov_dagster.governance.stamps import require_stamps, stamps_from_frame, stamps_to_frame
from instgov_dagster.governance.state import cause_of
from instgov_dagster.loop.decision.snapshot import LIVE_TABLES
from instgov_dagster.loop.live.frames import NIGHT_KIND
from instgov_dagster.loop.live.recovery import night_evidence, night_inputs
from instgov_dagster.loop.night import (
    FOUND_BY_STEPS,
    PHASE_TABLES,
    STEP_BY_NAME,
    STEPS,
    StepResult,
    content_sha256,
    phase_outputs,
    run_step,
)
from instgov_dagster.loop.night_run.ingest import archive_of, receive_bars
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.state_log import append_anchored, observe
from instgov_dagster.loop.steps.context import NightStep
from instgov_dagster.loop.steps.reports import IngestReport, PublishReport, StepOutcome
from instgov_dagster.vocabulary.errors import DataRejected, InputError, SystemHalt
from instgov_dagster.vocabulary.governance import (
    Cause,
    Chain,
    Phase,
    PhaseStamp,
    SystemState,
    SystemStateName,
)
from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster.vocabulary.reasons import ReasonCode

__all__ = ["PROVED_BY_PUBLISHING", "IngestReport", "NightRun", "PublishReport", "StepOutcome"]

# A night that reached its end opened its chain, read and wrote the whole store, and holds every
# stamp: what an earlier night stopped on is over.
PROVED_BY_PUBLISHING = frozenset(
    {
        ReasonCode.ANCHOR_MISMATCH,
        ReasonCode.CHAIN_BROKEN,
        ReasonCode.DISK_FULL,
        ReasonCode.PHASE_ORDER_VIOLATED,
        ReasonCode.RECONCILIATION_UNRESOLVED,
        ReasonCode.RISK_NOT_FINITE,
        ReasonCode.SCHEMA_MISMATCH,
        ReasonCode.WAREHOUSE_CORRUPT,
    }
)
# Where the inputs that are frozen at ingestion are kept.
_FROZEN = {
    "portfolio": "night_portfolio",
    "strategy_returns": "night_strategy_returns",
    "system_state": "night_system_state",
    "veto_clears": "night_veto_clears",
}
_OF_BARS = ("bars", "stress_bars")
_DECIDED = ("governance_decisions", "capital_allocations")


class NightRun:
    """One night of one date on one home; the lock is held from entering to leaving.

    Parameters
    ----------
    asof
        The day traded.
    run_id
        Whoever runs it: the Dagster run, recorded with every row.
    """

    def __init__(self, platform: Platform, asof: date, *, run_id: str) -> None:
        self._platform = platform
        self.context = platform.context(asof)
        self._run_id = run_id
        self._lock = FileLock(platform.home.night_lock)
        self._log = platform.state_log()
        self._journal: Journal | None = None
        self._bars_sha256: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._lock.acquire()
        try:
            self._require_newest()
            self._journal = self._platform.open_chain(Chain.NIGHT)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._journal is not None:
            self._journal.close()
        self._lock.release()

    def _require_newest(self) -> None:
        # What is published, and the causes that stand, never go back to an earlier day.
        try:
            meta = published_meta(self._platform.home.published / "night")
        except SystemHalt:
            return  # a damaged pointer binds nobody: only a night that publishes mends it
        if meta is not None and self.context.asof < date.fromisoformat(meta["asof"]):
            raise InputError(
                f"asof must be >= {meta['asof']}, the newest published night,"
                f" was {self.context.asof}"
            )

    @property
    def _chain(self) -> Journal:
        if self._journal is None:
            raise ValueError("a night must be entered before it is run")
        return self._journal

    def ingest(self) -> IngestReport:
        """Fetch the window, archive the payloads, append what differs, freeze the inputs.

        Raises
        ------
        DataRejected
            ``INGESTION_WINDOW_CLOSED`` for the live market while it trades; where its bars come
            in shards ``SHARDS_INCOMPLETE``, before anything is written.
        SystemHalt
            ``DISK_FULL``, or where the archive cannot be written or is not what it was.
        """
        platform, context = self._platform, self.context
        arrival = receive_bars(platform, context.asof, run_id=self._run_id)
        frozen = {**self._frozen(), "provider_answers": answers_frame(arrival.answers)}
        recorded_at, self._bars_sha256 = platform.now(), {}
        with platform.warehouse.txn() as con:
            appended = [
                append_bars(
                    con,
                    delivery.frame,
                    run_id=self._run_id,
                    recorded_at=recorded_at,
                    knowledge_instant=context.known_at,
                )
                for delivery in arrival.deliveries
            ]
            classes = found_classes(platform.universe)
            persist_classes(con, classes, arrival.first_dates, run_id=self._run_id)
            for name, frame in frozen.items():
                write_night(
                    con, _FROZEN.get(name, name), frame, asof=context.asof, run_id=self._run_id,
                    recorded_at=recorded_at,
                )  # fmt: skip
            bars = self._bars(con, "bars")
        return IngestReport(
            provider=arrival.provider,
            symbols=len(platform.universe.symbols),
            bars=bars.height,
            added=appended[-1].added,
            restated=appended[-1].restated,
            unchanged=appended[-1].unchanged,
            withdrawn=appended[-1].withdrawn,
            archive=str(archive_of(platform, context.asof, self._run_id)),
            archive_sha256=sha256_of(arrival.deliveries[-1].sha256),
            stress_added=sum(result.rows for result in appended[:-1]),
            notices=arrival.notices,
        )

    def _frozen(self) -> dict[str, pl.DataFrame]:
        asof, state = self.context.asof, self._log.refresh()
        with self._platform.warehouse.reader() as con:
            known = last_day_of_evidence(con, before=asof)
        frozen = night_inputs(self._platform, asof, state, refound=FOUND_BY_STEPS)
        return frozen | night_evidence(self._platform, after=known, before=asof)

    def _bars(self, con: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
        window = history_window if name == "bars" else stress_window
        start, end = window(self.context.asof, self._platform.policy.history)
        names = [entry.symbol for entry in self._platform.universe.symbols]
        return bars_as_of(con, names, start=start, end=end, known_at=self.context.known_at)

    def run_step(self, name: str) -> StepOutcome:
        """Run one step on the stored tables, write what it made, stamp its phase.

        Raises
        ------
        SystemHalt
            ``PHASE_ORDER_VIOLATED`` where an earlier phase has no valid stamp, or a table it
            stands on was never written or was replaced.
        """
        step, context = STEP_BY_NAME[name], self.context
        with self._platform.warehouse.reader() as con:
            stamps = self._stamps(con)
            tables = {need: self._input(con, need) for need in step.needs}
            made = self._made(con, tables)
        result = self._run(step, tables, stamps, made)
        recorded_at = self._platform.now()
        with self._platform.warehouse.txn() as con:
            write = write_night(
                con, name, result.frame, asof=context.asof, run_id=self._run_id,
                recorded_at=recorded_at,
            )  # fmt: skip
            # The same stamp again leaves the later ones as sound as they were.
            if result.stamp is not None and result.stamp not in stamps:
                kept = [s for s in stamps if s.step < result.stamp.step]
                write_night(
                    con, "phase_stamps", stamps_to_frame([*kept, result.stamp]),
                    asof=context.asof, run_id=self._run_id, recorded_at=recorded_at,
                )  # fmt: skip
        state = self._journal_step(step, result.frame, result.causes, tables)
        done = f"{STEPS.index(step) + 1}/{len(STEPS)} steps ({name})"
        self._platform.home.night_progress.write_text(done, encoding="utf-8")
        return StepOutcome(
            name=name,
            frame=result.frame,
            rows_added=write.rows_added,
            content_sha256=write.content_sha256,
            causes=result.causes,
            state=state,
            stamp=result.stamp,
        )

    def _run(
        self,
        step: NightStep,
        tables: Mapping[str, pl.DataFrame],
        stamps: tuple[PhaseStamp, ...],
        made: Mapping[str, str],
    ) -> StepResult:
        try:
            return run_step(step, tables, stamps, self.context, made=made)
        except DataRejected as refusal:
            # A refusal that must halt is latched before the step fails.
            if refusal.reason_code.severity in (Severity.HALT, Severity.STOP):
                self.raise_cause(cause_of(refusal.reason_code, refusal.detail))
            raise

    def _journal_step(
        self,
        step: NightStep,
        frame: pl.DataFrame,
        causes: tuple[Cause, ...],
        tables: Mapping[str, pl.DataFrame],
    ) -> SystemState:
        home = self._platform.home
        if step.name == "governance_decisions":
            decided = {
                "governance_decisions": frame.to_arrow(),
                "capital_allocations": tables["capital_allocations"].to_arrow(),
            }
            append_anchored(home, self._chain, NIGHT_KIND, bundle_tables(decided), self._facts())
        if not step.cause_domain:
            return self._log.refresh()
        return observe(home, self._chain, self._log, causes, domain=step.cause_domain)

    def _facts(self) -> dict[str, Any]:
        return {
            "asof": self.context.asof.isoformat(),
            "run_id": self._run_id,
            "cycle_id": self.context.cycle_id,
            "config_hash": self._platform.config_hash,
            "code_hash": self._platform.code_hash,
            "heads": self._log.head_hashes,
        }

    def _stamps(self, con: duckdb.DuckDBPyConnection) -> tuple[PhaseStamp, ...]:
        asof = self.context.asof
        if not is_written(con, "phase_stamps", asof=asof):
            return ()
        frame = read_night(con, "phase_stamps", asof=asof)
        return stamps_from_frame(frame.with_columns(pl.lit(asof).alias("asof")))

    def _input(self, con: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
        asof = self.context.asof
        match name:
            case "bars" | "stress_bars":
                return self._bars(con, name)
            case "symbol_classes":
                return con.sql("SELECT * FROM symbol_classes").pl()
            case _:
                return read_input(con, _FROZEN.get(name, name), asof=asof)

    def _made(
        self, con: duckdb.DuckDBPyConnection, read: Mapping[str, pl.DataFrame] | None = None
    ) -> dict[str, str]:
        # Content hashes as they are now: the bars' once a run, the rest by what was written.
        asof, hashes = self.context.asof, self._bars_sha256
        for name in _OF_BARS:
            if name not in hashes:
                hashes[name] = content_sha256((read or {}).get(name, self._bars(con, name)))
        names = {name for tables in PHASE_TABLES.values() for name in tables} - set(_OF_BARS)
        found = {
            name: written_sha256(con, _FROZEN.get(name, name), asof=asof) for name in sorted(names)
        }
        return hashes | {name: digest for name, digest in found.items() if digest is not None}

    def table(self, name: str) -> pl.DataFrame:
        """Read one of the night's tables, or one of its inputs, as it is stored now."""
        with self._platform.warehouse.reader() as con:
            return self._input(con, name)

    def publish(self) -> PublishReport:
        """Publish what the loop and every other reader stands on, with the stamps before it.

        Raises
        ------
        SystemHalt
            ``PHASE_ORDER_VIOLATED`` where a phase before live trading has no valid stamp.
        """
        platform, asof = self._platform, self.context.asof
        with platform.warehouse.reader() as con:
            stamps = self._stamps(con)
            outputs = phase_outputs(Phase.LIVE_TRADING, self._made(con))
            require_stamps(stamps, Phase.LIVE_TRADING, asof, outputs)
            names = (*LIVE_TABLES, *_DECIDED)
            tables = {name: read_night(con, name, asof=asof) for name in names}
            tables["bar_lineage"] = bar_lineage(con, self.context.known_at)
        observe(platform.home, self._chain, self._log, (), domain=PROVED_BY_PUBLISHING)
        folder = platform.home.published / "night"
        tables["phase_stamps"] = stamps_to_frame(stamps)
        snapshot_id = publish(
            folder,
            tables,
            meta={**self._facts(), "market": platform.settings.market.value},
            keep=platform.policy.loop.published_snapshots,
        )
        return PublishReport(
            snapshot_id=snapshot_id,
            rows={name: frame.height for name, frame in tables.items()},
            path=str((folder / snapshot_id).relative_to(platform.home.root)),
        )

    def stop(self, halt: SystemHalt) -> SystemState:
        """Latch STOP_SYSTEM for what was raised, in the night's chain."""
        stop = SystemStateName.STOP_SYSTEM
        return self.raise_cause(cause_of(halt.reason_code, halt.detail, state=stop))

    def raise_cause(self, cause: Cause) -> SystemState:
        """Write one cause into the night's chain and give the state that follows."""
        domain = {cause.reason_code}
        return observe(self._platform.home, self._chain, self._log, (cause,), domain=domain)
