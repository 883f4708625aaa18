"""The words of the bars wing refuse what would let risk through."""

import copy
import dataclasses
import pickle
from datetime import date

import pytest

from instgov_dagster.vocabulary.bars import (
    AssetClass,
    ClassTable,
    Market,
    ProviderCapability,
    ProviderVerdict,
    Purpose,
    SymbolStatus,
    Universe,
    UniverseSymbol,
)
from instgov_dagster.vocabulary.policy.bars import (
    HistoryPolicy,
    ProviderPolicy,
    QualityPolicy,
    RulePenalty,
    SizingPolicy,
)
from instgov_dagster.vocabulary.reasons import ReasonCode


@pytest.mark.roadmap("1.1")
def test_the_asset_classes_are_the_four_of_the_roadmap() -> None:
    assert [*AssetClass] == ["STOCKS", "FX", "CRYPTO", "COMMODITIES"]


def test_purposes_statuses_and_markets_are_written_as_specified() -> None:
    assert set(Purpose) == {
        "history_batch",
        "stress_batch",
        "reference",
        "live_quote",
        "execution",
    }
    assert set(SymbolStatus) == {
        "VALID",
        "INVALID_DATA",
        "INSUFFICIENT_HISTORY",
        "STALE",
        "REFERENCE",
    }
    assert set(Market) == {"simulated", "files", "live"}
    assert {purpose for purpose in Purpose if purpose.is_live} == {"live_quote", "execution"}


def test_invalid_outranks_insufficient_outranks_stale_outranks_valid() -> None:
    worst_first = sorted(SymbolStatus, key=lambda status: -status.rank)
    assert worst_first[:3] == [
        SymbolStatus.INVALID_DATA,
        SymbolStatus.INSUFFICIENT_HISTORY,
        SymbolStatus.STALE,
    ]
    assert SymbolStatus.VALID.rank == SymbolStatus.REFERENCE.rank == 0


def test_a_class_table_answers_for_every_class() -> None:
    table = ClassTable(stocks=1.0, fx=2.0, commodities=3.0, crypto=4.0)
    assert [table.of(kind) for kind in AssetClass] == [1.0, 2.0, 4.0, 3.0]


def test_a_class_table_refuses_what_is_not_a_number() -> None:
    with pytest.raises(ValueError, match=r"ClassTable\.fx must be a finite number"):
        ClassTable(stocks=1.0, fx=float("nan"), commodities=3.0, crypto=4.0)


def test_a_universe_is_sorted_and_tells_references_apart() -> None:
    universe = Universe(
        symbols=(
            UniverseSymbol(symbol="SPY", asset_class=AssetClass.STOCKS),
            UniverseSymbol(symbol="^VIX", is_reference=True),
            UniverseSymbol(symbol="AAPL", sector="TECH", listed_on=date(1980, 12, 12)),
        )
    )
    assert universe.tradable == ("AAPL", "SPY")
    assert universe.references == ("^VIX",)
    assert universe.of("AAPL").sector == "TECH"
    assert universe == Universe(symbols=tuple(reversed(universe.symbols)))


def test_a_universe_refuses_the_same_symbol_twice_and_an_unknown_one() -> None:
    twice = (UniverseSymbol(symbol="A"), UniverseSymbol(symbol="B"), UniverseSymbol(symbol="A"))
    with pytest.raises(ValueError, match=r"must be distinct, was twice: A$"):
        Universe(symbols=twice)
    with pytest.raises(ValueError, match="must be in the universe, was 'Z'"):
        Universe(symbols=twice[:2]).of("Z")


def test_a_universe_survives_copy_pickle_and_asdict() -> None:
    universe = Universe(symbols=(UniverseSymbol(symbol="A"),))
    assert copy.deepcopy(universe) == universe
    assert pickle.loads(pickle.dumps(universe)) == universe  # noqa: S301  # our own bytes
    assert dataclasses.asdict(universe)["symbols"][0]["symbol"] == "A"


@pytest.mark.parametrize("symbol", ["", " A", "A "])
def test_a_symbol_without_a_name_cannot_exist(symbol: str) -> None:
    with pytest.raises(ValueError, match="must be a word without spaces"):
        UniverseSymbol(symbol=symbol)


def test_a_reference_has_no_class_and_a_sector_has_a_name() -> None:
    with pytest.raises(ValueError, match="must be None"):
        UniverseSymbol(symbol="^VIX", asset_class=AssetClass.STOCKS, is_reference=True)
    with pytest.raises(ValueError, match="sector of A must not be empty"):
        UniverseSymbol(symbol="A", sector="")


def test_a_capability_needs_a_name_a_purpose_and_days() -> None:
    good = {
        "provider": "p",
        "asset_classes": frozenset({AssetClass.FX}),
        "max_history_days": 1,
        "requires_entitlement": True,
        "purposes": frozenset({Purpose.EXECUTION}),
    }
    assert ProviderCapability(**good).provider == "p"
    for change in ({"provider": ""}, {"purposes": frozenset()}, {"max_history_days": -1}):
        with pytest.raises(ValueError, match="must"):
            ProviderCapability(**(good | change))


def test_a_verdict_without_a_provider_is_not_selected() -> None:
    code = ReasonCode.NO_VALID_PROVIDER
    assert not ProviderVerdict(provider="NO_VALID_PROVIDER", reason_code=code).is_selected
    assert ProviderVerdict(provider="yahoo", reason_code=code).is_selected


@pytest.mark.roadmap("2.2")
def test_the_defaults_are_the_numbers_of_the_specification() -> None:
    history, quality = HistoryPolicy(), QualityPolicy()
    assert (history.window_days, history.nominal_sessions, history.coverage) == (1825, 1260, 0.99)
    assert (history.close_delay_hours, history.knowledge_hour_utc) == (2.0, 6)
    assert (history.live_history_limit_days, history.min_judged_rows) == (730, 63)
    assert (quality.invalid_below, quality.degraded_below) == (0.6, 0.8)
    assert quality.missing == RulePenalty(weight=0.45, cap=0.05)
    assert quality.ohlc == RulePenalty(weight=0.20, cap=0.02)
    assert quality.zero_volume == RulePenalty(weight=0.20, cap=0.10)
    assert quality.duplicates == RulePenalty(weight=0.15, cap=0.01)
    assert quality.volume_spike == RulePenalty(weight=0.10, cap=0.02)
    assert [quality.spike_log_return.of(kind) for kind in AssetClass] == [0.30, 0.05, 0.60, 0.60]
    assert (ProviderPolicy().batch_tries, ProviderPolicy().live_tries) == (3, 1)
    assert SizingPolicy().adv_sessions == 21


def test_five_years_are_named_by_1260_sessions_and_one_by_252() -> None:
    assert HistoryPolicy().window_days_of(1260) == 1825
    assert HistoryPolicy().window_days_of(252) == 365


@pytest.mark.parametrize(
    ("kind", "change", "text"),
    [
        (HistoryPolicy, {"coverage": 1.01}, r"coverage must be a finite number > 0 and <= 1"),
        (HistoryPolicy, {"window_days": float("nan")}, "window_days must be a "),
        (QualityPolicy, {"degraded_below": 0.5}, r"degraded_below must be >= invalid_below"),
        (QualityPolicy, {"index_symbol": ""}, "index_symbol must not be empty"),
        (ProviderPolicy, {"live_tries": 2}, "live_tries must be a "),
        (SizingPolicy, {"multipliers": (("CL=F", 0.0),)}, r"multipliers\[CL=F\] must be"),
        (SizingPolicy, {"fx_adv_usd": (("A", 1.0), ("A", 2.0))}, "must name each symbol once"),
    ],
)
def test_a_policy_out_of_bounds_cannot_exist(
    kind: type, change: dict[str, object], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        kind(**change)


@pytest.mark.parametrize(
    "symbol",
    [
        "../../x",
        "a/b",
        "NUL",
        "..",
        ".",
        "a\\b",
        "A\0",
        "A\nB",
        "/etc/passwd",
        "A..B",
        "\x7f",
        "\u202eA",
    ],
)
def test_a_symbol_that_steps_out_of_its_folder_is_no_symbol(symbol: str) -> None:
    with pytest.raises(ValueError, match=r"UniverseSymbol\.symbol must be"):
        UniverseSymbol(symbol=symbol)


@pytest.mark.parametrize("symbol", ["BRK-B", "BRK.B", "^GSPC", "EURUSD=X", "GC=F", "CON"])
def test_the_symbols_of_the_field_are_symbols(symbol: str) -> None:
    assert UniverseSymbol(symbol=symbol).symbol == symbol
