"""What the loop's chain hands on: to a new session its book, to a night the days before it."""

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import Any

import polars as pl

from instgov_dagster.adapters.journal import read_frames
from instgov_dagster.governance.state import fold_state
from instgov_dagster.governance.state.rows import state_to_frame
from instgov_dagster.loop.decision.book import Book, book_from_dict, book_to_frame, fresh_book
from instgov_dagster.loop.folding.attribution import returns_frame
from instgov_dagster.loop.folding.evidence import gather_evidence
from instgov_dagster.loop.live.clearing import clears_frame
from instgov_dagster.loop.live.frames import SESSION_KIND
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.governance import Chain, SystemState
from instgov_dagster.vocabulary.reasons import ReasonCode


def last_told(platform: Platform, name: str, *, before: date | None = None) -> Any:
    """Give the last value a frame of the loop's chain told under a name; None where none did.

    Parameters
    ----------
    before
        Hear only frames of days strictly before this one; None hears all.

    Raises
    ------
    BrokenFrame
        If the chain does not verify: what cannot be proved is not taken over.
    KeyError
        If ``before`` is given and a frame that tells the name does not say its day.
    """
    found: Any = None
    frames = read_frames(platform.home.journal_dir, Chain.LOOP.value, key=platform.key)
    for frame in frames:
        if name in frame.meta and (before is None or _day(frame.meta) < before):
            found = frame.meta[name]
    return found


def _day(meta: Mapping[str, Any]) -> date:
    return date.fromisoformat(meta["asof"])


def last_book(platform: Platform, *, before: date | None = None) -> Book | None:
    """Give the book as the loop's chain last wrote it; None where there never was one."""
    found: Mapping[str, Any] | None = last_told(platform, "book", before=before)
    return book_from_dict(found) if found else None


def strategy_returns(platform: Platform, *, before: date) -> pl.DataFrame:
    """Give what the sessions of earlier days brought, by day and strategy."""
    frames = read_frames(platform.home.journal_dir, Chain.LOOP.value, key=platform.key)
    ended = [f.meta for f in frames if f.kind == SESSION_KIND and f.meta["event"] == "ended"]
    return returns_frame([meta for meta in ended if _day(meta) < before])


def recorded_clears(platform: Platform) -> pl.DataFrame:
    """Give every veto operators cleared, as rows of `CLEAR_SCHEMA`."""
    frames = read_frames(platform.home.journal_dir, Chain.OPERATOR.value, key=platform.key)
    return clears_frame(frames)


def night_evidence(
    platform: Platform, *, after: date | None, before: date
) -> dict[str, pl.DataFrame]:
    """Give what the sessions of the days between two dates left behind, for the vetoes.

    Parameters
    ----------
    after
        The last day that was read before; None begins with the first session.

    Returns
    -------
    The tables ``session_accounts``, ``recorded_fills`` and ``passive_orders``.
    """
    found = gather_evidence(
        lambda: read_frames(platform.home.journal_dir, Chain.LOOP.value, key=platform.key),
        after=after,
        before=before,
        markout=timedelta(minutes=platform.policy.veto.markout_minutes),
    )
    return {
        "session_accounts": found.accounts,
        "recorded_fills": found.fills,
        "passive_orders": found.passive,
    }


def night_inputs(
    platform: Platform, asof: date, state: SystemState, *, refound: Collection[ReasonCode]
) -> dict[str, pl.DataFrame]:
    """Give what a night is frozen on beside its bars; nothing of its own day or later is in it.

    Parameters
    ----------
    state
        The state of the system as the night begins.
    refound
        Codes the night finds anew by itself: an unlatched cause of these says nothing about how
        the night began, or a repeated night would differ by what it found the first time.

    Returns
    -------
    The inputs ``portfolio``, ``strategy_returns``, ``system_state`` and ``veto_clears``, one frame
    each.
    """
    book = last_book(platform, before=asof) or fresh_book(platform.policy.nav_usd)
    standing = [c for c in state.causes if c.is_latched or c.reason_code not in refound]
    return {
        "portfolio": book_to_frame(book),
        "strategy_returns": strategy_returns(platform, before=asof),
        "system_state": state_to_frame(fold_state(standing)),
        "veto_clears": recorded_clears(platform),
    }
