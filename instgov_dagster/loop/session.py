"""One governed live session: lease, recovery, cycle after cycle, each journalled before it acts."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from instgov_dagster.adapters.account import MarketView
from instgov_dagster.adapters.journal import Journal, append_anchor
from instgov_dagster.adapters.markets.quote_stream import SessionSpan
from instgov_dagster.adapters.runtime import (
    FileLock,
    VirtualClock,
    replace_durably,
    require_free_space,
)
from instgov_dagster.adapters.stopping import StopRequest, graceful_stop, wait_until
from instgov_dagster.adapters.store.pinned import pin_snapshot
from instgov_dagster.adapters.store.projector import project
from instgov_dagster.adapters.store.projector.follower import Follower
from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.governance.audit import sha256_of
from instgov_dagster.governance.proof import mint_approved_order
from instgov_dagster.loop.decision.book import book_to_dict
from instgov_dagster.loop.folding.continuity import STATE_HASH
from instgov_dagster.loop.folding.fold import CycleInputs, SessionFold, Turn, plain_shares
from instgov_dagster.loop.folding.ledger import SessionLedger
from instgov_dagster.loop.folding.machine import machine_fingerprint
from instgov_dagster.loop.live.frames import CYCLE_KIND, FILLS_KIND, SESSION_KIND, fills_tables
from instgov_dagster.loop.live.latch import latch_stop
from instgov_dagster.loop.live.opening import (
    PROVED_BY_ENDING,
    PROVED_BY_OPENING,
    open_quotes,
    open_snapshot,
    require_sound_chains,
    verify_snapshot,
)
from instgov_dagster.loop.live.recovery import last_told, last_trail, last_values
from instgov_dagster.loop.live.report import Minute, Minutes, SessionReport, Tally
from instgov_dagster.loop.live.router import Router, market_views
from instgov_dagster.loop.live.settling.answers import Routed
from instgov_dagster.loop.live.settling.handover import hand_over
from instgov_dagster.loop.live.settling.invariants import require_reconciled
from instgov_dagster.loop.live.settling.told import fold_account
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.state_log import observe
from instgov_dagster.vocabulary.audit import AppendReceipt
from instgov_dagster.vocabulary.errors import InstgovError, SystemHalt
from instgov_dagster.vocabulary.governance import Chain, SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode

_MIB = 1024 * 1024
SUMMARY_FILE = "session.json"
NO_ROWS = pa.table({"note": pa.array([], pa.string())})


def run_session(
    platform: Platform,
    asof: date,
    *,
    cycles: int,
    period_seconds: float,
    run_id: str,
    tell: Callable[[Minute], None] = lambda _: None,
) -> SessionReport:
    """Lead one session of ``cycles`` cycles over the day ``asof``, and report it.

    Parameters
    ----------
    cycles
        How many cycles; one decision a symbol in each.
    period_seconds
        Real seconds between cycles; 0 runs them back to back. The virtual clock moves by the
        policy's period either way.
    tell
        Takes each minute's numbers as it ends; it must not wait.

    Raises
    ------
    LeaseHeld
        If another session leads; nothing is written then.
    SystemHalt
        On anything that must stop the system; the cause is journalled where the journal allows.
    """
    with FileLock(platform.home.lease), graceful_stop() as stop:
        session: Session | None = None
        try:
            span = SessionSpan(
                day=asof,
                cycles=cycles,
                period_seconds=platform.policy.loop.period_seconds or 1.0,
                seed=platform.settings.seed,
                day_cycles=platform.policy.loop.day_cycles,
            )
            session = Session(platform, asof, span, run_id, stop=stop)
            session.open()
            with _projecting(platform, period_seconds):
                session.lead(period_seconds, tell)
            return session.close()
        except SystemHalt as halt:
            latch_stop(platform, session.journal if session else None, halt)
            raise
        except InstgovError:
            raise  # refused before anything was done
        except BaseException as error:
            # It failed where no rule foresees it, perhaps after acting: nothing may follow.
            found = SystemHalt(ReasonCode.UNEXPECTED_FAILURE, f"{type(error).__name__}: {error}")
            latch_stop(platform, session.journal if session else None, found)
            raise
        finally:
            if session is not None:
                session.held.close()


def _projecting(platform: Platform, period_seconds: float) -> AbstractContextManager[object]:
    # Back to back there is nobody to read along: such a session projects once, at its end.
    if not period_seconds:
        return nullcontext()
    loop = platform.policy.loop
    return Follower(
        platform.home,
        every_seconds=loop.project_every_seconds,
        published_cycles=loop.published_cycles,
        keep=loop.published_snapshots,
    )


class Session:
    """A leader at work; made and driven by `run_session`."""

    def __init__(
        self, platform: Platform, asof: date, span: SessionSpan, run_id: str, *, stop: StopRequest
    ) -> None:
        self._platform = platform
        self._asof = asof
        self._span = span
        self._clock = VirtualClock(span.instant(0))
        self._run_id = run_id
        self._log = platform.state_log()
        self._tally = Tally()
        self._key = secrets.token_bytes(32)
        self._impact_bps: dict[str, float] = {}
        self.journal: Journal | None = None
        self.held = ExitStack()  # the chain and the account, closed however the session ends
        self._stop = stop

    @property
    def _chain(self) -> Journal:
        if self.journal is None:
            raise ValueError("a session must be opened before it leads")
        return self.journal

    def open(self) -> None:
        """Verify what the session stands on, recover the book, and say that it began."""
        platform, loop = self._platform, self._platform.policy.loop
        require_free_space(platform.home.root, needed_bytes=loop.min_free_disk_mib * _MIB)
        self.journal = self.held.enter_context(platform.open_chain(Chain.LOOP, clock=self._clock))
        require_sound_chains(platform)
        self._snapshot = open_snapshot(platform, self._asof)
        self._verified_at = platform.now()
        pin_snapshot(platform.home, self._snapshot.snapshot_id)
        told = fold_account(platform, self._asof)
        self._router = self.held.enter_context(Router.opened(platform, told, key=self._key))
        may_cancel = self._log.refresh().allows_cancel
        handed = hand_over(
            platform, told, self._router, self._append, self._snapshot, may_cancel=may_cancel
        )
        self._tally.recovered, self._tally.invariants = handed.recovered, handed.invariants
        trail = last_trail(platform, self._asof)
        restored = trail.restore(self._snapshot)
        # Everything above held: conditions an earlier session stopped on are over.
        observe(platform.home, self._chain, self._log, (), domain=PROVED_BY_OPENING)
        self._span = replace(self._span, first_cycle=trail.cycles)
        self._clock.sleep_until(self._span.instant(trail.cycles))
        self._stream = open_quotes(platform, self._snapshot, self._span)
        self._fold = SessionFold(
            self._snapshot,
            platform.policy,
            session_id=f"live-{self._asof.isoformat()}-{self._chain.sequence + 1:08d}",
            book=handed.book,
            state=restored,
            ledger=SessionLedger(
                self._snapshot,
                opening=last_values(platform),
                flows=last_told(platform, "flows") or {},
            ),
            solver=HotSolver(),
        )
        self._continues = {
            "first_cycle": trail.cycles,
            "told_hash": trail.told_hash,
            "started_hash": self._fold.facts()[STATE_HASH],
        }
        self._append(SESSION_KIND, NO_ROWS, self._started())

    def _started(self) -> dict[str, Any]:
        return {
            "event": "started",
            "session": self._fold.session_id,
            **self._continues,
            "policy_hash": sha256_of(self._platform.policy),
            **self._fold.facts(),
            "snapshot_id": self._snapshot.snapshot_id,
            "period_seconds": self._span.period_seconds,
            "cycles": self._span.cycles,
            "seed": self._span.seed,
            "market": self._platform.settings.market.value,
            "machine": machine_fingerprint(),
            "replayed": list(self._stream.replayed),
            "book": book_to_dict(self._fold.book),
            **self._tally.begin(self._chain.torn),
        }

    def lead(self, period_seconds: float, tell: Callable[[Minute], None]) -> None:
        """Run the cycles, drift-free on the real clock where there is a period."""
        start = self._platform.now()
        every = self._platform.policy.operations.observe_every_seconds
        minutes = Minutes(self._tally, tell, every_seconds=every)
        policy = self._platform.policy.loop
        for cycle in range(self._span.cycles):
            due = start + timedelta(seconds=cycle * period_seconds)
            wait_until(self._platform.clock, due, self._stop)
            if cycle and self._stop.is_asked:
                break  # after the current cycle, in order
            behind = (self._platform.now() - due).total_seconds()
            is_late = period_seconds > 0.0 and behind > policy.late_after_seconds
            begun = time.perf_counter()
            self._cycle(cycle, is_late=is_late)
            self._tally.milliseconds.append(1e3 * (time.perf_counter() - begun))
            heartbeat = self._platform.home.heartbeat
            heartbeat.write_text(f"{cycle + 1}/{self._span.cycles} cycles", encoding="utf-8")
            minutes.passed(self._platform.now(), behind_seconds=behind, is_late=is_late)
        minutes.close()

    def _cycle(self, cycle: int, *, is_late: bool) -> None:
        least = self._platform.policy.loop.min_free_disk_mib * _MIB
        require_free_space(self._platform.home.root, needed_bytes=least)
        of_day = self._span.first_cycle + cycle
        self._clock.sleep_until(self._span.instant(of_day))
        quotes = self._stream.quotes_at(of_day)
        system = self._log.refresh()
        self._settle_resting(quotes, system)
        turn = self._fold.cycle(
            CycleInputs(
                number=cycle,
                timestamp=self._clock.now(),
                quotes=quotes,
                system=system,
                is_late=is_late,
                is_stale=self._is_stale(),
            )
        )
        decision = turn.decision
        receipt = self._append(CYCLE_KIND, turn.table, turn.facts)
        self._tally.count(decision, n_orders=len(turn.orders))
        if decision.found.causes:
            domain = {cause.reason_code for cause in decision.found.causes}
            observe(
                self._platform.home, self._chain, self._log, decision.found.causes, domain=domain
            )
        if turn.orders:
            self._send(turn, receipt)

    def _is_stale(self) -> bool:
        # Verified again every so often; what was not, in time, is not stood on (roadmap 3.3).
        policy, now = self._platform.policy.loop, self._platform.now()
        age = (now - self._verified_at).total_seconds() / 60.0
        if age >= policy.snapshot_refresh_minutes:
            verify_snapshot(self._platform, self._snapshot.snapshot_id)
            self._verified_at, age = now, 0.0
        if age > policy.snapshot_ttl_minutes * policy.snapshot_halt_multiple:
            raise SystemHalt(
                ReasonCode.SNAPSHOT_EXPIRED, f"the snapshot was verified {age:.0f} minutes ago"
            )
        return age > policy.snapshot_ttl_minutes

    def _settle_resting(self, quotes: Quotes, system: SystemState) -> None:
        # What rested meets the new quotes first; what still rests is withdrawn and decided anew.
        # A state that lets nothing grow withdraws before anything can fill; STOP sends nothing.
        if not system.allows_cancel:
            return
        if system.allows_increase:
            self._book_outcomes(self._router.match(self._views(quotes)))
        self._book_outcomes(self._router.withdraw())

    def _send(self, turn: Turn, receipt: AppendReceipt) -> None:
        decision = turn.decision
        approved = [
            mint_approved_order(
                order,
                decision.decisions[order.decision_sequence],
                receipt,
                cycle_id=decision.cycle_id,
                key=self._key,
            )
            for order in turn.orders
        ]
        self._impact_bps = {
            order.symbol: order.impact.temporary_impact_bps + order.impact.permanent_impact_bps
            for order in decision.orders
            if order.slice_index == 0  # the one that is due: a later slice is decided anew
        }
        self._book_outcomes(self._router.send(approved, self._views(decision.quotes), turn.shares))

    def _views(self, quotes: Quotes) -> dict[str, MarketView]:
        policy = self._platform.policy
        now = self._clock.now()
        instant = np.datetime64(now.replace(tzinfo=None), "us")
        return market_views(
            quotes,
            quotes.valid_mask(instant, policy.loop.quote_max_age_seconds),
            self._stream,
            self._snapshot.adv_usd,
            impact_bps=self._impact_bps,
            max_participation=policy.impact.max_participation,
            at=now,
        )

    def _book_outcomes(self, routed: Routed) -> None:
        # The broker's answer is journalled before the next decision stands on it.
        if routed.outcomes:
            self._journal_outcomes(routed)
        if routed.halt is not None:
            raise routed.halt

    def _journal_outcomes(self, routed: Routed) -> None:
        self._tally.fills += routed.n_fills
        facts = self._fold.settle(routed.changes)
        self._append(
            FILLS_KIND,
            fills_tables(routed.outcomes, routed.ledger),
            {**facts, "shares": plain_shares(routed.shares)},
        )
        require_reconciled(self._router.account(), self._fold.book)

    def close(self) -> SessionReport:
        """Withdraw what rests, say that the session ended, anchor, publish and report."""
        policy = self._platform.policy
        if self._log.refresh().allows_cancel:
            self._book_outcomes(self._router.withdraw())
        observe(self._platform.home, self._chain, self._log, (), domain=PROVED_BY_ENDING)
        last = self._tally.last
        results = self._fold.results(last) if last else ()
        self._append(
            SESSION_KIND,
            NO_ROWS,
            {
                "event": "ended",
                **self._tally.end(self._stop.signal_name),
                "session": self._fold.session_id,
                **self._fold.facts(),
                "flows": {},
                "results": [asdict(row) for row in results],
                "book": book_to_dict(self._fold.book),
            },
        )
        append_anchor(self._platform.home.anchors, self._chain.anchor())
        project(
            self._platform.home,
            recorded_at=self._platform.now(),
            key=self._platform.key,
            published_cycles=policy.loop.published_cycles,
            keep=policy.loop.published_snapshots,
        )
        report = self._tally.report(
            session_id=self._fold.session_id,
            run_id=self._run_id,
            ended_by=self._stop.signal_name,
            state=self._log.refresh(),
            asof=self._asof.isoformat(),
            cvar_limit=self._platform.policy.cvar.portfolio_limit,
            chain_head=self._chain.head,
            frames=self._chain.sequence,
            snapshot_id=self._snapshot.snapshot_id,
            **self._continues,
        )
        body = json.dumps(report.to_dict(), sort_keys=True, allow_nan=False).encode()
        replace_durably(self._platform.home.published / SUMMARY_FILE, body)
        return report

    def _append(self, kind: str, table: pa.Table, facts: Mapping[str, Any]) -> AppendReceipt:
        meta = {
            "asof": self._asof.isoformat(),
            "run_id": self._run_id,
            "config_hash": self._platform.config_hash,
            "code_hash": self._platform.code_hash,
            "heads": self._log.head_hashes,
            **facts,
        }
        receipt = self._chain.append(kind, table, meta)
        every = self._platform.policy.loop.anchor_every_cycles
        if receipt.sequence % every == 0:
            append_anchor(self._platform.home.anchors, self._chain.anchor())
        return receipt
