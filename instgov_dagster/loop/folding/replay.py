"""Fold a session's recorded inputs again and compare what follows, byte for byte."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from instgov_dagster.adapters.journal import (
    Frame,
    canonical_json,
    encode_payload,
    read_frames,
    unbundle,
)
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.pinned import read_pinned
from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.governance.audit import sha256_of
from instgov_dagster.governance.state import fold_state, unknown_state
from instgov_dagster.governance.state.rows import cause_from_dict
from instgov_dagster.loop.decision.book import BookChange, book_from_dict
from instgov_dagster.loop.decision.snapshot import LIVE_TABLES, Snapshot, snapshot_from_tables
from instgov_dagster.loop.folding.agreement import decision_differences
from instgov_dagster.loop.folding.continuity import STATE_HASH, Trail
from instgov_dagster.loop.folding.fold import CycleInputs, SessionFold, Turn
from instgov_dagster.loop.folding.ledger import SessionLedger
from instgov_dagster.loop.folding.machine import is_same_machine
from instgov_dagster.loop.live.frames import CYCLE_KIND, FILLS_KIND, SESSION_KIND
from instgov_dagster.vocabulary.audit import Fill, OrderSide
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import Chain, SystemState

_ORDER = "client_order_id"

#: What a cycle's frame tells of its writer and not of the decision.
ORIGIN_FACTS = ("asof", "run_id", "config_hash", "code_hash", "heads", "paced")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One frame whose decision did not come out again: which, and what differs."""

    cycle_id: str
    frame: str
    what: str


@dataclass(slots=True, kw_only=True)
class ReplayReport:
    """How many cycles were folded again, how many came out byte for byte, which did not.

    Attributes
    ----------
    within
        Cycles of another machine that came out as the same decisions, not as the same bytes.
    is_other_code
        Whether some frame was written by other code than that which folded it again.
    is_other_machine
        Whether some session was led with another processor or other libraries.
    """

    cycles: int = 0
    identical: int = 0
    within: int = 0
    different: list[Difference] = field(default_factory=list)
    is_other_code: bool = False
    is_other_machine: bool = False

    @property
    def ok(self) -> bool:
        """Whether every cycle came out again, and there was one."""
        return self.cycles > 0 and not self.different


class Replay:
    """Reads the loop's chain from its start and folds what it is asked for.

    Attributes
    ----------
    turn
        The last cycle folded, None before the first.

    Parameters
    ----------
    policy, code_hash
        The rules to fold by, which must be those of the session, and what the code hashes to.
    wanted
        The id of a cycle, folded from the cold start before it; the id of a session; the name of
        a day; None folds every session.
    machine
        What this process computes with. Given, the cycles of a session that was led with other
        means are held to their decisions, not to their bytes; None holds every cycle to its bytes.
    """

    def __init__(
        self,
        home: Home,
        policy: Policy,
        *,
        key: bytes | None,
        code_hash: str,
        wanted: str | None = None,
        machine: Mapping[str, Any] | None = None,
    ) -> None:
        self._home = home
        self._machine = machine
        self._is_foreign = False
        self._policy = policy
        self._key = key
        self._policy_hash = sha256_of(policy)
        self._code_hash = code_hash
        self._wanted = wanted
        self.kept: Snapshot | None = None
        self._told: dict[str, Any] = {}
        self._trail = Trail(day=date.min)
        self._started: Frame | None = None
        self._fold: SessionFold | None = None
        self.turn: Turn | None = None
        self.report = ReplayReport()

    def run(self, frames: Iterable[Frame] | None = None) -> ReplayReport:
        """Fold what is wanted.

        Parameters
        ----------
        frames
            Verified frames to read, in order and without a gap; the whole chain by default.

        Raises
        ------
        InputError
            If nothing wanted is in the chain, or it was decided under other rules.
        SystemHalt
            ``CHAIN_BROKEN`` where the chain does not verify; ``SNAPSHOT_MISSING`` where the night
            a session stood on is not kept.
        """
        chain = read_frames(self._home.journal_dir, Chain.LOOP.value, key=self._key)
        for frame in chain if frames is None else frames:
            self._turn_day(frame)
            self._follow(frame)
            self._remember(frame)
            if self._wanted is not None and frame.meta.get("cycle_id") == self._wanted:
                break
        if not self.report.cycles and self._wanted is not None:
            raise InputError(f"--cycle must be in the loop's chain, was {self._wanted}")
        return self.report

    def _turn_day(self, frame: Frame) -> None:
        day = date.fromisoformat(frame.meta["asof"]) if "asof" in frame.meta else self._trail.day
        if day != self._trail.day:
            self._trail = Trail(day=day)

    def _follow(self, frame: Frame) -> None:
        if frame.kind == SESSION_KIND and frame.meta["event"] == "started":
            self._begin(frame)
        elif frame.kind == CYCLE_KIND and self._is_wanted(frame):
            self._cycle(frame)
        elif frame.kind == FILLS_KIND and self._fold is not None:
            self._settle(self._fold, frame)
        elif frame.kind == SESSION_KIND and self._fold is not None:
            self._end(self._fold, frame)

    def _remember(self, frame: Frame) -> None:
        # What a session, or a cold start inside one, goes on from: all of it told by the frames.
        for name in ("book", "flows", "results"):
            if name in frame.meta:
                self._told[name] = frame.meta[name]
        self._trail.follow(frame)

    def _is_wanted(self, frame: Frame) -> bool:
        wanted, session = self._wanted, str(frame.meta["session"])
        if self._is_session_wanted(session) or wanted is None:
            return True
        if not wanted.startswith(f"{session}-"):
            return False
        # One cycle is folded from the last cold start at or before it.
        every = self._policy.loop.cold_every_cycles
        first = int(wanted.rsplit("-", 1)[1]) // every * every
        return int(frame.meta["number"]) >= first

    def _is_session_wanted(self, session: str) -> bool:
        wanted = self._wanted
        return wanted is None or session == wanted or session.startswith(f"{wanted}-")

    def _begin(self, frame: Frame) -> None:
        self._fold, self.turn = None, None
        self._started = frame
        if self._machine is not None:
            self._is_foreign = not is_same_machine(frame.meta.get("machine"), self._machine)
            self.report.is_other_machine |= self._is_foreign
        if self._is_session_wanted(str(frame.meta["session"])):
            self._told["book"] = frame.meta["book"]
            self._fold = self._open_fold()
            if self._fold.facts()[STATE_HASH] != frame.meta[STATE_HASH]:
                self._differ(frame, "the state the session starts from")

    def _open_fold(self) -> SessionFold:
        snapshot, results = self._snapshot(), self._told.get("results") or []
        return SessionFold(
            snapshot,
            self._policy,
            session_id=str(self._started_meta["session"]),
            book=book_from_dict(self._told["book"]),
            state=self._trail.restore(snapshot),
            ledger=SessionLedger(
                snapshot,
                opening={row["strategy_id"]: float(row["value_usd"]) for row in results},
                flows=self._told.get("flows") or {},
            ),
            solver=HotSolver(),
        )

    @property
    def _started_meta(self) -> Mapping[str, Any]:
        if self._started is None:
            raise InputError("the loop's chain must hold the start of the session asked for")
        return self._started.meta

    def _snapshot(self) -> Snapshot:
        told = self._started_meta
        if told["policy_hash"] != self._policy_hash:
            raise InputError(
                f"--config must hold the policy {told['policy_hash'][:12]} that "
                f"{told['session']} was decided under, was {self._policy_hash[:12]}"
            )
        self.report.is_other_code |= told["code_hash"] != self._code_hash
        name = str(told["snapshot_id"])
        if self.kept is None or self.kept.snapshot_id != name:
            published = read_pinned(self._home, name)
            self.kept = snapshot_from_tables(
                {name: frame for name, frame in published.tables.items() if name in LIVE_TABLES},
                snapshot_id=name,
                asof=date.fromisoformat(told["asof"]),
                policy=self._policy,
            )
        return self.kept

    def _cycle(self, frame: Frame) -> None:
        fold = self._fold = self._fold or self._open_fold()
        turn = self.turn = fold.cycle(read_inputs(frame))
        self.report.cycles += 1
        origin = {name: frame.meta[name] for name in ORIGIN_FACTS if name in frame.meta}
        meta = {**origin, **turn.facts}
        payload = encode_payload(
            turn.table, kind=frame.kind, sequence=frame.sequence, ts=frame.ts, meta=meta
        )
        if payload == frame.payload:
            self.report.identical += 1
        elif not self._is_foreign:
            self._differ(frame, _what_differs(frame, turn.table, meta))
        elif wrong := decision_differences(
            frame, turn.table, meta, tolerance=self._policy.loop.parity_tolerance
        ):
            self._differ(frame, ", ".join(wrong))
        else:
            self.report.within += 1

    def _settle(self, fold: SessionFold, frame: Frame) -> None:
        self._compare(frame, fold.settle(read_changes(frame)))

    def _end(self, fold: SessionFold, frame: Frame) -> None:
        if self.turn is not None:
            results = [asdict(row) for row in fold.results(self.turn.decision)]
            self._compare(frame, {**fold.facts(), "flows": {}, "results": results})
        self._fold = None

    def _compare(self, frame: Frame, facts: Mapping[str, Any]) -> None:
        wrong = [name for name in facts if not _is_same(facts[name], frame.meta.get(name))]
        if wrong and not self._is_foreign:  # there the last bits of book and state are its own
            self._differ(frame, ", ".join(wrong))

    def _differ(self, frame: Frame, what: str) -> None:
        name = str(frame.meta.get("cycle_id") or frame.meta.get("session"))
        self.report.different.append(Difference(cycle_id=name, frame=frame.name, what=what))


def day_name(day: date) -> str:
    """Name all the sessions of a day, as `Replay` is asked for them."""
    return f"live-{day.isoformat()}"


def last_session(home: Home, key: bytes | None) -> str | None:
    """Name the last session that decided anything; None where none did."""
    found: str | None = None
    for frame in read_frames(home.journal_dir, Chain.LOOP.value, key=key):
        if frame.kind == CYCLE_KIND:
            found = str(frame.meta["session"])
    return found


def read_inputs(frame: Frame) -> CycleInputs:
    """Read back what a cycle was told by the world, bit by bit."""
    # Through polars: pyarrow's own way to numpy loads a library that nothing else here needs.
    meta = frame.meta
    rows = cast("pl.DataFrame", pl.from_arrow(unbundle(frame.table())["quotes"]))
    return CycleInputs(
        number=int(meta["number"]),
        timestamp=datetime.fromisoformat(meta["timestamp"]),
        quotes=Quotes(
            symbols=tuple(rows["symbol"].to_list()),
            bid=rows["bid"].to_numpy(),
            ask=rows["ask"].to_numpy(),
            observed_at=rows["observed_at"].to_numpy(),
            is_open=_read_hours(rows),
        ),
        system=_read_state(meta),
        is_late=bool(meta["is_late"]),
        is_stale=bool(meta["is_stale"]),
    )


def _read_hours(rows: pl.DataFrame) -> NDArray[np.bool_] | None:
    return rows["is_open"].to_numpy() if "is_open" in rows.columns else None


def _read_state(meta: Mapping[str, Any]) -> SystemState:
    state = fold_state([cause_from_dict(row) for row in meta["causes"]])
    if state.name.value != meta["state"]:
        return unknown_state(f"the frame says {meta['state']}, its causes {state.name.value}")
    return state


def read_changes(frame: Frame) -> list[BookChange]:
    """Read back what the broker executed, in the order in which it was booked."""
    changes = []
    for row in unbundle(frame.table())["fills"].to_pylist():
        fill = Fill(**{**row, "side": OrderSide(row["side"])})
        shares = tuple((name, float(part)) for name, part in frame.meta["shares"][row[_ORDER]])
        changes.append(
            BookChange(
                symbol=fill.symbol,
                quantity=fill.side.sign * fill.quantity,
                cash_usd=fill.cash_usd,
                shares=shares,
            )
        )
    return changes


def _is_same(ours: Any, theirs: Any) -> bool:
    return canonical_json(ours) == canonical_json(theirs)


def _what_differs(frame: Frame, table: pa.Table, meta: Mapping[str, Any]) -> str:
    theirs, ours = unbundle(frame.table()), unbundle(table)
    words = [name for name in ours if name not in theirs or not ours[name].equals(theirs[name])]
    words += [name for name in meta if not _is_same(meta[name], frame.meta.get(name))]
    return ", ".join(words) or "the frame's bytes"
