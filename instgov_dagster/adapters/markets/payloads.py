"""The canonical bytes of what a market delivered, one symbol at a time, and their digests."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

_WORDS: Final = ("asset_class", "provider", "source")
NO_ROWS_SHA256: Final = hashlib.sha256().hexdigest()
_NUMBERS: Final = ("open", "high", "low", "close", "adj_close", "volume", "dividend", "split")


def payload_bytes(rows: pl.DataFrame, *, symbol: str, provider: str) -> bytes:
    """Write one symbol's rows as canonical JSON, with their digest beside them.

    Missing and non-finite numbers become null; every other number reads back bit-equal.
    """
    digest = digest_rows(rows).get(symbol, NO_ROWS_SHA256)
    head = {"provider": provider, "rows_sha256": digest, "symbol": symbol}
    body = rows.drop("symbol", "provider").write_json()
    return f'{json.dumps(head, sort_keys=True)[:-1]}, "rows": {body}}}'.encode()


def digest_rows(frame: pl.DataFrame) -> dict[str, str]:
    """Digest the rows of each symbol as received: dates, numbers, words, in their order.

    Parameters
    ----------
    frame
        Bars sorted by symbol.

    Notes
    -----
    SHA-256 of the dates as little-endian int32 days since 1970, then of each number column as
    little-endian float64 with one bit pattern for all that is missing, then of each word column
    as JSON runs of (length, value). It costs a fifth of writing the JSON it stands for, and the
    store keeps all that is needed to compute it again.
    """
    columns = [frame["date"].to_physical().to_numpy().astype("<i4", copy=False)]
    for name in _NUMBERS:
        values = frame[name].to_numpy().astype("<f8", copy=False)
        missing = np.isnan(values)
        columns.append(np.where(missing, np.nan, values) if missing.any() else values)
    words = [_runs_by_symbol(frame, name) for name in _WORDS]
    digests = {}
    for symbol, (start, rows) in symbol_spans(frame).items():
        digest = hashlib.sha256()
        for values in columns:
            digest.update(np.ascontiguousarray(values[start : start + rows]).data)
        for runs in words:
            digest.update(json.dumps(runs[symbol], separators=(",", ":")).encode())
        digests[symbol] = digest.hexdigest()
    return digests


def _runs_by_symbol(frame: pl.DataFrame, name: str) -> dict[str, list[tuple[int, str | None]]]:
    runs = frame.select(pl.struct("symbol", name).rle().alias("run")).unnest("run").unnest("value")
    found: dict[str, list[tuple[int, str | None]]] = {}
    for length, symbol, word in runs.iter_rows():
        found.setdefault(symbol, []).append((length, word))
    return found


class SymbolPayloads(Mapping[str, bytes]):
    """Payloads by symbol, written when read: five thousand of them would fill the memory."""

    def __init__(self, frame: pl.DataFrame, symbols: Sequence[str], *, provider: str) -> None:
        self._frame = frame
        self._provider = provider
        self._spans = dict.fromkeys(sorted(symbols), (0, 0)) | symbol_spans(frame)

    def __getitem__(self, symbol: str) -> bytes:
        return payload_bytes(self.rows(symbol), symbol=symbol, provider=self._provider)

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)

    def digests(self) -> dict[str, str]:
        """Give the digest of each symbol's rows."""
        return dict.fromkeys(self._spans, NO_ROWS_SHA256) | digest_rows(self._frame)

    def rows(self, symbol: str) -> pl.DataFrame:
        """Give one symbol's rows; none if the market delivered none."""
        return self._frame.slice(*self._spans[symbol])


def symbol_spans(frame: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """Give the first row and the number of rows of each symbol of a frame sorted by symbol."""
    runs = frame["symbol"].rle().struct.unnest()
    starts = runs["len"].cum_sum() - runs["len"]
    return {
        symbol: (start, rows)
        for symbol, start, rows in zip(runs["value"], starts, runs["len"], strict=True)
    }
