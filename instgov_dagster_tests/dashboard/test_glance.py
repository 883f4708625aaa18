"""A glance: its bars are the table's numbers, its text is escaped, its columns exist."""

from xml.etree import ElementTree as ET

import polars as pl
import pytest

from instgov_dagster.adapters.store.schema import load_migrations
from instgov_dagster.dashboard.glance import GLANCES, Glance, bars_svg, glance_rows, table_markdown
from instgov_dagster.governance.reporting.card import CARD_SCHEMA

FRAME = pl.DataFrame({"name": ["a", "b", "a", "c"], "x": [1.0, -2.0, 3.0, None]})


def test_bars_count_sum_and_bound_by_label() -> None:
    def rows(**how: str) -> list[tuple[str, float]]:
        return glance_rows(FRAME, Glance(title="t", label="name", **how))  # type: ignore[arg-type]

    assert rows() == [("a", 2.0), ("b", 1.0), ("c", 1.0)]
    assert rows(value="x", how="sum") == [("a", 4.0), ("c", 0.0), ("b", -2.0)]
    assert rows(value="x", how="min", first="smallest") == [("b", -2.0), ("a", 1.0)]
    with pytest.raises(ValueError, match="needs the columns \\['y'\\]"):
        rows(value="y", how="max")


def test_the_persistence_of_a_fit_counts_half_of_gamma_and_a_failed_fit_is_not_drawn() -> None:
    fits = pl.DataFrame(
        {
            "symbol": ["KO", "GLD", "FAILED"],
            "alpha": [0.03, 0.05, None],
            "gamma": [0.08, 0.0, None],
            "beta": [0.90, 0.93, None],
        }
    )
    drawn = dict(glance_rows(fits, GLANCES["sigma_fits"]))
    # by hand: 0.03 + 0.08 / 2 + 0.90 = 0.97 and 0.05 + 0 + 0.93 = 0.98
    assert drawn == pytest.approx({"GLD": 0.98, "KO": 0.97})
    assert list(drawn) == ["GLD", "KO"]


def test_a_table_of_one_row_draws_its_columns_in_their_order() -> None:
    glance = Glance(title="t", columns=("upper", "gap", "objective"))
    row = pl.DataFrame({"objective": [0.5], "upper": [0.75], "gap": [None]})
    assert glance_rows(row, glance) == [("upper", 0.75), ("objective", 0.5)]
    assert glance_rows(row.clear(), glance) == []
    with pytest.raises(ValueError, match="needs the columns \\['objective'\\]"):
        glance_rows(row.drop("objective"), glance)


def test_a_bar_is_as_long_as_its_value_and_its_words_are_escaped() -> None:
    root = ET.fromstring(bars_svg("<t>", [("a&b", 2.0), ("c", -1.0)]))  # noqa: S314  # our own text
    space = "{http://www.w3.org/2000/svg}"
    bars = [node for node in root.iter(f"{space}rect") if node.get("height") == "15"]
    widths = [float(node.attrib["width"]) for node in bars]
    assert widths[0] == pytest.approx(2 * widths[1])
    assert bars[0].get("fill") != bars[1].get("fill")
    assert {"<t>", "a&b"} <= {node.text for node in root.iter(f"{space}text")}
    assert "no rows" in bars_svg("t", [])


def test_the_head_of_a_table_says_how_many_rows_there_are() -> None:
    text = table_markdown(FRAME.with_columns(pl.lit("x|y").alias("pipe")))
    assert text.splitlines()[0] == "| name | x | pipe |"
    assert "x\\|y" in text
    assert text.endswith("4 rows in all.")


def test_every_column_that_is_drawn_stands_in_the_schema() -> None:
    sql = "\n".join(step.sql for step in load_migrations("warehouse"))
    for asset, glance in GLANCES.items():
        table = {"raw_bars": "bar_versions"}.get(asset, asset)
        if table == "report_card":
            assert glance.needs <= set(CARD_SCHEMA)
            continue
        body = sql[sql.index(f"CREATE TABLE {table} (") :]
        body = body[: body.index("\n);")]
        assert glance.needs
        assert {name for name in glance.needs if f"    {name} " not in body} == set(), table
