"""docs/roadmap.md, written from docs/roadmap.yaml and the tests marked with a box; no test here."""

import ast
import dataclasses
from collections import defaultdict
from enum import StrEnum
from pathlib import Path
from typing import TypeGuard

import yaml

from instgov_dagster.governance.reason_page import reasons_markdown
from instgov_dagster.governance.reporting.card import card_markdown
from instgov_dagster.governance.reporting.rule_page import rules_markdown
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster_tests.repository.places import enforced_places, named_by_tests

ROOT = Path(__file__).parents[2]
LIST = ROOT / "docs" / "roadmap.yaml"
PAGE = ROOT / "docs" / "roadmap.md"
REASONS = ROOT / "docs" / "reasons.md"
RULES = ROOT / "docs" / "governance-rules.md"
CARD = ROOT / "docs" / "report-card.md"
TESTS = ROOT / "instgov_dagster_tests"

_HEAD = """\
# Roadmap: box, module, test, status

Written by `make docs` from `docs/roadmap.yaml` and from the tests that carry
`@pytest.mark.roadmap("<box>")`; do not edit. A test fails when this page is stale, when a row
names a test that does not exist, or when a built box has none.

`done`: all the box asks. `thin`: a true part of it; the last column names the rest. `open`: not
begun.
"""


class Status(StrEnum):
    """How far a box is."""

    DONE = "done"
    THIN = "thin"
    OPEN = "open"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One box of the roadmap.

    ``module`` is a path in the package, or in the repository where it begins with a slash;
    ``through`` names boxes whose tests are evidence for this one as well.
    """

    box: str
    title: str
    module: str
    status: Status
    missing: str = ""
    through: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file or folder the box lives in, relative to the repository."""
        if self.module.startswith("/"):
            return Path(self.module[1:])
        return Path("instgov_dagster") / self.module


def load_boxes(path: Path = LIST) -> tuple[Box, ...]:
    """Read the list of boxes.

    Raises
    ------
    ValueError
        If a status is not one of the three.
    TypeError
        If a row has a key this list does not know, or lacks one.
    """
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))["boxes"]
    return tuple(
        Box(**{**row, "status": Status(row["status"]), "through": tuple(row.get("through", ()))})
        for row in rows
    )


def collect_tests(root: Path = TESTS) -> dict[str, tuple[str, ...]]:
    """Map each box named by a marker to the ids of its tests, in path and line order.

    A marker counts on the function, on its class, or in the module's ``pytestmark``.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(root.rglob("test_*.py")):
        place = path.relative_to(root.parent).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, boxes in _marked(tree.body, _module_boxes(tree)):
            for box in dict.fromkeys(boxes):
                found[box].append(f"{place}::{name}")
    return {box: tuple(ids) for box, ids in found.items()}


def collect_ids(root: Path = TESTS) -> frozenset[str]:
    """List the id of every test function of the tree, marked or not."""
    return frozenset(
        f"{path.relative_to(root.parent).as_posix()}::{name}"
        for path in root.rglob("test_*.py")
        for name, _ in _marked(ast.parse(path.read_text(encoding="utf-8")).body, ())
    )


def evidence(box: Box, tests: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Join the tests marked with a box and those of the boxes it counts as its own."""
    joined = [test for name in (box.box, *box.through) for test in tests.get(name, ())]
    return tuple(dict.fromkeys(joined))


def render(boxes: tuple[Box, ...], tests: dict[str, tuple[str, ...]]) -> str:
    """Write the page: the count, one table row a box, then every test of every box."""
    count = {status: sum(box.status is status for box in boxes) for status in Status}
    lines = [
        _HEAD,
        f"{len(boxes)} boxes: " + ", ".join(f"{count[s]} {s}" for s in Status) + ".\n",
        "| Box | What | Module | Test | Status | Missing |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_row(box, evidence(box, tests)) for box in boxes]
    lines += ["", "## Every test of every box", ""]
    for box in boxes:
        lines += [f"- **{box.box}**", *(f"  - `{test}`" for test in evidence(box, tests))]
    return "\n".join(lines) + "\n"


def _row(box: Box, ids: tuple[str, ...]) -> str:
    more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
    first = f"`{ids[0]}`{more}" if ids else "none"
    missing = box.missing or "nothing"
    title = box.title.replace("|", "\\|")
    return f"| {box.box} | {title} | `{box.path}` | {first} | {box.status} | {missing} |"


def _marked(
    body: list[ast.stmt], inherited: tuple[str, ...], prefix: str = ""
) -> list[tuple[str, tuple[str, ...]]]:
    found = []
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            boxes = inherited + _boxes(node.decorator_list)
            found += _marked(node.body, boxes, f"{prefix}{node.name}::")
        elif _is_test(node):
            found.append((prefix + node.name, inherited + _boxes(node.decorator_list)))
    return found


def _is_test(node: ast.stmt) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name.startswith("test_")
    return False


def _module_boxes(tree: ast.Module) -> tuple[str, ...]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            marks = node.value
            return _boxes(marks.elts if isinstance(marks, ast.List | ast.Tuple) else [marks])
    return ()


def _boxes(marks: list[ast.expr]) -> tuple[str, ...]:
    calls = [
        m for m in marks if isinstance(m, ast.Call) and ast.unparse(m.func).endswith("mark.roadmap")
    ]
    return tuple(str(a.value) for call in calls for a in call.args if isinstance(a, ast.Constant))


def rules_page() -> str:
    """Write the page of rules from their table, the default policy and the sources."""
    return rules_markdown(
        Policy(), enforced_places(ROOT / "instgov_dagster"), named_by_tests(TESTS)
    )


def write() -> Path:
    """Write the generated pages again: roadmap, reasons and rules from the tree and its tables."""
    PAGE.write_text(render(load_boxes(), collect_tests()), encoding="utf-8")
    REASONS.write_text(reasons_markdown(), encoding="utf-8")
    RULES.write_text(rules_page(), encoding="utf-8")
    CARD.write_text(card_markdown(), encoding="utf-8")
    return PAGE


if __name__ == "__main__":
    write()
