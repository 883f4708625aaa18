"""Every symbol is judged on its own fills, in one pass over rows in any order."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from instgov_dagster.loop.folding.evidence import FILL_SCHEMA, PASSIVE_SCHEMA
from instgov_dagster.loop.steps.vetoes.execution import judge_execution
from instgov_dagster.vocabulary.governance import ALL, ScopedFinding, VetoPolicy

pytestmark = [pytest.mark.roadmap("9.2"), pytest.mark.roadmap("TEST.9")]

POLICY = VetoPolicy()
MONDAY, TUESDAY, WEDNESDAY = (date(2025, 3, day) for day in (10, 11, 12))
BARS = {
    "symbol": ["AAA", "AAA", "BBB", "BBB"],
    "date": [TUESDAY, WEDNESDAY, TUESDAY, TUESDAY],
    "low": [99.0, 99.0, 48.0, 49.0],
    "high": [101.0, 101.0, 50.0, 51.0],
}


def fill(symbol: str, day: date, price: float, *, is_aggressive: bool = True) -> dict[str, Any]:
    return {
        "date": day, "symbol": symbol, "side": 1.0, "price": price, "mid": 100.0,
        "half_spread": 0.0, "cost_bps": 0.0, "modelled_bps": 1.0, "is_aggressive": is_aggressive,
    }  # fmt: skip


def judged(
    *fills: dict[str, Any], orders: tuple[tuple[str, bool], ...] = (), **spent: date
) -> dict[tuple[str, str], ScopedFinding]:
    passive = [
        {"date": TUESDAY, "symbol": name, "is_filled": is_filled, "markout_bps": 1.0}
        for name, is_filled in orders
    ]
    found = judge_execution(
        pl.DataFrame(list(fills), schema=FILL_SCHEMA),
        pl.DataFrame(passive, schema=PASSIVE_SCHEMA),
        pl.DataFrame(BARS),
        since=TUESDAY,
        spent=lambda name: spent.get(name, date.min),
        policy=POLICY,
    )
    return {(row.symbol, row.finding.trigger.partition(".")[2]): row for row in found}


def numbers(found: dict[tuple[str, str], ScopedFinding], name: str, rule: str) -> tuple[float, int]:
    finding = found[name, rule].finding
    return finding.statistic, finding.n


def test_the_fills_of_each_symbol_meet_its_own_bars_and_its_own_mid() -> None:
    found = judged(
        fill("BBB", TUESDAY, 52.0),
        fill("AAA", WEDNESDAY, 102.0),
        fill("AAA", TUESDAY, 98.0),
        fill("BBB", TUESDAY, 50.5, is_aggressive=False),
        fill("AAA", WEDNESDAY, 100.5),
        orders=(("CCC", True), ("CCC", False), ("AAA", False)),
    )
    assert {name for name, _ in found} == {"AAA", "BBB", "CCC"}
    # Only the last day's fills meet their bars: 102 is above 101; 52 above the wider of two bars.
    assert numbers(found, "AAA", "bar") == (1.0, 2)
    assert numbers(found, "BBB", "bar") == (1.0, 2)
    # One of three below the mid; of B's the passive fill is no aggressive one.
    assert numbers(found, "AAA", "better_than_mid") == (1 / 3, 3)
    assert numbers(found, "BBB", "better_than_mid") == (1.0, 1)
    # 200, -200 and 50 bps: around 50/3 the squares sum to 81666.67.
    assert found["AAA", "slippage_deviation"].finding.statistic == pytest.approx(
        (245_000 / 3 / 2) ** 0.5
    )
    assert numbers(found, "CCC", "passive") == (0.5, 2)
    assert numbers(found, "AAA", "passive") == (0.0, 1)
    assert numbers(found, "CCC", "bar") == (0.0, 0)


def test_what_is_too_old_is_not_judged_and_what_was_cleared_leaves_its_symbol_without_rows() -> (
    None
):
    found = judged(
        fill("OLD", MONDAY, 90.0), fill("AAA", TUESDAY, 98.0), fill("BBB", TUESDAY, 52.0),
        AAA=WEDNESDAY,
    )  # fmt: skip
    assert {name for name, _ in found} == {"AAA", "BBB"}
    assert numbers(found, "AAA", "bar") == (0.0, 0)
    assert numbers(found, "BBB", "bar") == (1.0, 1)


def test_a_fill_without_a_bar_is_not_held_against_one() -> None:
    found = judged(fill("CCC", TUESDAY, 1.0))
    assert numbers(found, "CCC", "bar") == (0.0, 0)
    assert numbers(found, "CCC", "better_than_mid") == (1.0, 1)


def test_without_any_fill_four_findings_speak_of_every_symbol() -> None:
    found = judged()
    assert sorted(found) == sorted(
        (ALL, rule) for rule in ("bar", "better_than_mid", "slippage_deviation", "passive")
    )
    assert all(row.finding.n == 0 and not row.finding.fired for row in found.values())
