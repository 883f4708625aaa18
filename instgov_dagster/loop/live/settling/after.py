"""Broker and journal compared while no session leads; what differs is a state of the system."""

import contextlib
from dataclasses import dataclass
from datetime import date

from instgov_dagster.adapters.account import BrokerState
from instgov_dagster.adapters.journal import unbundle
from instgov_dagster.adapters.paper.store import read_account
from instgov_dagster.loop.decision.book import Book, apply_changes, fresh_book
from instgov_dagster.loop.live.frames import fills_tables
from instgov_dagster.loop.live.recovery import last_book
from instgov_dagster.loop.live.settling.answers import changes_of, entries_of, ledger_rows
from instgov_dagster.loop.live.settling.invariants import Invariant, reconcile, require_agreement
from instgov_dagster.loop.live.settling.latch import latch_stop
from instgov_dagster.loop.live.settling.leftovers import settle
from instgov_dagster.loop.live.settling.told import Told, fold_account
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.state_log import observe
from instgov_dagster.vocabulary.errors import LeaseHeld, SystemHalt
from instgov_dagster.vocabulary.governance import Chain, SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode

_CODE = ReasonCode.RECONCILIATION_UNRESOLVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What comparing broker and journal found.

    Attributes
    ----------
    is_led
        Whether a session leads: it compares at each of the broker's answers, and nothing was
        compared here.
    unsettled
        Orders of a session that broke off, which the next one settles; they count here with what
        the broker says of them.
    """

    is_led: bool
    invariants: tuple[Invariant, ...]
    unsettled: int
    state: SystemState


def reconcile_home(platform: Platform, asof: date) -> Reconciliation:
    """Compare the account with the journal, and stop the system where they differ.

    An account that somebody else keeps is asked itself, beside our record of it.

    Raises
    ------
    SystemHalt
        ``CHAIN_BROKEN`` if the loop's chain does not verify; ``RECONCILIATION_UNRESOLVED``, and
        latched, if the account cannot be read.
    """
    lease = platform.open_lease()
    if not lease.try_acquire():
        state = platform.state_log().refresh()
        return Reconciliation(is_led=True, invariants=(), unsettled=0, state=state)
    with lease:
        try:
            found, unsettled = _compare(platform, asof)
        except SystemHalt as halt:
            if halt.reason_code is _CODE:
                latch_stop(platform, None, halt)
            raise
        _judge(platform, found)
    state = platform.state_log().refresh()
    return Reconciliation(is_led=False, invariants=found, unsettled=unsettled, state=state)


def _compare(platform: Platform, asof: date) -> tuple[tuple[Invariant, ...], int]:
    told = fold_account(platform, asof)
    unsettled = len(told.leftovers)
    book = last_book(platform) or fresh_book(platform.policy.nav_usd)
    account = read_account(platform.home.paper_account)
    if account is None:
        return reconcile(told, book, None), unsettled
    word = platform.account_word(asof)
    return reconcile(told, _foresee(told, book, account), account, word), unsettled


def _foresee(told: Told, book: Book, account: BrokerState) -> Book:
    # What the next session will take over from the broker is no difference yet.
    held = {outcome.order.client_order_id: outcome for outcome in account.outcomes}
    outcomes = settle(told.leftovers, held.get, None)
    shares = {name: leftover.shares for name, leftover in told.leftovers.items()}
    untold = [entry for entry in account.ledger if entry.sequence > told.last_entry]
    table = fills_tables(outcomes, ledger_rows(entries_of(untold, outcomes)))
    told.answer(unbundle(table), {"asof": told.asof.isoformat(), "session": "", "shares": shares})
    return apply_changes(book, changes_of(outcomes, shares))


def _judge(platform: Platform, found: tuple[Invariant, ...]) -> None:
    try:
        require_agreement(found)
    except SystemHalt as halt:
        latch_stop(platform, None, halt)
        return
    # What this check raised it clears, in the chains it may have raised it in; a resume follows.
    for chain in (Chain.NIGHT, Chain.OPERATOR):
        log = platform.state_log()
        if not any(cause.reason_code is _CODE for cause in log.refresh().causes):
            return
        # Held by another: the condition stands until the check runs again.
        with contextlib.suppress(LeaseHeld), platform.open_chain(chain) as journal:
            observe(platform.home, journal, log, (), domain={_CODE})
