"""What a market delivered to a night: archived, hashed, dated; nothing is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from instgov_dagster.adapters.markets.protocol import (
    Fetched,
    Keeper,
    MarketSource,
    ProviderAnswer,
)
from instgov_dagster.adapters.store.archive import archive_payload, archive_payloads
from instgov_dagster.bars.calendars import history_window, stress_window
from instgov_dagster.bars.ingestion import stage_known_at
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy

# A market's first bar may be days after the day asked from: no longer closure is known.
_CLOSURE = timedelta(days=14)
#: What is fetched beside the night's window: the years before it, for the worst one.
STRESS = "stress"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delivery:
    """Bars ready to be appended, with the hash of each symbol's archived payload.

    Attributes
    ----------
    archived_as
        The provider's word in the archive's file names, by symbol.
    purpose
        Empty for the night's window.
    """

    frame: pl.DataFrame
    sha256: Mapping[str, str]
    archived_as: Mapping[str, str]
    purpose: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrival:
    """All that came for one night, or for one shard of it.

    Attributes
    ----------
    provider
        Who delivered it, as the market names it.
    first_dates
        The first bar the market holds of each symbol.
    answers, notices
        What became of each question, and what was ignored on the way.
    deliveries
        What to append, in this order: the window comes last, because it is what the next night's
        is compared with.
    """

    provider: str
    first_dates: Mapping[str, date]
    answers: tuple[ProviderAnswer, ...]
    notices: tuple[str, ...]
    deliveries: tuple[Delivery, ...]


def deliver(
    source: MarketSource,
    symbols: Sequence[str],
    held: Mapping[str, date],
    *,
    asof: date,
    raw_dir: Path,
    run_id: str,
    policy: HistoryPolicy,
) -> Arrival:
    """Fetch a night's window, and before it what the store does not hold yet; archive and stage.

    Parameters
    ----------
    held
        The first bar the store holds of each symbol.

    Raises
    ------
    SystemHalt
        ``AUDIT_WRITE_FAILED`` where the archive cannot be written.
    """
    start, end = history_window(asof, policy)
    fetched = source.keeping(archiver(raw_dir, run_id)).fetch(symbols, start, end, asof)
    old = source.keeping(archiver(raw_dir, run_id, purpose=STRESS))
    earlier = fetch_earlier(old, fetched, held, asof=asof, policy=policy)
    parts = [(earlier, STRESS)] if earlier is not None else []
    return Arrival(
        provider=fetched.provider,
        first_dates=fetched.first_dates,
        answers=fetched.answers,
        notices=fetched.notices,
        deliveries=tuple(
            stage_delivery(part, raw_dir=raw_dir, run_id=run_id, policy=policy, purpose=purpose)
            for part, purpose in [*parts, (fetched, "")]
        ),
    )


def archiver(raw_dir: Path, run_id: str, *, purpose: str = "") -> Keeper:
    """Keep payloads one by one as they arrive, in the archive of a run.

    Parameters
    ----------
    purpose
        Told apart in the archive's file names where one run fetches twice; empty for the window.
    """

    def keep(provider: str, symbol: str, body: bytes) -> str:
        name = _archived_as(provider, purpose)
        kept = archive_payload(raw_dir, run_id=run_id, symbol=symbol, provider=name, payload=body)
        return kept.sha256

    return keep


def stage_delivery(
    fetched: Fetched, *, raw_dir: Path, run_id: str, policy: HistoryPolicy, purpose: str = ""
) -> Delivery:
    """Archive what was received and say of each bar when it was known and what it came from.

    Parameters
    ----------
    purpose
        Told apart in the archive's file names where one run fetches twice; empty for the window.

    Raises
    ------
    SystemHalt
        ``AUDIT_WRITE_FAILED`` where the archive cannot be written.
    """
    archived = archive_payloads(
        raw_dir,
        run_id=run_id,
        provider=_archived_as(fetched.provider, purpose),
        payloads=fetched.payloads,
    )
    made = {symbol: payload.sha256 for symbol, payload in archived.items()}
    digests = {**fetched.kept_sha256, **made}
    sources = pl.DataFrame(
        {"symbol": list(digests), "source_sha256": list(digests.values())},
        schema={"symbol": pl.String, "source_sha256": pl.String},
    )
    staged = stage_known_at(fetched.frame, policy).join(sources, on="symbol")
    asked = {answer.symbol: answer.provider for answer in fetched.answers}
    return Delivery(
        frame=_aware(staged),
        sha256=digests,
        archived_as={
            symbol: _archived_as(asked.get(symbol, fetched.provider), purpose) for symbol in digests
        },
        purpose=purpose,
    )


def fetch_earlier(
    source: MarketSource,
    fetched: Fetched,
    held: Mapping[str, date],
    *,
    asof: date,
    policy: HistoryPolicy,
) -> Fetched | None:
    """Ask for what the market holds before the night's window and the store does not.

    It is asked for once a symbol: bars that leave the window stay in the store.

    Parameters
    ----------
    fetched
        The window's delivery, which tells the first bar the market holds of each symbol.
    held
        The first bar the store holds of each symbol.

    Returns
    -------
    The bars before the window; ``None`` where nothing is missing.
    """
    begin, start = stress_window(asof, policy)
    wanted = {
        symbol: max(first, begin)
        for symbol, first in fetched.first_dates.items()
        if max(first, begin) + _CLOSURE < held.get(symbol, start)
    }
    if not wanted:
        return None
    return source.fetch(sorted(wanted), min(wanted.values()), start, asof)


def _archived_as(provider: str, purpose: str) -> str:
    return f"{provider}-{purpose}" if purpose else provider


def _aware(staged: pl.DataFrame) -> pl.DataFrame:
    kind = staged.schema["known_at"]
    if isinstance(kind, pl.Datetime) and kind.time_zone is None:
        return staged.with_columns(pl.col("known_at").dt.replace_time_zone("UTC"))
    return staged
