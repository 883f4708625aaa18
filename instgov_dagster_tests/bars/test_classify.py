"""A symbol's class is told from its spelling once, and a disagreement is never overwritten."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.bars.classify import (
    CRYPTO_QUOTE_CURRENCIES,
    class_of,
    class_word,
    classify_symbol,
    compare_classes,
    found_classes,
    is_reference_symbol,
    parse_class,
)
from instgov_dagster.vocabulary.bars import AssetClass, UniverseSymbol
from instgov_dagster.vocabulary.errors import DataRejected, InputError
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.bars.quality.frames import universe_of


@pytest.mark.roadmap("1.1", "TEST.1")
@pytest.mark.parametrize(
    ("symbol", "kind"),
    [
        ("AAPL", AssetClass.STOCKS),
        ("BRK-B", AssetClass.STOCKS),
        ("BF.B", AssetClass.STOCKS),
        ("AET-L", AssetClass.STOCKS),
        ("4063-T", AssetClass.STOCKS),
        ("8TRA-DE", AssetClass.STOCKS),
        ("-USD", AssetClass.STOCKS),
        ("USD", AssetClass.STOCKS),
        ("EURUSD=X", AssetClass.FX),
        ("JPY=X", AssetClass.FX),
        ("eurusd=x", AssetClass.FX),
        ("CL=F", AssetClass.COMMODITIES),
        ("BTC-USD", AssetClass.CRYPTO),
        ("USDT-USD", AssetClass.CRYPTO),
        ("ETH-BTC", AssetClass.CRYPTO),
        ("ETH-EUR", AssetClass.CRYPTO),
        ("SOL-USDC", AssetClass.CRYPTO),
    ],
)
def test_the_spelling_of_a_symbol_tells_its_class(symbol: str, kind: AssetClass) -> None:
    assert classify_symbol(symbol) is kind


@pytest.mark.roadmap("TEST.1")
@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=6))
def test_a_suffix_decides_whatever_stands_before_it(base: str) -> None:
    assert classify_symbol(base + "=X") is AssetClass.FX
    assert classify_symbol(base + "=F") is AssetClass.COMMODITIES
    assert classify_symbol(base) is AssetClass.STOCKS
    assert classify_symbol(base + "-A") is AssetClass.STOCKS
    for quote in CRYPTO_QUOTE_CURRENCIES:
        assert classify_symbol(f"{base}-{quote}") is AssetClass.CRYPTO


@pytest.mark.parametrize("symbol", ["", " ", "A B", "A\n"])
def test_what_is_no_symbol_has_no_class(symbol: str) -> None:
    with pytest.raises(InputError, match="must be a word without spaces"):
        classify_symbol(symbol)


@pytest.mark.roadmap("1.1")
def test_indexes_and_macro_series_are_references() -> None:
    assert is_reference_symbol("^VIX", None)
    assert is_reference_symbol("DGS10", "MACRO")
    assert is_reference_symbol("DGS10", "REFERENCE")
    assert not is_reference_symbol("SPY", "STOCKS")
    assert parse_class("^GSPC", "STOCKS") is None
    assert parse_class("SPY", None) is AssetClass.STOCKS


def test_an_unknown_class_is_rejected_naming_symbol_and_word() -> None:
    with pytest.raises(
        DataRejected, match=r"asset_class of AAA must be one of .* was 'BONDS'"
    ) as e:
        parse_class("AAA", "BONDS")
    assert e.value.reason_code is ReasonCode.UNKNOWN_ASSET_CLASS


def test_a_declared_class_outranks_the_spelling() -> None:
    entry = UniverseSymbol(symbol="BTC-USD", asset_class=AssetClass.STOCKS)
    assert class_of(entry) is AssetClass.STOCKS
    assert class_of(UniverseSymbol(symbol="BTC-USD")) is AssetClass.CRYPTO
    assert class_of(UniverseSymbol(symbol="X", is_reference=True)) is None
    assert class_word(None) == "REFERENCE"


@pytest.mark.roadmap("1.1")
def test_a_class_that_differs_from_the_persisted_one_fails() -> None:
    found = found_classes(universe_of(AAA=AssetClass.STOCKS, BBB=AssetClass.FX, VIX=None))
    assert compare_classes(found, found).is_empty()
    persisted = found.with_columns(
        asset_class=pl.when(pl.col("symbol") == "BBB")
        .then(pl.lit("CRYPTO"))
        .otherwise("asset_class")
    )
    assert compare_classes(found, persisted).rows() == [("BBB", "FX", "CRYPTO")]


def test_a_symbol_never_seen_before_agrees_and_a_turned_reference_does_not() -> None:
    found = found_classes(universe_of(AAA=AssetClass.STOCKS))
    assert compare_classes(found, found.clear()).is_empty()
    turned = found.with_columns(is_reference=pl.lit(value=True), asset_class=pl.lit("REFERENCE"))
    assert compare_classes(found, turned)["symbol"].to_list() == ["AAA"]


def test_a_symbol_persisted_with_two_classes_cannot_agree() -> None:
    found = found_classes(universe_of(AAA=AssetClass.STOCKS))
    both = pl.concat([found, found.with_columns(asset_class=pl.lit("FX"))])
    assert compare_classes(found, both).rows() == [("AAA", "STOCKS", "FX")]
