"""The audit's figures: an anchor covers no more than there is."""

import polars as pl

from instgov_dagster.dashboard.figures.audit import card_figure, chains_figure


def test_a_chain_is_parted_at_its_last_anchor() -> None:
    heads = {"loop": (100, "aa"), "night": (2, "bb"), "operator": (0, "cc")}
    covered, rest = chains_figure(heads, {"loop": 60, "night": 5}).data
    assert list(covered.x) == [60, 2, 0]
    assert list(rest.x) == [40, 0, 0]


def test_the_card_counts_its_clauses_by_what_the_control_last_did() -> None:
    card = pl.DataFrame({"regulation": ["A", "A", "B"], "status": ["drilled", "SILENT", "drilled"]})
    made = card_figure(card)
    assert {bar.name: dict(zip(bar.y, bar.x, strict=True)) for bar in made.data} == {
        "drilled": {"A": 1, "B": 1},
        "SILENT": {"A": 1},
    }
