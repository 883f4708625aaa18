"""Where each reason code is raised and where it is tested, read from the sources; no test here."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from instgov_dagster.vocabulary.reasons import ReasonCode

# Where codes are listed rather than raised.
_LISTS = ("vocabulary/reasons.py", "vocabulary/reason_table.py", "governance/reporting/")
_ENUM = ("ReasonCode", "Code")  # as tests with many codes call it
_CODES = {code.value for code in ReasonCode}
# A constant of more codes than these is a list of them and raises none.
_MOST = 9
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def enforced_places(root: Path) -> dict[str, tuple[str, ...]]:
    """Map each code to the ``file:function`` that names it, itself or by a constant of its file."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root).as_posix()
        if module.startswith(_LISTS):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = _constants(tree)
        used: set[str] = set()
        for name, function in _functions(tree.body):
            codes = set(_codes(function, named))
            used |= codes
            for code in codes:
                found[code][f"{module}:{name}"] = None
        for code in set().union(*named.values()) - used:
            found[code][module] = None
    return {code: tuple(places) for code, places in found.items()}


def named_by_tests(root: Path) -> dict[str, tuple[str, ...]]:
    """Map each code to the ids of the tests that name it: as an attribute, a text or a constant."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for path in sorted(root.rglob("test_*.py")):
        place = path.relative_to(root.parent).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = _constants(tree)
        for name, function in _functions(tree.body):
            if name.startswith("test_"):
                for code in _codes(function, named):
                    found[code][f"{place}::{name}"] = None
    return {code: tuple(ids) for code, ids in found.items()}


def _functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, _Function]]:
    for node in body:
        if isinstance(node, _Function):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.")


def _constants(tree: ast.Module) -> dict[str, set[str]]:
    # What the module calls a code, or several: constants, and helpers that a test may call.
    named: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            codes = set(_codes(node.value, {}))
            named |= {
                t.id: codes for t in targets if isinstance(t, ast.Name) and 0 < len(codes) <= _MOST
            }
    return named


def _codes(node: ast.AST, named: dict[str, set[str]]) -> Iterator[str]:
    # Decorators are walked as well: parameters name codes too.
    for child in ast.walk(node):
        if isinstance(child, ast.Attribute):
            if isinstance(child.value, ast.Name) and child.value.id in _ENUM:
                yield child.attr
        elif isinstance(child, ast.Name):
            yield from sorted(named.get(child.id, ()))
        elif isinstance(child, ast.Constant) and isinstance(child.value, str):
            words = child.value.replace(":", " ").split()
            yield from (word for word in words if word in _CODES and len(words) < 12)
