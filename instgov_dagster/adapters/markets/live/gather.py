"""A window of bars from the providers: who is asked, kept before it is read, refused by name."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from instgov_dagster.adapters.markets.live.asking import ProviderRefused
from instgov_dagster.adapters.markets.live.clients import Scrubber
from instgov_dagster.adapters.markets.live.history import HistoryProvider, ParsedBars, Wanted
from instgov_dagster.adapters.markets.protocol import Keeper, ProviderAnswer
from instgov_dagster.bars.classify import class_of
from instgov_dagster.bars.ingestion import BAR_SCHEMA, validate_bars
from instgov_dagster.bars.providers import provider_verdict
from instgov_dagster.vocabulary.bars import REFERENCE, Purpose, UniverseSymbol
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gathered:
    """One symbol's bars, or why there are none."""

    answer: ProviderAnswer
    frame: pl.DataFrame
    kept_sha256: str | None
    first_date: date | None
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The days asked for: ``[start, end)``, how many days back that is, and why."""

    start: date
    end: date
    history_days: int
    purpose: Purpose


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gatherer:
    """Who may be asked, and how many symbols at a time."""

    providers: Mapping[str, HistoryProvider]
    entitled: frozenset[str]
    history: HistoryPolicy
    scrubber: Scrubber
    at_once: int

    def gather(
        self,
        entries: Sequence[UniverseSymbol],
        window: Window,
        *,
        keep: Keeper,
        progress: Callable[[int], None],
    ) -> tuple[Gathered, ...]:
        """Ask for every symbol, some at a time, and give what became of each, in their order.

        One refused symbol refuses no other, and no second provider is tried for it (roadmap 1.3).

        Parameters
        ----------
        keep
            Called with what came back, its keys taken out, before a byte of it is read.
        progress
            Told the number of symbols done.
        """
        gathered = []
        with ThreadPoolExecutor(self.at_once) as pool:
            found = pool.map(lambda entry: self._one(entry, window, keep), entries)
            for done, item in enumerate(found, start=1):
                gathered.append(item)
                progress(done)
        return tuple(gathered)

    def _one(self, entry: UniverseSymbol, window: Window, keep: Keeper) -> Gathered:
        purpose = Purpose.REFERENCE if entry.is_reference else window.purpose
        verdict = provider_verdict(
            entry.symbol, window.history_days, purpose, self.entitled, history=self.history
        )
        answer = ProviderAnswer(
            provider=verdict.provider,
            symbol=entry.symbol,
            reason_code=verdict.reason_code,
            status=None,
            requests=0,
            rows=0,
            detail=verdict.reason_code.sentence,
        )
        provider = self.providers.get(verdict.provider)
        if provider is None:
            return _nothing(answer)
        wanted = Wanted(
            symbol=entry.symbol,
            asset_class=class_of(entry),
            start=window.start,
            end=window.end,
            purpose=purpose,
        )
        return _ask(provider, wanted, answer, self.scrubber, keep)


def _ask(
    provider: HistoryProvider,
    wanted: Wanted,
    answer: ProviderAnswer,
    scrubber: Scrubber,
    keep: Keeper,
) -> Gathered:
    try:
        body = scrubber.clean(provider.fetch(wanted))
    except ProviderRefused as refused:
        return _nothing(
            replace(
                answer,
                reason_code=refused.reason_code,
                status=refused.status,
                requests=refused.requests,
                detail=refused.detail,
            )
        )
    except DataRejected as rejected:
        return _nothing(
            replace(answer, reason_code=rejected.reason_code, requests=1, detail=rejected.detail)
        )
    digest = keep(provider.name, wanted.symbol, body)
    read = replace(answer, status=200, requests=1)
    try:
        parsed = provider.parse(body, wanted)
        frame = _bars(parsed, wanted, provider.name)
    except DataRejected as rejected:
        nothing = replace(read, reason_code=rejected.reason_code, detail=rejected.detail)
        return replace(_nothing(nothing), kept_sha256=digest)
    return Gathered(
        answer=replace(read, rows=frame.height),
        frame=frame,
        kept_sha256=digest,
        first_date=parsed.first_date,
        notices=parsed.notices,
    )


def _nothing(answer: ProviderAnswer) -> Gathered:
    empty = pl.DataFrame(schema=BAR_SCHEMA)
    return Gathered(answer=answer, frame=empty, kept_sha256=None, first_date=None, notices=())


def _bars(parsed: ParsedBars, wanted: Wanted, provider: str) -> pl.DataFrame:
    word = REFERENCE if wanted.asset_class is None else wanted.asset_class.value
    named = parsed.frame.with_columns(
        symbol=pl.lit(wanted.symbol),
        asset_class=pl.lit(word),
        provider=pl.lit(provider),
        source=pl.lit(provider),
    )
    return validate_bars(named)
