"""A control that is disabled in the source makes its drill fail."""

import ast
from pathlib import Path

import pytest

from instgov_dagster.loop.proving.drills.catalog import CATALOG
from instgov_dagster_tests.loop.proving.drills.mutations import (
    BEHIND,
    MUTATIONS,
    Mutation,
    drill_mutated,
    edits_of,
    mutated,
)

#: Disabled in every run; the others are minutes together.
SLICE = {"audit_unwritable", "crossed_quotes", "wrong_config_hash"}
EVERY = [
    name if name in SLICE else pytest.param(name, marks=pytest.mark.nightly) for name in CATALOG
]


def test_every_drill_has_the_edit_that_disables_its_control() -> None:
    assert set(MUTATIONS) == set(CATALOG) >= set(BEHIND)
    for name in CATALOG:
        paths = [mutation.path for mutation in edits_of(name)]
        assert len(paths) == len(set(paths)), name


@pytest.mark.parametrize("name", CATALOG)
def test_what_an_edit_replaces_stands_in_the_source_once_and_what_it_makes_parses(
    name: str,
) -> None:
    for mutation in edits_of(name):
        ast.parse(mutated(mutation))


def test_an_edit_that_has_rotted_is_told() -> None:
    with pytest.raises(ValueError, match="must hold once, had 0"):
        mutated(Mutation("loop/cycle.py", "no such line", ""))


@pytest.mark.roadmap("9.5")
@pytest.mark.parametrize("name", EVERY)
def test_a_disabled_control_makes_its_drill_fail(name: str, base: Path, tmp_path: Path) -> None:
    found = drill_mutated(name, tmp_path, base=base)
    assert not found.fired, f"{name} fired without its control"
