"""A glance: its bars are the table's numbers, its text is escaped, its columns exist."""

from xml.etree import ElementTree as ET

import polars as pl
import pytest

from instgov_dagster.adapters.store.schema import load_migrations
from instgov_dagster.dashboard.glance import GLANCES, Glance, bars_svg, glance_rows, table_markdown

FRAME = pl.DataFrame({"name": ["a", "b", "a", "c"], "x": [1.0, -2.0, 3.0, None]})


def test_bars_count_sum_and_bound_by_label() -> None:
    def rows(**how: str) -> list[tuple[str, float]]:
        return glance_rows(FRAME, Glance(title="t", label="name", **how))  # type: ignore[arg-type]

    assert rows() == [("a", 2.0), ("b", 1.0), ("c", 1.0)]
    assert rows(value="x", how="sum") == [("a", 4.0), ("c", 0.0), ("b", -2.0)]
    assert rows(value="x", how="min", first="smallest") == [("b", -2.0), ("a", 1.0)]
    with pytest.raises(ValueError, match="needs the columns \\['y'\\]"):
        rows(value="y", how="max")


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
    for table, glance in GLANCES.items():
        body = sql[sql.index(f"CREATE TABLE {table} (") :]
        body = body[: body.index("\n);")]
        assert f"    {glance.label} " in body, table
        assert not glance.value or f"    {glance.value} " in body, table
