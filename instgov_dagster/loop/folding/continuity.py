"""What a cycle hands to the next one, written so that another process goes on bit-equal."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np

from instgov_dagster.adapters.journal import Frame, unbundle
from instgov_dagster.governance.audit import inputs_hash
from instgov_dagster.loop.cycle import CycleState, opening_state
from instgov_dagster.loop.decision.bidding import target_facts
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.live.frames import CYCLE_KIND
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The word under which a frame tells what was traded of each symbol so far, and the state's hash.
TRADED = "traded_usd"
STATE_HASH = "state_hash"


def state_facts(state: CycleState, symbols: tuple[str, ...]) -> dict[str, Any]:
    """Say what a frame adds to its tables so that the state after it can be restored.

    The marks and the targets stand in the cycle's own tables; a float survives JSON bit by bit.
    """
    traded = zip(symbols, state.traded_usd.tolist(), strict=True)
    return {
        TRADED: {symbol: usd for symbol, usd in traded if usd},
        STATE_HASH: state_sha256(state),
    }


def state_sha256(state: CycleState) -> str:
    """Hash what is carried from cycle to cycle: marks, targets, what was traded."""
    return inputs_hash(
        {
            "marks": state.marks,
            "traded_usd": state.traded_usd,
            **target_facts(state.previous),
        }
    )


@dataclass(slots=True, kw_only=True)
class Trail:
    """What the loop's chain last told of one day's state; fed frame by frame, in order.

    Attributes
    ----------
    cycles
        Cycles of the day seen so far, over all its sessions: where its clock goes on.
    told_hash
        The hash of the state after the last frame, None where the day has none.
    """

    day: date
    cycles: int = 0
    told_hash: str | None = None
    _cycle: Frame | None = field(default=None, repr=False)
    _traded: Mapping[str, float] = field(default_factory=dict)

    def follow(self, frame: Frame) -> None:
        """Take one frame; frames of another day tell this one nothing."""
        if STATE_HASH not in frame.meta or frame.meta.get("asof") != self.day.isoformat():
            return
        if frame.kind == CYCLE_KIND:
            self._cycle = frame
            self.cycles += 1
        self._traded = frame.meta[TRADED]
        self.told_hash = frame.meta[STATE_HASH]

    def restore(self, snapshot: Snapshot) -> CycleState:
        """Give the state after the last frame, or the opening state where the day has none.

        The symbols that the snapshot does not know are left behind, those that the frame did not
        know start from their last close: under a night of another universe the state is another.

        Raises
        ------
        SystemHalt
            ``STATE_NOT_CONTINUED`` where the universe is the same and the state is not.
        """
        state = self._restored(snapshot)
        if self.told_hash not in (None, state_sha256(state)) and self._has_symbols(snapshot):
            raise SystemHalt(
                ReasonCode.STATE_NOT_CONTINUED,
                f"the last frame of {self.day} left {self.told_hash}, read was "
                f"{state_sha256(state)}",
            )
        return state

    def _has_symbols(self, snapshot: Snapshot) -> bool:
        if self._cycle is None:
            return False
        quoted: list[str] = unbundle(self._cycle.table())["quotes"]["symbol"].to_pylist()
        return list(snapshot.symbols) == quoted

    def _restored(self, snapshot: Snapshot) -> CycleState:
        opening = opening_state(snapshot)
        if self._cycle is None:
            return opening
        tables = unbundle(self._cycle.table())
        quotes, grants = tables["quotes"], tables["capital_allocations"]
        marks = dict(zip(quotes["symbol"].to_pylist(), quotes["mark"].to_pylist(), strict=True))
        closes = zip(snapshot.symbols, snapshot.last_close.tolist(), strict=True)
        targets: dict[str, float] = {}
        if self._cycle.meta["has_target"]:
            names = zip(
                grants["strategy_id"].to_pylist(), grants["symbol"].to_pylist(), strict=True
            )
            weights = grants["weight"].to_pylist()
            targets = {f"{k}|{s}": w for (k, s), w in zip(names, weights, strict=True)}
        return replace(
            opening,
            marks=np.array([marks.get(symbol, close) for symbol, close in closes]),
            traded_usd=np.array([self._traded.get(symbol, 0.0) for symbol in snapshot.symbols]),
            previous=targets,
        )
