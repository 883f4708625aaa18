"""Class, provider, quality and history are judged together; one weak word makes ineligible."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.bars.adjusted import adjust_bars
from instgov_dagster.bars.classify import compare_classes, found_classes
from instgov_dagster.bars.govern import (
    ANSWERS_SCHEMA,
    GOVERNANCE_SCHEMA,
    govern_data,
    halting_causes,
    provider_confidence,
)
from instgov_dagster.bars.history import cover_history
from instgov_dagster.bars.quality import score_bars
from instgov_dagster.vocabulary.bars import AssetClass, Market
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.bars.quality.frames import (
    ASOF,
    HISTORY,
    QUALITY,
    calm_bars,
    scaled,
    universe_of,
)

UNIVERSE = universe_of(
    **{
        "AAA": AssetClass.STOCKS,
        "BTC-USD": AssetClass.CRYPTO,
        "CL=F": AssetClass.COMMODITIES,
        "EURUSD=X": AssetClass.FX,
        "^VIX": None,
    }
)
GOOD = {
    symbol: calm_bars(symbol, kind)
    for symbol, kind in (
        ("AAA", AssetClass.STOCKS),
        ("BTC-USD", AssetClass.CRYPTO),
        ("CL=F", AssetClass.COMMODITIES),
        ("EURUSD=X", AssetClass.FX),
        ("^VIX", None),
    )
}
OLD = dict.fromkeys(GOOD, date(2000, 1, 1))


def tables(**changes: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give coverage and quality of good bars, with the bars of some symbols replaced."""
    bars = pl.concat([*(GOOD | changes).values()])
    night = {"universe": UNIVERSE, "asof": ASOF, "policy": QUALITY, "history": HISTORY}
    quality = score_bars(bars, **night, first_dates=OLD)
    coverage = cover_history(
        adjust_bars(bars, **night),
        quality,
        universe=UNIVERSE,
        asof=ASOF,
        history=HISTORY,
        first_dates=OLD,
    )
    return coverage, quality


GOOD_TABLES = tables()


def governed(
    found: tuple[pl.DataFrame, pl.DataFrame] = GOOD_TABLES,
    *,
    market: Market = Market.FILES,
    entitled: frozenset[str] = frozenset(),
    confidence: dict[str, float] | None = None,
    disagreeing: tuple[str, ...] = (),
) -> dict[str, dict[str, Any]]:
    """Govern and give the rows by symbol."""
    classes = found_classes(UNIVERSE)
    persisted = classes.with_columns(
        asset_class=pl.when(pl.col("symbol").is_in(disagreeing))
        .then(pl.lit("OTHER"))
        .otherwise("asset_class")
    )
    frame = govern_data(
        *found,
        compare_classes(classes, persisted),
        universe=UNIVERSE,
        market=market,
        entitled=entitled,
        history=HISTORY,
        confidence=confidence,
    )
    assert frame.schema == pl.Schema(GOVERNANCE_SCHEMA)
    assert frame["reason_codes"].list.len().min() > 0
    return {row["symbol"]: row for row in frame.iter_rows(named=True)}


def test_good_bars_in_files_are_all_eligible_and_the_reference_never_is() -> None:
    rows = governed()
    assert [s for s, row in rows.items() if row["is_eligible"]] == [*rows][:4]
    assert not any(row["is_halting"] for row in rows.values())
    assert {row["provider"] for row in rows.values()} == {"files"}
    assert {row["provider_confidence"] for row in rows.values()} == {1.0}
    assert "REFERENCE_NOT_BID" in rows["^VIX"]["reason_codes"]
    assert rows["AAA"]["reason_codes"] == [
        "DATA_VALID",
        "HISTORY_SUFFICIENT",
        "HISTORY_SHORT_OF_NOMINAL",
        "CLASSIFIED",
    ]


@pytest.mark.roadmap("1.4", "1.5")
def test_in_live_fx_and_commodities_are_observed_and_never_routed() -> None:
    rows = governed(market=Market.LIVE, entitled=frozenset({"yahoo"}), confidence={"yahoo": 0.9})
    assert {s: row["has_route"] for s, row in rows.items()} == {
        "AAA": True,
        "BTC-USD": True,
        "CL=F": False,
        "EURUSD=X": False,
        "^VIX": False,
    }
    assert [s for s, row in rows.items() if row["is_eligible"]] == ["AAA", "BTC-USD"]
    assert "SIM_ONLY" in rows["CL=F"]["reason_codes"]
    assert not rows["CL=F"]["is_halting"]
    assert rows["AAA"]["provider_confidence"] == 0.9


@pytest.mark.roadmap("1.3", "1.5")
def test_without_an_entitled_provider_nobody_is_eligible() -> None:
    rows = governed(market=Market.LIVE, entitled=frozenset({"binance"}))
    assert not any(row["is_eligible"] for row in rows.values())
    assert rows["AAA"]["provider"] == "NO_VALID_PROVIDER"
    assert "PROVIDER_NOT_ENTITLED" in rows["AAA"]["reason_codes"]
    assert rows["AAA"]["provider_confidence"] == 0.0


@pytest.mark.parametrize("value", [float("nan"), -0.1, 1.1])
def test_a_confidence_that_is_no_share_is_none_at_all(value: float) -> None:
    rows = governed(market=Market.LIVE, entitled=frozenset({"yahoo"}), confidence={"yahoo": value})
    assert rows["AAA"]["provider_confidence"] == 0.0


@pytest.mark.roadmap("1.1")
def test_a_class_that_disagrees_halts_and_is_not_eligible() -> None:
    row = governed(disagreeing=("AAA",))["AAA"]
    assert row["is_halting"]
    assert not row["is_eligible"]
    assert "CLASS_DISAGREEMENT" in row["reason_codes"]
    assert "CLASSIFIED" not in row["reason_codes"]


@pytest.mark.roadmap("2.5")
def test_invalid_data_is_stored_and_never_bid_for_and_does_not_halt() -> None:
    row = governed(tables(AAA=scaled(GOOD["AAA"], 500, 3.0)))["AAA"]
    assert (row["status"], row["is_eligible"], row["is_halting"]) == ("INVALID_DATA", False, False)
    assert row["data_quality"] == pytest.approx(0.1)
    assert row["history_days"] == 1257


@pytest.mark.roadmap("3.1")
def test_a_stale_symbol_halts_and_is_named() -> None:
    found = tables(AAA=GOOD["AAA"].head(1256))
    assert governed(found)["AAA"]["is_halting"]
    frame = govern_data(
        *found,
        compare_classes(found_classes(UNIVERSE), found_classes(UNIVERSE)),
        universe=UNIVERSE,
        market=Market.SIMULATED,
        entitled=frozenset(),
        history=HISTORY,
    )
    assert halting_causes(frame) == (("AAA", ReasonCode.HISTORY_MISSING),)


@pytest.mark.parametrize("defect", ["stale", "invalid", "absent"])
def test_a_reference_that_cannot_be_read_halts(defect: str) -> None:
    vix = GOOD["^VIX"]
    bars = {
        "stale": vix.head(1256),
        "invalid": vix.with_columns(low=pl.lit(0.0)),
        "absent": vix.clear(),
    }[defect]
    row = governed(tables(**{"^VIX": bars}))["^VIX"]
    assert row["is_halting"]
    assert "REFERENCE_INVALID" in row["reason_codes"]


def test_a_symbol_without_a_row_is_one_clear_error() -> None:
    coverage, quality = GOOD_TABLES
    with pytest.raises(InputError, match="coverage must hold every symbol, was without AAA"):
        governed((coverage.filter(pl.col("symbol") != "AAA"), quality))
    with pytest.raises(InputError, match="quality must hold each symbol once"):
        governed((coverage, pl.concat([quality, quality.head(1)])))


TONIGHT = date(2025, 3, 12)


def answers(*rows: tuple[str, str, int]) -> pl.DataFrame:
    """Give answers: provider, reason, requests."""
    plain = [
        {
            "provider": provider, "symbol": f"S{n}", "reason_code": reason, "status": 200,
            "requests": requests, "rows": 1, "detail": "",
        }
        for n, (provider, reason, requests) in enumerate(rows)
    ]  # fmt: skip
    return pl.DataFrame(plain, schema=ANSWERS_SCHEMA, orient="row")


def before(*nights: pl.DataFrame) -> pl.DataFrame:
    """Put nights behind tonight, the last one first."""
    empty = answers().with_columns(asof=pl.lit(TONIGHT, dtype=pl.Date))
    dated = [
        night.with_columns(asof=pl.lit(TONIGHT - timedelta(days=n)))
        for n, night in enumerate(nights, start=1)
    ]
    return pl.concat([empty, *dated])


SENT, REFUSED, MALFORMED = "PROVIDER_SELECTED", "PROVIDER_NOT_FOUND", "PROVIDER_MALFORMED"


@pytest.mark.roadmap("4.1")
def test_confidence_worked_by_hand_is_the_share_of_good_answers() -> None:
    tonight = answers(("yahoo", SENT, 1), ("yahoo", REFUSED, 1), ("binance", SENT, 2))
    earlier = before(answers(("yahoo", SENT, 1), ("yahoo", MALFORMED, 3)))
    found = provider_confidence(tonight, earlier, nights=20)
    assert found == {"yahoo": 0.5, "binance": 1.0}  # 2 of 4; 1 of 1


def test_what_nobody_was_asked_counts_for_nobody() -> None:
    tonight = answers(("yahoo", SENT, 1), ("NO_VALID_PROVIDER", "PROVIDER_NOT_ENTITLED", 0))
    assert provider_confidence(tonight, before(), nights=20) == {"yahoo": 1.0}
    assert provider_confidence(answers(), before(), nights=20) == {}


def test_nights_too_long_ago_are_forgotten() -> None:
    bad, good = answers(("yahoo", REFUSED, 1)), answers(("yahoo", SENT, 1))
    earlier = before(good, good, bad, bad)
    assert provider_confidence(good, earlier, nights=3) == {"yahoo": 1.0}
    assert provider_confidence(good, earlier, nights=4) == {"yahoo": 0.75}
    assert provider_confidence(good, earlier, nights=1) == {"yahoo": 1.0}


@given(reasons=st.lists(st.sampled_from([SENT, REFUSED, MALFORMED]), min_size=1, max_size=30))
def test_one_more_refusal_never_raises_confidence(reasons: list[str]) -> None:
    now = answers(*[("yahoo", reason, 1) for reason in reasons])
    more = answers(*[("yahoo", reason, 1) for reason in (*reasons, REFUSED)])
    (held,) = provider_confidence(now, before(), nights=20).values()
    (less,) = provider_confidence(more, before(), nights=20).values()
    assert 0.0 <= less <= held <= 1.0
    assert less < 1.0
