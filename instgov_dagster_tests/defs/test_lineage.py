"""Column lineage: every column it names stands in the schema, every source is upstream."""

import re

import pytest

from instgov_dagster.adapters.store.schema import load_migrations
from instgov_dagster.defs.lineage import LINEAGE, lineage_facts
from instgov_dagster_tests.defs.test_definitions import PARENTS

TABLES = {"raw_bars": "bar_versions", "strategy_lifecycle": "strategy_lifecycle_log"}
SQL = "\n".join(step.sql for step in load_migrations("warehouse"))


def columns_of(asset: str) -> set[str]:
    table = TABLES.get(asset, asset)
    body = SQL[SQL.index(f"CREATE TABLE {table} (") :]
    return set(re.findall(r'^    "?(\w+)"? [A-Z]', body[: body.index("\n);")], flags=re.MULTILINE))


def upstream(asset: str) -> set[str]:
    found, left = set[str](), set(PARENTS[asset])
    while left:
        name = left.pop()
        found.add(name)
        left |= set(PARENTS[name]) - found
    return found


@pytest.mark.parametrize("table", LINEAGE)
def test_each_column_and_each_source_exists_and_lies_above(table: str) -> None:
    assert set(LINEAGE[table]) <= columns_of(table)
    for sources in LINEAGE[table].values():
        for source in sources:
            asset, column = source.split(".")
            assert column in columns_of(asset), source
            assert asset in upstream(table), source


def test_dagster_is_told_each_source_and_nothing_of_a_table_nobody_traced() -> None:
    (told,) = lineage_facts("stress_scenarios").values()
    (dep,) = told.deps_by_column["returns"]
    assert (dep.asset_key.to_user_string(), dep.column_name) == ("price_history", "price")
    assert lineage_facts("nothing") == {}
