"""docs/proof.md says what the proof and the catalogue of drills say."""

from instgov_dagster.loop.proving.drills.catalog import CATALOG
from instgov_dagster.loop.proving.enumeration import STATEMENTS, cycles
from instgov_dagster.loop.proving.factors import (
    book_gates,
    circumstances,
    order_gates,
    patterns,
    subsets,
)
from instgov_dagster_tests.repository.roadmap import ROOT

PAGE = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")


def count(rows: object) -> int:
    return len(list(rows))  # type: ignore[call-overload]  # any iterable


def test_the_page_lists_every_drill_as_the_catalogue_has_it() -> None:
    rows = [
        f"| `{c.name}` | {c.injected} | `{c.reason_code}` | `{c.state}` | {c.may_send} |"
        for c in CATALOG.values()
    ]
    assert [line for line in PAGE.splitlines() if line.startswith("| `") and line in rows] == rows


def test_the_page_names_every_invariant() -> None:
    small = ("approval_is_whole", "joint_gate_is_exact", "every_gate_shuts", "stop_cancels_nothing")
    assert [name for name in (*STATEMENTS, *small) if f"| `{name}` |" not in PAGE] == []


def test_the_page_counts_the_states_as_the_products_do() -> None:
    gates, books = order_gates(), book_gates()
    at = count(circumstances())
    first = at * (count(patterns(gates)) + 1) * len(cycles([()]))
    second = at * 2 * len(cycles([()])) * count(patterns(books))
    third = 5 * count(subsets(gates)) * 5
    small = (17_280, 4_096, 36, 20)
    for number in (first, second, third, *small, first + second + third + sum(small)):
        assert f"{number:,}" in PAGE, number
