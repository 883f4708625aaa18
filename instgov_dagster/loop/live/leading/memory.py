"""All that the loop's chain tells a new leader, kept as the chain grows; nothing is read here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from instgov_dagster.adapters.journal import Frame
from instgov_dagster.loop.decision.book import Book, book_from_dict
from instgov_dagster.loop.folding.continuity import Trail
from instgov_dagster.loop.live.frames import CYCLE_KIND
from instgov_dagster.loop.live.settling.told import Told
from instgov_dagster.vocabulary.governance import Chain

#: What a cycle's frame tells of the real clock; absent where cycles run back to back.
PACED = "paced"
_KEPT = ("book", "flows", "results")


@dataclass(slots=True)
class Memory:
    """Takes the chain's verified frames one by one, so that taking over reads only the last few.

    Attributes
    ----------
    asof
        The day the session is for.
    told
        The account as the frames tell it.
    trail
        Where the sessions of the day left its state.
    last_due
        When the last paced cycle of any session was due, by the real clock; None where none was.
    """

    asof: date
    told: Told = field(init=False)
    trail: Trail = field(init=False)
    last_due: datetime | None = None
    _latest: Trail | None = None
    _kept: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.told = Told(asof=self.asof)
        self.trail = Trail(day=self.asof)

    def take(self, frame: Frame) -> None:
        """Take the next frame of any chain; only the loop's tell anything here."""
        if frame.chain != Chain.LOOP.value:
            return
        self.told.take(frame)
        self.trail.follow(frame)
        self._follow_latest(frame)
        for name in _KEPT:
            if name in frame.meta:
                self._kept[name] = frame.meta[name]
        paced: Mapping[str, Any] | None = frame.meta.get(PACED)
        if paced is not None:
            self.last_due = datetime.fromisoformat(paced["due"])

    def _follow_latest(self, frame: Frame) -> None:
        if frame.kind == CYCLE_KIND:
            day = date.fromisoformat(frame.meta["asof"])
            if self._latest is None or self._latest.day != day:
                self._latest = Trail(day=day)
        if self._latest is not None:
            self._latest.follow(frame)

    @property
    def latest(self) -> Trail | None:
        """Where the session that decided last left its day; None where none ever decided."""
        return self._latest

    @property
    def book(self) -> Book | None:
        """The book as last written; None where there never was one."""
        return book_from_dict(self._kept["book"]) if self._kept.get("book") else None

    @property
    def flows(self) -> dict[str, float]:
        """Cash that a session which broke off had moved, by strategy."""
        return dict(self._kept.get("flows") or {})

    @property
    def values(self) -> dict[str, float]:
        """The value of each strategy's holdings at the end of the last session, USD."""
        rows = self._kept.get("results") or []
        return {row["strategy_id"]: float(row["value_usd"]) for row in rows}
