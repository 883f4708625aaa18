"""The roadmap's 81 boxes: each has a row, each row its tests, and the page is fresh."""

import re
from pathlib import Path

import pytest

from instgov_dagster_tests.repository import roadmap
from instgov_dagster_tests.repository.roadmap import Box, Status

PHASES = dict.fromkeys(map(str, range(1, 11)), 5) | {"0": 10, "2": 6, "4": 4}
PHASES |= {"DB": 6, "TEST": 10, "DOC": 5}
ORDER = [*map(str, range(11)), "DB", "TEST", "DOC"]
BOXES = roadmap.load_boxes()
MARKED = roadmap.collect_tests()


def page_rows() -> dict[str, list[str]]:
    rows = re.findall(
        r"^\| ((?:\d+|DB|TEST|DOC)\.\d+) \| (.*) \|$", roadmap.PAGE.read_text(), re.MULTILINE
    )
    return {box: re.split(r"(?<!\\) \| ", cells) for box, cells in rows}


def test_the_list_holds_the_81_boxes_of_the_roadmap_each_once_and_in_order() -> None:
    wanted = [f"{phase}.{n}" for phase in ORDER for n in range(1, PHASES[phase] + 1)]
    assert len(wanted) == 81
    assert [box.box for box in BOXES] == wanted


def test_every_box_has_a_row_on_the_page_with_its_status() -> None:
    assert {box: cells[3] for box, cells in page_rows().items()} == {
        box.box: str(box.status) for box in BOXES
    }


def test_every_test_named_on_the_page_exists() -> None:
    named = set(re.findall(r"`(instgov_dagster_tests/[^`]+::[^`]+)`", roadmap.PAGE.read_text()))
    assert named - roadmap.collect_ids() == set()


def test_every_marker_names_a_box_of_the_roadmap() -> None:
    known = {box.box for box in BOXES}
    assert set(MARKED) - known == set()
    assert {name for box in BOXES for name in box.through} - known == set()


def test_no_box_is_built_without_a_test() -> None:
    built = [box for box in BOXES if box.status is not Status.OPEN]
    assert [box.box for box in built if not roadmap.evidence(box, MARKED)] == []


def test_every_built_box_lives_where_its_row_says() -> None:
    built = [box for box in BOXES if box.status is not Status.OPEN]
    assert [str(box.path) for box in built if not (roadmap.ROOT / box.path).exists()] == []


def test_a_box_says_what_is_missing_exactly_when_something_is() -> None:
    assert [box.box for box in BOXES if bool(box.missing) == (box.status is Status.DONE)] == []


def test_the_committed_page_is_what_the_tree_says() -> None:
    fresh = roadmap.render(BOXES, MARKED)
    assert roadmap.PAGE.read_text(encoding="utf-8") == fresh, (
        "docs/roadmap.md is stale: `make docs`"
    )


def test_markers_are_found_on_functions_classes_and_modules(tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_one.py").write_text(
        "import pytest\n"
        'pytestmark = [pytest.mark.roadmap("1.1"), pytest.mark.nightly]\n'
        '@pytest.mark.roadmap("2.4", "2.5")\n'
        "def test_a(): ...\n"
        'def helper(): """Not a test."""\n'
        '@pytest.mark.roadmap("DB.1")\n'
        "class TestB:\n"
        "    async def test_c(self): ...\n"
    )
    a, c = "tests/test_one.py::test_a", "tests/test_one.py::TestB::test_c"
    expected = {"1.1": (a, c), "2.4": (a,), "2.5": (a,), "DB.1": (c,)}
    assert roadmap.collect_tests(folder) == expected
    assert roadmap.collect_ids(folder) == {a, c}


def test_a_row_shows_its_first_test_and_counts_the_rest_through_other_boxes() -> None:
    box = Box(
        box="0.4", title="a|b", module="x.py", status=Status.THIN, missing="m", through=("6.4",)
    )
    tests = {"0.4": ("t::one",), "6.4": ("t::two", "t::one")}
    assert roadmap.evidence(box, tests) == ("t::one", "t::two")
    row = "| 0.4 | a\\|b | `instgov_dagster/x.py` | `t::one` and 1 more | thin | m |"
    assert row in roadmap.render((box,), tests).splitlines()


@pytest.mark.parametrize("status", ["DONE", "finished", ""])
def test_a_status_that_is_not_one_of_the_three_is_refused(tmp_path: Path, status: str) -> None:
    path = tmp_path / "roadmap.yaml"
    path.write_text(f'boxes: [{{box: "1.1", title: t, module: m, status: "{status}"}}]')
    with pytest.raises(ValueError, match="not a valid Status"):
        roadmap.load_boxes(path)
