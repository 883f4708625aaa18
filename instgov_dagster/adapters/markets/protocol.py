"""What every market answers: the bars of a window, the bars of one day, the quotes of a session."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Protocol

import polars as pl

from instgov_dagster.adapters.markets.quote_stream import QuoteStream, SessionSpan
from instgov_dagster.bars.govern import ANSWERS_SCHEMA
from instgov_dagster.vocabulary.bars import Market, Universe
from instgov_dagster.vocabulary.reasons import ReasonCode

#: Keeps one payload before it is read (provider, symbol, body) and gives its digest.
Keeper = Callable[[str, str, bytes], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAnswer:
    """What became of one question to a provider.

    Attributes
    ----------
    provider
        Who was asked; ``NO_VALID_PROVIDER`` where nobody could be.
    reason_code
        ``PROVIDER_SELECTED`` for bars delivered, else why there are none.
    status
        Of the last answer; ``None`` where none came whole, or nobody was asked.
    requests
        On the wire; 0 where nobody was asked.
    rows
        Bars delivered.
    """

    provider: str
    symbol: str
    reason_code: ReasonCode
    status: int | None
    requests: int
    rows: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Bars as received, before any judgement.

    Attributes
    ----------
    frame
        The columns of `bars.ingestion.BAR_SCHEMA`, sorted by symbol and date; duplicates, holes
        and impossible prices are in it, for the quality score to judge.
    payloads
        For the archive: the canonical JSON of each symbol asked for, computed when read.
    sha256
        Of the rows of each symbol, as `payloads.digest_rows` computes it; the payload tells it too.
    first_dates
        The first bar the market holds of each symbol, before the window too; a symbol it knows
        nothing of is absent.
    notices
        What was ignored on the way, in sentences.
    kept_sha256
        Of each payload that was kept before it was read; such a one is not among ``payloads``.
    answers
        What became of each question, where the market asks providers.
    """

    frame: pl.DataFrame
    payloads: Mapping[str, bytes]
    sha256: Mapping[str, str]
    provider: str
    first_dates: Mapping[str, date]
    notices: tuple[str, ...] = field(default=())
    kept_sha256: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[ProviderAnswer, ...] = field(default=())


def answers_frame(answers: Sequence[ProviderAnswer]) -> pl.DataFrame:
    """Give what became of each question as `bars.govern.ANSWERS_SCHEMA`, sorted by symbol."""
    rows = [{**asdict(answer), "reason_code": answer.reason_code.value} for answer in answers]
    return pl.DataFrame(rows, schema=ANSWERS_SCHEMA, orient="row").sort("symbol")


class MarketSource(Protocol):
    """One market. Sources never fall back on one another."""

    @property
    def name(self) -> Market:
        """The market this is."""
        ...

    def universe(self, configured: Universe) -> Universe:
        """Give the universe to trade: the configured one, or the one the market's folder names."""
        ...

    def keeping(self, keep: Keeper, /) -> "MarketSource":
        """Give the same market for one night: what it receives is kept before it is read.

        A market that makes its own payloads has nothing to keep and is itself.
        """
        ...

    def fetch(
        self, symbols: Sequence[str], start: date, end_exclusive: date, asof: date
    ) -> Fetched:
        """Give the bars of ``[start, end_exclusive)``, and none dated ``asof`` or later.

        A symbol without rows is no error here: it stays in ``payloads`` with no row, and the
        history gate names it.
        """
        ...

    def day_bars(self, symbols: Sequence[str], day: date) -> pl.DataFrame:
        """Give at most one bar a symbol: the one of ``day``, which no night of ``day`` knows."""
        ...

    def quote_stream(
        self,
        symbols: Sequence[str],
        span: SessionSpan,
        *,
        last_closes: Mapping[str, float],
        half_spread_bps: Mapping[str, float],
    ) -> QuoteStream:
        """Open the quotes of one session over a day that the night did not know."""
        ...
