"""What a session does before its turn: read the night, open the quotes, warm what decides."""

import contextlib
from dataclasses import dataclass
from datetime import date, datetime

from instgov_dagster.adapters.journal import encode_payload
from instgov_dagster.adapters.markets.quote_stream import QuoteStream, SessionSpan
from instgov_dagster.adapters.store.pinned import pin_snapshot
from instgov_dagster.adapters.store.published import current_snapshot_id
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.loop.cycle import opening_state
from instgov_dagster.loop.decision.book import fresh_book
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.folding.fold import CycleInputs, SessionFold
from instgov_dagster.loop.folding.ledger import SessionLedger
from instgov_dagster.loop.live.frames import CYCLE_KIND
from instgov_dagster.loop.live.opening import open_quotes, open_snapshot
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.errors import SystemHalt

#: Cycles decided for nobody: the first loads every library, the second goes the hot way.
REHEARSED_CYCLES = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ready:
    """What a session stands on once it leads.

    Attributes
    ----------
    verified_at
        When every byte of the snapshot was verified, by the session's real clock.
    """

    snapshot: Snapshot
    stream: QuoteStream
    verified_at: datetime

    def is_current(self, platform: Platform) -> bool:
        """Tell whether this is still the night that is published."""
        folder = platform.home.published / "night"
        return current_snapshot_id(folder) == self.snapshot.snapshot_id


def make_ready(platform: Platform, asof: date, span: SessionSpan) -> Ready:
    """Read and verify the published night, keep it for good, and open the day's quotes.

    Raises
    ------
    InputError, SystemHalt
        As `open_snapshot` does.
    """
    snapshot = open_snapshot(platform, asof)
    verified_at = platform.now()
    pin_snapshot(platform.home, snapshot.snapshot_id)
    return Ready(
        snapshot=snapshot,
        stream=open_quotes(platform, snapshot, span),
        verified_at=verified_at,
    )


def rehearse(platform: Platform, ready: Ready) -> None:
    """Decide a few cycles for nobody, so that the first that counts is as quick as any.

    Nothing of it is kept, written or sent: book, state and solver are thrown away.
    """
    snapshot = ready.snapshot
    fold = SessionFold(
        snapshot,
        platform.policy,
        session_id="rehearsal",
        book=fresh_book(platform.policy.nav_usd),
        state=opening_state(snapshot),
        ledger=SessionLedger(snapshot, opening={}, flows={}),
        solver=HotSolver(),
    )
    # What would halt the system is found again, and told, by the first cycle that counts.
    with contextlib.suppress(SystemHalt):
        for number in range(REHEARSED_CYCLES):
            instant = ready.stream.instant(number)
            turn = fold.cycle(
                CycleInputs(
                    number=number,
                    timestamp=instant,
                    quotes=ready.stream.quotes_at(number),
                    system=fold.state.system,
                    is_late=False,
                    is_stale=False,
                )
            )
            encode_payload(turn.table, kind=CYCLE_KIND, sequence=1, ts=instant, meta=turn.facts)
