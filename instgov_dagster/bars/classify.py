"""What class a symbol belongs to, and whether that agrees with what was persisted (roadmap 1.1)."""

from typing import Final

import polars as pl

from instgov_dagster.vocabulary.bars import REFERENCE, AssetClass, Universe, UniverseSymbol
from instgov_dagster.vocabulary.errors import DataRejected, InputError
from instgov_dagster.vocabulary.reasons import ReasonCode

_FX_SUFFIX: Final = "=X"
_FUTURE_SUFFIX: Final = "=F"
_INDEX_PREFIX: Final = "^"

#: What a crypto pair is quoted in; any other suffix behind a dash is part of a stock's own name.
CRYPTO_QUOTE_CURRENCIES: Final = frozenset({"USD", "USDT", "USDC", "EUR", "BTC"})

#: What vendors call a series that is observed and never bid for.
REFERENCE_WORDS: Final = frozenset({REFERENCE, "MACRO"})

CLASSES_SCHEMA: Final = {"symbol": pl.String, "asset_class": pl.String, "is_reference": pl.Boolean}


def classify_symbol(symbol: str) -> AssetClass:
    """Tell the class of a symbol from its own spelling.

    ``...=X`` is FX, ``...=F`` COMMODITIES, ``BASE-QUOTE`` with a known quote currency CRYPTO,
    everything else STOCKS: the one letter behind the dash of ``BRK-B`` is a share class.

    Raises
    ------
    InputError
        If the symbol is empty or holds white space.
    """
    if not symbol or any(letter.isspace() for letter in symbol):
        raise InputError(f"symbol must be a word without spaces, was {symbol!r}")
    word = symbol.upper()
    if word.endswith(_FX_SUFFIX):
        return AssetClass.FX
    if word.endswith(_FUTURE_SUFFIX):
        return AssetClass.COMMODITIES
    base, dash, quote = word.rpartition("-")
    if dash and base and quote in CRYPTO_QUOTE_CURRENCIES:
        return AssetClass.CRYPTO
    return AssetClass.STOCKS


def is_reference_symbol(symbol: str, declared_class: str | None) -> bool:
    """Tell whether a symbol is observed only: an index, or declared MACRO or REFERENCE."""
    return symbol.startswith(_INDEX_PREFIX) or declared_class in REFERENCE_WORDS


def parse_class(symbol: str, declared_class: str | None) -> AssetClass | None:
    """Read a declared class, or tell it from the symbol; ``None`` is a reference.

    Raises
    ------
    DataRejected
        With ``UNKNOWN_ASSET_CLASS`` if the word is none of the four and no reference.
    """
    if is_reference_symbol(symbol, declared_class):
        return None
    if declared_class is None:
        return classify_symbol(symbol)
    try:
        return AssetClass(declared_class)
    except ValueError as e:
        raise DataRejected(
            ReasonCode.UNKNOWN_ASSET_CLASS,
            f"asset_class of {symbol} must be one of {', '.join(AssetClass)} or a reference "
            f"({', '.join(sorted(REFERENCE_WORDS))}), was {declared_class!r}",
        ) from e


def class_of(entry: UniverseSymbol) -> AssetClass | None:
    """Give the class an entry of the universe declares or spells; ``None`` is a reference."""
    if entry.is_reference:
        return None
    return entry.asset_class or classify_symbol(entry.symbol)


def class_word(asset_class: AssetClass | None) -> str:
    """Give the word a frame carries for a class; ``None`` is ``REFERENCE``."""
    return REFERENCE if asset_class is None else asset_class.value


def found_classes(universe: Universe) -> pl.DataFrame:
    """Give one row (symbol, asset_class, is_reference) for each symbol of the universe."""
    entries = universe.symbols
    return pl.DataFrame(
        {
            "symbol": [entry.symbol for entry in entries],
            "asset_class": [class_word(class_of(entry)) for entry in entries],
            "is_reference": [entry.is_reference for entry in entries],
        },
        schema=CLASSES_SCHEMA,
    )


def compare_classes(found: pl.DataFrame, persisted: pl.DataFrame) -> pl.DataFrame:
    """Give the symbols whose class differs from the one persisted for them.

    Parameters
    ----------
    found, persisted
        Columns symbol, asset_class, is_reference; one row a symbol.

    Returns
    -------
    pl.DataFrame
        Columns symbol, asset_class, persisted_asset_class; empty where all agree. A symbol that
        was never persisted agrees; one persisted twice with two classes cannot agree.

    Notes
    -----
    Roadmap 1.1: a class is persisted once and never overwritten; a disagreement fails a check.
    """
    known = persisted.select(
        "symbol",
        pl.col("asset_class").alias("persisted_asset_class"),
        pl.col("is_reference").alias("persisted_is_reference"),
    ).unique()
    differs = pl.col("asset_class").ne_missing(pl.col("persisted_asset_class")) | pl.col(
        "is_reference"
    ).ne_missing(pl.col("persisted_is_reference"))
    return (
        found.join(known, on="symbol", how="inner")
        .filter(differs)
        .select("symbol", "asset_class", "persisted_asset_class")
        .unique()
        .sort("symbol", "persisted_asset_class")
    )
