"""One governed live session: its turn, recovery, cycle after cycle, each journalled first."""

import json
import os
import secrets
import time
from contextlib import ExitStack
from dataclasses import asdict
from datetime import date
from typing import Any

from instgov_dagster.adapters.journal import Journal
from instgov_dagster.adapters.runtime import Lease, replace_durably, require_free_space
from instgov_dagster.adapters.runtime.stopping import StopRequest, graceful_stop, wait_until
from instgov_dagster.adapters.store.published import SUMMARY_FILE
from instgov_dagster.bars.calendars import open_mask
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.governance.audit import sha256_of
from instgov_dagster.governance.state import cause_of
from instgov_dagster.loop.decision.book import Book, book_to_dict
from instgov_dagster.loop.folding.continuity import STATE_HASH
from instgov_dagster.loop.folding.fold import CycleInputs, SessionFold
from instgov_dagster.loop.folding.ledger import SessionLedger
from instgov_dagster.loop.folding.machine import machine_fingerprint
from instgov_dagster.loop.live.frames import CYCLE_KIND, SESSION_KIND
from instgov_dagster.loop.live.leading.candidate import Candidate
from instgov_dagster.loop.live.leading.fences import Fences
from instgov_dagster.loop.live.leading.host import ALONE, Host, Plan
from instgov_dagster.loop.live.leading.memory import PACED
from instgov_dagster.loop.live.leading.pacing import Beat, Pace, unpaused
from instgov_dagster.loop.live.leading.readers import project_to_end, projecting
from instgov_dagster.loop.live.leading.watches import Background, SnapshotWatch, Standing
from instgov_dagster.loop.live.opening import (
    PROVED_BY_ENDING,
    PROVED_BY_OPENING,
    SessionTime,
    asked_while,
    verify_snapshot,
)
from instgov_dagster.loop.live.report import Minutes, SessionReport, Tally
from instgov_dagster.loop.live.router import Router
from instgov_dagster.loop.live.scribe import NO_ROWS, Scribe
from instgov_dagster.loop.live.settling.handover import HandedOver, hand_over
from instgov_dagster.loop.live.settling.latch import latch_stop
from instgov_dagster.loop.live.settling.trading import Trading
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.errors import Fenced, InstgovError, SystemHalt
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster.vocabulary.reasons import ReasonCode

_MIB = 1024 * 1024
#: How long the chain of a leader that is just ending may still be held.
_CHAIN_WAIT_SECONDS = 2.0
#: What ends a session that lost its host, beside the signals.
FENCED = ReasonCode.FENCED.value


def run_session(
    platform: Platform,
    asof: date,
    *,
    cycles: int,
    period_seconds: float,
    run_id: str,
    host: Host = ALONE,
) -> SessionReport:
    """Lead one session of ``cycles`` cycles over the day ``asof``, and report it.

    Parameters
    ----------
    period_seconds
        Real seconds between cycles; 0 runs them back to back. The virtual clock moves by the
        policy's period either way.
    host
        Who started it. One that may wait stands by, warm, while another leads.

    Raises
    ------
    LeaseHeld
        If another session leads and this one may not wait, or was asked to end before its turn;
        nothing is written then.
    Fenced
        If the session lost its host while it led: it ended, and sent nothing after that.
    SystemHalt
        On anything that must stop the system; the cause is journalled where the journal allows.
    """
    lease = platform.open_lease()
    with ExitStack() as stack:
        if not host.may_wait:
            stack.enter_context(lease)
        stop = stack.enter_context(graceful_stop())
        plan = Plan(asof=asof, cycles=cycles, period_seconds=period_seconds, run_id=run_id)
        session = Session(platform, plan, stop=stop, host=host, lease=lease)
        stack.callback(session.let_go)
        try:
            if host.may_wait:
                session.stand_by()
            session.open()
            with projecting(platform, period_seconds):
                session.lead()
                report = session.close()
                session.let_go()  # the next leader need not wait for the projection
            project_to_end(platform)
        except SystemHalt as halt:
            session.latch(halt)
            raise
        except InstgovError:
            raise  # refused before anything was done, or ended with nothing sent
        except BaseException as error:
            # It failed where no rule foresees it, perhaps after acting: nothing may follow.
            found = SystemHalt(ReasonCode.UNEXPECTED_FAILURE, f"{type(error).__name__}: {error}")
            session.latch(found)
            raise
    if report.ended_by == FENCED:
        raise Fenced(session.fences.fault or FENCED)
    return report


class Session:
    """A standby, then a leader at work; made and driven by `run_session`."""

    def __init__(
        self, platform: Platform, plan: Plan, *, stop: StopRequest, host: Host, lease: Lease
    ) -> None:
        self._platform, self._plan, self._asof = platform, plan, plan.asof
        self._time = SessionTime(platform, plan.asof, cycles=plan.cycles)
        self._now = self._time.clock.now()  # of the cycle in hand
        self._candidate = Candidate(
            platform, plan.asof, self._time.span, run_id=plan.run_id, period=plan.period_seconds
        )
        self._log, self._memory = self._candidate.log, self._candidate.memory
        self._stop, self._host, self._lease = stop, host, lease
        self._tally = Tally()
        self._held = ExitStack()  # the chain and the account, closed however the session ends
        self._beat: Beat | None = None
        self._pace: Pace | None = None
        self.fences = Fences(platform, host, lease)
        self.journal: Journal | None = None

    @property
    def _chain(self) -> Journal:
        if self.journal is None:
            raise ValueError("a session must be opened before it leads")
        return self.journal

    def stand_by(self) -> None:
        """Become ready for all that a leader does, and wait for the lease.

        Raises
        ------
        LeaseHeld
            If it was asked to end, lost its host or waited too long before its turn came.
        """
        self._candidate.stand_by(self._lease, host=self._host, stop=self._stop)

    def open(self) -> None:
        """Verify what the session stands on, recover the book, and say that it began."""
        platform, loop = self._platform, self._platform.policy.loop
        self._time.require_begun()
        proven = self._candidate.begin_to_lead()
        require_free_space(platform.home.root, needed_bytes=loop.min_free_disk_mib * _MIB)
        self.journal = chain = self._held.enter_context(
            platform.open_chain(
                Chain.LOOP,
                clock=self._time.clock,
                proven=proven,
                wait_seconds=_CHAIN_WAIT_SECONDS if self._host.may_wait else 0.0,
            )
        )
        self.journal.fence = self._lease.fence
        self._log.require_sound()
        self._scribe = Scribe(platform=platform, plan=self._plan, log=self._log, chain=chain)
        ready = self._candidate.ready()
        self._snapshot, self._stream = ready.snapshot, ready.stream
        self._watch = SnapshotWatch(
            lambda: verify_snapshot(platform, ready.snapshot.snapshot_id),
            loop,
            now=ready.verified_at,
        )
        key = secrets.token_bytes(32)
        router = self._held.enter_context(Router.opened(platform, self._memory.told, key=key))
        handed = self._take_over(router)
        trail = self._memory.trail
        self._time.go_on_from(trail.cycles)
        self._held.enter_context(asked_while(self._stream))
        self._fold = self._fold_from(handed.book)
        self._trading = Trading(
            policy=platform.policy,
            snapshot=self._snapshot,
            stream=self._stream,
            router=router,
            fold=self._fold,
            key=key,
            write=self._scribe.append,
            now=lambda: self._now,
        )
        self._continues = {
            "first_cycle": trail.cycles,
            "told_hash": trail.told_hash,
            "started_hash": self._fold.facts()[STATE_HASH],
        }
        self._scribe.append(SESSION_KIND, NO_ROWS, self._started())
        self._log.listener = None  # a leader remembers by its fold

    def _take_over(self, router: Router) -> HandedOver:
        handed = hand_over(
            self._platform,
            self._memory,
            router,
            self._scribe.append,
            self._snapshot,
            catch_up=self._log.refresh,
            may_cancel=self._log.refresh().allows_cancel,
        )
        self._tally.recovered, self._tally.invariants = handed.recovered, handed.invariants
        self._restored = self._memory.trail.restore(self._snapshot)
        # Everything above held: conditions an earlier session stopped on are over.
        self._scribe.prove_over(PROVED_BY_OPENING)
        return handed

    def _fold_from(self, book: Book) -> SessionFold:
        memory = self._memory
        return SessionFold(
            self._snapshot,
            self._platform.policy,
            session_id=f"live-{self._asof.isoformat()}-{self._chain.sequence + 1:08d}",
            book=book,
            state=self._restored,
            ledger=SessionLedger(self._snapshot, opening=memory.values, flows=memory.flows),
            solver=HotSolver(),
        )

    def _started(self) -> dict[str, Any]:
        return {
            "event": "started",
            "session": self._fold.session_id,
            "epoch": self._lease.epoch,
            **self._continues,
            **self._candidate.turn(),
            "policy_hash": sha256_of(self._platform.policy),
            **self._fold.facts(),
            "snapshot_id": self._snapshot.snapshot_id,
            "period_seconds": self._time.span.period_seconds,
            "cycles": self._plan.cycles,
            "seed": self._time.span.seed,
            "market": self._platform.settings.market.value,
            "machine": machine_fingerprint(),
            "replayed": list(self._stream.replayed),
            "book": book_to_dict(self._fold.book),
            **self._tally.begin(self._chain.torn),
        }

    def lead(self) -> None:
        """Run the cycles until the last one, a request to end, or a fence that closes."""
        platform, period = self._platform, self._plan.period_seconds
        self.fences.begin()
        watches = [w for w in (self._watch, self.fences.run_watch) if w is not None]
        if period:
            self._pace = Pace(
                period_seconds=period,
                late_after_seconds=platform.policy.loop.late_after_seconds,
                now=platform.now(),
                after=self._memory.last_due,
            )
        pace, every = self._pace, platform.policy.operations.observe_every_seconds
        minutes = Minutes(self._tally, self._host.tell, every_seconds=every)
        background = Background(watches, platform.clock, is_threaded=pace is not None)
        with background, unpaused() as set_aside:
            for cycle in range(self._plan.cycles):
                if pace is not None:
                    wait_until(platform.clock, pace.due, self._stop)
                background.look()
                if (cycle and self._stop.is_asked) or self.fences.is_closed():
                    break  # after the current cycle, in order
                self._beat = pace.begin(platform.now()) if pace is not None else None
                begun = time.perf_counter()
                self._cycle(cycle, is_late=self._beat is not None and self._beat.is_late)
                self._tally.milliseconds.append(1e3 * (time.perf_counter() - begun))
                told = f"{cycle + 1}/{self._plan.cycles} cycles"
                platform.home.heartbeat.write_text(told, encoding="utf-8")
                self._tally.fills = self._trading.n_fills
                minutes.passed(platform.now(), self._beat)
                if not cycle:
                    set_aside()
        minutes.close()

    def _cycle(self, cycle: int, *, is_late: bool) -> None:
        least = self._platform.policy.loop.min_free_disk_mib * _MIB
        require_free_space(self._platform.home.root, needed_bytes=least)
        quotes = self._stream.quotes_at(self._time.reach(cycle))
        self._now = self._time.clock.now()  # after the quotes: none of them is seen ahead of it
        quotes = quotes.within(open_mask(self._snapshot.asset_class, self._now))
        is_stale = self._is_stale()
        system = self._log.refresh()
        self._trading.settle_resting(quotes, system)
        turn = self._fold.cycle(
            CycleInputs(
                number=cycle,
                timestamp=self._now,
                quotes=quotes,
                system=system,
                is_late=is_late,
                is_stale=is_stale,
            )
        )
        paced = {PACED: self._beat.facts(os.getpid())} if self._beat else {}
        receipt = self._scribe.append(CYCLE_KIND, turn.table, {**turn.facts, **paced})
        self._tally.count(turn.decision, n_orders=len(turn.orders))
        self._scribe.observe(turn.decision.found.causes)
        if turn.orders:
            self._trading.send(turn, receipt, may_send=lambda: self.fences.may_send(self._beat))

    def _is_stale(self) -> bool:
        # Verified again every so often; what was not, in time, is not stood on (roadmap 3.3).
        now = self._platform.now()
        standing = self._watch.standing(now)
        if standing is Standing.EXPIRED:
            age = f"the snapshot was verified {self._watch.age_minutes(now):.0f} minutes ago"
            self._scribe.observe((cause_of(ReasonCode.SNAPSHOT_EXPIRED, age),))
        return standing is not Standing.FRESH or self._time.is_over(self._now)

    def close(self) -> SessionReport:
        """Withdraw what rests, say that the session ended, anchor it and report.

        A session that was fenced sends nothing more: what rests is the next leader's to withdraw.
        """
        platform = self._platform
        ended_by = FENCED if self.fences.fault is not None else self._stop.signal_name
        if ended_by != FENCED and self._log.refresh().allows_cancel:
            self._trading.withdraw()
        self._scribe.prove_over(PROVED_BY_ENDING)
        last = self._tally.last
        results = self._fold.results(last) if last else ()
        ended = {
            "event": "ended",
            **self._tally.end(ended_by),
            "session": self._fold.session_id,
            **self._fold.facts(),
            "flows": {},
            "results": [asdict(row) for row in results],
            "book": book_to_dict(self._fold.book),
        }
        self._scribe.append(SESSION_KIND, NO_ROWS, ended)
        self._scribe.anchor()
        self._tally.fills = self._trading.n_fills
        report = self._tally.report(
            session_id=self._fold.session_id,
            run_id=self._plan.run_id,
            ended_by=ended_by,
            longest_gap_seconds=self._pace.longest_gap_seconds if self._pace else None,
            state=self._log.refresh(),
            asof=self._asof.isoformat(),
            cvar_limit=platform.policy.cvar.portfolio_limit,
            chain_head=self._chain.head,
            frames=self._chain.sequence,
            snapshot_id=self._snapshot.snapshot_id,
            **self._continues,
        )
        body = json.dumps(report.to_dict(), sort_keys=True, allow_nan=False).encode()
        replace_durably(platform.home.published / SUMMARY_FILE, body)
        return report

    def let_go(self) -> None:
        """Let the next leader lead: chain and account first, then the lease; twice is once."""
        self._held.close()
        self._candidate.withdraw()
        self._lease.release()

    def latch(self, halt: SystemHalt) -> None:
        """Stop the system for what was raised; one that never led leaves that to the leader."""
        if self._lease.is_held or self._lease.try_acquire():
            latch_stop(self._platform, self.journal, halt)
